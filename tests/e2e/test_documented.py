"""What README and getting started tell a newcomer to type really works."""

from __future__ import annotations

import re
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from crosstie import App
from crosstie.cli import commands
from tests.e2e.project import Project

ROOT = Path(__file__).parents[2]
WORKFLOWS = {
    "README.md": r"<<'END'\n(.*?)^END$",
    "docs/getting-started.md": r"^```yaml\n(.*?)^```$",
}


@pytest.mark.parametrize("page", WORKFLOWS)
def test_the_workflow_on_the_page_runs(project: Project, page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    written = re.search(WORKFLOWS[page], text, flags=re.DOTALL | re.MULTILINE)
    table = re.search(r"create table recipient \([^']*\)(?=')", text)
    assert written is not None
    assert table is not None
    project.sql("drop table recipient", table[0])
    file = project.write("written.yaml", written[1])

    project.crosstie("run", file)

    assert project.count("recipient") > 0


def test_the_demo_workflows_are_valid_and_their_tables_are_there(project: Project) -> None:
    import sqlite3
    from contextlib import closing

    project.sql("drop table recipient")
    with closing(sqlite3.connect(project.database.removeprefix("sqlite:///"))) as connection:
        connection.executescript((ROOT / "demo" / "recipient.sql").read_text(encoding="utf-8"))
    for written in (ROOT / "demo").glob("*.yaml"):
        project.crosstie("workflow", "validate", project.write(written.name, written.read_text(encoding="utf-8")))


def test_the_examples_for_python_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    project.workflow()
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("CROSSTIE_DATABASE", project.database)

    known: dict[str, Any] = {}
    for example in re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE):
        exec(compile(example, "docs/python-api.md", "exec"), known)

    assert known["table"].num_rows > 0
    assert known["found"].num_rows > 0
    assert known["rows"] == len(known["frame"])
    assert known["run"].rows("write") == project.count("recipient")


def test_the_table_for_python_names_every_command_and_only_what_there_is(project: Project) -> None:
    page = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    table = page.partition("## All of it")[2]
    with App.open(project.folder, database=project.database) as app:
        for path in re.findall(r"`app((?:\.\w+)+)", table):
            attrgetter(path[1:])(app)
    named = set(re.findall(r"`crosstie (\w+)", table))
    # Sandboxes are no part of a project, and a conversation at a terminal has no counterpart.
    assert set(commands.commands) - {"sandbox", "setup"} <= named
