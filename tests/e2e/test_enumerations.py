"""Enumerations from the command line."""

from __future__ import annotations

from datetime import timedelta

from tests.e2e.project import Project
from tests.sandboxes import Sandbox

SOURCE = "salesforce_contact_leadsource"


def test_a_list_is_chosen_kept_in_step_and_edited(project: Project, sandbox: Sandbox) -> None:
    listed = project.crosstie("enumeration", "list", "salesforce", "--json").json
    (source,) = [one for one in listed if one["field"] == "LeadSource"]
    follow = ("enumeration", "sync", "salesforce", "Contact.LeadSource", "--replace")
    shown = project.crosstie(*follow, "--dry-run").out
    assert f"{SOURCE}: would be made with {source['values']} values, follows salesforce Contact.LeadSource" in shown
    assert "There is no enumeration yet" in project.crosstie("enumeration", "list").out
    (made,) = project.crosstie(*follow, "--json").json
    assert (made["enumeration"], made["made"], len(made["added"])) == (SOURCE, True, source["values"])
    edit = ("--relabel", "Web=Internet", "--first", "Other", "--default", "Other", "--column", "recipient.last_name")
    project.crosstie("enumeration", "edit", SOURCE, *edit)
    kept = project.crosstie("enumeration", "show", SOURCE, "--json").json
    assert (kept["values"][0]["value"], kept["values"][0]["default"]) == ("Other", True)
    assert "Internet" in project.crosstie("enumeration", "show", SOURCE).out

    project.sql("insert into recipient (last_name) values ('Partner Referral')")
    sandbox.advance(timedelta(seconds=2))
    values = [{"value": "Web", "label": "The web"}, {"value": "Fair"}]
    sandbox.control("set_values", object="Contact", field="LeadSource", values=values)
    told = project.crosstie("enumeration", "sync").out
    assert "+ Fair “Fair”" in told
    assert "~ Web “The web”" in told
    assert "- Purchased List" in told
    assert "Partner Referral is gone on the CRM, and 1 rows here hold it: it stays, inactive" in told
    assert "nothing changed" in project.crosstie("enumeration", "sync", "--name", SOURCE).out


def test_mistakes_say_what_to_do(project: Project) -> None:
    assert "crosstie enumeration list ACCOUNT" in project.crosstie("enumeration", "sync").out
    wrong = project.crosstie("enumeration", "sync", "salesforce", "Contact.LeadSources", expect=2).err
    assert "Did you mean Contact.LeadSource?" in wrong
    assert "a terminal is needed" in project.crosstie("enumeration", "sync", "salesforce", expect=2).err
    assert "was not collected" in project.crosstie("enumeration", "sync", "salesforce", "Lead.Rating", expect=2).err
    create = ("enumeration", "edit", "own", "--create", "--add", "a=A")
    assert "There is no column nope" in project.crosstie(*create, "--column", "recipient.nope", expect=2).err
    project.crosstie(*create, "--add", "b=B")
    assert "Did you mean b?" in project.crosstie("enumeration", "edit", "own", "--remove", "B", expect=2).err
    assert "follows no field" in project.crosstie("enumeration", "sync", "--name", "own", expect=2).err
    assert "Did you mean own?" in project.crosstie("enumeration", "show", "owns", expect=2).err
    project.crosstie("enumeration", "edit", "own", "--delete")
    assert project.crosstie("enumeration", "list", "--json").json == []
