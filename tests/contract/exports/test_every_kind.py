"""Exports and deletions as people run them, whatever the kind of CRM."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crosstie import App
from crosstie.app import init_project
from crosstie.workflow.runner import RunReport
from tests.contract.writing.orgs import KINDS, Org

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """A project with an account that leads to an org. `mark` is what the names of its people begin with."""

    app: App
    folder: Path
    org: Org
    mark: str

    def sql(self, *statements: str) -> None:
        """Changes people's tables."""
        with self.app.db.transaction("people") as transaction:
            for statement in statements:
                transaction.execute(statement)

    def send(self, map: dict[str, Any], **keys: Any) -> RunReport:
        """Exports all people, fields by role."""
        needed = {name: f"'{text}'" for name, text in self.org.names.needed.items()}
        fields = needed | {self.org.plain[role]: line for role, line in map.items()}
        given = {"type": "crm_export", "account": "crm", "object": self.org.roles.contact, "map": fields, **keys}
        return self.run(given)

    def run(self, activity: dict[str, Any]) -> RunReport:
        """Runs an activity of one workflow over all people."""
        query = {"type": "query", "from": "person", "add": ["crm_id", "name", "score", "code", "company", "birthday"]}
        return self.play(f"out-{activity['type']}", {"all": query, "out": activity})

    def receive(self) -> RunReport:
        """Imports all people that changed, fields by role; the org's clock goes on for an hour before."""
        self.org.sandbox.advance(timedelta(hours=1))
        roles = self.org.roles
        fields = {"name": roles.last_name, "score": roles.score, "birthday": roles.birthday}
        read = {"type": "crm_import", "account": "crm", "object": roles.contact, "index": {"field": roles.stamp}}
        write = {"type": "update_data", "into": "person", "identify": {roles.key: "crm_id"}}
        return self.play(
            "in",
            {
                "read": {**read, "fields": [*fields.values()]},
                "write": {**write, "set": {"crm_id": roles.key, **fields}},
            },
        )

    def play(self, name: str, activities: dict[str, Any]) -> RunReport:
        """Runs a workflow."""
        file = self.folder / f"{name}.yaml"
        file.write_text(json.dumps({"workflow": name, "activities": activities}), encoding="utf-8")
        return self.app.workflows.run(file)

    def written(self) -> int:
        """How many requests carried rows since this was asked last."""
        found = self.org.sandbox.counters(reset=True)["requests"]
        return sum(found.get(kind, 0) for kind in set(self.org.names.carriers.values()))


@pytest.fixture(scope="module", params=list(KINDS.values()), ids=list(KINDS))
def org(request: pytest.FixtureRequest) -> Iterator[Org]:
    with request.param() as opened:
        yield opened


@pytest.fixture
def office(org: Org, tmp_path: Path) -> Iterator[Office]:
    org.sandbox.advance(timedelta(minutes=5))
    init_project(tmp_path)
    with App.open(tmp_path) as app:
        app.accounts.add("crm", org.connector.kind, dict(org.settings))
        list(app.schemas.collect("crm", [org.roles.contact, org.names.company]))
        made = Office(app=app, folder=tmp_path, org=org, mark=f"P{next(_numbers)} ")
        made.sql(
            "create table person (id integer primary key, crm_id varchar(40), name varchar(200), score numeric(9, 2),"
            " code varchar(20), company varchar(20), birthday date)"
        )
        yield made
    org.sandbox.faults([])


def test_people_are_made_once_known_again_and_sent_only_where_they_differ(office: Office) -> None:
    mark, org = office.mark, office.org
    office.sql(
        f"insert into person (id, name, score) values (1, '{mark}1', 1.5), (2, '{mark}2', null), (3, '{'x' * 190}', 3)"
    )
    first = office.send({"name": "name", "score": "score"})
    assert first.counts["out"] == {"created": 2, "updated": 0, "unchanged": 0, "rejected": 1}
    made = office.org.people(mark)
    assert [(one["name"], one["score"]) for one in made] == [(f"{mark}1", 1.5), (f"{mark}2", None)]
    (refused,) = office.app.rejects.list(run=first.run)
    assert (refused.field, refused.remote_id) == (org.roles.last_name, "")
    office.written()
    office.sql("delete from person where id = 3")
    assert office.send({"name": "name", "score": "score"}).counts["out"]["unchanged"] == 2
    assert office.written() == 0
    office.sql("update person set score = 2 where id = 2")
    assert office.send({"name": "name", "score": "score"}).counts["out"] == {"created": 0, "updated": 1, "unchanged": 1}
    assert [(one["id"], one["score"]) for one in office.org.people(mark)] == [(made[0]["id"], 1.5), (made[1]["id"], 2)]


def test_people_and_their_companies_are_named_by_keys_and_deleted_by_their_ids(office: Office) -> None:
    mark, org = office.mark, office.org
    company = office.org.make_company(f"{mark}c")
    office.sql(
        f"insert into person (id, name, code, company) values (1, '{mark}1', '{mark}a', '{mark}c'),"
        f" (2, '{mark}2', '{mark}b', 'nobody')"
    )
    office.org.insert([{"name": f"{mark}old", "key": f"{mark}a"}])
    parent = {"from": "company", "parent": org.names.company, "by": org.names.company_key, "null": "clear"}
    key = {org.names.key: "code"}
    done = office.send({"name": "name", "company": parent}, key=key)
    assert done.counts["out"] == {"created": 0, "updated": 1, "unchanged": 0, "rejected": 1}
    office.sql("update person set company = null where id = 2")
    done = office.send({"name": "name", "company": parent}, key=key)
    assert done.counts["out"] == {"created": 1, "updated": 0, "unchanged": 1}
    people = office.org.people(mark)
    assert [(one["key"], one["company"]) for one in people] == [(f"{mark}a", company), (f"{mark}b", None)]
    office.sql(*(f"update person set crm_id = '{one['id']}' where code = '{one['key']}'" for one in people))
    delete = {"type": "crm_delete", "account": "crm", "object": org.roles.contact, "ids": "crm_id"}
    assert office.run(delete).counts["out"] == {"deleted": 2, "gone": 0}
    assert office.org.people(mark) == []


def test_what_the_crm_changed_meanwhile_stays_when_that_is_the_policy(office: Office) -> None:
    mark, org = office.mark, office.org
    office.sql(f"insert into person (id, name, score) values (1, '{mark}1', 1)")
    fields = {"name": "name", "score": {"from": "score", "on_conflict": "crm"}}
    office.send(fields)
    ((known),) = office.org.people(mark)
    values = {org.roles.score: 9}
    office.org.sandbox.control("update", object=org.roles.contact, id=known["id"], values=values)
    office.sql(f"update person set score = 2, name = '{mark}2' where id = 1")
    assert office.send(fields).counts["out"]["updated"] == 1
    assert [(one["name"], one["score"]) for one in office.org.people(mark)] == [(f"{mark}2", 9)]


def test_import_and_export_in_turn_come_to_rest(office: Office) -> None:
    mark, org = office.mark, office.org
    fields = {"name": "name", "score": {"from": "score", "null": "clear"}, "birthday": "birthday"}
    key = {org.roles.key: "crm_id"}
    (theirs,) = org.insert([{"name": f"{mark}theirs", "score": 1.25}])
    office.receive()
    office.sql(f"insert into person (name, score, birthday) values ('{mark}ours', 2.5, '1980-02-29')")
    office.sql(f"update person set score = null, birthday = '1990-01-31' where crm_id = '{theirs}'")
    office.written()
    assert office.send(fields, key=key).counts["out"]["created"] == 1
    assert office.written()
    found = {one["name"]: (one["id"], one["score"]) for one in org.people(mark)}
    assert found[f"{mark}theirs"] == (theirs, None)
    for _ in range(2):
        office.receive()
        sent = office.send(fields, key=key).counts["out"]
        assert (sent["created"], sent["updated"], office.written()) == (0, 0, 0)
    assert {one["name"]: (one["id"], one["score"]) for one in org.people(mark)} == found


@pytest.mark.parametrize("fault", [{"type": "drop_before"}, {"type": "drop_after"}], ids=lambda fault: fault["type"])
def test_an_answer_that_is_lost_makes_nobody_twice(office: Office, fault: dict[str, Any]) -> None:
    carriers = set(office.org.names.carriers.values())
    office.org.sandbox.faults([{"match": {"kind": kind}, "fault": fault} for kind in sorted(carriers)])
    office.sql(*(f"insert into person (id, name, score) values ({n}, '{office.mark}{n}', {n})" for n in range(5)))
    assert office.send({"name": "name", "score": "score"}).counts["out"]["created"] == 5
    assert [one["score"] for one in office.org.people(office.mark)] == [0, 1, 2, 3, 4]
