"""Exporting to Salesforce by the command line, and importing in turn: each side comes to say what the other says."""

from __future__ import annotations

import csv
from typing import Any

from simple_salesforce import Salesforce

from tests.e2e.project import Project
from tests.sandboxes import Sandbox

EXPORT = """\
workflow: to-salesforce
activities:
  ours: {type: query, from: recipient, where: "email like '%@ours.example'"}
  send:
    type: crm_export
    account: salesforce
    object: Contact
    key: {Id: crm_id}
    map:
      LastName: last_name
      FirstName: {from: first_name, null: clear}
      Email: email
      Birthdate: birth_date
      Interests__c: cast(interests as set)
      Score__c: score
    rejects: refused
  remember: {type: update_data, into: recipient, identify: {id: id}, set: {crm_id: remoteId}, ties: false, next: done}
  refused: {type: javascript, code: "logWarning(`${vars.recCount} were refused`)", next: done}
  done: {type: end}
"""
WRITES = ("insert", "update", "upsert", "collections", "ingest")


def written(sandbox: Sandbox) -> dict[str, int]:
    """The requests since the last reset that write."""
    found: dict[str, int] = sandbox.counters(reset=True)["requests"]
    return {kind: number for kind, number in found.items() if any(word in kind for word in WRITES)}


def client(sandbox: Sandbox) -> Salesforce:
    """A third party's view of the org."""
    import requests

    session = requests.Session()
    session.verify = str(sandbox.ca_file)
    return Salesforce(
        session_id=sandbox.salesforce["access_token"],
        instance_url=sandbox.salesforce["instance_url"],
        session=session,
    )


def ours(sandbox: Sandbox) -> list[dict[str, Any]]:
    query = (
        "SELECT Id, LastName, FirstName, Email, Birthdate, Interests__c, Score__c FROM Contact"
        " WHERE Email LIKE '%@ours.example' ORDER BY Email"
    )
    return [
        {name: value for name, value in one.items() if name != "attributes"}
        for one in client(sandbox).query_all(query)["records"]
    ]


def test_what_is_exported_is_what_a_third_party_reads(project_on_both: Project, sandbox: Sandbox) -> None:
    project = project_on_both
    project.sql(
        "insert into recipient (last_name, first_name, email, birth_date, interests, score) values"
        " ('Ångström; \"x\", y', 'Line' || chr(10) || 'break', 'a@ours.example', '1980-02-29', 'Golf;Chess', 12.5),"
        " ('王', null, 'b@ours.example', null, null, null),"
        " ('Zoë 🎉', '''q''', 'c@ours.example', '1999-12-31', 'Golf', -0.01),"
        " (repeat('n', 80), 'long', 'd@ours.example', null, null, 0)"
        if project.database.startswith("postgresql")
        else "insert into recipient (last_name, first_name, email, birth_date, interests, score) values"
        " ('Ångström; \"x\", y', 'Line' || char(10) || 'break', 'a@ours.example', '1980-02-29', 'Golf;Chess', 12.5),"
        " ('王', null, 'b@ours.example', null, null, null),"
        " ('Zoë 🎉', '''q''', 'c@ours.example', '1999-12-31', 'Golf', -0.01),"
        " (replace(hex(zeroblob(40)), '0', 'n'), 'long', 'd@ours.example', null, null, 0)"
    )
    (project.folder / "export.yaml").write_text(EXPORT, encoding="utf-8")
    sandbox.counters(reset=True)
    ended = project.crosstie("run", "export.yaml")
    assert "4 created" in ended.out
    assert written(sandbox)
    found = ours(sandbox)
    assert [(one["LastName"], one["FirstName"], one["Birthdate"], one["Score__c"]) for one in found] == [
        ('Ångström; "x", y', "Line\nbreak", "1980-02-29", 12.5),
        ("王", None, None, None),
        ("Zoë 🎉", "'q'", "1999-12-31", -0.01),
        ("n" * 80, "long", None, 0.0),
    ]
    assert [set((one["Interests__c"] or "").split(";")) for one in found] == [{"Golf", "Chess"}, {""}, {"Golf"}, {""}]
    again = project.crosstie("run", "to-salesforce")
    assert "4 unchanged" in again.out
    assert written(sandbox) == {}
    assert project.count("recipient", "crm_id is not null and email like '%@ours.example'") == 4


def test_import_and_export_in_turn_come_to_rest(project_on_both: Project, sandbox: Sandbox) -> None:
    project = project_on_both
    project.crosstie("run", project.workflow())
    project.sql(
        "insert into recipient (last_name, email, score) values ('New', 'new@ours.example', 1)",
    )
    (project.folder / "export.yaml").write_text(EXPORT, encoding="utf-8")
    project.crosstie("run", "export.yaml")
    (record,) = [one for one in ours(sandbox) if one["Email"] == "new@ours.example"]
    sandbox.control("update", id=record["Id"], values={"FirstName": "Theirs"})
    project.sql("update recipient set score = 77 where email = 'new@ours.example'")
    sandbox.control("advance", seconds=600)
    for turn in range(5):
        sandbox.counters(reset=True)
        imported = project.crosstie("run", "contact-import", "--json").json
        exported = project.crosstie("run", "to-salesforce", "--json").json
        if turn >= 2:
            assert written(sandbox) == {}
            assert imported["activities"]["write"].get("updated", 0) == 0
        sandbox.control("advance", seconds=600)
    (record,) = [one for one in ours(sandbox) if one["Email"] == "new@ours.example"]
    assert (record["FirstName"], record["Score__c"]) == ("Theirs", 77.0)
    assert project.rows("select first_name, score from recipient where email = 'new@ours.example'") == [("Theirs", 77)]
    assert exported["activities"]["send"].get("updated", 0) == 0


def test_the_journal_shows_and_gives_what_was_sent(project: Project, sandbox: Sandbox) -> None:
    project.sql("insert into recipient (last_name, email) values ('Journal', 'journal@ours.example')")
    (project.folder / "export.yaml").write_text(EXPORT, encoding="utf-8")
    run = project.crosstie("run", "export.yaml", "--json").json["run"]
    shown = project.crosstie("journal", "show", str(run))
    assert "accepted  created" in shown.out and "answered" in shown.out
    project.crosstie("journal", "export", str(run), "--output", "sent.csv")
    with (project.folder / "sent.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["LastName"], row["outcome"]) == ("Journal", "accepted")
    assert "has sent nothing" in project.crosstie("journal", "show", "999", expect=2).err
    assert "is done: it cannot be gone on with" in project.crosstie("journal", "resume", str(run), expect=2).err
