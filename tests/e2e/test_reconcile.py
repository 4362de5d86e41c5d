"""`crosstie reconcile` as a person uses it: what it says, its exit codes, and what a kill leaves."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from crosstie.db import open_database
from crosstie.sync.comparison import is_comparisons
from tests.e2e.project import Project
from tests.sandboxes import Sandbox

BETWEEN = timedelta(minutes=30)


def imported(project: Project, sandbox: Sandbox) -> None:
    sandbox.advance(BETWEEN)
    project.crosstie("run", project.workflow())
    sandbox.advance(BETWEEN)
    project.take_written()


def leftovers(project: Project) -> list[str]:
    db = open_database(project.database)
    try:
        return [name for name in db.work_tables() if is_comparisons(name)]
    finally:
        db.close()


@pytest.mark.parametrize("project_on_both", ["postgresql"], indirect=True)
def test_lateness_is_named_healed_and_then_both_sides_are_equal(project_on_both: Project, sandbox: Sandbox) -> None:
    project = project_on_both
    imported(project, sandbox)
    equal = project.crosstie("reconcile", "contact-import")
    lines = equal.out.splitlines()
    assert (
        lines[0] == f"reads ids and stamps of {project.count('recipient'):,} records on query pages: about 2 API calls"
    )
    assert lines[1].startswith("contact-import/contacts  salesforce Contact ↔ recipient, imported up to ")
    assert lines[-1].startswith("equal · ")

    late = sorted(sandbox.change_contacts(7, late=3600, holds_back=False))
    for hours in (0.5, 1):
        sandbox.advance(timedelta(hours=hours))
        project.crosstie("run", "contact-import")
    assert project.take_written() == []

    told = project.crosstie("reconcile", "contact-import", "--limit", "2", expect=3)
    assert "  stale            7  changed on the CRM, and the import missed it" in told.out
    assert f"\n    {late[0]}  changed " in told.out
    assert "\n    … and 5 more (--limit, or all of them: --output FILE.csv)" in told.out
    assert "crosstie reconcile contact-import contacts --repair, then crosstie run contact-import" in told.out

    file = project.folder / "stale.csv"
    repaired = project.crosstie(
        "reconcile", "contact-import", "contacts", "--repair", "--json", "--output", str(file), expect=3
    ).json
    assert (repaired["equal"], repaired["differences"], repaired["repaired"], repaired["asked_for"]) == (False, 7, 7, 7)
    assert repaired["counts"]["stale"] == 7
    assert [line.split(",")[0] for line in file.read_text().splitlines()[1:]] == late
    sandbox.advance(BETWEEN)
    project.crosstie("run", "contact-import")
    assert sorted(project.take_written()) == late
    assert project.crosstie("reconcile", "contact-import", "--json").json["equal"] is True
    assert leftovers(project) == []


@pytest.mark.parametrize("project_on_both", ["sqlite"], indirect=True)
def test_what_a_killed_comparison_leaves_is_swept_by_the_next_run(project_on_both: Project, sandbox: Sandbox) -> None:
    project = project_on_both
    imported(project, sandbox)
    sandbox.control("latency", milliseconds=400)
    before = sandbox.switches()["query_page_rows"]
    sandbox.switches(query_page_rows=250)
    try:
        with project.started("reconcile", "contact-import") as process:
            until = time.monotonic() + 60
            while not leftovers(project) and time.monotonic() < until:
                time.sleep(0.05)
            process.kill()
    finally:
        sandbox.switches(query_page_rows=before)
    sandbox.control("latency", milliseconds=0)
    assert leftovers(project) != []

    project.crosstie("run", "contact-import")
    assert leftovers(project) == []


def test_mistakes_are_said_in_words(project: Project, sandbox: Sandbox) -> None:
    project.crosstie("workflow", "apply", project.workflow())
    never = project.crosstie("reconcile", "contact-import", expect=2)
    assert "contact-import/contacts has never ended well yet: there is nothing to compare with." in never.err
    assert "Run it first: crosstie run contact-import" in never.err
    unknown = project.crosstie("reconcile", "contact-imports", expect=2)
    assert "Did you mean contact-import?" in unknown.err


def test_an_account_that_was_pointed_elsewhere_is_refused(project: Project, sandbox: Sandbox) -> None:
    imported(project, sandbox)
    before = sandbox.switches()["org_id"]
    sandbox.switches(org_id="00D5g00000OTHERAA0")
    sandbox.control("expire_sessions")
    try:
        refused = project.crosstie("reconcile", "contact-import", "--repair", expect=1)
    finally:
        sandbox.switches(org_id=before)
    assert "signing in leads to 00D5g00000OTHER" in refused.err
    assert project.rows("select * from crosstie.unaccepted") == []


def test_from_python(project: Project, sandbox: Sandbox) -> None:
    from crosstie import App

    imported(project, sandbox)
    with App.open(project.folder, database=project.database) as app:
        found = app.workflows.reconcile("contact-import")
    assert found.equal
    assert found.remote_rows == found.local_rows == project.count("recipient")
