"""Mistakes on the command line and in the surroundings: refused in words, before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.databases import PostgresServer
from tests.e2e.project import Project
from tests.sandboxes import Sandbox


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    """A folder in which nothing was made yet, and a database to be."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return Project(folder=folder, database=f"sqlite:///{folder / 'marketing.db'}")


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://u@h/x?password=hush",
        "postgresql://u:hu/sh@h/x",
        "host=127.0.0.1 password=hush dbname=x",
    ],
)
def test_init_takes_no_password_and_writes_nothing(empty: Project, database: str) -> None:
    refused = empty.crosstie("init", "--database", database, expect=2, CROSSTIE_DATABASE="")

    assert "hu" not in refused.out + refused.err
    assert list(empty.folder.iterdir()) == []


def test_a_password_in_the_environment_is_never_shown(empty: Project) -> None:
    empty.crosstie("init")

    refused = empty.crosstie(
        "option", "list", expect=1, CROSSTIE_DATABASE="postgresql://marketing:s3cret/pw@127.0.0.1:1/mk"
    )

    assert "s3cret" not in refused.err
    assert "pw@" not in refused.err
    assert "%2F" in refused.err


def test_only_init_makes_a_database(empty: Project, postgres: PostgresServer) -> None:
    empty.crosstie("init")
    missing = empty.folder / "missing.db"
    bare = postgres.url(postgres.create_database("bare").rpartition("/")[2].partition("?")[0])

    for database, place in ((f"sqlite:///{missing}", str(missing)), (bare, "/bare")):
        for arguments in (["option", "list"], ["adopt"]):
            refused = empty.crosstie(*arguments, expect=1, CROSSTIE_DATABASE=database)
            assert place in refused.err
            assert "crosstie init" in refused.err

    assert not missing.exists()
    postgres.drop_database("bare")


def test_init_says_which_database_is_in_force(empty: Project) -> None:
    overruled = empty.crosstie("init", "--database", "other.db")
    alone = empty.crosstie("init", CROSSTIE_DATABASE="")

    assert "CROSSTIE_DATABASE" in overruled.err
    assert str(empty.folder / "marketing.db") in overruled.err
    assert 'database = "other.db"' in (empty.folder / "crosstie.toml").read_text(encoding="utf-8")
    assert alone.err == ""
    assert str(empty.folder / "other.db") in alone.out


def test_a_lost_key_is_recovered_from_as_the_message_says(project: Project, sandbox: Sandbox) -> None:
    (project.folder / ".crosstie" / "key").unlink()
    project.crosstie("init")
    stuck = project.crosstie("account", "check", "salesforce", expect=2)
    named = project.crosstie("account", "edit", "salesforce", "--daily-calls", "9000", expect=2)

    project.crosstie(
        *("account", "edit", "salesforce", "--secret-stdin", "client_secret"),
        given=sandbox.sign_in("client_credentials")["client_secret"] + "\r\n",
    )

    assert "account edit" in stuck.err
    assert "client_secret" in named.err
    project.crosstie("account", "check", "salesforce")


def test_files_are_found_from_another_folder(project: Project, sandbox: Sandbox) -> None:
    (project.folder / "ca.pem").write_bytes(sandbox.ca_file.read_bytes())
    below = project.folder / "below"
    below.mkdir()

    refused = project.crosstie("account", "edit", "salesforce", "--ca-file", "missing.pem", expect=2)
    project.crosstie("account", "edit", "salesforce", "--ca-file", "ca.pem")
    Project(folder=below, database=project.database).crosstie("account", "check", "salesforce")

    assert str(project.folder / "missing.pem") in refused.err


def test_an_unknown_workflow_is_a_mistake_with_a_suggestion(project: Project) -> None:
    project.crosstie("workflow", "apply", project.workflow())

    for arguments in (["log"], ["rejects", "list"], ["rejects", "dismiss"]):
        refused = project.crosstie(*arguments, "--workflow", "contact-imports", expect=2)
        assert "There is no workflow contact-imports" in refused.err
        assert "Did you mean contact-import?" in refused.err
        project.crosstie(*arguments, "--workflow", "contact-import")


def test_a_run_without_index_shows_none(project: Project) -> None:
    file = project.workflow(
        ("    index: {field: SystemModstamp}\n", ""), ("- FirstName", "- SystemModstamp\n      - FirstName")
    )

    ran = project.crosstie("run", file)
    shown = project.crosstie("log", "1")

    assert "index " not in ran.out + shown.out
    assert project.crosstie("log", "1", "--json").json["windows"] == []
    assert project.crosstie("run", file, "--json").json["windows"] == []
