"""Fields, functions and aggregates as typed SQL."""

from __future__ import annotations

from dataclasses import dataclass

from crosstie.sandbox.fragments import Sql, sql_join
from crosstie.sandbox.salesforce.catalog import Field
from crosstie.sandbox.salesforce.soql.errors import SoqlError
from crosstie.sandbox.salesforce.soql.scope import Column, Scope
from crosstie.sandbox.salesforce.soql.syntax import AGGREGATES, Call, Operand, Path

TEXT, ID, MULTI, BOOLEAN, INT, NUMBER, DATE, DATETIME, TIME, OTHER = (
    "text",
    "id",
    "multi",
    "boolean",
    "int",
    "number",
    "date",
    "datetime",
    "time",
    "other",
)
_KINDS = {
    **dict.fromkeys(
        ("string", "textarea", "phone", "url", "email", "picklist", "combobox", "encryptedstring", "json"), TEXT
    ),
    "id": ID,
    "reference": ID,
    "multipicklist": MULTI,
    "boolean": BOOLEAN,
    "int": INT,
    "long": INT,
    "double": NUMBER,
    "currency": NUMBER,
    "percent": NUMBER,
    "date": DATE,
    "datetime": DATETIME,
    "time": TIME,
}
_DAY = "CAST(substr({0}, 9, 2) AS INTEGER)"
_MONTH = "CAST(substr({0}, 6, 2) AS INTEGER)"
_DAY_OF_YEAR = "CAST(strftime('%j', substr({0}, 1, 10)) AS INTEGER)"
_QUARTER = f"(({_MONTH} + 2) / 3)"
_YEAR = "CAST(substr({0}, 1, 4) AS INTEGER)"
DATE_FUNCTIONS = {
    "CALENDAR_YEAR": _YEAR,
    "CALENDAR_QUARTER": _QUARTER,
    "CALENDAR_MONTH": _MONTH,
    "FISCAL_YEAR": _YEAR,
    "FISCAL_QUARTER": _QUARTER,
    "FISCAL_MONTH": _MONTH,
    "DAY_IN_YEAR": _DAY_OF_YEAR,
    "DAY_IN_MONTH": _DAY,
    "DAY_IN_WEEK": "(CAST(strftime('%w', substr({0}, 1, 10)) AS INTEGER) + 1)",
    "WEEK_IN_YEAR": f"(({_DAY_OF_YEAR} + 6) / 7)",
    "WEEK_IN_MONTH": f"(({_DAY} + 6) / 7)",
    "DAY_ONLY": "substr({0}, 1, 10)",
    "HOUR_IN_DAY": "CAST(substr({0}, 12, 2) AS INTEGER)",
}
"""SOQL and SOSL Reference, "Date Functions": values are of UTC unless convertTimezone() is inside; the first of January
begins week 1, the first of a month week 1 of it; Sunday is day 1. The fiscal year is the calendar year."""
_DATETIME_ONLY = frozenset({"DAY_ONLY", "HOUR_IN_DAY"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A typed SQL expression. `name` is how messages and results call it, `type` its wire type as in describe.

    `column` is set for a plain field, also inside toLabel(); `aggregate` is True when rows are summed up in it.
    """

    kind: str
    type: str
    sql: Sql
    name: str
    column: Column | None = None
    case_sensitive: bool = False
    aggregate: bool = False
    nullable_boolean: bool = False

    @property
    def folded(self) -> Sql:
        """SQL of the form by which a text compares, the value itself for everything else."""
        if self.kind == TEXT and not self.case_sensitive:
            return Sql("soql_fold(") + self.sql + Sql(")")
        if self.kind == BOOLEAN and self.nullable_boolean:
            return Sql("IFNULL(") + self.sql + Sql(", 0)")
        return self.sql

    @property
    def sort_keys(self) -> tuple[Sql, ...]:
        """SQL by which the value sorts.

        Picklists sort by the order of their list (SOQL and SOSL Reference, "ORDER BY": "picklist sorting is defined
        by the picklist sort order determined during setup"), what isn't in it after it.
        """
        rank = _rank(self)
        return (self.folded,) if rank is None else (rank, self.folded)


def value_of(scope: Scope, operand: Operand, *, aggregates: bool = False) -> Value:
    """The typed SQL of a field or function. Aggregates are refused unless `aggregates`. Raises SoqlError."""
    if isinstance(operand, Path):
        return _field_value(scope.column(operand))
    if isinstance(operand, Call):
        if operand.name in AGGREGATES:
            return _aggregate(scope, operand, aggregates)
        if operand.name in DATE_FUNCTIONS:
            return _date_function(scope, operand)
        if operand.name == "TOLABEL":
            return _label(scope, operand)
        raise _malformed(scope, operand.at, f"Invalid aggregate function: {operand.name}")
    raise _malformed(scope, operand.at, f"unexpected token: '{operand.text}'")


def kind_of(field: Field) -> str:
    """How values of a field compare."""
    return _KINDS.get(field.type, OTHER)


def _field_value(column: Column) -> Value:
    return Value(
        kind=kind_of(column.field),
        type=column.field.type,
        sql=Sql(column.sql),
        name=column.field.name,
        column=column,
        case_sensitive=column.field.case_sensitive,
        nullable_boolean=column.nullable_boolean,
    )


def _malformed(scope: Scope, at: int, message: str) -> SoqlError:
    return scope.context.error("MALFORMED_QUERY", at, message)


def _only_argument(scope: Scope, call: Call) -> Operand:
    if len(call.arguments) != 1:
        raise _malformed(scope, call.at, f"unexpected token: '{call.name}'")
    return call.arguments[0]


def _date_function(scope: Scope, call: Call) -> Value:
    argument = _only_argument(scope, call)
    zone: str | None = None
    if isinstance(argument, Call) and argument.name == "CONVERTTIMEZONE":
        argument = _only_argument(scope, argument)
        zone = scope.context.user_zone.key
    if not isinstance(argument, Path):
        message = (
            "nested functional syntax can only be used in the following manner:"
            f" date_function(convertTimezone(columnName)): {call.name}"
        )
        raise _malformed(scope, call.at, message)
    value = _field_value(scope.column(argument))
    allowed = (DATETIME,) if call.name in _DATETIME_ONLY or zone is not None else (DATE, DATETIME)
    if value.kind not in allowed:
        raise _malformed(scope, argument.at, f"field {value.name} does not support date function {call.name}")
    inner = value.sql if zone is None else Sql("soql_local(") + value.sql + Sql(", ?)", (zone,))
    pattern = DATE_FUNCTIONS[call.name]
    is_date = call.name == "DAY_ONLY"
    return Value(
        kind=DATE if is_date else INT,
        type="date" if is_date else "int",
        sql=Sql(pattern.format(inner.text), inner.params * pattern.count("{0}")),
        name=value.name,
    )


def _label(scope: Scope, call: Call) -> Value:
    argument = _only_argument(scope, call)
    if not isinstance(argument, Path):
        raise _malformed(scope, call.at, f"unexpected token: '{call.name}'")
    value = _field_value(scope.column(argument))
    entries = value.column.field.picklist_values if value.column is not None else ()
    if value.type not in ("picklist", "combobox") or not entries:
        return value
    cases = [Sql(" WHEN ? THEN ?", (entry.value, entry.label)) for entry in entries]
    sql = Sql("CASE ") + value.sql + sql_join("", cases) + Sql(" ELSE ") + value.sql + Sql(" END")
    return Value(kind=TEXT, type="string", sql=sql, name=value.name, column=value.column)


def _aggregate(scope: Scope, call: Call, allowed: bool) -> Value:
    if not allowed:
        raise _malformed(scope, call.at, f"Aggregate functions are not supported here: {call.name}")
    if not call.arguments and call.name == "COUNT":
        return Value(kind=INT, type="int", sql=Sql("COUNT(*)"), name="COUNT", aggregate=True)
    argument = _only_argument(scope, call)
    if not isinstance(argument, Path):
        message = (
            "nested functional syntax can only be used in the following manner:"
            f" date_function(convertTimezone(columnName)): {call.name}"
        )
        raise _malformed(scope, call.at, message)
    value = _field_value(scope.column(argument))
    wanted = {"SUM": (INT, NUMBER), "AVG": (INT, NUMBER)}.get(call.name)
    field = value.column.field if value.column is not None else None
    unfit = field is not None and not field.aggregatable
    if call.name == "GROUPING" or unfit or (wanted is not None and value.kind not in wanted):
        message = f"field {value.name} does not support aggregate operator {call.name}"
        raise _malformed(scope, argument.at, message)
    kind, wire_type = value.kind, value.type
    if call.name in ("COUNT", "COUNT_DISTINCT"):
        kind, wire_type = INT, "int"
    elif call.name == "AVG":
        kind, wire_type = NUMBER, "double"
    return Value(kind=kind, type=wire_type, sql=_aggregate_sql(call.name, value), name=value.name, aggregate=True)


def _aggregate_sql(name: str, value: Value) -> Sql:
    if name == "COUNT":
        return Sql("COUNT(") + value.sql + Sql(")")
    if name == "COUNT_DISTINCT":
        return Sql("COUNT(DISTINCT ") + value.folded + Sql(")")
    if name in ("SUM", "AVG"):
        return Sql(f"{name}(") + value.sql + Sql(")")
    rank = _rank(value)
    if rank is not None:
        return Sql(f"substr({name}(") + rank + Sql(" || ") + value.sql + Sql("), 7)")
    if value.kind == TEXT and not value.case_sensitive:
        return Sql(f"soql_{name.lower()}(") + value.sql + Sql(")")
    return Sql(f"{name}(") + value.sql + Sql(")")


def _rank(value: Value) -> Sql | None:
    """The place of a picklist value in its list as six digits, one past the end for what isn't in it."""
    if value.type != "picklist" or value.column is None or not value.column.field.picklist_values:
        return None
    entries = value.column.field.picklist_values
    cases = [Sql(f" WHEN ? THEN '{place:06d}'", (entry.value,)) for place, entry in enumerate(entries)]
    listed = Sql("CASE ") + value.sql + sql_join("", cases) + Sql(f" ELSE '{len(entries):06d}' END")
    return Sql("CASE WHEN ") + value.sql + Sql(" IS NOT NULL THEN ") + listed + Sql(" END")
