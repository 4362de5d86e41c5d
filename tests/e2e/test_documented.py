"""What README and getting started tell a newcomer to type really works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
