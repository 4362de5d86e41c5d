"""What a company of Oracle CRM On Demand sees of exports: never more than twenty requests a second, and no session that
is left open, however a run ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crosstie import App
from crosstie.app import init_project
from crosstie.errors import TaskError
from tests.contract.writing.orgs import KINDS, Org

ROWS = 45
NO_NAME = "Nobody"
EXPORT = {
    "workflow": "out",
    "activities": {
        "all": {"type": "query", "from": "person", "add": ["name"]},
        "out": {
            "type": "crm_export",
            "account": "crm",
            "object": "Contact",
            "map": {"ContactFirstName": "'Ann'", "ContactLastName": "name"},
        },
    },
}


@pytest.fixture(scope="module")
def org() -> Iterator[Org]:
    with KINDS["oracle_on_demand"]() as opened:
        opened.connector.close()
        opened.sandbox.control("rules", rules=[{"object": "Contact", "field": "ContactLastName", "value": NO_NAME}])
        opened.sandbox.switches(request_gap=50)
        yield opened


@pytest.fixture
def app(org: Org, tmp_path: Path) -> Iterator[App]:
    """A project with people to export, one of whom the company does not take."""
    init_project(tmp_path)
    with App.open(tmp_path) as app:
        app.accounts.add("crm", "oracle_on_demand", dict(org.settings))
        list(app.schemas.collect("crm", ["Contact"]))
        with app.db.transaction("people") as transaction:
            transaction.execute("create table person (id integer primary key, name varchar(50))")
            for n in range(ROWS):
                name = NO_NAME if n == 7 else f"{tmp_path.name} {n}"
                transaction.execute("insert into person values (:id, :name)", {"id": n, "name": name})
        (tmp_path / "out.yaml").write_text(json.dumps(EXPORT), encoding="utf-8")
        org.sandbox.counters(reset=True)
        yield app
    org.sandbox.faults([])


def seen(org: Org) -> dict[str, Any]:
    """What the company has counted, without answers for those who came too fast."""
    found: dict[str, Any] = org.sandbox.counters()
    return found


def test_lanes_share_one_session_at_the_pace_that_is_allowed(org: Org, app: App, tmp_path: Path) -> None:
    report = app.workflows.run(tmp_path / "out.yaml")
    assert report.counts["out"] == {"created": ROWS - 1, "updated": 0, "unchanged": 0, "rejected": 1}
    found = seen(org)
    assert found["sessions"]["open"] == 0
    assert found["sessions"]["most_open"] == 1
    assert 0 < found["sessions"]["most_calls_in_a_second"] <= 20
    assert found["requests"]["insert"] <= 3 + 2 * 5


def test_a_run_that_fails_leaves_no_session(org: Org, app: App, tmp_path: Path) -> None:
    org.sandbox.faults(
        [{"match": {"kind": "insert"}, "after": 1, "fault": {"type": "status", "status": 500, "code": "SBL-ODU-01011"}}]
    )
    with pytest.raises(TaskError):
        app.workflows.run(tmp_path / "out.yaml")
    assert seen(org)["sessions"]["open"] == 0
    org.sandbox.faults([])
    app.workflows.run("out")
    assert len(org.people(tmp_path.name)) == ROWS - 1
    assert seen(org)["sessions"]["open"] == 0
