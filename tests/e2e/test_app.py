"""The same from Python: `from crosstie import App`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from crosstie import App
from crosstie.errors import ConfigError
from tests.e2e.project import Project


def test_a_workflow_runs_from_python(project_on_both: Project) -> None:
    project = project_on_both
    file = project.folder / project.workflow()

    with App.open(project.folder, database=project.database) as app:
        run = app.workflows.run(file)
        again = app.workflows.run("contact-import")
        log = app.runs.messages(run.run)
        names = [one.name for one in app.options.list()]
        with app.db.reading() as transaction:
            usage = transaction.rows(
                "select account, api_calls from crosstie.api_usage where run = :run", {"run": run.run}
            )

    assert run.rows("write") == project.count("recipient")
    assert run.api_calls > 0
    assert [tuple(row) for row in usage] == [("salesforce", run.api_calls)]
    assert again.counts["write"].get("updated", 0) == 0
    assert any("SystemModstamp" in message.text for message in log)
    assert names == ["LASTIMPORT_contact-import_contacts"]


def test_the_project_file_can_be_named(project: Project) -> None:
    with App.open(str(project.folder / "crosstie.toml"), database=project.database) as app:
        assert app.accounts.names() == ("salesforce",)
        assert [one.object.name for one in app.schemas.list("salesforce")] == ["Contact"]


def test_without_a_project_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="crosstie init"):
        App.open(tmp_path)


def test_importing_crosstie_is_cheap() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import crosstie, sys; print(sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    for heavy in ("pydantic", "pyarrow", "click", "sqlglot", "httpx2"):
        assert f"'{heavy}'" not in loaded


def test_help_loads_nothing_heavy() -> None:
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "crosstie", "--help"], capture_output=True, text=True, check=True
    ).stderr

    for heavy in ("pydantic", "pyarrow", "rich", "sqlglot", "httpx2", "yaml", "questionary"):
        assert f" {heavy}\n" not in loaded
