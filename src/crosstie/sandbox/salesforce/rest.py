"""Single records over REST: read, create, change, upsert and delete, with conditional headers.

Sources: "sObject Rows", "sObject Rows by External ID", "Conditional Request Headers", REST API guide.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce import soql
from crosstie.sandbox.salesforce.catalog import Field, SObject
from crosstie.sandbox.salesforce.conditions import State, check_read, check_write
from crosstie.sandbox.salesforce.duplicates import DuplicateOptions
from crosstie.sandbox.salesforce.errors import ApiError, json_response, not_found
from crosstie.sandbox.salesforce.org import Call, Org
from crosstie.sandbox.salesforce.recent import Recent
from crosstie.sandbox.salesforce.records import Records, SeveralRecords, Writer
from crosstie.sandbox.salesforce.row_errors import row_refusal
from crosstie.sandbox.salesforce.row_ids import record_id_of
from crosstie.sandbox.salesforce.rules import ACTIVE

UPSERT_BODY_SINCE = 46.0


class Rest:
    """The row resources of one org."""

    def __init__(self, org: Org, records: Records, recent: Recent) -> None:
        self._org = org
        self._records = records
        self._recent = recent

    def create(self, call: Call) -> Response:
        """POST BASE/sobjects/X."""
        sobject = self._org.sobject(call.args["object"])
        record_id = self._records.insert(sobject, given_record(call), self._writer(call))
        self._recent.use(call, sobject, record_id)
        return _created(call, sobject, record_id, {"id": record_id, "success": True, "errors": []})

    def read(self, call: Call) -> Response:
        """GET BASE/sobjects/X/{id}?fields=."""
        sobject = self._org.sobject(call.args["object"])
        return self._answer_record(call, sobject, record_id_of(call.args["id"]))

    def read_by_key(self, call: Call) -> Response:
        """GET BASE/sobjects/X/{field}/{value}: a record by external id, or the content of a base64 field."""
        sobject = self._org.sobject(call.args["object"])
        blob = sobject.field(call.args["value"])
        if blob is not None and blob.type == "base64":
            return self._blob(sobject, record_id_of(call.args["key"]), blob)
        key = _key_field(sobject, call.args["key"])
        with self._org.database.reading() as connection:
            found = self._records.find(connection, sobject, key, call.args["value"])
        if not found:
            raise not_found()
        if len(found) > 1:
            return several(call, sobject, found)
        return self._answer_record(call, sobject, found[0])

    def update(self, call: Call) -> Response:
        """PATCH BASE/sobjects/X/{id}."""
        sobject = self._org.sobject(call.args["object"])
        record_id = record_id_of(call.args["id"])
        given = given_record(call)
        # The check and the change are one transaction, or two clients could both see the old stamp.
        with self._named(), self._org.database.writing() as connection:
            check_write(call, State.of(sobject, self._records.require(connection, sobject, record_id)))
            self._records.update(sobject, record_id, given, self._writer(call))
            now = State.of(sobject, self._records.require(connection, sobject, record_id))
        self._recent.use(call, sobject, record_id)
        return Response(status=204, headers={} if now.tag is None else {"ETag": now.headers["ETag"]})

    def upsert(self, call: Call) -> Response:
        """PATCH BASE/sobjects/X/{field}/{value}?updateOnly=: 201 created, 200 updated (204 before 46.0)."""
        sobject = self._org.sobject(call.args["object"])
        key = _key_field(sobject, call.args["key"])
        update_only = call.request.query.get("updateOnly", "").lower() == "true"
        try:
            record_id, created = self._records.upsert(
                sobject, key, call.args["value"], given_record(call), self._writer(call), update_only=update_only
            )
        except SeveralRecords as error:
            return several(call, sobject, error.ids)
        body = {"id": record_id, "success": True, "errors": [], "created": created}
        if created:
            return _created(call, sobject, record_id, body)
        return Response(status=204) if call.version_number < UPSERT_BODY_SINCE else json_response(body)

    def delete(self, call: Call) -> Response:
        """DELETE BASE/sobjects/X/{id}; conditional headers are not supported here."""
        sobject = self._org.sobject(call.args["object"])
        with self._named():
            self._records.delete(sobject, record_id_of(call.args["id"]), self._writer(call))
        return Response(status=204)

    def delete_by_key(self, call: Call) -> Response:
        """DELETE BASE/sobjects/X/{field}/{value}."""
        sobject = self._org.sobject(call.args["object"])
        key = _key_field(sobject, call.args["key"])
        with self._org.database.writing() as connection:
            found = self._records.find(connection, sobject, key, call.args["value"])
            if not found:
                raise not_found()
            if len(found) > 1:
                return several(call, sobject, found)
            self._records.delete(sobject, found[0], self._writer(call))
        return Response(status=204)

    def record_json(self, call: Call, sobject: SObject, record_id: str, fields: list[str] | None) -> dict[str, Any]:
        """A record as a query gives it, with all fields when none are named."""
        names = fields or [item.name for item in sobject.fields.values()]
        query = f"SELECT {', '.join(names)} FROM {sobject.name} WHERE Id = '{record_id}'"
        with self._org.database.reading() as connection:
            result = soql.run(
                connection,
                self._org.catalog,
                query,
                now=self._org.clock.now(),
                user_zone=self._org.user_zone,
            )
            return result.record_json(next(iter(result.rows())), call.version)

    def _answer_record(self, call: Call, sobject: SObject, record_id: str) -> Response:
        with self._org.database.reading() as connection:
            stored = self._records.require(connection, sobject, record_id)
        state = State.of(sobject, stored)
        if not check_read(call, state):
            return Response(status=304, headers=state.headers)
        asked = call.request.query.get("fields")
        names = [name.strip() for name in asked.split(",") if name.strip()] if asked else None
        if names is not None and "id" not in [name.lower() for name in names]:
            # The platform always adds the id.
            names.append("Id")
        record = self.record_json(call, sobject, record_id, names)
        self._org.counters.rows("record_read", 1)
        return json_response(record, headers=state.headers)

    def _writer(self, call: Call) -> Writer:
        return writer_of(call, self._org)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Tells a client that a record to write is not there in the words of the org's switch."""
        try:
            yield
        except ApiError as error:
            if error.code == "NOT_FOUND" and self._org.switches.missing_id_code != "NOT_FOUND":
                raise row_refusal(error) from error
            raise

    def _blob(self, sobject: SObject, record_id: str, blob: Field) -> Response:
        with self._org.database.reading() as connection:
            stored = self._records.require(connection, sobject, record_id)
        content = stored[blob.name]
        if content is None:
            raise not_found()
        return Response(headers={"Content-Type": "application/octet-stream"}, parts=(bytes(content),))


def decoded_body(call: Call) -> Any:
    """The JSON body."""
    try:
        return msgspec.json.decode(call.request.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, "JSON_PARSER_ERROR", f"{error} at [line:1, column:1]") from error


def given_record(call: Call) -> dict[str, Any]:
    """The JSON body of a call that writes one record."""
    given = decoded_body(call)
    if not isinstance(given, dict):
        raise ApiError(400, "JSON_PARSER_ERROR", "The HTTP entity body is required to be a JSON object.")
    return given


def writer_of(call: Call, org: Org) -> Writer:
    """The user of the call's session, late when the fault plan says so, with what the headers say of the rules."""
    headers = call.request.headers
    said = headers.get("sforce-auto-assign", ACTIVE).strip()
    key = org.switches.duplicate_result_key
    return Writer(
        user_id=call.session.user_id,
        late=call.request.late,
        holds_back="late_unheld" not in call.request.faults,
        assignment=said.upper() if said.lower() in ("true", "false") else said,
        duplicates=DuplicateOptions.read(headers.get("sforce-duplicate-rule-header", ""), base=call.base, key=key),
    )


def several(call: Call, sobject: SObject, ids: list[str]) -> Response:
    """300: the URLs of all records that share an external id."""
    return json_response([f"{call.base}/sobjects/{sobject.name}/{each}" for each in ids], status=300)


def _key_field(sobject: SObject, name: str) -> Field:
    key = sobject.field(name)
    if key is None or not (key.external_id or key.id_lookup):
        raise not_found(f"Provided external ID field does not exist or is not accessible: {name}")
    return key


def _created(call: Call, sobject: SObject, record_id: str, body: dict[str, Any]) -> Response:
    return json_response(body, status=201, headers={"Location": f"{call.base}/sobjects/{sobject.name}/{record_id}"})
