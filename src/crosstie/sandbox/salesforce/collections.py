"""sObject collections: up to 200 rows in one call, each with its own answer.

Source: "sObject Collections", REST API guide.
"""

import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce import soql
from crosstie.sandbox.salesforce.catalog import Field, SObject
from crosstie.sandbox.salesforce.collection_cells import NoSet, read_cells
from crosstie.sandbox.salesforce.errors import ApiError, json_response, not_found
from crosstie.sandbox.salesforce.ids import to_18
from crosstie.sandbox.salesforce.org import Call, Org
from crosstie.sandbox.salesforce.record_rows import Outcome, folded
from crosstie.sandbox.salesforce.record_sets import RecordSets
from crosstie.sandbox.salesforce.records import Records, SeveralRecords, Writer
from crosstie.sandbox.salesforce.rest import decoded_body, writer_of
from crosstie.sandbox.salesforce.row_errors import duplicate_id, duplicate_key, row_locked, row_refusal, several_records
from crosstie.sandbox.salesforce.row_ids import changed_id, doubled_ids, record_id_of, row_id
from crosstie.sandbox.salesforce.schema import quoted
from crosstie.sandbox.salesforce.switches import Switches

MAX_ROWS = 200
MAX_CHUNKS = 10
MAX_RETRIEVED = 2000
Row = dict[str, Any]


class Collections:
    """The collection resources of one org."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records
        self._sets = RecordSets(org, records)

    def create(self, call: Call) -> Response:
        """POST BASE/composite/sobjects."""
        rows, all_or_none = _rows(call)

        def insert_all(connection: sqlite3.Connection, sobject: SObject, writer: Writer) -> list[Outcome]:
            cells = read_cells(connection, self._records, sobject, rows)
            return self._sets.insert(connection, sobject, cells, len(rows), writer)

        done = self._together(call, rows, insert_all, all_or_none=all_or_none)
        if done is not None:
            return done

        def insert(row: Row, writer: Writer) -> Row:
            return {"id": self._records.insert(self._typed(row), row, writer)}

        return self._each(call, rows, insert, all_or_none=all_or_none)

    def update(self, call: Call) -> Response:
        """PATCH BASE/composite/sobjects."""
        rows, all_or_none = _rows(call)

        def change_all(connection: sqlite3.Connection, sobject: SObject, writer: Writer) -> list[Outcome]:
            cells = read_cells(connection, self._records, sobject, rows, without="Id")
            return self._sets.update(connection, sobject, [_text_of(row, "id") for row in rows], cells, writer)

        done = self._together(call, rows, change_all, all_or_none=all_or_none)
        if done is not None:
            return done
        doubled = doubled_ids(_key_value(row, "Id") or "" for row in rows) if self._refuses_doubled() else frozenset()

        def change(row: Row, writer: Writer) -> Row:
            sobject = self._typed(row)
            record_id = next((value for name, value in row.items() if name.lower() == "id"), None)
            if not isinstance(record_id, str):
                raise ApiError(400, "MISSING_ARGUMENT", "Id not specified in an update call", [])
            given = {name: value for name, value in row.items() if name.lower() != "id"}
            complete = changed_id(sobject, record_id)
            if complete in doubled:
                raise duplicate_id(complete)
            self._records.update(sobject, complete, given, writer)
            return {"id": complete}

        return self._each(call, rows, change, all_or_none=all_or_none)

    def upsert(self, call: Call) -> Response:
        """PATCH BASE/composite/sobjects/X/{field}: each row holds its key."""
        sobject = self._org.sobject(call.args["object"])
        key = sobject.field(call.args["key"])
        if key is None or not (key.external_id or key.id_lookup):
            raise not_found(f"Provided external ID field does not exist or is not accessible: {call.args['key']}")
        rows, all_or_none = _rows(call)
        if key.type != "id":
            done = self._put_all(call, sobject, key, rows, all_or_none=all_or_none)
            if done is not None:
                return done
        values = [_key_value(row, key.name) for row in rows]
        same = folded(key, [value or "" for value in values])
        twice = {value for value, alike in zip(values, same, strict=True) if same.count(alike) > 1}
        ids = (value or "" for value in values) if key.type == "id" else ()
        doubled = doubled_ids(ids) if self._refuses_doubled() else frozenset()

        def put(row: Row, writer: Writer) -> Row:
            value = _key_value(row, key.name)
            if value is None:
                raise ApiError(400, "MISSING_ARGUMENT", f"{key.name} not specified", [])
            if to_18(value) in doubled:
                raise duplicate_id(value)
            if key.type != "id" and value in twice:
                raise duplicate_key(key, value, self._org.switches.duplicate_key_code)
            given = {name: each for name, each in row.items() if name.lower() != key.name.lower()}
            try:
                record_id, created = self._records.upsert(sobject, key, value, given, writer, update_only=False)
            except SeveralRecords as error:
                raise several_records(key, error.ids) from error
            return {"id": record_id, "created": created}

        return self._each(call, rows, put, all_or_none=all_or_none)

    def delete(self, call: Call) -> Response:
        """DELETE BASE/composite/sobjects?ids=a,b&allOrNone=."""
        ids = [each for each in call.request.query.get("ids", "").split(",") if each]
        _check_size(len(ids))

        def remove(row: Row, writer: Writer) -> Row:
            record_id = row_id(row["id"])
            sobject = self._of_id(record_id)
            self._records.delete(sobject, record_id, writer)
            return {"id": record_id}

        all_or_none = call.request.query.get("allOrNone", "").lower() == "true"
        return self._each(call, [{"id": each} for each in ids], remove, all_or_none=all_or_none)

    def retrieve(self, call: Call) -> Response:
        """GET or POST BASE/composite/sobjects/X: records in the order of the ids, null for what is not there."""
        sobject = self._org.sobject(call.args["object"])
        if call.request.method == "POST":
            body = decoded_body(call)
            ids, fields = (body.get("ids"), body.get("fields")) if isinstance(body, dict) else (None, None)
        else:
            ids = call.request.query.get("ids", "").split(",")
            fields = call.request.query.get("fields", "").split(",")
        if not isinstance(ids, list) or not isinstance(fields, list) or not all(fields):
            raise ApiError(400, "JSON_PARSER_ERROR", "The request needs ids and fields")
        if len(ids) > MAX_RETRIEVED:
            raise ApiError(400, "EXCEEDED_ID_LIMIT", f"cannot retrieve more than {MAX_RETRIEVED} records")
        complete = [_retrievable(str(each)) for each in ids]
        text = f"SELECT {', '.join(str(name) for name in fields)} FROM {sobject.name}"
        with self._org.database.reading() as connection:
            result = soql.run(
                connection, self._org.catalog, text, now=self._org.clock.now(), user_zone=self._org.user_zone
            )
            rows = result.rows_by_id(_alive(connection, sobject, [one for one in complete if one is not None]))
            records = result.records_json(rows, call.version)
        by_id = {record["attributes"]["url"].rpartition("/")[2]: record for record in records}
        found = [by_id.get(one or "") for one in complete]
        self._org.counters.rows("retrieve", sum(one is not None for one in found))
        return json_response(found)

    def _each(self, call: Call, rows: list[Row], work: Callable[[Row, Writer], Row], *, all_or_none: bool) -> Response:
        """Runs `work` on every row, in order; with allOrNone one failure undoes all."""
        writer = writer_of(call, self._org)
        hold = self._org.switches.collection_seconds
        parents = self._parents(rows) if self._org.switches.parents_contend else [set[str]() for _ in rows]
        with self._org.contention.holding(set[str]().union(*parents)) as taken:
            with self._org.database.writing() as connection:
                connection.execute("SAVEPOINT collection")
                try:
                    answers = [
                        _row_answer(connection, row, work, writer, taken & refers, self._org.switches)
                        for row, refers in zip(rows, parents, strict=True)
                    ]
                except ApiError:
                    connection.execute("ROLLBACK TO collection")
                    connection.execute("RELEASE collection")
                    raise
                if all_or_none and not all(answer["success"] for answer in answers):
                    connection.execute("ROLLBACK TO collection")
                    answers = [_rolled_back(answer) for answer in answers]
                connection.execute("RELEASE collection")
            time.sleep(hold)
        return json_response(answers)

    def _parents(self, rows: list[Row]) -> list[set[str]]:
        """What each row refers to."""
        with self._org.database.reading() as connection:
            kinds = [self._org.catalog.object(_kind(row)) for row in rows]
            return [
                set() if kind is None else self._records.parents(connection, kind, row)
                for kind, row in zip(kinds, rows, strict=True)
            ]

    def _put_all(
        self, call: Call, sobject: SObject, key: Field, rows: list[Row], *, all_or_none: bool
    ) -> Response | None:
        """The answer to an upsert of rows as a set."""
        found = {name: None for row in rows for name in row if name.lower() == key.name.lower()}
        if len(found) != 1 or any(_kind(row) not in ("", sobject.name.lower()) for row in rows):
            return None
        (name,) = found
        # The key's column is read like any other, for the records that are made with it.
        keyed = [{name: _key_value(row, name)} for row in rows]

        def put(connection: sqlite3.Connection, _: SObject, writer: Writer) -> list[Outcome]:
            cells = read_cells(connection, self._records, sobject, rows, without=name)
            (keys,) = read_cells(connection, self._records, sobject, keyed)
            given = [_key_value(row, name) or "" for row in rows]
            return self._sets.upsert(connection, sobject, key, given, cells, keys, writer)

        typed = [row | {"attributes": {"type": sobject.name}} for row in rows]
        return self._together(call, typed, put, all_or_none=all_or_none, tells_created=True)

    def _together(
        self,
        call: Call,
        rows: list[Row],
        work: Callable[[sqlite3.Connection, SObject, Writer], list[Outcome]],
        *,
        all_or_none: bool,
        tells_created: bool = False,
    ) -> Response | None:
        """The answer to rows of one object that are written as a set; None for rows that must go one by one."""
        kinds = {_kind(row) for row in rows}
        sobject = self._org.catalog.object(next(iter(kinds))) if len(kinds) == 1 else None
        if sobject is None or self._org.switches.parents_contend:
            return None
        with self._org.database.writing() as connection:
            connection.execute("SAVEPOINT collection")
            try:
                outcomes = work(connection, sobject, writer_of(call, self._org))
            except (ApiError, NoSet) as error:
                connection.execute("ROLLBACK TO collection")
                connection.execute("RELEASE collection")
                if isinstance(error, NoSet):
                    return None
                raise
            answers = [_outcome_answer(one, tells_created=tells_created) for one in outcomes]
            if all_or_none and not all(answer["success"] for answer in answers):
                connection.execute("ROLLBACK TO collection")
                answers = [_rolled_back(answer) for answer in answers]
            connection.execute("RELEASE collection")
        time.sleep(self._org.switches.collection_seconds)
        return json_response(answers)

    def _refuses_doubled(self) -> bool:
        return self._org.switches.duplicate_ids_refused

    def _typed(self, row: Row) -> SObject:
        attributes = row.get("attributes")
        name = attributes.get("type") if isinstance(attributes, dict) else None
        if not isinstance(name, str):
            raise ApiError(400, "INVALID_INPUT", "Each record must have attributes with a type", [])
        found = self._org.catalog.object(name)
        if found is None:
            raise ApiError(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.", [])
        return found

    def _of_id(self, record_id: str) -> SObject:
        for sobject in self._org.catalog.objects.values():
            if sobject.key_prefix == record_id[:3]:
                return sobject
        raise ApiError(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])


def _row_answer(
    connection: sqlite3.Connection,
    row: Row,
    work: Callable[[Row, Writer], Row],
    writer: Writer,
    held: frozenset[str],
    switches: Switches,
) -> dict[str, Any]:
    """The answer for a row; `held` are those of its parents that another request holds.

    Raises ApiError for a row that can't even be read, which fails the call.
    """
    connection.execute("SAVEPOINT row")
    try:
        if held:
            raise row_locked(min(held))
        done = work(row, writer)
        answer: dict[str, Any] = {"id": done["id"], "success": True, "errors": []}
        if "created" in done:
            answer["created"] = done["created"]
    except ApiError as error:
        if error.code == "JSON_PARSER_ERROR" or (switches.unknown_field_fails_call and error.unread):
            raise
        connection.execute("ROLLBACK TO row")
        answer = {"success": False, "errors": [row_refusal(error).row_entry()]}
    connection.execute("RELEASE row")
    return answer


def _outcome_answer(outcome: Outcome, *, tells_created: bool) -> dict[str, Any]:
    if outcome.error is not None:
        return {"success": False, "errors": [outcome.error.row_entry()]}
    answer: dict[str, Any] = {"id": outcome.record_id, "success": True, "errors": []}
    return answer | {"created": outcome.created} if tells_created else answer


def _text_of(row: Row, name: str) -> str:
    """The text that a row has under a name in any case; empty when it has none."""
    value = next((each for key, each in row.items() if key.lower() == name), None)
    return value if isinstance(value, str) else ""


def _rolled_back(answer: dict[str, Any]) -> dict[str, Any]:
    if not answer["success"]:
        return answer
    error = ApiError(
        400,
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "Record rolled back because not all records were valid and the request was using AllOrNone header",
    )
    return {"success": False, "errors": [error.row_entry()]}


def _rows(call: Call) -> tuple[list[Row], bool]:
    body = decoded_body(call)
    rows = body.get("records") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ApiError(400, "JSON_PARSER_ERROR", "The request body must have a list of records")
    _check_size(len(rows))
    kinds = [_kind(row) for row in rows]
    chunks = sum(kind != before for kind, before in zip(kinds, [None, *kinds], strict=False))
    if chunks > MAX_CHUNKS:
        raise ApiError(
            400, "INVALID_INPUT", f"operation would need {chunks} chunks; the most is {MAX_CHUNKS}: sort by type"
        )
    return rows, bool(body.get("allOrNone", False))


def _kind(row: Row) -> str:
    attributes = row.get("attributes")
    return str(attributes.get("type")).lower() if isinstance(attributes, dict) else ""


def _alive(connection: sqlite3.Connection, sobject: SObject, ids: list[str]) -> list[str]:
    """Those that are not in the recycle bin."""
    if sobject.field("IsDeleted") is None:
        return ids
    deleted = f"SELECT Id FROM {quoted(sobject.table)} WHERE IsDeleted = 1 AND Id IN (SELECT value FROM json_each(?))"
    gone = {row[0] for row in connection.execute(deleted, (json.dumps(ids),))}
    return [one for one in ids if one not in gone]


def _retrievable(text: str) -> str | None:
    """The whole id; None for what is no id at all. Raises MALFORMED_ID for an id that is spoilt."""
    try:
        return record_id_of(text)
    except ApiError as error:
        if error.code == "NOT_FOUND":
            return None
        raise


def _check_size(count: int) -> None:
    if count > MAX_ROWS:
        raise ApiError(
            400,
            "EXCEEDED_ID_LIMIT",
            f"record limit reached. cannot submit more than {MAX_ROWS} records into this call",
        )


def _key_value(row: Row, name: str) -> str | None:
    value = next((each for key, each in row.items() if key.lower() == name.lower()), None)
    return None if value is None or value == "" else str(value)
