"""Seeded values in SQL: every column of a generated record is a function of the record's number `n`, so that the same
size gives the same data on every machine, a million records in well under a minute."""

import re
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from crosstie.sandbox import seeds
from crosstie.sandbox.clock import FIRST_INSTANT

FIRST_DAY = datetime(2019, 11, 1, tzinfo=UTC)
"""Stamps spread over the years from here to half a day before the clock's first instant."""
SPAN_SECONDS = int((FIRST_INSTANT - timedelta(hours=12) - FIRST_DAY).total_seconds())

SeedTable = tuple[str, list[tuple[object, ...]]]
"""Columns (as SQL lists them) and rows of a small table that records take values from."""

SEEDS: dict[str, SeedTable] = {
    "place": ("street, city, state, zip, country", [tuple(row) for row in seeds.CITIES]),
    "firm": ("name", [(name,) for name in seeds.FIRMS]),
    "title": ("name", [(name,) for name in seeds.TITLES]),
    "department": ("name", [(name,) for name in seeds.DEPARTMENTS]),
    "prose": ("body", [(text,) for text in seeds.TEXTS]),
    "domain": ("name", [(name,) for name in seeds.DOMAINS]),
    "person": (
        "salutation, first, last, slug",
        [
            (salutation, first, last, f"{first_slug}.{last_slug}")
            for salutation, firsts, lasts in seeds.PEOPLE
            for first, first_slug in firsts
            for last, last_slug in lasts
        ],
    ),
}


def create_seed_tables(connection: sqlite3.Connection, tables: Mapping[str, SeedTable]) -> None:
    """Makes the tables in `temp`, row k having rowid k + 1."""
    for table, (columns, rows) in tables.items():
        marks = ", ".join("?" * len(rows[0]))
        connection.execute(f"CREATE TEMP TABLE {table} ({columns})")
        connection.executemany(f"INSERT INTO temp.{table} VALUES ({marks})", rows)


def pick(table: str, column: str, salt: int) -> str:
    """SQL: the column of a row of a seed table, chosen by the record's number and `salt`; `joins` finds the row."""
    return f"{table}_{salt}.{column}"


def joins(columns: str, tables: Mapping[str, SeedTable]) -> str:
    """The joins to the rows that `columns` name; each row is looked up once, however many columns it gives."""
    picked = sorted(set(re.findall(r"\b([a-z]+)_(\d+)\.", columns)))
    return " ".join(
        f"CROSS JOIN temp.{table} AS {table}_{salt}"
        f" ON {table}_{salt}.rowid = {scattered(int(salt), len(tables[table][1]))} + 1"
        for table, salt in picked
    )


def scattered(salt: int, below: int) -> str:
    """SQL: a number from 0 to below - 1, scattered by Knuth's multiplicative hash, another for each `salt`."""
    multiplier = (2654435761 * (2 * salt + 1)) & 0xFFFFFFFF
    # The low bits of such a hash repeat soon; where the range leaves room they are dropped.
    shift = 7 if below < 1 << 20 else 2
    return f"(((((n * {multiplier} + {salt * 40503}) & 4294967295) * 2246822519 & 4294967295) >> {shift}) % {below})"


def one_of(values: Iterable[str | int | None], salt: int) -> str:
    """SQL: one of some values, texts, numbers or null."""
    listed = list(values)
    cases = " ".join(f"WHEN {k} THEN {_literal(value)}" for k, value in enumerate(listed))
    return f"CASE {scattered(salt, len(listed))} {cases} END"


def _literal(value: str | int | None) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def numbered(count: int) -> str:
    """SQL: the start of a WITH clause whose `dated` has the numbers 1 to `count` as `n`, with `m` (modified) and `c`
    (created) in seconds of the epoch. About every third record belongs to a load in which thousands share a second."""
    first = int(FIRST_DAY.timestamp())
    cluster = min(max(count // 8, 2), 5000)
    loaded = f"(n / {cluster} * 2654435761 & 4294967295) % 3 = 0"
    block = f"((n / {cluster} + 1) * 2246822519 & 4294967295) % {SPAN_SECONDS}"
    return f"""
        WITH RECURSIVE number(n) AS (SELECT 1 WHERE {count} > 0 UNION ALL SELECT n + 1 FROM number WHERE n < {count}),
        stamped(n, m) AS (
            SELECT n, {first} + CASE WHEN {loaded} THEN {block} ELSE {scattered(1, SPAN_SECONDS)} END FROM number
        ),
        dated(n, m, c) AS (SELECT n, m, max({first}, m - {scattered(2, 31536000)}) FROM stamped)
        """


def mail_address(salt: int, firms: int) -> str:
    """SQL: most people have an address of their own, some share one, some have none; some are in capitals."""
    own = f"{pick('person', 'slug', salt)} || '.' || n || '@' || {pick('domain', 'name', 83)}"
    return (
        f"CASE WHEN n % 29 = 11 THEN NULL WHEN n % 37 = 5 THEN 'info@firm' || {scattered(7, firms)} || '.example'"
        f" WHEN n % 41 = 7 THEN upper({own}) ELSE {own} END"
    )
