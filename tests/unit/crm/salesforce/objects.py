"""A described object for tests that need no sandbox."""

from __future__ import annotations

from crosstie.model import FieldType, RemoteField, RemoteObject


def field(name: str, kind: FieldType, wire: str, *, relationship: str = "", parts: tuple[str, ...] = ()) -> RemoteField:
    """A field that can be filtered and sorted."""
    return RemoteField(name=name, label=name, type=kind, wire_type=wire, relationship=relationship, parts=parts)


CONTACT = RemoteObject(
    name="Contact",
    label="Contact",
    label_plural="Contacts",
    key="Id",
    fields=(
        field("Id", FieldType.ID, "id"),
        field("LastName", FieldType.TEXT, "string"),
        field("Email", FieldType.TEXT, "email"),
        field("AccountId", FieldType.REFERENCE, "reference", relationship="Account"),
        field("LeadSource", FieldType.ENUMERATION, "picklist"),
        field("Interests__c", FieldType.SET, "multipicklist"),
        field("HasOptedOutOfEmail", FieldType.BOOLEAN, "boolean"),
        field("Children__c", FieldType.INTEGER, "int"),
        field("Score__c", FieldType.DECIMAL, "double"),
        field("Birthdate", FieldType.DATE, "date"),
        field("Calls__c", FieldType.TIME, "time"),
        field("SystemModstamp", FieldType.DATETIME, "datetime"),
        field("Photo__c", FieldType.BINARY, "base64"),
        field("Extra__c", FieldType.OTHER, "anyType"),
        field("MailingAddress", FieldType.COMPOUND, "address", parts=("MailingStreet", "MailingCity")),
        RemoteField(
            name="Description",
            label="Notes",
            type=FieldType.TEXT,
            wire_type="textarea",
            filterable=False,
            sortable=False,
        ),
    ),
    index_fields=("SystemModstamp",),
    safe_index="SystemModstamp",
    tracks_deletions=True,
)
