"""The statements that write sets of checked rows: columns given, derived and stamped by the platform."""

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from crosstie.sandbox.salesforce.catalog import SObject
from crosstie.sandbox.salesforce.derived import DERIVATIONS, Derivation
from crosstie.sandbox.salesforce.ids import number_of
from crosstie.sandbox.salesforce.record_rows import BLANK, Cells
from crosstie.sandbox.salesforce.records import Writer, defaults
from crosstie.sandbox.salesforce.schema import quoted
from crosstie.sandbox.salesforce.visibility import count_change

_BLANK_SQL = f"x'{BLANK.hex()}'"


def insert_rows(
    connection: sqlite3.Connection, sobject: SObject, ids: list[str], cells: list[Cells], writer: Writer, now: str
) -> None:
    """Writes new records."""
    base = defaults(sobject, ids[0], now, writer)
    columns: dict[str, list[Any]] = {"Id": ids}
    for name, value in base.items():
        if sobject.fields[name.lower()].auto_number:
            columns[name] = [f"{number_of(record_id):08d}" for record_id in ids]
        else:
            columns[name] = [value] * len(ids)
    for one in cells:
        if one.field.name == "Id":
            # Nobody gives a new record its id: what is left here are blanks.
            continue
        default = base.get(one.field.name)
        columns[one.field.name] = [default if value is BLANK else value for value in one.values]
    derivation = DERIVATIONS.get(sobject.name)
    if derivation is not None:
        columns |= _derived(derivation, ids, columns)
    marks = ", ".join("?" * len(columns))
    connection.executemany(
        f"INSERT INTO {quoted(sobject.table)} ({', '.join(map(quoted, columns))}) VALUES ({marks})",
        zip(*columns.values(), strict=True),
    )
    count_change(connection)


def update_rows(
    connection: sqlite3.Connection, sobject: SObject, ids: list[str], cells: list[Cells], writer: Writer, now: str
) -> None:
    """Writes the given fields of records, what follows from them, and the stamps."""
    columns: dict[str, list[Any]] = {one.field.name: one.values for one in cells}
    derivation = DERIVATIONS.get(sobject.name)
    given = [] if derivation is None else [name for name in derivation.needs if name in columns]
    at_once = (
        derivation is not None and given == list(derivation.needs) and not any(BLANK in columns[name] for name in given)
    )
    if derivation is not None and at_once:
        columns |= _derived(derivation, ids, columns)
    stamps = {"SystemModstamp": now, "LastModifiedDate": now, "LastModifiedById": writer.user_id}
    columns |= {name: [value] * len(ids) for name, value in stamps.items() if sobject.field(name)}
    _set_columns(connection, sobject, ids, columns)
    if derivation is not None and given and not at_once:
        needs = ", ".join(map(quoted, derivation.needs))
        stored = connection.execute(
            f"SELECT Id, {needs} FROM {quoted(sobject.table)} WHERE Id IN (SELECT value FROM json_each(?))",
            (json_list(ids),),
        ).fetchall()
        keys, *values = map(list, zip(*stored, strict=True))
        now_stored = dict(zip(derivation.needs, values, strict=True))
        _set_columns(connection, sobject, keys, _derived(derivation, keys, now_stored))
    count_change(connection)


def _derived(derivation: Derivation, ids: list[str], columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The derived columns of some records."""
    nothing = [None] * len(ids)
    compute, names = derivation.compute, derivation.needs
    needs = zip(*(columns.get(name, nothing) for name in names), strict=True)
    rows = [
        compute(record_id, dict(zip(names, values, strict=True))) for record_id, values in zip(ids, needs, strict=True)
    ]
    return {name: [row[name] for row in rows] for name in rows[0]}


def _set_columns(
    connection: sqlite3.Connection, sobject: SObject, ids: list[str], columns: Mapping[str, list[Any]]
) -> None:
    """Writes columns of records; a BLANK leaves what is there."""
    assignments = []
    for place, (name, values) in enumerate(columns.items(), 1):
        kept = f"CASE WHEN ?{place} IS {_BLANK_SQL} THEN {quoted(name)} ELSE ?{place} END"
        assignments.append(f"{quoted(name)} = {kept if BLANK in values else f'?{place}'}")
    connection.executemany(
        f"UPDATE {quoted(sobject.table)} SET {', '.join(assignments)} WHERE Id = ?{len(columns) + 1}",
        zip(*columns.values(), ids, strict=True),
    )


def json_list(values: list[Any]) -> str:
    """Values for json_each."""
    return msgspec.json.encode(values).decode()
