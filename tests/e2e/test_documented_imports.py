"""The whole workflows on the page of the import really run."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e.project import Project
from tests.sandboxes import Sandbox

PAGE = Path(__file__).parents[2] / "docs" / "activities" / "crm-import.md"
WHOLE = dict(
    re.findall(
        r"^```yaml\n(?=workflow: (\S+))(.*?)^```$",
        PAGE.read_text("utf-8").partition("\n## Example\n")[0],
        flags=re.DOTALL | re.MULTILINE,
    )
)
ENGAGED = "create table engaged (crm_id varchar(18) primary key, last_name text, email text, engaged boolean)"


def test_the_page_has_the_workflows() -> None:
    assert set(WHOLE) == {"accounts-of-good-contacts", "engaged-contacts"}


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_the_workflow_on_the_page_runs(project: Project, name: str) -> None:
    project.crosstie("collect", "salesforce", "Account")
    project.sql(ENGAGED)
    file = project.write("written.yaml", WHOLE[name])
    shown = project.crosstie("run", file)
    assert "done in" in shown.out


def test_what_leaves_is_written_as_the_page_says(project: Project, sandbox: Sandbox) -> None:
    project.sql(ENGAGED)
    file = project.write("written.yaml", WHOLE["engaged-contacts"])
    project.crosstie("run", file)
    ((one,),) = project.rows("select min(crm_id) from engaged where engaged")
    before = project.count("engaged")
    sandbox.control("update", id=one, values={"Score__c": 1})
    sandbox.advance(timedelta(minutes=5))

    shown = project.crosstie("run", file)

    assert "1 left" in shown.out
    assert project.rows("select crm_id from engaged where not engaged") == [(one,)]
    assert project.count("engaged") == before
