"""Descriptions of Salesforce: every field type, compounds by their parts, asked again only when something changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.contract.salesforce_connector.conftest import Opener
from tests.sandboxes import Sandbox

from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.model import FieldType, RemoteObject


@pytest.fixture
def gadget(connector: SalesforceConnector) -> RemoteObject:
    """The object with every field type."""
    return connector.describe("Gadget__c")


def test_every_wire_type_has_a_meaning(connector: SalesforceConnector, gadget: RemoteObject) -> None:
    wanted = {
        "id": FieldType.ID,
        "reference": FieldType.REFERENCE,
        "string": FieldType.TEXT,
        "textarea": FieldType.TEXT,
        "phone": FieldType.TEXT,
        "url": FieldType.TEXT,
        "email": FieldType.TEXT,
        "encryptedstring": FieldType.TEXT,
        "picklist": FieldType.ENUMERATION,
        "multipicklist": FieldType.SET,
        "boolean": FieldType.BOOLEAN,
        "int": FieldType.INTEGER,
        "double": FieldType.DECIMAL,
        "percent": FieldType.DECIMAL,
        "currency": FieldType.DECIMAL,
        "date": FieldType.DATE,
        "datetime": FieldType.DATETIME,
        "time": FieldType.TIME,
        "location": FieldType.COMPOUND,
    }
    fields = [field for field in gadget.fields if not field.part_of]
    assert {field.wire_type: field.type for field in fields}.items() >= wanted.items()


def test_compounds_are_offered_as_their_parts(connector: SalesforceConnector) -> None:
    contact = connector.describe("Contact")
    address = contact.field("MailingAddress")
    assert address is not None
    assert address.type is FieldType.COMPOUND
    assert {"MailingStreet", "MailingCity", "MailingLatitude"} <= set(address.parts)
    parts = [contact.field(name) for name in address.parts]
    assert all(part is not None and part.part_of == "MailingAddress" for part in parts)
    latitude = contact.field("MailingLatitude")
    assert latitude is not None
    assert latitude.type is FieldType.FLOAT
    name = contact.field("Name")
    assert name is not None
    assert name.type is FieldType.TEXT
    assert "FirstName" in name.parts


def test_what_an_import_needs_to_know(connector: SalesforceConnector) -> None:
    contact = connector.describe("contact")
    assert (contact.name, contact.key) == ("Contact", "Id")
    assert contact.index_fields[:2] == ("LastModifiedDate", "SystemModstamp")
    assert contact.safe_index == "SystemModstamp"
    assert contact.tracks_deletions
    key = contact.field("ERP_Id__c")
    assert key is not None
    assert key.external_id
    assert key.unique
    assert key.custom
    interests = contact.field("Interests__c")
    assert interests is not None
    assert [value.name for value in interests.values][:2] == ["Cycling", "Café & Küche"]
    owner = contact.field("AccountId")
    assert owner is not None
    assert (owner.reference_to, owner.relationship) == (("Account",), "Account")


def test_an_unchanged_description_is_not_sent_again(connector: SalesforceConnector, sandbox: Sandbox) -> None:
    known = connector.describe("Contact")
    before = sandbox.counters()["bytes"]
    assert connector.describe("Contact", known=known) is known
    assert sandbox.counters()["bytes"] - before < 5_000


def test_a_hidden_field_changes_the_description(open_connector: Opener, sandbox: Sandbox) -> None:
    connector = open_connector()
    known = connector.describe("Contact")
    sandbox.hide("Contact.Birthdate")
    seen = open_connector().describe("Contact")
    assert seen.field("Birthdate") is None
    assert seen.fingerprint.partition("@")[0] != known.fingerprint.partition("@")[0]


def test_what_a_dependent_picklist_depends_on(open_connector: Opener, sandbox: Sandbox) -> None:
    """The bits of a description are those of the sandbox, which packs them by code of its own."""
    before = open_connector().describe("Gadget__c")
    colour, tags = before.field("Colour__c"), before.field("Tags__c")
    assert colour is not None
    assert tags is not None
    names = [one.name for one in colour.values]
    asked: list[dict[str, Any]] = [{"value": name, "default": name == "red"} for name in ("red", "green", "blue")]
    asked += [{"value": f"more {number}", "active": number != 3} for number in range(9)]
    wanted = {"red": [names[0], names[2]], "green": [names[1]], "more 8": names}
    asked = [{**one, "valid_for": wanted.get(str(one["value"]), [names[2]])} for one in asked]
    sandbox.advance(timedelta(seconds=2))
    sandbox.control("set_values", object="Gadget__c", field="Tags__c", controller="Colour__c", values=asked)
    try:
        found = open_connector().describe("Gadget__c", known=before).field("Tags__c")
    finally:
        kept = [{"value": one.name, "label": one.label} for one in tags.values]
        sandbox.control("set_values", object="Gadget__c", field="Tags__c", values=kept)
    assert found is not None
    assert (found.controller, tags.controller) == ("Colour__c", "")
    assert {one.name: list(one.valid_for) for one in found.values if one.name in wanted} == wanted
    assert [one.name for one in found.values if one.default] == ["red"]
    assert [one.name for one in found.values if not one.active] == ["more 3"]
