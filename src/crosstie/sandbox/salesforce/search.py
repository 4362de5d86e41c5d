"""Searching: SOSL, and the search by parameters.

Sources: "Search", "Parameterized Search", REST API guide. Every row is looked at, there is no search index: this is
for small orgs.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce import soql
from crosstie.sandbox.salesforce.catalog import Field, SObject
from crosstie.sandbox.salesforce.errors import ApiError, json_response
from crosstie.sandbox.salesforce.org import Call, Org
from crosstie.sandbox.salesforce.rest import given_record
from crosstie.sandbox.salesforce.schema import quoted
from crosstie.sandbox.salesforce.sosl import FIELD_END, MOST_ROWS, Finds, Returned, Search, parse_search, parse_terms

OBJECT_SINCE = 37.0
"""Before, the answer was the bare list of records."""
_TEXT = frozenset({"string", "textarea", "email", "phone", "url"})
_GROUPS = {"EMAIL": frozenset({"email"}), "PHONE": frozenset({"phone"}), "SIDEBAR": frozenset({"email", "phone"})}


class Searches:
    """The search resources of one org."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def search(self, call: Call) -> Response:
        """GET BASE/search?q=: SOSL."""
        text = call.request.query.get("q")
        if not text:
            raise ApiError(400, "MALFORMED_SEARCH", "No search term found. The search term must be enclosed in braces.")
        return self._answer(call, parse_search(text), "search")

    def parameterized(self, call: Call) -> Response:
        """GET or POST BASE/parameterizedSearch: the same by named parameters."""
        read = _from_body if call.request.method == "POST" else _from_query
        return self._answer(call, read(call), "parameterized_search")

    def _answer(self, call: Call, search: Search, kind: str) -> Response:
        returning = search.returning or tuple(
            Returned(object=one.name) for one in self._org.catalog.objects.values() if one.raw.get("searchable", True)
        )
        records: list[dict[str, Any]] = []
        for returned in returning:
            left = search.limit - len(records)
            if left > 0:
                records += self._records(call, search, returned)[:left]
        self._org.counters.rows(kind, len(records))
        return json_response({"searchRecords": records} if call.version_number >= OBJECT_SINCE else records)

    def _records(self, call: Call, search: Search, returned: Returned) -> list[dict[str, Any]]:
        sobject = self._org.catalog.object(returned.object)
        if sobject is None or not sobject.raw.get("searchable", True):
            raise ApiError(400, "INVALID_TYPE", f"sObject type '{returned.object}' is not supported.")
        ids = self._hits(sobject, search.finds, search.group)
        with self._org.database.reading() as connection:
            # Without hits too, for mistakes in what is to be returned must be told.
            text = returned.soql(ids or ["000000000000000AAA"])
            result = soql.run(
                connection, self._org.catalog, text, now=self._org.clock.now(), user_zone=self._org.user_zone
            )
            return result.records_json(list(result.rows()), call.version)

    def _hits(self, sobject: SObject, finds: Finds, group: str) -> list[str]:
        columns = [item.name for item in sobject.fields.values() if _searched(item, group)]
        if not columns:
            return []
        joined = f" || char({ord(FIELD_END)}) || ".join(f"coalesce({quoted(name)}, '')" for name in columns)
        alive = " WHERE IsDeleted = 0" if sobject.field("IsDeleted") else ""
        with self._org.database.reading() as connection:
            rows = connection.execute(f"SELECT Id, {joined} FROM {quoted(sobject.table)}{alive} ORDER BY Id")
            return [record_id for record_id, text in rows if finds(text.casefold())][:MOST_ROWS]


def _searched(item: Field, group: str) -> bool:
    if item.is_compound or item.type not in _TEXT:
        return False
    named = item.name_field or item.compound_field_name == "Name"
    if group == "ALL":
        return True
    if group == "NAME":
        return named
    return item.type in _GROUPS[group] or (group == "SIDEBAR" and named)


def _from_query(call: Call) -> Search:
    pairs = parse_qsl(call.request.target.partition("?")[2], keep_blank_values=True)
    given = dict(pairs)
    names = [text for name, text in pairs if name == "sobject"]
    shared = given.get("fields", "Id").split(",")
    returning = [
        Returned(
            object=name,
            fields=tuple(given.get(f"{name}.fields", ",".join(shared)).split(",")),
            where=given.get(f"{name}.where"),
            order=given.get(f"{name}.orderBy"),
            limit=_number(given.get(f"{name}.limit", given.get("defaultLimit"))),
        )
        for name in names
    ]
    return _search(given.get("q"), given.get("in", "ALL"), returning, _number(given.get("overallLimit")))


def _from_body(call: Call) -> Search:
    given = given_record(call)
    shared = given.get("fields") or ["Id"]
    returning = []
    for one in given.get("sobjects") or []:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise ApiError(400, "JSON_PARSER_ERROR", "Each of sobjects must be an object with a name")
        returning.append(
            Returned(
                object=one["name"],
                fields=tuple(str(name) for name in one.get("fields") or shared),
                where=one.get("where"),
                limit=_number(one.get("limit", given.get("defaultLimit"))),
            )
        )
    return _search(given.get("q"), str(given.get("in", "ALL")), returning, _number(given.get("overallLimit")))


def _search(text: str | None, group: str, returning: Iterable[Returned], limit: int | None) -> Search:
    if not text or not text.strip():
        raise ApiError(400, "MALFORMED_SEARCH", "The search term q is missing.")
    group = group.upper().removesuffix(" FIELDS")
    if group not in ("ALL", "NAME", *_GROUPS):
        raise ApiError(400, "MALFORMED_SEARCH", f"There is no search group {group}.")
    return Search(
        finds=parse_terms(text),
        group=group,
        returning=tuple(returning),
        limit=min(limit or MOST_ROWS, MOST_ROWS),
    )


def _number(value: Any) -> int | None:
    if value is None:
        return None
    if not str(value).isdigit():
        raise ApiError(400, "MALFORMED_SEARCH", f"A limit must be a number: {value}")
    return int(value)
