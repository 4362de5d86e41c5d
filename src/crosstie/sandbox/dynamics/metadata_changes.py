"""RetrieveMetadataChanges: chosen properties of chosen tables and columns in one small answer.

Source: Dataverse developer guide, "Query schema definitions" (EntityQueryExpression). The whole of what was chosen is
always answered: nothing here is ever changed.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from crosstie.sandbox.dynamics.definitions import (
    WITH_OPTIONS,
    Definition,
    attribute_definition,
    key_definition,
    option_set_definition,
    table_definition,
)
from crosstie.sandbox.dynamics.errors import ApiError, json_response
from crosstie.sandbox.dynamics.org import Call, Org
from crosstie.sandbox.dynamics.table import AttributeType, Table
from crosstie.sandbox.dynamics.tables import TABLES
from crosstie.sandbox.http import Response

_ALWAYS = ("@odata.type", "MetadataId", "LogicalName")


def serve(org: Org, call: Call) -> Response:
    """GET RetrieveMetadataChanges(Query=@p1)?@p1={json}."""
    query = _query(call)
    names = _names(query)
    shown = []
    for table in map(org.choices.of, TABLES.values()):
        whole = table_definition(table)
        if _meets(query.get("Criteria"), whole):
            shown.append(_chosen(whole, names) | _below(table, query, names))
    body = {
        "@odata.context": f"{call.base}/$metadata#Microsoft.Dynamics.CRM.RetrieveMetadataChangesResponse",
        "ServerVersionStamp": "1000000!11/01/2019 00:00:00",
        "EntityMetadata": shown,
        "DeletedMetadata": None,
    }
    return json_response(body)


def _query(call: Call) -> dict[str, Any]:
    alias = re.search(r"Query\s*=\s*(@\w+|\{.*\})", call.args["arguments"], re.DOTALL)
    text = "" if alias is None else call.request.query.get(alias[1], alias[1])
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ApiError(400, "0x80060888", f"The Query of RetrieveMetadataChanges can't be read: {error}") from error
    return found


def _names(query: dict[str, Any]) -> set[str] | None:
    """The properties that are asked for; None for all."""
    given = query.get("Properties") or {}
    return None if given.get("AllProperties") else set(given.get("PropertyNames", []))


def _chosen(whole: Definition, names: set[str] | None) -> Definition:
    return {name: value for name, value in whole.items() if names is None or name in names or name in _ALWAYS}


def _below(table: Table, query: dict[str, Any], names: set[str] | None) -> Definition:
    """Columns and keys, where they are asked for."""
    found: Definition = {}
    if names is None or "Attributes" in names:
        found["Attributes"] = _attributes(table, query.get("AttributeQuery") or {})
    if names is None or "Keys" in names:
        asked = query.get("KeyQuery") or {"Properties": {"AllProperties": True}}
        found["Keys"] = [_chosen(key_definition(table, key), _names(asked)) for key in table.keys]
    return found


def _attributes(table: Table, query: dict[str, Any]) -> list[Definition]:
    names = _names(query) if query else None
    found = []
    for one in table.attributes.values():
        whole = attribute_definition(table, one.logical_name)
        if one.type in WITH_OPTIONS and one.type is not AttributeType.ENTITY_NAME:
            whole["OptionSet"] = option_set_definition(table, one)
        if _meets(query.get("Criteria"), whole):
            found.append(_chosen(whole, names))
    return found


def _meets(criteria: dict[str, Any] | None, whole: Definition) -> bool:
    """Whether a definition meets a MetadataFilterExpression."""
    if not criteria:
        return True
    tests = [_test(condition, whole) for condition in criteria.get("Conditions", [])]
    tests += [_meets(inner, whole) for inner in criteria.get("Filters", [])]
    joined: Callable[[list[bool]], bool] = any if criteria.get("FilterOperator") == "Or" else all
    return joined(tests) if tests else True


def _test(condition: dict[str, Any], whole: Definition) -> bool:
    name, operator = condition.get("PropertyName"), condition.get("ConditionOperator")
    given = condition.get("Value")
    value = given.get("Value") if isinstance(given, dict) else given
    if name not in whole:
        raise ApiError(400, "0x80060888", f"The property {name} can't be a condition.")
    actual = whole[name]
    if operator in ("Equals", "NotEquals"):
        return (actual == value) is (operator == "Equals")
    if operator in ("In", "NotIn") and isinstance(value, list):
        return (actual in value) is (operator == "In")
    raise ApiError(400, "0x80060888", f"The operator {operator} can't be used in a condition of metadata.")
