"""QueryPage of either version: criteria, order, one page of rows, and the child lists of each.

A page is cut from what is there at the moment, by its offset: a row that came in front of it since the last page moves
the others, so that one may come twice or not at all (fact sheet, section 2.2). Without an order in v2.0 the latest
change comes first, so that what is written while it is read moves indeed; v1.0 has the order of the object.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from crosstie.sandbox.fragments import Sql, quoted, sql_join
from crosstie.sandbox.oracle_on_demand import namespaces
from crosstie.sandbox.oracle_on_demand.conditions import (
    TYPED,
    Scope,
    UnknownField,
    both,
    children,
    compiled,
    install,
    sort_key,
)
from crosstie.sandbox.oracle_on_demand.definitions import Child, Field, Object
from crosstie.sandbox.oracle_on_demand.faults import unknown_field
from crosstie.sandbox.oracle_on_demand.refusals import not_countable, search_refused
from crosstie.sandbox.oracle_on_demand.search import (
    Condition,
    Exists,
    Joined,
    MalformedSearch,
    parse_content,
    parse_search,
)
from crosstie.sandbox.oracle_on_demand.template import Asked, Template, TemplateReader
from crosstie.sandbox.oracle_on_demand.values import Wire

_Parse = Callable[[], Condition]
_Cell = Callable[[str | int | None], str]
OWN_RECORDS = frozenset({"Sales Rep", "Personal"})
"""The view modes that show only what the user owns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the switches say of queries."""

    page_limit: int = 100
    start_row_from_one: bool = False
    strict_parentheses: bool = False
    unequal_finds_empty: bool = False
    empty_texts: bool = False
    v1_ordered_by_id: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """One page: the values of the template's fields, by row, and what writes each of them; `last` when nothing comes
    after it."""

    cells: tuple[_Cell, ...]
    rows: list[tuple[str | int | None, ...]]
    ids: list[str]
    last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPage:
    """Answers queries of one object over a connection. `user_id` is who asks."""

    connection: sqlite3.Connection
    subject: Object
    flavour: str
    wire: Wire
    rules: Rules
    user_id: str

    def answer(self, body: etree._Element) -> bytes:
        """The output element for an input element. Raises SoapFault."""
        install(self.connection)
        template = TemplateReader(self.subject, self.wire.version, self.flavour).read(body)
        scope = Scope(
            subject=self.subject,
            flavour=self.flavour,
            wire=replace(self.wire, labels=template.labels),
            unequal_finds_empty=self.rules.unequal_finds_empty,
        )
        try:
            return self._answer(template, scope)
        except UnknownField as error:
            raise unknown_field(error.tag, self.subject.name) from error

    def _answer(self, template: Template, scope: Scope) -> bytes:
        where = self._where(template, scope)
        page = self._page(template, scope, where)
        attributes = {"lastpage": str(page.last).lower()} if self.wire.version == "v2" else {}
        if template.counted:
            attributes["recordcount"] = str(self._count(template, where))
        rows = "".join(self._row(template, scope, page, number) for number in range(len(page.rows)))
        return self._output(rows, attributes, page.last)

    def _output(self, rows: str, attributes: dict[str, str], last: bool) -> bytes:
        version, subject = self.wire.version, self.subject
        service = namespaces.service_namespace(subject, version, self.flavour)
        payload = namespaces.v1_namespace(subject) if version == "v1" else namespaces.v2_namespace(subject, "Data")
        root = namespaces.message_name(subject, version, "QueryPage", "Output")
        ending = f"<ns:LastPage>{str(last).lower()}</ns:LastPage>" if version == "v1" else ""
        told = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())
        listed = f"ListOf{subject.name}"
        text = (
            f'<ns:{root} xmlns:ns="{service}">{ending}<{listed} xmlns="{payload}"{told}>{rows}</{listed}></ns:{root}>'
        )
        return text.encode()

    def _where(self, template: Template, scope: Scope) -> Sql:
        """The criteria of the object; in v1.0 those on its children too."""
        parts = list(self._criteria(template, scope))
        if template.view_mode in OWN_RECORDS and "OwnerId" in self.subject.fields:
            parts.append(Sql(f"{scope.alias}.OwnerId = ?", (self.user_id,)))
        if self.wire.version == "v1":
            below = [
                children(scope, one.child, both(list(self._criteria(one, scope.within(one.child)))))
                for one in template.children
                if one.filters and one.child is not None
            ]
            if below and parts and not template.children_and:
                return both([both(parts), *below], "OR")
            parts += below
        return both(parts)

    def _criteria(self, template: Template, scope: Scope) -> Iterator[Sql]:
        strict = self.rules.strict_parentheses
        if template.search:
            yield self._compiled(template.search, scope, lambda: parse_search(template.search, strict=strict))
        for one in template.asked:
            if one.content:
                yield self._content(one, scope, strict)

    def _content(self, asked: Asked, scope: Scope, strict: bool) -> Sql:
        return self._compiled(asked.content, scope, lambda: parse_content(asked.tag, asked.content, strict=strict))

    def _compiled(self, text: str, scope: Scope, parse: _Parse) -> Sql:
        try:
            return compiled(parse(), scope)
        except MalformedSearch as error:
            raise search_refused(self.subject.name, text, str(error)) from error

    def _page(self, template: Template, scope: Scope, where: Sql) -> _Page:
        wanted = {one.field.tag: one for one in template.asked}
        known = self.subject.fields if template.child is None else template.child.fields
        fields = tuple((wanted[tag].tag, field) for tag, field in known.items() if tag in wanted)
        size = min(template.size, self.rules.page_limit)
        start = max(template.start - 1, 0) if self.rules.start_row_from_one else template.start
        columns = ", ".join([f"{scope.alias}.Id", *(scope.column(field) for _, field in fields)])
        table = quoted(self.subject.table if template.child is None else self.subject.child_table(template.child))
        # Only ids are sorted and skipped; the rows of the page are fetched afterwards.
        order = self._order(template, scope)
        chosen = Sql(f"SELECT {scope.alias}.rowid FROM {table} AS {scope.alias} WHERE ") + where
        chosen += Sql(f" ORDER BY {order} LIMIT ? OFFSET ?", (size + 1, start))
        statement = Sql(f"SELECT {columns} FROM {table} AS {scope.alias} WHERE {scope.alias}.rowid IN (") + chosen
        statement += Sql(f") ORDER BY {order}")
        found = self.connection.execute(statement.text, statement.params).fetchall()
        return _Page(
            cells=tuple(self._cell(tag, field, scope.wire) for tag, field in fields),
            rows=[row[1:] for row in found[:size]],
            ids=[row[0] for row in found[:size]],
            last=len(found) <= size,
        )

    def _order(self, template: Template, scope: Scope) -> str:
        """As Oracle's databases sort: what has no value comes last going up, first going down."""
        keys = [f"{sort_key(scope, one.field)} {_direction(one)}" for one in template.sorted]
        if keys:
            tie = [] if any(one.field.tag == "Id" for one in template.sorted) else [f"{scope.alias}.Id DESC"]
            return ", ".join([*keys, *tie])
        if template.child is not None:
            return f"{scope.alias}.Id"
        if self.wire.version == "v1" and (self.rules.v1_ordered_by_id or self.subject.query_only):
            return ", ".join(scope.column(self.subject.fields[tag]) for tag in self.subject.order)
        return f"{scope.alias}.ModifiedDate DESC, {scope.alias}.Id DESC"

    def _count(self, template: Template, where: Sql) -> int:
        statement = Sql(f"SELECT COUNT(*) FROM {quoted(self.subject.table)} AS t WHERE ") + where
        counted: int = self.connection.execute(statement.text, statement.params).fetchone()[0]
        calculated = [tag for tag in self._searched(template) if self._is_calculated(tag)]
        if counted and calculated:
            raise not_countable(self.subject.name, calculated[0])
        return counted

    def _searched(self, template: Template) -> Iterator[str]:
        yield from (one.tag for one in template.asked if one.content)
        if template.search:
            yield from _tags(parse_search(template.search))

    def _is_calculated(self, tag: str) -> bool:
        field = self.subject.field_of(tag, self.wire.version, self.flavour)
        return field is not None and bool(field.joined)

    def _row(self, template: Template, scope: Scope, page: _Page, number: int) -> str:
        tag = template.child.tag if template.child else self.subject.name
        cells = "".join([write(value) for write, value in zip(page.cells, page.rows[number], strict=True)])
        asked = {one.child.list_tag: one for one in template.children if one.child is not None}
        inner = "".join(
            self._children(asked[child.list_tag], child, scope, page.ids[number])
            for child in (self.subject.children if asked else ())
            if child.list_tag in asked
        )
        return f"<{tag}>{cells}{inner}</{tag}>"

    def _cell(self, tag: str, field: Field, wire: Wire) -> _Cell:
        """Writes the cells of a column."""
        typed = wire.version == "v2" and field.type in TYPED
        nothing = f"<{tag}/>" if self.rules.empty_texts and not typed else ""

        def write(value: str | int | None) -> str:
            return nothing if value is None else f"<{tag}>{_escaped(wire.write(field, str(value)))}</{tag}>"

        return write

    def _children(self, template: Template, child: Child, scope: Scope, parent: str) -> str:
        """A page of one record's child list."""
        inner = scope.within(child)
        criteria: Sequence[Sql] = [Sql(f"{inner.alias}.ParentId = ?", (parent,)), *self._criteria(template, inner)]
        page = self._page(template, inner, sql_join(" AND ", list(criteria)))
        rows = "".join(self._row(template, inner, page, number) for number in range(len(page.rows)))
        last = f' lastpage="{str(page.last).lower()}"' if self.wire.version == "v2" else ""
        return f"<{child.list_tag}{last}>{rows}</{child.list_tag}>"


_SPECIAL = re.compile(r"[&<>\r]")
_ALWAYS_SET = frozenset({"Id", "ModifiedDate", "CreatedDate"})


def _escaped(text: str) -> str:
    return escape(text, {"\r": "&#13;"}) if _SPECIAL.search(text) else text


def _direction(asked: Asked) -> str:
    if asked.field.tag in _ALWAYS_SET:
        return asked.order
    return "ASC NULLS LAST" if asked.order == "ASC" else "DESC NULLS FIRST"


def _tags(condition: Condition) -> Iterator[str]:
    if isinstance(condition, Joined):
        for part in condition.parts:
            yield from _tags(part)
    elif not isinstance(condition, Exists):
        yield condition.tag
