"""`crosstie setup` as a newcomer meets it, at a terminal and unattended, with each kind of CRM."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crosstie.app.first_workflow import usual_objects
from crosstie.cli.settings import extra, wanted
from crosstie.cli.setup_account import sandbox_settings
from crosstie.crm import CONNECTORS, kind_of
from crosstie.sandbox import SANDBOXES
from tests.e2e.project import Project
from tests.e2e.terminal import CTRL_A, CTRL_C, at_terminal
from tests.sandboxes import Sandbox, running_sandbox

RECORDS = 60
KINDS = [kind for kind in SANDBOXES if kind in CONNECTORS]
NOWHERE = "https://localhost:1"


@pytest.fixture(scope="module", params=KINDS)
def served(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """One sandbox of the kind for all tests of this module."""
    with running_sandbox(records=RECORDS, kind=request.param) as sandbox:
        yield sandbox


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty folder."""
    (tmp_path / "new").mkdir()
    return Project(folder=tmp_path / "new", database=f"sqlite:///{tmp_path / 'new' / 'marketing.db'}")


@pytest.fixture
def sandbox_file(served: Sandbox, tmp_path: Path) -> Path:
    """sandbox.json."""
    file = tmp_path / "sandbox.json"
    file.write_text(json.dumps(served.info), encoding="utf-8")
    return file


def settings_of(served: Sandbox, file: Path) -> tuple[dict[str, Any], str]:
    """The settings of a way to sign in whose secret is typed, and the name of that secret."""
    fields = kind_of(served.kind).settings_model().model_fields
    for way in [*served.told.get("sign_in", ()), {"flow": ""}]:
        settings = sandbox_settings(file, served.kind, way["flow"])
        typed = [
            one for one, field in fields.items() if extra(field).get("secret") and wanted(one, field, fields, settings)
        ]
        if len(typed) == 1 and list(fields).index(typed[0]) > list(fields).index("host"):
            return settings, typed[0]
    raise AssertionError("no way to sign in has one secret")


def prompt(field: Any) -> str:
    """What is shown where the answer is typed."""
    return f"{field.title} [{field.default}]: " if str(field.default).strip("*") else f"{field.title}: "


def test_a_newcomer_errs_leaves_comes_back_and_ends_with_rows(
    project: Project, served: Sandbox, sandbox_file: Path
) -> None:
    model = kind_of(served.kind).settings_model().model_fields
    settings, secret = settings_of(served, sandbox_file)
    asked = [name for name, field in model.items() if wanted(name, field, model, settings)]
    earlier, later = asked[: asked.index(secret)], asked[asked.index(secret) + 1 :]
    numbered = [name for name, field in model.items() if name in settings or wanted(name, field, model, settings)]
    command = ["setup", "--enumerations"]
    for name in numbered:
        if extra(model[name]).get("advanced"):  # nobody is asked for these
            command += [f"--{name.replace('_', '-')}", settings[name]]
    answers = [("CRM: ", served.kind), ("Account name [", "")]
    for name in earlier:
        if name == "host":
            answers += [(prompt(model[name]), "ftp://nowhere"), ("ftp:// is refused", NOWHERE)]
        else:
            answers.append((prompt(model[name]), settings.get(name, "")))

    left, shown = at_terminal(project, *command, answers=[*answers, (prompt(model[secret]), CTRL_C)])

    assert left == 130, shown
    assert "kept, except secrets" in shown
    kept = (project.folder / ".crosstie" / "setup.json").read_text(encoding="utf-8")
    assert NOWHERE in kept
    assert settings[secret] not in kept

    left, again = at_terminal(
        project,
        *command,
        answers=[
            (prompt(model[secret]), "wrong"),
            *((prompt(model[name]), settings.get(name, "")) for name in later),
            ("Answer [", f"{numbered.index('host') + 1}"),
            (prompt(model["host"]), settings["host"]),
            ("Answer [", f"{numbered.index(secret) + 1}"),
            (prompt(model[secret]), settings[secret]),
            ("Tables", CTRL_A),
            ("●", CTRL_A),
            ("○", ""),
            ("Choose at least one table", CTRL_C),
        ],
    )

    assert left == 130, again
    assert "Which CRM is it" not in again
    guessed = {f"Answer [{numbered.index(name) + 1}]" for name in ("host", secret)}
    assert all(one in guessed for one in re.findall(r"Answer \[\d+\]", again))
    assert settings[secret] not in shown + again
    code, ended = at_terminal(project, *command, answers=[("Tables", ""), ("Fields of", ""), ("now?", "y")])

    assert code == 0, ended
    assert "Which answer" not in ended
    (contact,) = usual_objects(["Contact"]) or ("contact",)
    (collected,) = project.crosstie("schema", "show", "--json").json
    assert collected["object"].lower() == contact.lower()
    assert project.count(collected["table"]) == RECORDS
    described = project.crosstie("schema", "show", collected["object"], "--json").json["description"]
    listed = {one["name"] for one in described["fields"] if one["values"]}
    text = (project.folder / "contact-import.yaml").read_text(encoding="utf-8")
    imported = {line[len("      - ") :].strip('"') for line in text.splitlines() if line.startswith("      - ")}
    followed = {one["follows"][0]["field"] for one in project.crosstie("enumeration", "list", "--json").json}
    assert followed == listed & imported
    assert not (project.folder / ".crosstie" / "setup.json").exists()


def test_unattended_it_asks_nothing_and_can_be_repeated(project: Project, served: Sandbox, sandbox_file: Path) -> None:
    command = ("setup", "--kind", served.kind, "--sandbox", str(sandbox_file), "--account", "crm")
    first = project.crosstie(*command, "--run")
    (collected,) = project.crosstie("schema", "show", "--json").json
    text = (project.folder / "contact-import.yaml").read_text(encoding="utf-8")
    again = project.crosstie(*command, "--json").json

    described = project.crosstie("schema", "show", collected["object"], "--json").json["description"]
    assert f"index: {{field: {described['safe_index']}}}" in text
    assert project.count(collected["table"]) == RECORDS
    assert "done in" in first.out
    assert again["objects"] == [collected["object"]]
    assert [one["workflow"] for one in project.crosstie("workflow", "list", "--json").json] == ["contact-import"]


def test_without_a_terminal_what_has_no_proposal_is_named(project: Project) -> None:
    refused = project.crosstie("setup", expect=2)

    assert "--kind salesforce" in refused.err
    assert "no way" not in refused.err
