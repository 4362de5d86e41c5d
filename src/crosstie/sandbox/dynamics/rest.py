"""Single records over HTTP.

Sources: Dataverse Web API guide, "Create a table row", "Retrieve a table row", "Update and delete table rows",
"Perform conditional operations", "Associate and disassociate table rows".
"""

from dataclasses import replace
from typing import Any

from crosstie.sandbox.dynamics.addresses import find, missing, read_address, read_key, required
from crosstie.sandbox.dynamics.conditions import check_version, current_etag, if_match, if_none_match
from crosstie.sandbox.dynamics.errors import ApiError, json_response, no_segment
from crosstie.sandbox.dynamics.odata.options import read_options
from crosstie.sandbox.dynamics.odata.reading import Reader
from crosstie.sandbox.dynamics.odata.syntax import Options
from crosstie.sandbox.dynamics.org import Call, Org
from crosstie.sandbox.dynamics.payload import decode, lookup_columns
from crosstie.sandbox.dynamics.preferences import Preferences, read_preferences
from crosstie.sandbox.dynamics.queries import context, rules
from crosstie.sandbox.dynamics.records import Records, Writer
from crosstie.sandbox.dynamics.table import Table
from crosstie.sandbox.dynamics.tables import TABLES, collection_behind, table_of_set
from crosstie.sandbox.dynamics.visibility import apply_columns
from crosstie.sandbox.http import Response

EMPTY = {"OData-Version": "4.0"}


def writer_of(call: Call) -> Writer:
    """Who writes in a call, and how its headers want it."""
    headers = call.request.headers
    bypass = headers.get("mscrm.bypassbusinesslogicexecution", "").lower()
    return Writer(
        user_id=call.user.id,
        late=call.request.late,
        detects_duplicates=headers.get("mscrm.suppressduplicatedetection", "").lower() == "false",
        bypasses_plugins="customsync" in bypass
        or headers.get("mscrm.bypasscustompluginexecution", "").lower() == "true",
    )


class Rest:
    """Answers requests about single records of one organization."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records

    def create(self, call: Call) -> Response:
        """POST {set}."""
        table = table_in(call)
        record_id = self._records.create(table, decode(call.request.body), writer_of(call))
        address = f"{call.base}/{table.set_name}({record_id})"
        wanted = read_preferences(call.preferences)
        if wanted.representation:
            return self._represented(call, table, record_id, wanted, status=201)
        return Response(status=204, headers={**EMPTY, "OData-EntityId": address, "Location": address})

    def read(self, call: Call) -> Response:
        """GET {set}({key})."""
        table = table_in(call)
        wanted = read_preferences(call.preferences)
        options = read_options(call.request.query).options
        with self._org.read() as connection:
            record_id = required(connection, table, read_key(table, call.args["key"]))
            etag = current_etag(connection, table, record_id)
            known = if_none_match(call)
        if known is not None and known == etag and not options.expand and not wanted.annotations:
            return Response(status=304, headers={**EMPTY, "ETag": etag})
        return self._shown(call, table, record_id, options, wanted)

    def change(self, call: Call) -> Response:
        """PATCH {set}({key}): an update, or an upsert, as the conditional headers say."""
        table = table_in(call)
        key = read_key(table, call.args["key"])
        body = decode(call.request.body)
        writer = writer_of(call)
        with self._org.write() as connection:
            record_id = find(connection, table, key)
            created = record_id is None
            if record_id is None:
                if if_match(call) is not None:
                    raise missing(table, key)
                given = {} if isinstance(key, str) else key
                record_id = self._records.create(
                    table, body, writer, key=key if isinstance(key, str) else None, given=given
                )
            else:
                if if_none_match(call) == "*":
                    raise ApiError(412, "0x80040237", "A record with matching key values already exists.")
                check_version(connection, table, record_id, if_match(call))
                dropped = () if isinstance(key, str) else tuple(key)
                self._records.update(table, record_id, body, writer, dropped=dropped)
        wanted = read_preferences(call.preferences)
        if wanted.representation:
            return self._represented(call, table, record_id, wanted, status=201 if created else 200)
        shown = record_id if isinstance(key, str) else call.args["key"]
        return Response(status=204, headers={**EMPTY, "OData-EntityId": f"{call.base}/{table.set_name}({shown})"})

    def delete(self, call: Call) -> Response:
        """DELETE {set}({key})."""
        table = table_in(call)
        with self._org.write() as connection:
            record_id = required(connection, table, read_key(table, call.args["key"]))
            check_version(connection, table, record_id, if_match(call))
            self._records.delete(table, record_id, writer_of(call))
        return Response(status=204, headers=dict(EMPTY))

    def read_property(self, call: Call) -> Response:
        """GET {set}({key})/{name}: a property's value, or the record that a navigation property leads to."""
        table, record_id = self._addressed(call)
        name = call.args["name"]
        attribute = table.property(name)
        if attribute is not None and attribute.selectable:
            record = self._record(call, table, record_id, Options(select=(name,)), Preferences())
            if record[name] is None:
                return Response(status=204, headers=dict(EMPTY))
            where = f"{call.base}/$metadata#{table.set_name}({record_id})/{name}"
            return json_response({"@odata.context": where, "value": record[name]})
        navigated = table.navigated(name)
        if navigated is None:
            raise no_segment(name)
        lookup, target = navigated
        with self._org.read() as connection:
            row = self._records.row(connection, table, record_id)
        actual = row[lookup.type_column] if lookup.type_column else lookup.targets[0]
        if row[lookup.logical_name] is None or (target is not None and actual != target):
            return Response(status=204, headers=dict(EMPTY))
        options = read_options(call.request.query).options
        wanted = read_preferences(call.preferences)
        return self._shown(call, TABLES[actual], row[lookup.logical_name], options, wanted)

    def write_property(self, call: Call) -> Response:
        """PUT {set}({key})/{name} with `{"value": …}`, or DELETE of it."""
        table, record_id = self._addressed(call)
        name = call.args["name"]
        attribute = table.property(name)
        if attribute is None or attribute.is_lookup:
            raise no_segment(name)
        body = decode(call.request.body) if call.request.method == "PUT" else {"value": None}
        if not isinstance(body, dict) or "value" not in body:
            raise ApiError(400, "0x80048d19", f"The body must be an object with the value of {name}.")
        self._records.update(table, record_id, {name: body["value"]}, writer_of(call))
        return Response(status=204, headers=dict(EMPTY))

    def write_reference(self, call: Call) -> Response:
        """POST, PUT or DELETE {set}({key})/{navigation}/$ref; a DELETE of one in a collection names it."""
        table, record_id = self._addressed(call)
        name = call.args["name"]
        address = call.args.get("child") or call.request.query.get("$id")
        if call.request.method != "DELETE":
            body = decode(call.request.body)
            address = body.get("@odata.id") if isinstance(body, dict) else None
            if not isinstance(address, str):
                raise ApiError(400, "0x80048d19", "The body must be an object with @odata.id.")
        if table.navigated(name) is not None:
            value = None if call.request.method == "DELETE" else address
            self._records.update(table, record_id, {f"{name}@odata.bind": value}, writer_of(call))
        else:
            self._tie(call, table, record_id, name, address or "")
        return Response(status=204, headers=dict(EMPTY))

    def _tie(self, call: Call, table: Table, record_id: str, name: str, address: str) -> None:
        """Lets a record behind a collection refer to this one, or to none."""
        behind = collection_behind(table, name)
        if behind is None:
            raise no_segment(name)
        child, lookup = behind
        with self._org.write() as connection:
            text = address if "(" not in address else read_address(address)[1]
            child_id = required(connection, child, read_key(child, text))
            reference = None if call.request.method == "DELETE" else (table.logical_name, record_id)
            columns: dict[str, Any] = dict(lookup_columns(lookup, reference))
            if "modifiedon" in child.attributes:
                columns |= {"modifiedon": self._org.now_stamp(), "modifiedby": call.user.id}
            apply_columns(connection, child, child_id, columns)

    def _addressed(self, call: Call) -> tuple[Table, str]:
        table = table_in(call)
        with self._org.read() as connection:
            return table, required(connection, table, read_key(table, call.args["key"]))

    def _represented(self, call: Call, table: Table, record_id: str, wanted: Preferences, *, status: int) -> Response:
        """The record after a write, as `return=representation` wants it."""
        options = read_options(call.request.query).options
        response = self._shown(call, table, record_id, options, wanted)
        response.status = status
        return response

    def _shown(self, call: Call, table: Table, record_id: str, options: Options, wanted: Preferences) -> Response:
        record = self._record(call, table, record_id, options, wanted)
        body = {"@odata.context": f"{call.base}/$metadata#{context(table, options)}/$entity", **record}
        headers = dict(wanted.applied)
        if "@odata.etag" in record:
            headers["ETag"] = record["@odata.etag"]
        return json_response(body, headers=headers)

    def _record(
        self, call: Call, table: Table, record_id: str, options: Options, wanted: Preferences
    ) -> dict[str, Any]:
        with self._org.read() as connection:
            reader = Reader(
                connection=connection, tables=TABLES, rules=rules(self._org, call), wanted=wanted, base=call.base
            )
            record = reader.one(table, record_id, options)
        if record is None:
            raise missing(table, record_id)
        return record


def table_in(call: Call) -> Table:
    """The table of the set that a path begins with. Raises ApiError for a name that is not there in that case."""
    table = table_of_set(call.args["set"])
    if table is None:
        raise no_segment(call.args["set"])
    return table


def addressed_by_id(call: Call, record_id: str) -> Call:
    """The call with the primary key in place of whatever key its path had."""
    return replace(call, args={**call.args, "id": record_id, "navigation": call.args.get("name", "")})
