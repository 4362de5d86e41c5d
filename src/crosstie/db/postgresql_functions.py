"""The functions that PostgreSQL needs so that expressions mean the same there; they live in our own namespace.

Each is one SQL expression, so the planner puts it in place of the call and nothing is lost against writing it out.
"""

from __future__ import annotations

from collections.abc import Sequence

from crosstie.db.database import Transaction
from crosstie.db.text_forms import FORMS
from crosstie.errors import DatabaseError

# Changes with the statements below, so that a database made by an earlier Crosstie is brought up to date.
FUNCTIONS_VERSION = 1

# Those that map case character by character for all of Unicode, best first. und-x-icu maps a few characters to several
# (ß to SS) and is taken only where the server has nothing else.
_COLLATIONS = ("pg_c_utf8", "C.utf8", "C.UTF-8", "en_US.utf8", "en_US.UTF-8", "und-x-icu")

_SQL_TYPES = {
    "integer": "bigint",
    "decimal": "numeric",
    "float": "double precision",
    "boolean": "boolean",
    "date": "date",
    "time": "time",
    "wall_clock": "timestamp",
    "instant": "timestamptz",
}


def install_functions(transaction: Transaction) -> None:
    """Creates or replaces all functions in the namespace `crosstie`, which must exist.

    Raises DatabaseError where the server has no locale that can lower and upper text."""
    found = transaction.rows("SELECT collname FROM pg_collation WHERE collencoding IN (-1, 6)")
    for statement in function_statements(case_collation([str(name) for (name,) in found])):
        transaction.execute(statement)


def case_collation(available: Sequence[str]) -> str:
    """The collation under which lower() and upper() know all of Unicode, of those that the server has.

    Raises DatabaseError when it has none."""
    for name in _COLLATIONS:
        if name in available:
            return name
    others = sorted(name for name in available if name.lower().endswith((".utf8", ".utf-8")))
    if not others:
        raise DatabaseError(
            "The PostgreSQL server has no UTF-8 locale, so that it cannot lower or upper text.",
            hint="Install one on the server (C.UTF-8 is enough) and run pg_import_system_collations.",
        )
    return others[0]


def function_statements(collation: str) -> tuple[str, ...]:
    """The statements, to be run in one transaction by the owner of the namespace `crosstie`; repeatable."""
    quoted = '"' + collation.replace('"', '""') + '"'
    statements = [
        _function("lower", "value text", "text", f"lower(value COLLATE {quoted})"),
        _function("upper", "value text", "text", f"upper(value COLLATE {quoted})"),
        _function("divide", "one numeric, other numeric", "numeric", _DIVIDE),
        _function("first_instant", "wall timestamp, zone text", "timestamptz", _FIRST_INSTANT),
    ]
    for name, sql_type in _SQL_TYPES.items():
        form = FORMS[name]
        guard = f"value ~ '{form}'"
        if name == "integer":
            # Nineteen digits can still be too many for a bigint.
            guard = f"CASE WHEN {guard} THEN CAST(value AS numeric) BETWEEN {-(2**63)} AND {2**63 - 1} ELSE false END"
        if name == "float":
            guard = f"CASE WHEN {guard} THEN abs(CAST(value AS numeric)) < 1e308 ELSE false END"
        read = f"CAST(value AS {sql_type})"
        # A cast that cannot succeed is the way to raise an error from an expression; the server names the text.
        refuse = f"CAST('“' || value || '” cannot be read as {name}' AS {sql_type})"
        statements.append(
            _function(f"to_{name}", "value text", sql_type, f"CASE WHEN {guard} THEN {read} ELSE {refuse} END")
        )
        statements.append(_function(f"try_{name}", "value text", sql_type, f"CASE WHEN {guard} THEN {read} END"))
    return tuple(statements)


def _function(name: str, parameters: str, returns: str, body: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION crosstie.{name}({parameters}) RETURNS {returns} "
        f"LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $body$ SELECT {body} $body$"
    )


# Exactly rounded to DIVISION_SCALE decimals, half away from zero; by zero it is null. The server's own quotient is
# rounded before it could be rounded to our scale.
_DIVIDE = "sign(one) * sign(other) * div(abs(one) * 2000000 + abs(other), NULLIF(abs(other) * 2, 0)) * 0.000001"

# PostgreSQL reads a repeated hour as its second occurrence; the first is an hour (on Lord Howe half an hour) before.
_FIRST_INSTANT = (
    "CASE"
    " WHEN ((wall AT TIME ZONE zone) - interval '1 hour') AT TIME ZONE zone = wall"
    " THEN (wall AT TIME ZONE zone) - interval '1 hour'"
    " WHEN ((wall AT TIME ZONE zone) - interval '30 minutes') AT TIME ZONE zone = wall"
    " THEN (wall AT TIME ZONE zone) - interval '30 minutes'"
    " ELSE wall AT TIME ZONE zone END"
)
