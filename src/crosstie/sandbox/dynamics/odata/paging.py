"""Pages of a query: the cookie in a nextLink, and the condition that goes on after it.

Source: Dataverse Web API guide, "Page results using OData": the skip token is a piece of XML whose own cookie is
encoded twice, and whose percent signs the address leaves as they are. A cookie names the values of the last record by
which the rows are ordered; `lastnull` and `firstnull` stand for values that are not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from lxml import etree

from crosstie.sandbox.dynamics.odata.comparisons import FALSE, Column
from crosstie.sandbox.dynamics.odata.errors import INVALID_ARGUMENT, QueryError
from crosstie.sandbox.dynamics.odata.rules import Rules
from crosstie.sandbox.dynamics.odata.values import EXACT
from crosstie.sandbox.dynamics.table import AttributeType
from crosstie.sandbox.fragments import Sql, sql_join

SAFE = "$,()'/:;@!*="
"""What the service leaves as it is in the options of a link."""
_XML = etree.XMLParser(resolve_entities=False, no_network=True)


@dataclass(frozen=True, slots=True)
class Key:
    """A column by which rows are ordered."""

    column: Column
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Cookie:
    """Where a page begins: its number, and the values of the record before it by attribute (None: only the number).

    `tracked` is the version that a read with change tracking began at.
    """

    page: int
    last: dict[str, str | None] | None = None
    tracked: int | None = None


def order_sql(keys: Sequence[Key], rules: Rules) -> str:
    """ORDER BY, without the words. Nulls come first going up and last going down, as SQL Server has them."""
    return ", ".join(f"{key.column.key(rules).text}{' DESC' if key.descending else ''}" for key in keys)


def after(keys: Sequence[Key], last: dict[str, str | None], rules: Rules) -> Sql:
    """The condition of the rows that come after the one with these values. Raises QueryError when some are missing."""
    alternatives: list[Sql] = []
    equal: list[Sql] = []
    for key in keys:
        name = key.column.attribute.logical_name
        if name not in last:
            raise invalid_cookie()
        value = last[name]
        alternatives.append(sql_join(" AND ", [*equal, _beyond(key, value, rules)]))
        equal.append(_same(key, value, rules))
    beyond = Sql("(") + sql_join(" OR ", [Sql("(") + one + Sql(")") for one in alternatives]) + Sql(")")
    return sql_join(" AND ", [*_from(keys[0], last, rules), beyond])


def _from(key: Key, last: dict[str, str | None], rules: Rules) -> list[Sql]:
    """What follows from the rest, but lets an index find where the rows go on."""
    column, value = key.column, last[key.column.attribute.logical_name]
    if value is None or key.descending:
        return []
    return [column.key(rules) + Sql(" >= ") + column.value_key(_stored(column, value), rules)]


def _same(key: Key, value: str | None, rules: Rules) -> Sql:
    column = key.column
    if value is None:
        return column.sql + Sql(" IS NULL")
    return column.key(rules) + Sql(" = ") + column.value_key(_stored(column, value), rules)


def _beyond(key: Key, value: str | None, rules: Rules) -> Sql:
    column = key.column
    if value is None:
        return FALSE if key.descending else column.sql + Sql(" IS NOT NULL")
    if not key.descending:
        return column.key(rules) + Sql(" > ") + column.value_key(_stored(column, value), rules)
    below = column.key(rules) + Sql(" < ") + column.value_key(_stored(column, value), rules)
    return Sql("(") + below + Sql(" OR ") + column.sql + Sql(" IS NULL)")


def _stored(column: Column, text: str) -> Any:
    """The value of a cookie is the stored one as text."""
    kind = column.attribute.type
    if kind is AttributeType.DOUBLE:
        return float(text)
    if kind in EXACT or not re.fullmatch(r"-?\d+", text) or not _is_whole(kind):
        return text.strip("{}").lower() if _is_guid(column) else text
    return int(text)


def _is_whole(kind: AttributeType) -> bool:
    return kind in (
        AttributeType.INTEGER,
        AttributeType.BIG_INT,
        AttributeType.PICKLIST,
        AttributeType.STATE,
        AttributeType.STATUS,
        AttributeType.BOOLEAN,
    )


def _is_guid(column: Column) -> bool:
    return column.attribute.is_lookup or column.attribute.type is AttributeType.UNIQUEIDENTIFIER


def inner_cookie(page: int, keys: Sequence[Key], first: Sequence[Any], last: Sequence[Any]) -> str:
    """The XML with the first and the last values of a page, the primary key's among them."""
    root = etree.Element("cookie", page=str(page))
    for key, low, high in zip(keys, first, last, strict=True):
        one = etree.SubElement(root, key.column.attribute.logical_name)
        for name, value in (("last", high), ("first", low)):
            if value is None:
                one.set(f"{name}null", "1")
            else:
                one.set(name, f"{{{str(value).upper()}}}" if _is_guid(key.column) else str(value))
    return etree.tostring(root, encoding="unicode").replace("/>", " />")


def outer_cookie(page: int, inner: str, *, tracked: int | None = None) -> str:
    """The XML around it, which names the page to come."""
    twice = _lower(quote(_lower(quote(inner, safe="")), safe=""))
    begun = "" if tracked is None else f' trackedversion="{tracked}"'
    tracking = str(tracked is not None)
    return f'<cookie pagenumber="{page}" pagingcookie="{twice}" istracking="{tracking}"{begun} />'


def _lower(text: str) -> str:
    """Percent codes in the service's lower case."""
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text)


def next_link(address: str, query: Mapping[str, str], cookie: str) -> str:
    """The address of the next page: that of this one with its options and the skip token, encoded once."""
    kept = [(name, value) for name, value in query.items() if name != "$skiptoken"]
    pairs = [*((quote(name, safe="$@"), quote(value, safe=SAFE)) for name, value in kept)]
    pairs.append(("$skiptoken", quote(cookie, safe="=/%")))
    return address + "?" + "&".join(f"{name}={value}" for name, value in pairs)


def read_cookie(text: str) -> Cookie:
    """The cookie of a skip token as it stands in a query string, decoded once. Raises QueryError for another's."""
    outer = _parsed(text)
    inner = outer.get("pagingcookie", "")
    try:
        page = int(outer.get("pagenumber", ""))
        tracked = int(outer.get("trackedversion", "")) if outer.get("istracking") == "True" else None
    except ValueError as error:
        raise invalid_cookie() from error
    return Cookie(page, read_inner(unquote(inner)) if inner else None, tracked)


def read_inner(text: str) -> dict[str, str | None]:
    """The last values of a cookie by attribute."""
    return {
        str(child.tag): None if child.get("lastnull") == "1" else str(child.get("last", "")) for child in _parsed(text)
    }


def _parsed(text: str) -> etree._Element:
    try:
        root = etree.fromstring(text.encode(), _XML)
    except etree.XMLSyntaxError as error:
        raise invalid_cookie() from error
    if root.tag != "cookie":
        raise invalid_cookie()
    return root


def invalid_cookie() -> QueryError:
    """What a skip token is answered with that was changed on its way."""
    return QueryError("Malformed XML in the Paging Cookie", code=INVALID_ARGUMENT)
