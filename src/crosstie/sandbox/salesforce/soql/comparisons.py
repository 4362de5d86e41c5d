"""Comparisons of a typed expression with literals, as SQL.

Every piece of SQL made here may be NULL where the value is null, which counts as false; what is negated is wrapped so
that it counts as true: `!=`, NOT IN, EXCLUDES and NOT match rows without a value, as Salesforce does.
"""

from __future__ import annotations

import math
import re
from typing import Any

from crosstie.sandbox.folding import fold
from crosstie.sandbox.fragments import Sql, sql_join
from crosstie.sandbox.salesforce.ids import to_18
from crosstie.sandbox.salesforce.soql import dates, expressions
from crosstie.sandbox.salesforce.soql.errors import SoqlError
from crosstie.sandbox.salesforce.soql.expressions import Value
from crosstie.sandbox.salesforce.soql.functions import value_set
from crosstie.sandbox.salesforce.soql.scope import Context
from crosstie.sandbox.salesforce.soql.syntax import Literal

FALSE = Sql("0")
_TYPE_NAMES = {
    expressions.BOOLEAN: "boolean",
    expressions.INT: "int",
    expressions.NUMBER: "double",
    expressions.DATE: "date",
    expressions.DATETIME: "dateTime",
    expressions.TIME: "time",
}
_EQUALITY_ONLY = frozenset({expressions.BOOLEAN, expressions.MULTI})
_MAX_INT = 2**31 - 1
_PLAIN = re.compile(r"[\x01-\x7f]*")


def negated(condition: Sql) -> Sql:
    """True exactly where the condition isn't (null counts as not)."""
    return Sql("NOT IFNULL(") + condition + Sql(", 0)")


def compare(context: Context, value: Value, operator: str, literal: Literal) -> Sql:
    """`value operator literal`. Raises INVALID_FIELD for a literal of another type, and for an unfit operator."""
    if operator == "LIKE":
        return _like(context, value, literal)
    if operator not in ("=", "!=") and value.kind in _EQUALITY_ONLY:
        raise unfit_operator(context, value, literal.at)
    if operator == "!=":
        return negated(compare(context, value, "=", literal))
    if is_null(value, literal):
        return _null_test(value) if operator == "=" else FALSE
    if literal.kind == "keyword":
        return _in_days(context, value, operator, literal)
    if operator == "=":
        return member(context, value, (literal,))
    return value.folded + Sql(f" {operator} ?", (operand(context, value, literal),))


def member(context: Context, value: Value, literals: tuple[Literal, ...]) -> Sql:
    """True where the value equals one of the literals."""
    parts: list[Sql] = []
    plain: list[Any] = []
    for literal in literals:
        if is_null(value, literal):
            parts.append(_null_test(value))
        elif literal.kind == "keyword":
            parts.append(_in_days(context, value, "=", literal))
        else:
            plain.append(operand(context, value, literal))
    if plain:
        parts.append(_equals_any(value, list(dict.fromkeys(plain))))
    return parts[0] if len(parts) == 1 else Sql("(") + balanced(" OR ", parts) + Sql(")")


def _equals_any(value: Value, operands: list[Any]) -> Sql:
    left = value.folded
    if value.kind == expressions.MULTI:
        left = Sql("soql_set(") + value.sql + Sql(")")
    elif value.kind == expressions.TEXT and not value.case_sensitive and all(map(_PLAIN.fullmatch, operands)):
        # NOCASE is SQLite's own: no call into Python, and an index of that collation serves.
        left = Sql("(") + value.sql + Sql(" COLLATE NOCASE)")
    if len(operands) == 1:
        return left + Sql(" = ?", (operands[0],))
    return left + Sql(f" IN ({', '.join('?' * len(operands))})", tuple(operands))


def includes(context: Context, value: Value, literals: tuple[Literal, ...]) -> Sql:
    """INCLUDES of a multi-select picklist: any literal of which all values (joined by `;`) are chosen."""
    if value.kind != expressions.MULTI:
        raise unfit_operator(context, value, literals[0].at)
    wrapped = Sql("(';' || soql_fold(") + value.sql + Sql(") || ';')")
    choices: list[Sql] = []
    for literal in literals:
        if is_null(value, literal):
            choices.append(_null_test(value))
            continue
        if literal.kind != "string":
            raise wrong_type(context, value, literal)
        chosen = (value_set(literal.value) or "").split(";")
        parts = [Sql("instr(") + wrapped + Sql(", ?) > 0", (f";{part};",)) for part in chosen]
        choices.append(Sql("(") + balanced(" AND ", parts) + Sql(")"))
    return Sql("(") + balanced(" OR ", choices) + Sql(")")


def balanced(separator: str, parts: list[Sql]) -> Sql:
    """Parts joined as a balanced tree, because SQLite limits the depth of an expression, not its width."""
    if len(parts) <= 8:
        return sql_join(separator, parts)
    middle = len(parts) // 2
    left, right = balanced(separator, parts[:middle]), balanced(separator, parts[middle:])
    return Sql("(") + left + Sql(f"){separator}(") + right + Sql(")")


def is_null(value: Value, literal: Literal) -> bool:
    """True for null, and for the empty string, which no field holds."""
    texts = (expressions.TEXT, expressions.ID, expressions.MULTI)
    return literal.kind == "null" or (literal.kind == "string" and literal.value == "" and value.kind in texts)


def _null_test(value: Value) -> Sql:
    if value.kind == expressions.BOOLEAN:
        # "If you run a query on a boolean field, null matches FALSE values" (SOQL Reference, "Use null in WHERE").
        return value.folded + Sql(" = 0")
    return value.sql + Sql(" IS NULL")


def operand(context: Context, value: Value, literal: Literal) -> Any:
    """The literal as it is stored (folded for text), checked against the type of the value."""
    if literal.kind == "keyword":
        raise _unexpected(context, literal)
    if value.kind in (expressions.TEXT, expressions.ID, expressions.MULTI):
        if literal.kind != "string":
            raise wrong_type(context, value, literal)
        return _text_operand(context, value, literal)
    expected = {
        expressions.BOOLEAN: "boolean",
        expressions.INT: "number",
        expressions.NUMBER: "number",
        expressions.DATE: "date",
        expressions.DATETIME: "datetime",
        expressions.TIME: "time",
    }.get(value.kind)
    if literal.kind != expected:
        raise wrong_type(context, value, literal)
    if expected == "boolean":
        return int(literal.text.upper() == "TRUE")
    if expected == "number":
        return _number(context, value, literal)
    stored = {"date": dates.read_date, "datetime": dates.read_datetime, "time": dates.read_time}[str(expected)]
    read = stored(literal.text)
    if read is None:
        raise context.error("MALFORMED_QUERY", literal.at, f"Invalid {_TYPE_NAMES[value.kind]}: {literal.text}")
    return read


def _text_operand(context: Context, value: Value, literal: Literal) -> str:
    if value.kind == expressions.ID:
        complete = to_18(literal.value)
        if complete is None:
            message = f"invalid ID field: {literal.value}"
            raise context.error("INVALID_QUERY_FILTER_OPERATOR", literal.at, message)
        return complete
    if value.kind == expressions.MULTI:
        return value_set(literal.value) or ""
    return literal.value if value.case_sensitive else fold(literal.value) or ""


def _number(context: Context, value: Value, literal: Literal) -> int | float:
    digits = literal.text.lstrip("+-")
    if value.kind == expressions.INT:
        if not digits.isdigit():
            raise wrong_type(context, value, literal)
        if len(digits) > 18 or (value.type == "int" and not value.aggregate and int(digits) > _MAX_INT):
            raise context.error("MALFORMED_QUERY", literal.at, f"numeric value out of range: {literal.text}")
        return int(literal.text)
    number = float(literal.text)
    if not math.isfinite(number):
        raise context.error("MALFORMED_QUERY", literal.at, f"numeric value out of range: {literal.text}")
    return number


def _in_days(context: Context, value: Value, operator: str, literal: Literal) -> Sql:
    """A comparison with a date literal: `=` is inside its days, `<` before the first, `>` after the last."""
    try:
        covered = dates.days(literal.text, context.now, context.user_zone)
        if covered is None:
            raise _unexpected(context, literal)
        if value.kind == expressions.DATETIME:
            start, end = (dates.midnight(day, context.user_zone) for day in covered)
        elif value.kind == expressions.DATE:
            start, end = (day.isoformat() for day in covered)
        else:
            raise wrong_type(context, value, literal)
    except (ValueError, OverflowError):
        raise context.error("MALFORMED_QUERY", literal.at, f"Invalid date literal: {literal.text}") from None
    if operator == "=":
        return Sql("(") + value.sql + Sql(" >= ? AND ", (start,)) + value.sql + Sql(" < ?)", (end,))
    boundary = start if operator in ("<", ">=") else end
    return value.sql + Sql(f" {'<' if operator in ('<', '<=') else '>='} ?", (boundary,))


def _like(context: Context, value: Value, literal: Literal) -> Sql:
    if value.kind != expressions.TEXT:
        raise unfit_operator(context, value, literal.at)
    if literal.kind != "string":
        raise wrong_type(context, value, literal)
    if literal.value == "":
        return _null_test(value)
    if "\0" in literal.value:
        return FALSE
    if not value.case_sensitive and literal.value.isascii():
        # SQLite's own LIKE ignores the case of ASCII letters and needs no call into Python.
        return value.sql + Sql(r" LIKE ? ESCAPE '\'", (_like_pattern(literal),))
    return value.folded + Sql(" GLOB ?", (_glob_pattern(literal, value.case_sensitive),))


def _like_pattern(literal: Literal) -> str:
    return "".join(
        f"\\{character}" if character == "\\" or (escaped and character in "%_") else character
        for character, escaped in literal.characters
    )


def _glob_pattern(literal: Literal, case_sensitive: bool) -> str:
    parts: list[str] = []
    for character, escaped in literal.characters:
        if character in "%_" and not escaped:
            parts.append("*" if character == "%" else "?")
        elif character in "*?[":
            parts.append(f"[{character}]")
        else:
            parts.append(character if case_sensitive else fold(character) or "")
    return "".join(parts)


def unfit_operator(context: Context, value: Value, at: int) -> SoqlError:
    """The error for an operator that the type of the value doesn't have."""
    return context.error("INVALID_QUERY_FILTER_OPERATOR", at, f"invalid operator on {value.type} field")


def wrong_type(context: Context, value: Value, literal: Literal) -> SoqlError:
    """The error for a literal of another type than the value's."""
    wanted = _TYPE_NAMES.get(value.kind)
    tail = f"{wanted} and should not" if wanted is not None else "string and should"
    message = f"value of filter criterion for field '{value.name}' must be of type {tail} be enclosed in quotes"
    return context.error("INVALID_FIELD", literal.at, message)


def _unexpected(context: Context, literal: Literal) -> SoqlError:
    return context.error("MALFORMED_QUERY", literal.at, f"unexpected token: '{literal.text}'")
