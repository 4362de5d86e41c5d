"""CSV lines made by SQLite itself, so that a Bulk result of a million rows costs no Python per value.

Wire form of Bulk API 2.0: every value in double quotes, quotes inside doubled, null empty, booleans true/false,
datetimes ending in `Z`, doubles as Java prints them.
"""

from __future__ import annotations

from crosstie.sandbox.fragments import Sql
from crosstie.sandbox.salesforce.soql.comparisons import balanced
from crosstie.sandbox.salesforce.soql.compiler import Compiled

_PLAIN = frozenset({"id", "reference", "int", "long", "date", "time"})
_DOUBLES = frozenset({"double", "currency", "percent"})


def csv_statement(compiled: Compiled, delimiter: str, line_ending: str) -> Sql:
    """A SELECT of one text per row. Raises ValueError for a query that has no flat columns."""
    if compiled.node is None or any(item.place < 0 for item in compiled.items):
        raise ValueError("only queries compiled for Bulk have flat columns")
    parts: list[Sql] = []
    between = Sql("?", (f'"{delimiter}"',))
    for item in compiled.items:
        parts.append(Sql("?", ('"',)) if not parts else between)
        parts.append(_text(compiled.columns[item.place], item.type))
    parts.append(Sql("?", (f'"{line_ending}',)))
    return Sql("SELECT ") + balanced(" || ", parts) + compiled.body + compiled.order + compiled.paging


def _text(column: Sql, wire_type: str) -> Sql:
    """SQL of a value's text, empty for null."""
    if wire_type in _PLAIN:
        return Sql("IFNULL(") + column + Sql(", '')")
    if wire_type == "datetime":
        return Sql("IFNULL(substr(") + column + Sql(", 1, 23) || 'Z', '')")
    if wire_type == "boolean":
        return Sql("CASE WHEN ") + column + Sql(" THEN 'true' ELSE 'false' END")
    if wire_type in _DOUBLES:
        return _double(column)
    return Sql("replace(IFNULL(") + column + Sql(", ''), '\"', '\"\"')")


def _double(column: Sql) -> Sql:
    """Amounts with at most two decimals are printed by SQLite, which is exact for them; the rest by soql_double."""
    x, params = column.text, column.params
    exact = f"abs({x}) BETWEEN 0.001 AND 9999999 AND round({x} * 100) / 100.0 = {x}"
    text = f"CASE WHEN {exact} THEN CAST({x} AS TEXT) ELSE IFNULL(soql_double({x}), '') END"
    return Sql(text, params * 5)
