"""The metadata endpoints: EntityDefinitions with what is below, RelationshipDefinitions, GlobalOptionSetDefinitions.

Source: Dataverse Web API guide, "Query table definitions". Answers are never paged.
"""

import re
from collections.abc import Iterable

from crosstie.sandbox.dynamics.definitions import (
    BASE_PROPERTIES,
    WITH_OPTIONS,
    Definition,
    attribute_definition,
    cast_name,
    global_option_set,
    key_definition,
    metadata_id,
    option_set_definition,
    relationships,
    table_definition,
)
from crosstie.sandbox.dynamics.errors import ApiError, json_response, no_segment
from crosstie.sandbox.dynamics.metadata_filters import matches
from crosstie.sandbox.dynamics.odata.options import read_options
from crosstie.sandbox.dynamics.odata.syntax import Expand, Options
from crosstie.sandbox.dynamics.org import Call, Org
from crosstie.sandbox.dynamics.table import Attribute, AttributeType, Table
from crosstie.sandbox.dynamics.tables import OPTION_SETS, TABLES
from crosstie.sandbox.http import Response

NAMESPACE = "Microsoft.Dynamics.CRM."
_ENUM = re.compile(r"Microsoft\.Dynamics\.CRM\.\w+('(?:[^']|'')*')")
_SEGMENT = re.compile(r"(?P<name>[\w.]+)(?:\((?P<key>[^)]*)\))?")
_CLASSES = {cast_name(kind) for kind in AttributeType}
_RELATIONS = ("ManyToOneRelationships", "OneToManyRelationships", "ManyToManyRelationships")


def serve(org: Org, call: Call) -> Response:
    """GET of a path of metadata (`path` of the call's arguments, below the service's root)."""
    if call.request.method != "GET":
        raise ApiError(501, "0x80060888", "The tables of this organization can't be changed.")
    options = _options(call)
    first, *rest = [_segment(text) for text in call.args["path"].split("/")]
    if first[0] == "GlobalOptionSetDefinitions":
        found = [global_option_set(one) for one in OPTION_SETS.values()]
        return _answer(call, first[0], found, first[1], options, "Name")
    if first[0] == "RelationshipDefinitions":
        return _answer(call, first[0], list(relationships()), first[1], options, "SchemaName")
    if first[1] is None:
        tables = map(org.choices.of, TABLES.values())
        found = [expanded for table in tables if (expanded := _table(table, options)) is not None]
        return _collection(call, "EntityDefinitions", found)
    table = org.choices.of(_one_table(first[1]))
    if not rest:
        shown = _table(table, options, one=True)
        return _single(call, "EntityDefinitions", shown or {})
    return _below(call, table, rest, options)


def _options(call: Call) -> Options:
    """The query options. Enum literals (`Microsoft.Dynamics.CRM.OwnershipTypes'UserOwned'`) lose their type, which
    clients leave out as well."""
    return read_options({name: _ENUM.sub(r"\1", value) for name, value in call.request.query.items()}).options


def _segment(text: str) -> tuple[str, str | None]:
    found = _SEGMENT.fullmatch(text)
    if found is None:
        raise no_segment(text)
    return found["name"], found["key"]


def _one_table(key: str) -> Table:
    name = _key_value(key, "LogicalName")
    for table in TABLES.values():
        if name in (table.logical_name, metadata_id(table.logical_name)):
            return table
    raise ApiError(404, "0x80060888", f"Could not find an entity with the key {key}.")


def _key_value(key: str, property_name: str) -> str:
    """The text of `LogicalName='x'`, or the MetadataId."""
    found = re.fullmatch(rf"\s*{property_name}\s*=\s*'([^']*)'\s*", key)
    return found[1] if found else key.strip().lower()


def _below(call: Call, table: Table, rest: list[tuple[str, str | None]], options: Options) -> Response:
    """What is below one table."""
    (name, key), *further = rest
    where = f"EntityDefinitions('{table.logical_name}')/{name}"
    if name == "Attributes":
        cast = further[0][0].removeprefix(NAMESPACE) if further else None
        return _attributes(call, table, key, cast, options, where)
    if name == "Keys":
        found = [key_definition(table, one) for one in table.keys]
        return _answer(call, where, found, key, options, "LogicalName")
    if name in _RELATIONS:
        return _answer(call, where, _relations(table, name), key, options, "SchemaName")
    raise no_segment(name)


def _relations(table: Table, name: str) -> list[Definition]:
    if name == "ManyToManyRelationships":
        return []
    side = "ReferencingEntity" if name == "ManyToOneRelationships" else "ReferencedEntity"
    return [one for one in relationships() if one[side] == table.logical_name]


def _attributes(call: Call, table: Table, key: str | None, cast: str | None, options: Options, where: str) -> Response:
    chosen = list(table.attributes.values())
    if key is not None:
        wanted = _key_value(key, "LogicalName")
        name = table.logical_name
        chosen = [one for one in chosen if wanted in (one.logical_name, metadata_id(name, one.logical_name))]
        if not chosen:
            raise ApiError(404, "0x80060888", f"Could not find an attribute with the key {key}.")
    if cast is not None:
        if cast not in _CLASSES:
            raise ApiError(400, "0x80060888", f"The type '{NAMESPACE}{cast}' can't be cast to.")
        chosen = [one for one in chosen if cast_name(one.type) == cast]
        if key is not None and not chosen:
            raise ApiError(404, "0x80060888", f"The attribute with the key {key} is no {cast}.")
    found = [shown for one in chosen if (shown := _attribute(table, one, options, cast)) is not None]
    return _single(call, where, found[0]) if key is not None and found else _collection(call, where, found)


def _attribute(table: Table, one: Attribute, options: Options, cast: str | None) -> Definition | None:
    """A column's definition; None when the filter excludes it. What only some classes have needs a cast."""
    whole = attribute_definition(table, one.logical_name)
    if options.filter is not None and not matches(options.filter, whole):
        return None
    if cast is None and options.select is not None:
        for name in options.select:
            if name not in BASE_PROPERTIES:
                raise _no_property(name, "AttributeMetadata")
    shown = _selected(whole, options.select, f"{cast or ''}")
    if cast is not None:
        # An answer to a cast declares its type, so that only others would have to be named.
        shown.pop("@odata.type", None)
    for expand in options.expand:
        if expand.name not in ("OptionSet", "GlobalOptionSet") or one.type not in WITH_OPTIONS or cast is None:
            raise _no_property(expand.name, cast or "AttributeMetadata")
        if one.type is AttributeType.ENTITY_NAME or (expand.name == "GlobalOptionSet" and one.option_set is None):
            shown[expand.name] = None
        else:
            shown[expand.name] = _selected(option_set_definition(table, one), expand.options.select)
    return shown


def _table(table: Table, options: Options, *, one: bool = False) -> Definition | None:
    """A table's definition with what is expanded; None when the filter excludes it."""
    whole = table_definition(table)
    if not one and options.filter is not None and not matches(options.filter, whole):
        return None
    shown = _selected(whole, options.select, "EntityMetadata")
    for expand in options.expand:
        shown[expand.name] = _expanded(table, expand)
    return shown


def _expanded(table: Table, expand: Expand) -> list[Definition]:
    inner = expand.options
    if expand.name == "Attributes":
        listed = (_attribute(table, one, inner, None) for one in table.attributes.values())
        return [shown for shown in listed if shown is not None]
    if expand.name == "Keys":
        return _filtered([key_definition(table, key) for key in table.keys], inner)
    if expand.name in _RELATIONS:
        return _filtered(_relations(table, expand.name), inner)
    raise _no_property(expand.name, "EntityMetadata")


def _filtered(found: Iterable[Definition], options: Options) -> list[Definition]:
    kept = [one for one in found if options.filter is None or matches(options.filter, one)]
    return [_selected(one, options.select) for one in kept]


def _selected(whole: Definition, select: Iterable[str] | None, kind: str = "") -> Definition:
    """The members that were selected; MetadataId and the type always."""
    if select is None:
        return dict(whole)
    for name in select:
        if name not in whole and kind:
            raise _no_property(name, kind)
    return {name: value for name, value in whole.items() if name in ("@odata.type", "MetadataId", *select)}


def _no_property(name: str, kind: str) -> ApiError:
    return ApiError(400, "0x0", f"Could not find a property named '{name}' on type '{NAMESPACE}{kind}'.")


def _answer(call: Call, where: str, found: list[Definition], key: str | None, options: Options, name: str) -> Response:
    """A collection, or the one of a key."""
    if key is None:
        return _collection(call, where, _filtered(found, options))
    wanted = _key_value(key, name)
    for one in found:
        if wanted in (one[name], one["MetadataId"]):
            return _single(call, where, _selected(one, options.select))
    raise ApiError(404, "0x80060888", f"There is no definition with the key {key}.")


def _collection(call: Call, where: str, value: list[Definition]) -> Response:
    return json_response({"@odata.context": f"{call.base}/$metadata#{where}", "value": value})


def _single(call: Call, where: str, value: Definition) -> Response:
    return json_response({"@odata.context": f"{call.base}/$metadata#{where}/$entity", **value})
