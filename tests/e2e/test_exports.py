"""Exporting to Salesforce by the command line, and importing in turn: each side comes to say what the other says."""

from __future__ import annotations

import csv
import itertools
from typing import Any

import pytest
import requests
from simple_salesforce.api import Salesforce

from tests.e2e.project import Project
from tests.sandboxes import Sandbox

EXPORT = """\
workflow: to-salesforce
activities:
  ours:
    type: query
    from: recipient
    where: email like '%@{domain}'
    add: [crm_id, last_name, first_name, email, birth_date, interests, score]
  send:
    type: crm_export
    account: salesforce
    object: Contact
    key: {{Id: crm_id}}
    map:
      LastName: last_name
      FirstName: {{from: first_name, null: clear}}
      Email: email
      Birthdate: birth_date
      Interests__c: interests
      Score__c: score
    rejects: refused
  remember:
    type: update_data
    into: recipient
    operation: update
    identify: dimension
    set: {{crm_id: remoteId}}
    ties: false
    next: done
  refused: {{type: javascript, code: "logWarning(`${{vars.recCount}} were refused`)", next: done}}
  done: {{type: end}}
"""
PEOPLE = (
    ('Ångström; "x", y', "Line\nbreak", "1980-02-29", "Golf;Chess", 12.5),
    ("王", None, None, None, None),
    ("Zoë 🎉", "'q'", "1999-12-31", "Golf", -0.01),
    ("n" * 80, "long", None, None, 0),
)
_domains = itertools.count(1)


class Org:
    """What a third party reads of the org: the people of one domain."""

    def __init__(self, sandbox: Sandbox, domain: str) -> None:
        self.sandbox = sandbox
        self.domain = domain
        session = requests.Session()
        session.trust_env = False
        session.verify = str(sandbox.ca_file)
        self._client = Salesforce(
            session_id=sandbox.salesforce["access_token"],
            instance_url=sandbox.salesforce["instance_url"],
            session=session,
        )

    def people(self) -> list[dict[str, Any]]:
        """Their records by e-mail."""
        found: list[dict[str, Any]] = self._client.query_all(
            "SELECT Id, LastName, FirstName, Email, Birthdate, Interests__c, Score__c FROM Contact"
            f" WHERE Email LIKE '%@{self.domain}' ORDER BY Email"
        )["records"]
        return found

    def writes(self) -> dict[str, int]:
        """The requests since the last call that write."""
        found: dict[str, int] = self.sandbox.counters(reset=True)["requests"]
        return {kind: number for kind, number in found.items() if kind.startswith(("collection_", "ingest_"))}


@pytest.fixture
def org(sandbox: Sandbox) -> Org:
    return Org(sandbox, f"ours{next(_domains)}.example")


def export(project: Project, org: Org) -> str:
    """The file of the export."""
    (project.folder / "export.yaml").write_text(EXPORT.format(domain=org.domain), encoding="utf-8")
    return "export.yaml"


def quoted(value: object) -> str:
    return "null" if value is None else f"'{str(value).replace(chr(39), chr(39) * 2)}'"


def test_what_is_exported_is_what_a_third_party_reads(project_on_both: Project, org: Org) -> None:
    project = project_on_both
    for number, person in enumerate(PEOPLE):
        project.sql(
            "insert into recipient (email, last_name, first_name, birth_date, interests, score) values"
            f" ('p{number}@{org.domain}', {', '.join(map(quoted, person))})"
        )
    org.writes()
    assert "4 created" in project.crosstie("run", export(project, org)).out
    assert org.writes()
    found = org.people()
    read = [(one["LastName"], one["FirstName"], one["Birthdate"], one["Score__c"]) for one in found]
    assert read == [(last, first, born, score) for last, first, born, _, score in PEOPLE]
    assert [set((one["Interests__c"] or "").split(";")) for one in found] == [{"Golf", "Chess"}, {""}, {"Golf"}, {""}]
    assert "4 unchanged" in project.crosstie("run", "to-salesforce").out
    assert org.writes() == {}
    known = sorted(row[0] for row in project.rows("select crm_id from recipient where email like 'p%@ours%'"))
    assert known == sorted(one["Id"] for one in found)


@pytest.mark.parametrize("project_on_both", ["postgresql"], indirect=True)
def test_export_and_import_in_turn_come_to_rest(project_on_both: Project, org: Org) -> None:
    project, sandbox = project_on_both, org.sandbox
    project.crosstie("run", project.workflow())
    mail = f"new@{org.domain}"
    project.sql(f"insert into recipient (last_name, email, score) values ('New', '{mail}', 1)")
    project.crosstie("run", export(project, org))
    (record,) = org.people()
    sandbox.control("update", id=record["Id"], values={"FirstName": "Theirs"})
    project.sql(f"update recipient set score = 77 where email = '{mail}'")
    for turn in range(5):
        sandbox.control("advance", seconds=600)
        org.writes()
        exported = project.crosstie("run", "to-salesforce", "--json").json
        imported = project.crosstie("run", "contact-import", "--json").json
        if turn >= 2:
            assert org.writes() == {}
            assert imported["counts"]["write"].get("updated", 0) == 0
            assert exported["counts"]["send"]["unchanged"] == 1
    (record,) = org.people()
    assert (record["FirstName"], record["Score__c"]) == ("Theirs", 77.0)
    assert project.rows(f"select first_name, score from recipient where email = '{mail}'") == [("Theirs", 77)]


def test_the_journal_shows_and_gives_what_was_sent(project: Project, org: Org) -> None:
    project.sql(f"insert into recipient (last_name, email) values ('Journal', 'journal@{org.domain}')")
    run = project.crosstie("run", export(project, org), "--json").json["run"]
    shown = project.crosstie("journal", "show", str(run))
    assert "accepted  created" in shown.out and "answered" in shown.out
    project.crosstie("journal", "export", str(run), "--output", "sent.csv")
    with (project.folder / "sent.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["LastName"], row["outcome"]) == ("Journal", "accepted")
    assert "has sent nothing" in project.crosstie("journal", "show", "999", expect=2).err
    assert "is done: it cannot be gone on with" in project.crosstie("journal", "resume", str(run), expect=2).err


@pytest.mark.parametrize("project_on_both", ["sqlite"], indirect=True)
def test_a_plan_is_shown_and_then_carried_out_exactly(project_on_both: Project, org: Org) -> None:
    project = project_on_both
    for number in range(3):
        project.sql(
            f"insert into recipient (email, last_name, score) values ('p{number}@{org.domain}', 'Name {number}', 1)"
        )
    file = export(project, org)
    project.crosstie("run", file)
    project.sql(f"update recipient set score = 2 where email like '%@{org.domain}'")
    project.sql(f"update recipient set first_name = '{'n' * 41}' where email = 'p2@{org.domain}'")
    project.sql(f"insert into recipient (email, last_name) values ('p3@{org.domain}', 'New')")
    org.writes()
    told = project.crosstie("run", file, "--plan")
    plan = project.crosstie("run", "to-salesforce", "--plan", "--json").json["run"]
    assert f"to-salesforce  plan {plan - 1}   nothing was sent" in told.out
    assert f"run it: crosstie run to-salesforce --from-plan {plan - 1}" in told.out
    assert "repeatable: a lost answer does no harm" in told.out
    (shown,) = project.crosstie("plan", "show", str(plan), "--json").json
    assert shown["outlook"] == {"create": 1, "update": 2, "rejected": 1}
    assert shown["fields"]["Score__c"] == 2
    assert shown["rows"][0]["changes"] == [{"field": "Score__c", "before": "1.0", "after": "2.00"}]
    assert "TOO_LONG" in project.crosstie("plan", "show", str(plan), "--refused").out
    assert "Score__c: 1.0 → 2.00" in project.crosstie("plan", "show", str(plan)).out
    assert org.writes() == {}

    moved = org.people()[0]
    org.sandbox.control("update", id=moved["Id"], values={"Score__c": 99})
    project.sql(f"update recipient set score = 3 where email like '%@{org.domain}'")
    ended = project.crosstie("run", "to-salesforce", "--from-plan", str(plan), expect=3)
    assert f"the record {moved['Id']} was changed since the plan was shown: Score__c" in ended.out + ended.err
    assert [(one["LastName"], one["Score__c"]) for one in org.people()] == [
        ("Name 0", 99),
        ("Name 1", 2),
        ("Name 2", 1),
        ("New", None),
    ]
    again = project.crosstie("run", "to-salesforce", "--from-plan", str(plan), expect=2)
    assert f"Plan {plan} is carried out by run {plan + 1} already" in again.err
    assert f"carried out by run {plan + 1}" in project.crosstie("plan", "show", str(plan), expect=2).err
    assert "There is no plan 999" in project.crosstie("plan", "show", "999", expect=2).err
