"""What a newcomer is offered: objects and fields that are mostly wanted, and a first workflow that imports them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from crosstie.model import FieldType, RemoteField, RemoteObject
from crosstie.schema.store import Schema

_OBJECTS = ("contact", "account", "lead", "opportunity")
_FEW, _MOST = 3, 20
# In this order; of each the first field that fits. Compared without case, underscores and a final digit one.
_FIELDS = tuple(
    re.compile(form)
    for form in (
        r"firstname|contactfirstname",
        r"lastname|surname|contactlastname",
        r"name|fullname|accountname|companyname|subject|topic",
        r"e?mailaddress|e?mail|contactemail|primaryemail",
        r"phone|telephone|mainphone|workphone|primaryphone",
        r"mobilephone|cellphone|cellularphone",
        r"birthdate|dateofbirth|birthday",
        r"title|jobtitle",
        r"(mailing|billing|primary|address1|contact)?city",
        r"(mailing|billing|primary|address1|contact)?(country|countrycode)",
        r"(has)?optedoutofemail|do(?:not)(bulk)?email|neveremail|optout",
        r"industry|industrycode",
        r"stagename|salesstage|stepname",
        r"amount|revenue|estimatedvalue",
        r"closedate|estimatedclosedate",
        r"status|statuscode|leadstatus",
        r"account|accountid|parentcustomerid",
    )
)
_PLAIN = re.compile(r"[A-Za-z]\w*(?:-\w+)*", re.ASCII)
# Words that YAML takes for something else than text.
_NOT_PLAIN = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_WORDS_OF_SQL = frozenset(
    {"all", "and", "as", "between", "by", "case", "cast", "check", "column", "date", "default", "desc", "distinct"}
    | {
        "else",
        "end",
        "exists",
        "false",
        "from",
        "group",
        "in",
        "interval",
        "is",
        "join",
        "key",
        "left",
        "like",
        "limit",
    }
    | {"not", "null", "on", "or", "order", "right", "row", "select", "set", "table", "then", "time", "timestamp"}
    | {"to", "true", "union", "unique", "user", "using", "values", "when", "where", "with", "year"}
)


def usual_objects(names: Iterable[str]) -> tuple[str, ...]:
    """Of the objects of a CRM those that most projects begin with, the likeliest first."""
    found = {name.lower(): name for name in names}
    return tuple(found[one] for one in _OBJECTS if one in found)


def importable(remote: RemoteObject) -> tuple[RemoteField, ...]:
    """The fields that have a value of their own; the remote id and the index field are imported by themselves."""
    added = (remote.key, remote.safe_index)
    return tuple(
        field
        for field in remote.fields
        if field.type not in (FieldType.COMPOUND, FieldType.BINARY) and not field.parts and field.name not in added
    )


def usual_fields(remote: RemoteObject) -> tuple[str, ...]:
    """The fields of an object that are mostly wanted: those that it cannot be without, and what people are told by."""
    fields = importable(remote)
    chosen = [field.name for field in fields if _required(field)]
    for form in _FIELDS:
        fit = [field.name for field in fields if form.fullmatch(_bare(field.name))]
        chosen += fit[:1]
    if len(dict.fromkeys(chosen)) < _FEW:
        chosen += [field.name for field in fields if field.updateable and field.filterable]
    kept = set(list(dict.fromkeys(chosen))[:_MOST])
    return tuple(field.name for field in fields if field.name in kept)


def _required(field: RemoteField) -> bool:
    return not field.nullable and field.createable and field.type in (FieldType.TEXT, FieldType.ENUMERATION)


def _bare(name: str) -> str:
    return re.sub(r"(?<!\d)1$", "", re.sub(r"__c$", "", name.lower()).replace("_", ""))


def workflow_name(schema: Schema, taken: Iterable[str]) -> str:
    """A free name for the first workflow of an object, like `contact-import`."""
    name = re.sub(r"[^a-z0-9_]", "-", schema.object.name.lower())
    wished = (f"{name}-import", f"{schema.account}-{name}-import")
    names = set(taken)
    return next((one for one in wished if one not in names), f"{schema.table}-import")


def first_workflow(schema: Schema, name: str, crm: str, fields: Sequence[str]) -> str:
    """The definition of a workflow that keeps the local table of an object in step with the CRM. It names the index
    field that the connector recommends."""
    remote = schema.object
    columns = dict.fromkeys((remote.key, *([remote.safe_index] if remote.safe_index else []), *fields))
    lines = [
        f"# Keeps table {schema.table} in step with {remote.name} of {schema.account}. Written by crosstie setup:",
        "# change it as you like, crosstie workflow validate tells every mistake.",
        f"workflow: {name}",
        f"label: {_text(f'{remote.label_plural or remote.label} from {crm}')}",
        "",
        "activities:",
        "  read:",
        "    type: crm_import",
        f"    account: {schema.account}",
        f"    object: {_text(remote.name)}",
        *_index(remote),
        "    fields:",
        *(f"      - {_text(one)}" for one in fields),
        "",
        "  write:",
        "    type: update_data",
        f"    into: {_text(schema.table)}",
        "    operation: insert or update",
        f"    identify: {{{_expression(remote.key)}: {_expression(remote.key.lower())}}}",
        "    set:",
        *(f"      {_text(one.lower())}: {_expression(one)}" for one in columns),
    ]
    return "\n".join(lines) + "\n"


def _index(remote: RemoteObject) -> tuple[str, ...]:
    if not remote.safe_index:
        return ("    # This object has no field that tells when a record changed: every run reads all of it.",)
    return (
        f"    # Only what changed since the last time. {remote.safe_index} is the stamp that every change moves;",
        "    # Crosstie recommends it for this object.",
        f"    index: {{field: {_text(remote.safe_index)}}}",
    )


def _expression(name: str) -> str:
    """A column as an expression in YAML; one that is a word of SQL is quoted there."""
    if _PLAIN.fullmatch(name) and "-" not in name and name.lower() not in _WORDS_OF_SQL:
        return _text(name)
    return _text('"' + name.replace('"', '""') + '"')


def _text(text: str) -> str:
    """A text as YAML; quoted where it would be read as something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_PLAIN:
        return text
    return json.dumps(text, ensure_ascii=False)
