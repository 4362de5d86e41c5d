"""Bulk messages: many rows of one table in one request, all or none of them. And deletion as a job.

Source: "Bulk operation messages" and "Delete data in bulk" (Dataverse developer guide).
"""

import uuid
from typing import Any

from crosstie.sandbox.dynamics.addresses import find, read_address, read_key
from crosstie.sandbox.dynamics.changes import table_named
from crosstie.sandbox.dynamics.errors import ApiError, json_response, unread_payload
from crosstie.sandbox.dynamics.org import Call, Org
from crosstie.sandbox.dynamics.payload import decode, guid
from crosstie.sandbox.dynamics.records import Records, Writer
from crosstie.sandbox.dynamics.rest import table_in, writer_of
from crosstie.sandbox.dynamics.table import Table
from crosstie.sandbox.dynamics.tables import TABLES
from crosstie.sandbox.dynamics.visibility import apply_columns
from crosstie.sandbox.http import Response

_SUCCEEDED = {"statecode": 3, "statuscode": 30}


class BulkMessages:
    """Serves the bulk messages of one organization."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records

    def serve(self, call: Call) -> Response:
        """POST {set}/Microsoft.Dynamics.CRM.{message}."""
        table, message = table_in(call), call.args["message"]
        if message == "DeleteMultiple":
            raise ApiError(400, "0x80040216", "DeleteMultiple has not yet been implemented.")
        if not table.bulk_messages:
            raise ApiError(
                400, "0x80040800", f"The '{message}' method does not support entities of type '{table.logical_name}'."
            )
        targets = _targets(table, decode(call.request.body))
        writer = writer_of(call)
        with self._org.write():
            if message == "CreateMultiple":
                ids = [self._records.create(table, one, writer) for one in targets]
                context = f"{call.base}/$metadata#Microsoft.Dynamics.CRM.CreateMultipleResponse"
                return json_response({"@odata.context": context, "Ids": ids})
            if message == "UpdateMultiple":
                self._update(table, targets, writer)
            else:
                for one in targets:
                    self._upsert(table, one, writer)
        return Response(status=204, headers={"OData-Version": "4.0"})

    def _update(self, table: Table, targets: list[dict[str, Any]], writer: Writer) -> None:
        ids = [guid(one.get(table.primary_id)) for one in targets]
        with self._org.read() as connection:
            missing = [one for one in ids if find(connection, table, one) is None]
        if missing:
            raise ApiError(404, "0x80040217", f"{table.logical_name} With Ids = {', '.join(missing)} Do Not Exist")
        for record_id, one in zip(ids, targets, strict=True):
            self._records.update(table, record_id, one, writer)

    def _upsert(self, table: Table, target: dict[str, Any], writer: Writer) -> None:
        """By the primary key, or by the alternate key that `@odata.id` names."""
        if "@odata.id" in target:
            addressed, text = read_address(str(target["@odata.id"]))
            key = read_key(addressed, text)
        else:
            key = guid(target.get(table.primary_id))
        with self._org.read() as connection:
            found = find(connection, table, key)
        if found is not None:
            dropped = () if isinstance(key, str) else tuple(key)
            self._records.update(table, found, target, writer, dropped=dropped)
        elif isinstance(key, str):
            self._records.create(table, target, writer, key=key)
        else:
            self._records.create(table, target, writer, given=key)

    def bulk_delete(self, call: Call) -> Response:
        """POST BulkDelete: deletes the rows whose column is among the values of the query's one condition, at once,
        and keeps a job that says so."""
        body = decode(call.request.body)
        try:
            (query,) = body["QuerySet"]
            table = table_named(query["EntityName"])
            (condition,) = query["Criteria"]["Conditions"]
            values = [one["Value"] if isinstance(one, dict) else one for one in condition["Values"]]
            named = (condition["AttributeName"], condition["Operator"])
        except (KeyError, TypeError, ValueError) as error:
            raise unread_payload(f"The query of a bulk deletion must have one condition: {error}") from error
        if named != (table.primary_id, "In"):
            raise ApiError(501, "0x80060888", "Bulk deletion is implemented for lists of primary keys only.")
        writer, job = writer_of(call), str(uuid.uuid4())
        with self._org.write() as connection:
            for value in values:
                found = find(connection, table, guid(value))
                if found is not None:
                    self._records.delete(table, found, writer)
            now = self._org.now_stamp()
            stamps = {"createdon": now, "modifiedon": now, "startedon": now, "completedon": now}
            row = {"name": body.get("JobName"), "operationtype": 13, **_SUCCEEDED, **stamps}
            apply_columns(connection, TABLES["asyncoperation"], job, row)
        context = f"{call.base}/$metadata#Microsoft.Dynamics.CRM.BulkDeleteResponse"
        return json_response({"@odata.context": context, "JobId": job})


def _targets(table: Table, body: Any) -> list[dict[str, Any]]:
    """The rows of a body, each of which must say its type."""
    targets = body.get("Targets") if isinstance(body, dict) else None
    if not isinstance(targets, list) or not targets:
        raise unread_payload("Microsoft.OData.ODataException: Targets must be a list of records.")
    for one in targets:
        kind = str(one.get("@odata.type", "")).lstrip("#") if isinstance(one, dict) else ""
        if kind != f"Microsoft.Dynamics.CRM.{table.logical_name}":
            raise unread_payload(
                f"Microsoft.OData.ODataException: A type named '{kind}' is no {table.logical_name}; each of the"
                " Targets must have its @odata.type."
            )
    return targets
