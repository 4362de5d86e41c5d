"""Addresses of single records: `contacts(…)` by primary key or alternate key, as URLs and bodies name them.

Source: Dataverse Web API guide, "Reference a table row" and "Use an alternate key".
"""

import re
import sqlite3
from typing import Any

from crosstie.sandbox.dynamics.errors import ApiError, no_record, no_segment
from crosstie.sandbox.dynamics.payload import GUID, guid
from crosstie.sandbox.dynamics.table import LOOKUPS, Attribute, AttributeType, Table
from crosstie.sandbox.dynamics.tables import table_of_set
from crosstie.sandbox.fragments import quoted

_FORBIDDEN = re.compile(r"[/<*%&:\\?+>]")
"""Characters that no key in a URL may have, encoded or not."""
_PART = re.compile(r"\s*(?P<name>\w+)\s*=\s*(?P<value>'(?:[^']|'')*'|[^',]+)\s*(?:,|$)")
_ADDRESS = re.compile(r"(?:https?://[^/]+)?(?:/?api/data/v9\.\d)?/?(?P<set>\w+)\((?P<key>.*)\)", re.DOTALL)
KeyValues = dict[str, Any]
"""The columns of an alternate key with their stored values."""


def read_address(text: str) -> tuple[Table, str]:
    """The table and the text within the parentheses of an address: relative, from the root, or whole."""
    found = _ADDRESS.fullmatch(text.strip())
    if found is None:
        raise ApiError(400, "0x80060888", f"The address '{text}' is not that of a record.")
    table = table_of_set(found["set"])
    if table is None:
        raise no_segment(found["set"])
    return table, found["key"]


def read_key(table: Table, text: str) -> str | KeyValues:
    """What stands within the parentheses: the primary key, or the values of a declared alternate key."""
    if GUID.fullmatch(text):
        return guid(text)
    values: KeyValues = {}
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            raise _invalid_key(table)
        values[part["name"]] = part["value"]
        at = part.end()
    if set(values) == {table.primary_id}:
        return guid(values[table.primary_id].strip("'"))
    read = {}
    for name, value in values.items():
        attribute = table.property(name)
        if attribute is None:
            raise _invalid_key(table)
        read[attribute.logical_name] = _key_value(table, attribute, value)
    if not any(set(read) == set(key.attributes) and key.status == "Active" for key in table.keys):
        raise _invalid_key(table)
    return read


def _invalid_key(table: Table) -> ApiError:
    resource = f"Microsoft.Dynamics.CRM.{table.logical_name}"
    return ApiError(
        400,
        "0x80060888",
        f"The key in the request URI is not valid for resource '{resource}'. Ensure that the names and number of key"
        f" properties match the declared or alternate key properties for the resource '{resource}'.",
    )


def _key_value(table: Table, attribute: Attribute, text: str) -> Any:
    if text.startswith("'"):
        value = text[1:-1].replace("''", "'")
        if _FORBIDDEN.search(value):
            raise ApiError(400, "", "A potentially dangerous Request.Path value was detected from the client.")
        if attribute.type not in (AttributeType.STRING, AttributeType.DATE_TIME):
            raise _invalid_key(table)
        return value
    if attribute.type in LOOKUPS:
        return guid(text.strip())
    if attribute.type is AttributeType.STRING or not re.fullmatch(r"-?\d+(\.\d+)?", text.strip()):
        raise _invalid_key(table)
    return int(text) if attribute.type is not AttributeType.DECIMAL else text.strip()


def find(connection: sqlite3.Connection, table: Table, key: str | KeyValues) -> str | None:
    """The id of the record that a key names, None when there is none. Text of keys compares without case."""
    where = {table.primary_id: key} if isinstance(key, str) else key
    conditions = " AND ".join(f"{quoted(name)} = ? COLLATE NOCASE" for name in where)
    row = connection.execute(
        f"SELECT {quoted(table.primary_id)} FROM {quoted(table.logical_name)} WHERE {conditions}", tuple(where.values())
    ).fetchone()
    return row[0] if row else None


def required(connection: sqlite3.Connection, table: Table, key: str | KeyValues) -> str:
    """The id of the record that a key names. Raises ApiError when there is none."""
    found = find(connection, table, key)
    if found is None:
        raise missing(table, key)
    return found


def missing(table: Table, key: str | KeyValues) -> ApiError:
    """404 for a key that no record has."""
    if isinstance(key, str):
        return no_record(table.logical_name, key)
    return ApiError(
        404, "0x80060891", f"A record with the specified key values does not exist in {table.logical_name} entity"
    )
