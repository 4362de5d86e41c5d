"""The reference workflow, run again: exactly what changed is written, and hardly more than that is read."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.e2e.conftest import CONTACTS
from tests.e2e.project import Project
from tests.sandboxes import Sandbox

# Beyond the guard of 60 s, within the overlap of 15 minutes: the rows of the last change are read again.
BETWEEN = timedelta(minutes=10)


@pytest.mark.parametrize("road", ["pages", "bulk"])
def test_k_changed_contacts_write_exactly_k_rows(project_on_both: Project, sandbox: Sandbox, road: str) -> None:
    project = project_on_both
    file = project.workflow(road=road)
    sandbox.advance(BETWEEN)
    first = project.crosstie("run", file, "--json").json
    everything = project.take_written()
    assert first["status"] == "done"
    assert len(everything) == len(set(everything)) == project.count("recipient")
    assert len(everything) >= CONTACTS

    in_overlap = 0
    for k in (0, 1, 1000, 0):
        changed = sandbox.change_contacts(k) if k else []
        sandbox.advance(BETWEEN)
        sandbox.counters(reset=True)

        report = project.crosstie("run", "contact-import", "--json").json

        assert sorted(project.take_written()) == sorted(changed)
        assert sandbox.counters()["rows_total"] <= k + in_overlap
        assert [window["status"] for window in report["windows"]] == ["confirmed"]
        assert report["rejects"] == 0
        in_overlap = k
    assert project.count("recipient") == len(everything)


def test_a_run_without_change_makes_few_requests(project: Project, sandbox: Sandbox) -> None:
    sandbox.advance(timedelta(hours=1))
    project.crosstie("run", project.workflow())
    sandbox.advance(timedelta(hours=1))
    sandbox.counters(reset=True)

    report = project.crosstie("run", "contact-import", "--json").json

    assert report["api_calls"] <= 3
    assert sandbox.counters()["rows_total"] == 0


def test_setting_the_option_back_really_reads_again(project: Project, sandbox: Sandbox) -> None:
    sandbox.advance(timedelta(hours=1))
    project.crosstie("run", project.workflow())
    project.take_written()
    # The e-mail is computed from the CRM's, and always written; the name is exchanged, and this is a change of ours.
    project.sql("update recipient set email = 'spoiled', last_name = 'Ours'")
    project.take_written()
    option = project.crosstie("option", "list", "--json").json[0]["name"]
    project.crosstie("option", "set", option, "")

    project.crosstie("run", "contact-import")

    assert len(project.take_written()) == project.count("recipient")
    assert project.rows("select count(*) from recipient where email = 'spoiled'") == [(0,)]
    assert project.rows("select count(*) from recipient where last_name <> 'Ours'") == [(0,)]


def test_rows_of_our_own_are_left_alone(project: Project, sandbox: Sandbox) -> None:
    project.sql("insert into recipient (last_name, email) values ('Ours', 'ours@newsletter.invalid')")
    project.take_written()
    sandbox.advance(timedelta(hours=1))

    project.crosstie("run", project.workflow())

    assert project.rows("select last_name, crm_id from recipient where email = 'ours@newsletter.invalid'") == [
        ("Ours", None)
    ]
