"""The commands about schemas, as a person types them."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.e2e.project import Project
from tests.sandboxes import Sandbox


def test_what_changed_is_shown_refused_accepted_and_told_once(project_on_both: Project, sandbox: Sandbox) -> None:
    project = project_on_both
    project.crosstie("workflow", "apply", project.workflow())
    project.crosstie("schema", "diff")
    sandbox.hide("Contact.Birthdate")

    differs = project.crosstie("schema", "diff", "salesforce", expect=3)
    (facts,) = project.crosstie("schema", "diff", "--json", expect=3).json
    refused = project.crosstie("schema", "refresh", expect=4)
    told = project.crosstie("schema", "watch", expect=3)
    again = project.crosstie("schema", "watch")
    done = project.crosstie("schema", "refresh", "salesforce", "Contact", "--accept", "Birthdate")

    assert "- Birthdate is gone on the CRM, or hidden from this user  BREAKING; used by contact-import" in differs.out
    assert "contact-import would no longer be valid" in differs.out
    assert [(one["kind"], one["breaking"]) for one in facts["changes"]] == [("removed", True)]
    assert facts["changes"][0]["workflows"] == {"contact-import": ["contacts", "write"]}
    assert "Nothing was changed." in refused.err
    assert "crosstie schema refresh salesforce Contact --accept removed" in refused.err
    assert "Birthdate" in told.out
    assert "nothing new" in again.out
    assert "contact-import is no longer valid" in done.out
    project.crosstie("schema", "diff")
    project.crosstie("run", "contact-import", expect=2)


def test_objects_are_shown_by_name_by_table_and_drawn(project: Project, sandbox: Sandbox) -> None:
    project.crosstie("collect", "salesforce", "Account")

    by_name = project.crosstie("schema", "show", "Contact").out
    by_table = project.crosstie("schema", "show", "salesforce_contact").out
    mermaid = project.crosstie("schema", "show", "salesforce", "Contact", "--diagram", "mermaid").out
    project.crosstie("schema", "show", "--diagram", "svg", "--all-fields", "--output", "crm.svg")
    unknown = project.crosstie("schema", "show", "Contcat", expect=2)

    assert by_name == by_table
    assert "automatic index" in by_name
    assert "Account |o--o{ Contact : AccountId" in mermaid
    assert ElementTree.parse(project.folder / "crm.svg").getroot().tag.endswith("svg")
    assert "Did you mean Contact?" in unknown.err


def test_a_backfill_fills_a_table_of_peoples_own(project_on_both: Project, sandbox: Sandbox) -> None:
    project = project_on_both
    project.crosstie("run", project.workflow())
    options = project.crosstie("option", "list", "--json").json
    project.sql("alter table recipient add column city varchar(80)", "update recipient set city = 'here' where id = 1")
    command = ("schema", "backfill", "salesforce", "Contact", "MailingCity", "--into", "recipient")

    named = project.crosstie(*command, expect=2)
    shown = project.crosstie(*command, "--key", "crm_id", "--column", "city", "--print")
    project.crosstie(*command, "--key", "crm_id", "--column", "city")

    assert "which of its columns has the remote ids" in named.err
    assert shown.out.startswith("# Fills recipient.city")
    assert project.crosstie("option", "list", "--json").json == options
    assert project.rows("select city from recipient where id = 1") == [("here",)]
    assert project.rows("select count(*) from recipient where city is not null")[0][0] > 1
