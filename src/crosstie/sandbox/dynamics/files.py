"""The content of file and image columns.

Source: Dataverse Web API guide, "Use file column data". A file is sent in one piece.
"""

import base64
import uuid
from urllib.parse import unquote

from crosstie.sandbox.dynamics.addresses import read_key, required
from crosstie.sandbox.dynamics.errors import no_segment
from crosstie.sandbox.dynamics.org import Call, Org
from crosstie.sandbox.dynamics.records import Records
from crosstie.sandbox.dynamics.rest import table_in
from crosstie.sandbox.dynamics.table import AttributeType, Table
from crosstie.sandbox.dynamics.visibility import apply_columns
from crosstie.sandbox.fragments import quoted
from crosstie.sandbox.http import Response


class Files:
    """Reads and writes files of one organization."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records

    def has(self, call: Call) -> bool:
        """Whether the path names a file column."""
        attribute = table_in(call).attributes.get(call.args["name"])
        return attribute is not None and attribute.type is AttributeType.FILE

    def read(self, call: Call) -> Response:
        """GET {set}({key})/{column}/$value: the content; 204 when there is none."""
        table, record_id, name = self._addressed(call)
        with self._org.read() as connection:
            row = self._records.row(connection, table, record_id)
            kept = connection.execute(
                "SELECT content FROM sandbox_file WHERE entity = ? AND id = ? AND attribute = ?",
                (table.logical_name, record_id, name),
            ).fetchone()
        headers = {"Content-Type": "application/octet-stream", "OData-Version": "4.0"}
        if table.attributes[name].type is AttributeType.IMAGE:
            content = base64.b64decode(row[name] or "")
        else:
            content = kept[0] if kept else b""
            headers["x-ms-file-name"] = row[f"{name}_name"] or ""
        return Response(headers=headers, parts=(content,)) if content else Response(status=204)

    def write(self, call: Call) -> Response:
        """PATCH {set}({key})/{column} with the bytes of a file and its name in x-ms-file-name."""
        table, record_id, name = self._addressed(call)
        if not self.has(call):
            raise no_segment(name)
        headers, query = call.request.headers, call.request.query
        file_name = unquote(headers.get("x-ms-file-name") or query.get("x-ms-file-name", ""))
        with self._org.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO sandbox_file VALUES (?, ?, ?, ?)",
                (table.logical_name, record_id, name, call.request.body),
            )
            apply_columns(connection, table, record_id, {name: str(uuid.uuid4()), f"{name}_name": file_name})
        return Response(status=204, headers={"OData-Version": "4.0"})

    def delete(self, call: Call) -> Response:
        """DELETE {set}({key})/{column}."""
        table, record_id, name = self._addressed(call)
        with self._org.write() as connection:
            connection.execute(
                f"DELETE FROM sandbox_file WHERE entity = ? AND id = ? AND {quoted('attribute')} = ?",
                (table.logical_name, record_id, name),
            )
            apply_columns(connection, table, record_id, {name: None, f"{name}_name": None})
        return Response(status=204, headers={"OData-Version": "4.0"})

    def _addressed(self, call: Call) -> tuple[Table, str, str]:
        table, name = table_in(call), call.args["name"]
        attribute = table.attributes.get(name)
        if attribute is None or attribute.type not in (AttributeType.FILE, AttributeType.IMAGE):
            raise no_segment(name)
        with self._org.read() as connection:
            return table, required(connection, table, read_key(table, call.args["key"])), name
