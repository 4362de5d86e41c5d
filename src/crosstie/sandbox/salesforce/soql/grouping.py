"""Grouped and summed-up queries: COUNT(), aggregates, GROUP BY, HAVING, and how their columns are called."""

from __future__ import annotations

from dataclasses import dataclass

from crosstie.sandbox.fragments import Sql, sql_join
from crosstie.sandbox.salesforce.soql import expressions
from crosstie.sandbox.salesforce.soql.errors import SoqlError
from crosstie.sandbox.salesforce.soql.expressions import Value, value_of
from crosstie.sandbox.salesforce.soql.layout import Output, SelectItem
from crosstie.sandbox.salesforce.soql.scope import Scope
from crosstie.sandbox.salesforce.soql.syntax import AGGREGATES, Call, Operand, Path, Query, Selected

Key = tuple[str, ...]


def is_grouped(query: Query) -> bool:
    """True for a query whose rows are groups: GROUP BY, or an aggregate in the SELECT list."""
    return bool(query.group_by) or any(
        isinstance(entry, Selected) and isinstance(entry.operand, Call) and entry.operand.name in AGGREGATES
        for entry in query.select
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """The grouping of one query."""

    scope: Scope
    query: Query

    @property
    def counting(self) -> bool:
        """True for SELECT COUNT(), whose answer is totalSize alone."""
        entry = self.query.select[0]
        return (
            len(self.query.select) == 1
            and isinstance(entry, Selected)
            and isinstance(entry.operand, Call)
            and entry.operand.name == "COUNT"
            and not entry.operand.arguments
            and entry.alias is None
        )

    def check(self) -> None:
        """Refuse clauses that can't stand beside each other. Raises MALFORMED_QUERY."""
        query = self.query
        if query.group_mode is not None:
            raise self._malformed(query.at, f"unexpected token: '{query.group_mode}'")
        if self.counting:
            if query.group_by or query.order_by:
                raise self._malformed(query.at, "COUNT() cannot be used with GROUP BY or ORDER BY")
            return
        for entry in query.select:
            if not isinstance(entry, Selected):
                raise self._malformed(
                    entry.at, "Only fields and aggregate expressions can be selected in a grouped query"
                )
            bare_count = isinstance(entry.operand, Call) and not entry.operand.arguments
            if bare_count:
                raise self._malformed(entry.at, "unexpected token: 'COUNT'")
        if not query.group_by:
            for clause, given in (("LIMIT", query.limit), ("OFFSET", query.offset)):
                if given is not None:
                    message = f"Non-grouped query that uses overall aggregate functions cannot also use {clause}"
                    raise self._malformed(query.at, message)

    def items(self, output: Output) -> tuple[SelectItem, ...]:
        """The columns of the result; adds their SQL to `output`."""
        if self.counting:
            output.add(Sql("COUNT(*)") if self.query.limit is None and self.query.offset is None else Sql("1"))
            return ()
        items: list[SelectItem] = []
        seen: set[str] = set()
        unnamed = 0
        for entry in self.query.select:
            assert isinstance(entry, Selected)  # check() refused everything else
            value = self._selected(entry)
            if entry.alias is not None:
                name = entry.alias
            elif isinstance(entry.operand, Path):
                name = value.name
            else:
                name = f"expr{unnamed}"
                unnamed += 1
            if name.lower() in seen:
                raise self._malformed(entry.at, f"duplicate alias: {name}")
            seen.add(name.lower())
            items.append(SelectItem(name=name, type=value.type, place=output.add(_shown(value))))
        return tuple(items)

    def group_by(self) -> Sql:
        """The GROUP BY clause, empty when the query has none. Text groups whatever its case, as it compares."""
        seen: set[Key] = set()
        parts: list[Sql] = []
        for operand in self.query.group_by:
            value = value_of(self.scope, operand)
            if value.column is not None and not value.column.field.groupable:
                raise self._malformed(operand.at, f"field '{value.name}' can not be grouped in a query call")
            key = self._key(operand)
            if key in seen:
                raise self._malformed(operand.at, f"duplicate grouping expression: {value.name}")
            seen.add(key)
            parts.append(value.folded)
        return Sql(" GROUP BY ") + sql_join(", ", parts) if parts else Sql("")

    def value(self, operand: Path | Call) -> Value:
        """The left side of a condition in HAVING: an aggregate or what is grouped by."""
        return self._grouped_value(operand, "Field must be grouped or aggregated")

    def ordered(self, operand: Path | Call) -> Value:
        """An item of ORDER BY: an aggregate or what is grouped by."""
        return self._grouped_value(operand, "Ordered field must be grouped or aggregated")

    def _selected(self, entry: Selected) -> Value:
        value = self._grouped_value(entry.operand, "Field must be grouped or aggregated")
        if value.aggregate and isinstance(entry.operand, Call) and entry.operand.arguments:
            argument = entry.operand.arguments[0]
            if self.query.group_by and self._key(argument) in self._keys():
                raise self._malformed(entry.at, f"Grouped field should not be aggregated: {value.name}")
        return value

    def _grouped_value(self, operand: Path | Call, message: str) -> Value:
        value = value_of(self.scope, operand, aggregates=True)
        if not value.aggregate and self._key(operand) not in self._keys():
            raise self._malformed(operand.at, f"{message}: {value.name}")
        return value

    def _keys(self) -> set[Key]:
        return {self._key(operand) for operand in self.query.group_by}

    def _key(self, operand: Operand) -> Key:
        """What makes two expressions the same: function names and the true path of the field."""
        if isinstance(operand, Path):
            return tuple(name.lower() for name in self.scope.column(operand).path)
        if isinstance(operand, Call):
            return (f"{operand.name}()", *(part for argument in operand.arguments for part in self._key(argument)))
        return (operand.text,)

    def _malformed(self, at: int, message: str) -> SoqlError:
        return self.scope.context.error("MALFORMED_QUERY", at, message)


def _shown(value: Value) -> Sql:
    """The SQL to select: one spelling of a text that groups with others, the first in byte order."""
    if value.aggregate or value.kind != expressions.TEXT or value.case_sensitive:
        return value.sql
    return Sql("MIN(") + value.sql + Sql(")")
