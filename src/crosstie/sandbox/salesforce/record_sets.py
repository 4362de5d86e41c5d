"""Many rows written together: the checks of `records`, with a statement for a set of rows instead of one for each.

What a row may do, and in which words it is refused, is decided by the functions of `records` and `values`; a set in
which one row's fate hangs on another's goes through `Records` row by row.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from crosstie.sandbox.salesforce.catalog import Field, SObject
from crosstie.sandbox.salesforce.errors import ApiError, not_found
from crosstie.sandbox.salesforce.ids import make_ids, to_18
from crosstie.sandbox.salesforce.org import Org
from crosstie.sandbox.salesforce.record_rows import BLANK, Cells, Outcome, RecordRows, folded, missing_id, refused_cells
from crosstie.sandbox.salesforce.records import Records, Writer, check_allowed, is_required, take_numbers
from crosstie.sandbox.salesforce.relations import has_bound_children
from crosstie.sandbox.salesforce.row_errors import (
    duplicate_id,
    duplicate_key,
    duplicate_value,
    entity_deleted,
    lead_converted,
    required_missing,
    row_locked,
    row_refusal,
    several_records,
)
from crosstie.sandbox.salesforce.row_ids import changed_id, doubled_ids, record_id_of, row_id
from crosstie.sandbox.salesforce.row_statements import insert_rows, json_list, update_rows
from crosstie.sandbox.salesforce.schema import quoted
from crosstie.sandbox.salesforce.visibility import count_change


class RecordSets:
    """Writes of sets. Every method expects a write transaction and returns the outcomes in row order."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records
        self._rows = RecordRows(records)

    def _one_by_one(self, sobject: SObject, writer: Writer) -> bool:
        """Whether each row must be looked at by itself: it becomes visible later, or may be a duplicate."""
        return bool(writer.late) or (writer.duplicates is not None and bool(self._org.rules.of_duplicates(sobject)))

    def insert(
        self, connection: sqlite3.Connection, sobject: SObject, cells: list[Cells], count: int, writer: Writer
    ) -> list[Outcome]:
        """Creates `count` records."""
        if self._one_by_one(sobject, writer):
            return self._rows.insert(connection, sobject, cells, count, writer)
        try:
            check_allowed(sobject, "insert")
        except ApiError as error:
            return [Outcome(None, error=error)] * count
        refused = refused_cells(cells, inserting=True)
        self._require_values(sobject, cells, count, refused)
        cells = _owned(sobject, cells, count, self._org.rules.owner(sobject, writer.assignment))
        twins = self._check_unique(connection, sobject, cells, count, refused)
        rows = [row for row in range(count) if row not in refused and row not in twins]
        ids: dict[int, str] = {}
        if rows:
            first = take_numbers(connection, sobject, len(rows))
            made = make_ids(sobject.key_prefix or "a0z", first, len(rows))
            insert_rows(connection, sobject, made, [one.at(rows) for one in cells], writer, self._org.now_stamp())
            ids = dict(zip(rows, made, strict=True))
        refused |= {row: duplicate_value(item, ids[other]) for row, (item, other) in twins.items()}
        return [
            Outcome(None, error=refused[row]) if row in refused else Outcome(ids[row], created=True)
            for row in range(count)
        ]

    def update(
        self, connection: sqlite3.Connection, sobject: SObject, given: list[str], cells: list[Cells], writer: Writer
    ) -> list[Outcome]:
        """Changes the records with the ids `given` as they were sent."""
        doubled = doubled_ids(given) if self._org.switches.duplicate_ids_refused else frozenset()
        if not doubled:
            return self._update(connection, sobject, given, cells, writer)
        complete = [to_18(one) for one in given]
        rows = [row for row, record_id in enumerate(complete) if record_id not in doubled]
        results = self._update(
            connection, sobject, [given[row] for row in rows], [one.at(rows) for one in cells], writer
        )
        outcomes = dict(zip(rows, results, strict=True))
        return [
            outcomes[row] if row in outcomes else Outcome(record_id, error=duplicate_id(str(record_id)))
            for row, record_id in enumerate(complete)
        ]

    def _update(
        self, connection: sqlite3.Connection, sobject: SObject, given: list[str], cells: list[Cells], writer: Writer
    ) -> list[Outcome]:
        ids, refused = _complete_ids(given, lambda text: changed_id(sobject, text), "update")
        known = [record_id for record_id in ids if record_id is not None]
        unique = any(one.field.unique for one in cells)
        if (
            self._one_by_one(sobject, writer)
            or len(set(known)) < len(known)
            or (unique and self._clash(connection, sobject, cells, ids))
        ):
            return self._rows.update(connection, sobject, given, cells, writer)
        self._check_living(connection, sobject, ids, refused, "update")
        return self._change(connection, sobject, ids, refused, cells, writer)

    def _change(
        self,
        connection: sqlite3.Connection,
        sobject: SObject,
        ids: Sequence[str | None],
        refused: dict[int, ApiError],
        cells: list[Cells],
        writer: Writer,
    ) -> list[Outcome]:
        """Changes records that are there, except those whose rows are refused already."""
        for row, error in refused_cells(cells, inserting=False).items():
            refused.setdefault(row, error)
        for one in cells:
            if is_required(one.field):
                for row, value in enumerate(one.values):
                    if value is None:
                        refused.setdefault(row, required_missing([one.field.name]))
        cells = _owned(sobject, cells, len(ids), self._records.owner_by_change(sobject, writer))
        rows = [row for row in range(len(ids)) if row not in refused]
        if rows:
            living = [str(ids[row]) for row in rows]
            update_rows(connection, sobject, living, [one.at(rows) for one in cells], writer, self._org.now_stamp())
        return [Outcome(ids[row], error=refused.get(row)) for row in range(len(ids))]

    def upsert(
        self,
        connection: sqlite3.Connection,
        sobject: SObject,
        key: Field,
        given: list[str],
        cells: list[Cells],
        keys: Cells | None,
        writer: Writer,
    ) -> list[Outcome]:
        """Creates or changes the records that have the keys `given` as they were sent.

        `keys` are their stored form; None when the key is the id, without which a row makes a record.
        """
        outcomes: dict[int, Outcome] = {}
        code = self._org.switches.duplicate_key_code
        same = folded(key, given)
        times = Counter(same)
        doubled = doubled_ids(given) if key.type == "id" and self._org.switches.duplicate_ids_refused else frozenset()
        for row, text in enumerate(given):
            if not text and key.type != "id":
                error = ApiError(400, "MISSING_ARGUMENT", f"{key.name} not specified", [])
                outcomes[row] = Outcome(None, error=error)
            elif to_18(text) in doubled:
                outcomes[row] = Outcome(None, error=duplicate_id(text))
            elif key.type != "id" and times[same[row]] > 1:
                outcomes[row] = Outcome(None, error=duplicate_key(key, text, code))
        if self._one_by_one(sobject, writer) or any(one.field.unique for one in cells):
            rows = [row for row in range(len(given)) if row not in outcomes]
            texts, columns = [given[row] for row in rows], [one.at(rows) for one in cells]
            results = self._rows.upsert(connection, sobject, key, texts, columns, writer)
            outcomes |= dict(zip(rows, results, strict=True))
            return [outcomes[row] for row in range(len(given))]
        self._upsert_rows(connection, sobject, key, given, cells, keys, writer, outcomes)
        return [outcomes[row] for row in range(len(given))]

    def delete(
        self, connection: sqlite3.Connection, sobject: SObject, given: list[str], writer: Writer, *, hard: bool
    ) -> list[Outcome]:
        """Moves records into the recycle bin; deletes them for good if `hard`."""
        if writer.late or (self._org.switches.children_bound and has_bound_children(sobject)):
            return self._rows.delete(connection, sobject, given, writer, hard=hard)
        ids, refused = _complete_ids(given, row_id, "delete")
        self._check_living(connection, sobject, ids, refused, "delete")
        seen: set[str] = set()
        for row, record_id in enumerate(ids):
            if row not in refused and record_id in seen:
                gone = row_refusal(not_found()) if hard and not self._org.switches.purged_as_deleted else None
                refused[row] = gone or entity_deleted()
            seen.add(str(record_id))
        living = [str(record_id) for row, record_id in enumerate(ids) if row not in refused]
        if living:
            now = self._org.now_stamp()
            table = quoted(sobject.table)
            log = ((sobject.name, record_id, now) for record_id in living)
            connection.executemany("INSERT OR REPLACE INTO sandbox_delete_log VALUES (?, ?, ?)", log)
            if hard:
                connection.executemany(f"DELETE FROM {table} WHERE Id = ?", ((one,) for one in living))
            else:
                statement = f"UPDATE {table} SET IsDeleted = 1, SystemModstamp = ? WHERE Id = ?"
                connection.executemany(statement, ((now, one) for one in living))
            count_change(connection)
        return [Outcome(ids[row], error=refused.get(row)) for row in range(len(ids))]

    def _upsert_rows(
        self,
        connection: sqlite3.Connection,
        sobject: SObject,
        key: Field,
        given: list[str],
        cells: list[Cells],
        keys: Cells | None,
        writer: Writer,
        outcomes: dict[int, Outcome],
    ) -> None:
        open_rows = [row for row in range(len(given)) if row not in outcomes]
        found: dict[int, list[str]] = {}
        for row in open_rows:
            if key.type == "id" and given[row]:
                try:
                    found[row] = [record_id_of(given[row])]
                except ApiError as error:
                    outcomes[row] = Outcome(None, error=row_refusal(error))
        if key.type != "id":
            found = self._find(connection, sobject, key, {row: given[row] for row in open_rows})
        for row, several in found.items():
            if len(several) > 1:
                outcomes[row] = Outcome(None, error=several_records(key, several))
        changed = [row for row in open_rows if row in found and row not in outcomes]
        made = [row for row in open_rows if row not in found and row not in outcomes]
        if changed:
            ids: list[str | None] = [found[row][0] for row in changed]
            refused: dict[int, ApiError] = {}
            if key.type == "id":
                self._check_living(connection, sobject, ids, refused, "update")
            else:
                self._check_open(sobject, ids, refused, "update")
            results = [
                Outcome(None if one.error else one.record_id, error=one.error)
                for one in self._change(connection, sobject, ids, refused, [one.at(changed) for one in cells], writer)
            ]
            outcomes |= dict(zip(changed, results, strict=True))
        if made:
            columns = [one.at(made) for one in (cells if keys is None else [*cells, keys])]
            results = self.insert(connection, sobject, columns, len(made), writer)
            outcomes |= dict(zip(made, results, strict=True))

    def _check_living(
        self,
        connection: sqlite3.Connection,
        sobject: SObject,
        ids: Sequence[str | None],
        refused: dict[int, ApiError],
        operation: str,
    ) -> None:
        """Refuses rows whose record is not there or must stay as it is."""
        deleted = "t.IsDeleted" if sobject.field("IsDeleted") else "0"
        converted = "t.IsConverted" if sobject.field("IsConverted") else "0"
        there = {
            row: (gone, closed)
            for row, gone, closed in connection.execute(
                f"SELECT j.key, {deleted}, {converted} FROM json_each(?) AS j CROSS JOIN {quoted(sobject.table)} AS t"
                " ON t.Id = j.value",
                (json_list(list(ids)),),
            )
        }
        for row, record_id in enumerate(ids):
            if record_id is None:
                continue
            if row not in there:
                refused[row] = row_refusal(self._records.missing(connection, sobject, record_id))
            elif there[row][0]:
                refused[row] = entity_deleted()
            elif there[row][1] and operation == "update":
                refused[row] = lead_converted()
        self._check_open(sobject, ids, refused, operation)

    def _check_open(
        self, sobject: SObject, ids: Sequence[str | None], refused: dict[int, ApiError], operation: str
    ) -> None:
        """Refuses rows of an object that stays as it is, and those whose record another transaction holds."""
        try:
            check_allowed(sobject, operation)
        except ApiError as error:
            for row in range(len(ids)):
                refused.setdefault(row, error)
        if self._org.locked:
            for row, record_id in enumerate(ids):
                if record_id in self._org.locked:
                    refused.setdefault(row, row_locked(str(record_id)))

    def _find(
        self, connection: sqlite3.Connection, sobject: SObject, key: Field, wanted: dict[int, Any]
    ) -> dict[int, list[str]]:
        """`Records.find` of many values, by row."""
        rows = list(wanted)
        collation = "" if key.case_sensitive else " COLLATE NOCASE"
        alive = " AND t.IsDeleted = 0" if sobject.field("IsDeleted") else ""
        found: dict[int, list[str]] = {}
        for place, record_id in connection.execute(
            f"SELECT j.key, t.Id FROM json_each(?) AS j CROSS JOIN {quoted(sobject.table)} AS t"
            f" ON t.{quoted(key.name)} = j.value{collation}{alive} ORDER BY j.key, t.Id",
            (json_list([wanted[row] for row in rows]),),
        ):
            found.setdefault(rows[place], []).append(record_id)
        return found

    def _require_values(self, sobject: SObject, cells: list[Cells], count: int, refused: dict[int, ApiError]) -> None:
        """Refuses rows to insert that lack a value; all that is missing in one error."""
        given = {one.field.name: one.values for one in cells}
        missing: dict[int, list[str]] = {}
        for item in filter(is_required, sobject.fields.values()):
            values = given.get(item.name)
            if values is not None and None not in values and BLANK not in values:
                continue
            for row in range(count):
                if values is None or values[row] is None or values[row] is BLANK:
                    missing.setdefault(row, []).append(item.name)
        for row, names in missing.items():
            refused.setdefault(row, required_missing(names))

    def _check_unique(
        self,
        connection: sqlite3.Connection,
        sobject: SObject,
        cells: list[Cells],
        count: int,
        refused: dict[int, ApiError],
    ) -> dict[int, tuple[Field, int]]:
        """Refuses rows to insert whose value another record has; returns those whose value an earlier row has."""
        twins: dict[int, tuple[Field, int]] = {}
        for one in cells:
            if not one.field.unique:
                continue
            wanted = {
                row: one.values[row]
                for row in range(count)
                if row not in refused and one.values[row] is not None and one.values[row] is not BLANK
            }
            for row, ids in self._find(connection, sobject, one.field, wanted).items():
                refused[row] = duplicate_value(one.field, ids[0])
            same = folded(one.field, list(wanted.values()))
            if len(set(same)) == len(same):
                continue
            first: dict[str, int] = {}
            for row, value in zip(wanted, same, strict=True):
                other = first.setdefault(value, row) if row not in refused else row
                if other != row:
                    twins.setdefault(row, (one.field, other))
        return twins

    def _clash(
        self, connection: sqlite3.Connection, sobject: SObject, cells: list[Cells], ids: list[str | None]
    ) -> bool:
        """Whether an update sets a unique value that another record or row has, or may have had until then."""
        for one in cells:
            if not one.field.unique:
                continue
            wanted = {row: value for row, value in enumerate(one.values) if value is not None and value is not BLANK}
            if len(set(folded(one.field, list(wanted.values())))) < len(wanted):
                return True
            found = self._find(connection, sobject, one.field, wanted)
            if any(record_id != ids[row] for row, others in found.items() for record_id in others):
                return True
        return False


def _owned(sobject: SObject, cells: list[Cells], count: int, owner: str | None) -> list[Cells]:
    """The cells with the owner whom an assignment rule gives the records to, if any."""
    item = sobject.field("OwnerId")
    if owner is None or item is None:
        return cells
    return [*(one for one in cells if one.field.name != item.name), Cells(field=item, values=[owner] * count)]


def _complete_ids(
    given: list[str], read: Callable[[str], str], operation: str
) -> tuple[list[str | None], dict[int, ApiError]]:
    """The complete ids of rows, None for what is none, and the errors of those."""
    ids: list[str | None] = []
    refused: dict[int, ApiError] = {}
    for row, text in enumerate(given):
        try:
            ids.append(read(text) if text else None)
        except ApiError as error:
            ids.append(None)
            refused[row] = error
        if not text:
            refused[row] = missing_id(operation)
    return ids, refused
