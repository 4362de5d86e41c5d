"""Queries in FetchXML: attributes, filters, order, pages, and links to the records that lookups refer to.

Source: Dataverse developer guide, "Query data using FetchXml". Aggregates, and links against the direction of a
lookup, are left out. Columns without a value do not appear in the rows.
"""

from dataclasses import replace
from typing import Any

from lxml import etree

from crosstie.sandbox.dynamics.errors import ApiError, json_response
from crosstie.sandbox.dynamics.odata.errors import INVALID_ARGUMENT, QueryError
from crosstie.sandbox.dynamics.odata.paging import after, inner_cookie, outer_cookie, read_inner
from crosstie.sandbox.dynamics.odata.reading import Found, Query, Reader
from crosstie.sandbox.dynamics.odata.syntax import (
    Both,
    Compare,
    Condition,
    Either,
    Expand,
    Literal,
    Not,
    Options,
    Order,
    Property,
    Special,
    TextTest,
)
from crosstie.sandbox.dynamics.odata.values import NUMBERS, TEXTS
from crosstie.sandbox.dynamics.preferences import FETCH_COOKIE, MAX_PAGE_SIZE, MORE_RECORDS
from crosstie.sandbox.dynamics.table import Attribute, AttributeType, Table
from crosstie.sandbox.dynamics.tables import TABLES
from crosstie.sandbox.http import Response

_XML = etree.XMLParser(resolve_entities=False, no_network=True)
_OPERATORS = {"eq": "eq", "ne": "ne", "neq": "ne", "gt": "gt", "ge": "ge", "lt": "lt", "le": "le"}
_FUNCTIONS = {
    "in": "In",
    "not-in": "NotIn",
    "between": "Between",
    "not-between": "NotBetween",
    "contain-values": "ContainValues",
    "not-contain-values": "DoesNotContainValues",
    "on": "On",
    "on-or-after": "OnOrAfter",
    "on-or-before": "OnOrBefore",
    "last-x-days": "LastXDays",
    "last-x-hours": "LastXHours",
    "eq-userid": "EqualUserId",
    "ne-userid": "NotEqualUserId",
}
Path = tuple[str, ...]


def _page(reader: Reader, table: Table, text: str) -> dict[str, Any]:
    """The rows of a query, with what pages need where annotations are asked for."""
    root = _parsed(text)
    entity = root.find("entity")
    if entity is None or entity.get("name") != table.logical_name:
        raise QueryError(f"The FetchXML is not about {table.logical_name}.", code=INVALID_ARGUMENT)
    if root.get("aggregate") == "true":
        raise ApiError(501, "0x80060888", "Aggregates in FetchXML are not implemented.")
    links = _links(table, entity)
    condition = _both([_filtered(table, entity, ()), *(one for link in links for one in link.conditions)])
    options = Options(
        select=_selected(table, entity),
        filter=condition,
        order=tuple(_order(table, entity)),
        expand=tuple(link.expand for link in links),
    )
    query = reader.query(table, options)
    size = _number(root, "top") or min(_number(root, "count") or MAX_PAGE_SIZE, MAX_PAGE_SIZE)
    found = _rows(reader, query, root, size)
    body: dict[str, Any] = {"value": [_flat(record, links) for record in found.records[:size]]}
    more = len(found.records) > size and root.get("top") is None
    if reader.wanted.wants(MORE_RECORDS):
        body[f"@{MORE_RECORDS}"] = more
    if more and reader.wanted.wants(FETCH_COOKIE) and found.places:
        number = _number(root, "page") or 1
        inner = inner_cookie(number, query.keys, found.key(0), found.key(size - 1))
        body[f"@{FETCH_COOKIE}"] = outer_cookie(number + 1, inner)
    return body


class _Link:
    """A link-entity along a lookup: its conditions, and what is expanded for its attributes."""

    def __init__(self, table: Table, element: etree._Element) -> None:
        target, to = element.get("name", ""), element.get("to", "")
        lookup = table.attributes.get(to)
        if lookup is None or target not in lookup.navigation or target not in TABLES:
            raise ApiError(501, "0x80060888", f"A link from {table.logical_name}.{to} to {target} is not implemented.")
        if element.find("link-entity") is not None:
            raise ApiError(501, "0x80060888", "Links within links are not implemented.")
        self.navigation = lookup.navigation[target]
        self.alias = element.get("alias") or target
        other = TABLES[target]
        self.expand = Expand(self.navigation, Options(select=_selected(other, element) or ()))
        self.names = {other.attributes[name].property_name: alias for name, alias in _attributes(element)}
        inner = element.get("link-type", "inner") == "inner"
        there = Compare(Property((self.navigation, other.primary_id)), "ne", Literal("null", "null"))
        filtered = _filtered(other, element, (self.navigation,))
        self.conditions: list[Condition | None] = [there if inner else None, filtered]


def _links(table: Table, entity: etree._Element) -> list[_Link]:
    return [_Link(table, one) for one in entity.findall("link-entity")]


def _parsed(text: str) -> etree._Element:
    try:
        root = etree.fromstring(text.encode(), _XML)
    except etree.XMLSyntaxError as error:
        raise QueryError(f"Invalid XML: {error}", code=INVALID_ARGUMENT) from error
    if root.tag != "fetch":
        raise QueryError("Invalid FetchXML: the root must be fetch.", code=INVALID_ARGUMENT)
    return root


def _number(root: etree._Element, name: str) -> int | None:
    given = root.get(name)
    if given is not None and not given.isdigit():
        raise QueryError(f"The {name} of a fetch must be a number.", code=INVALID_ARGUMENT)
    return int(given) if given else None


def _rows(reader: Reader, query: Query, root: etree._Element, size: int) -> Found:
    """One row more than a page: it says whether more follow."""
    page, cookie = _number(root, "page") or 1, root.get("paging-cookie")
    start = after(query.keys, read_inner(cookie), reader.rules) if cookie and not query.joined_order else None
    return reader.page(query, size + 1, after=start, offset=0 if start is not None else (page - 1) * size)


def _attributes(element: etree._Element) -> list[tuple[str, str]]:
    """Names of attributes, with the aliases that they may have."""
    return [(one.get("name", ""), one.get("alias", "")) for one in element.findall("attribute")]


def _selected(table: Table, element: etree._Element) -> tuple[str, ...] | None:
    if element.find("all-attributes") is not None:
        return None
    return tuple(_attribute(table, name).property_name for name, _ in _attributes(element))


def _attribute(table: Table, name: str) -> Attribute:
    found = table.attributes.get(name)
    if found is None or not found.selectable:
        raise QueryError(
            f"'{table.schema_name}' entity doesn't contain attribute with Name = '{name}'.", code="0x80041103"
        )
    return found


def _order(table: Table, entity: etree._Element) -> list[Order]:
    return [
        Order((_attribute(table, one.get("attribute", "")).property_name,), one.get("descending") == "true")
        for one in entity.findall("order")
    ]


def _filtered(table: Table, element: etree._Element, path: Path) -> Condition | None:
    return _both([_filter(table, one, path) for one in element.findall("filter")])


def _both(parts: list[Condition | None]) -> Condition | None:
    given = tuple(one for one in parts if one is not None)
    return Both(given) if given else None


def _filter(table: Table, element: etree._Element, path: Path) -> Condition | None:
    parts = [_condition(table, one, path) for one in element.findall("condition")]
    parts += [inner for one in element.findall("filter") if (inner := _filter(table, one, path)) is not None]
    if not parts:
        return None
    return Either(tuple(parts)) if element.get("type") == "or" else Both(tuple(parts))


def _condition(table: Table, element: etree._Element, path: Path) -> Condition:
    attribute = _attribute(table, element.get("attribute", ""))
    operator, value = element.get("operator", ""), element.get("value", "")
    subject = Property((*path, attribute.property_name))
    if operator in ("null", "not-null"):
        return Compare(subject, "eq" if operator == "null" else "ne", Literal("null", "null"))
    if operator in _OPERATORS:
        return Compare(subject, _OPERATORS[operator], _literal(attribute, value))
    if operator in ("like", "not-like", "begins-with", "ends-with"):
        found = _like(subject, operator, value)
        return Not(found) if operator == "not-like" else found
    if operator not in _FUNCTIONS:
        raise ApiError(501, "0x80060888", f"The operator {operator} is not implemented.")
    values = tuple(one.text or "" for one in element.findall("value")) or ((value,) if value else ())
    arguments: dict[str, str | tuple[str, ...]] = {"PropertyName": attribute.logical_name, "PropertyValues": values}
    if values:
        arguments["PropertyValue"] = values[0]
    return Special(path, _FUNCTIONS[operator], arguments)


def _like(subject: Property, operator: str, value: str) -> Condition:
    """LIKE by the text functions, which know its signs as well."""
    starts, ends = value.startswith("%"), value.endswith("%")
    if operator in ("begins-with", "ends-with"):
        return TextTest("startswith" if operator == "begins-with" else "endswith", subject, Literal("string", value))
    if not starts and not ends:
        return Compare(subject, "eq", Literal("string", value))
    function = "contains" if starts and ends else "endswith" if starts else "startswith"
    return TextTest(function, subject, Literal("string", value.strip("%")))


def _literal(attribute: Attribute, text: str) -> Literal:
    kind = attribute.type
    if kind in TEXTS:
        return Literal("string", text)
    if kind in NUMBERS:
        return Literal("number", text)
    if kind is AttributeType.BOOLEAN:
        return Literal("boolean", "true" if text in ("1", "true") else "false")
    if kind is AttributeType.DATE_TIME:
        return Literal("date" if len(text) == 10 else "datetime", text)
    return Literal("guid", text.strip("{}").lower())


def _flat(record: dict[str, Any], links: list[_Link]) -> dict[str, Any]:
    """A row without what has no value, and with the columns of links under their aliases."""
    row = {name: value for name, value in record.items() if value is not None}
    for link in links:
        linked = row.pop(link.navigation, None) or {}
        for name, alias in link.names.items():
            if linked.get(name) is not None:
                row[alias or f"{link.alias}.{name}"] = linked[name]
    return row


def fetched(reader: Reader, table: Table, text: str) -> Response:
    """The whole answer of GET {set}?fetchXml=…"""
    body = _page(reader, table, text)
    context = {"@odata.context": f"{reader.base}/$metadata#{table.set_name}"}
    return json_response(context | body, headers=replace(reader.wanted, page_size=None).applied)
