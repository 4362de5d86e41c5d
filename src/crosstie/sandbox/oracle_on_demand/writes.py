"""Insert, Update, InsertOrUpdate, Delete and Execute: one message is one transaction, and one bad record fails all.

The answer has the status key of each record, in the order of the request.
"""

import sqlite3
from collections.abc import Callable
from functools import partial

from lxml import etree

from crosstie.sandbox.oracle_on_demand.faults import no_record, no_user_key
from crosstie.sandbox.oracle_on_demand.namespaces import message_name, v1_namespace, v2_namespace
from crosstie.sandbox.oracle_on_demand.objects import Object
from crosstie.sandbox.oracle_on_demand.org import Call, Org
from crosstie.sandbox.oracle_on_demand.payload import AUDIT, Given, PayloadReader
from crosstie.sandbox.oracle_on_demand.records import Records, Row, Writer, usable_key

STATUS_KEY = {
    "v1": AUDIT | {"Id", "ExternalSystemId", "IntegrationId"},
    "v2": (AUDIT | {"Id", "ExternalSystemId", "ModId"}) - {"ModifiedDateExt"},
}
"""What of a written record is told, as far as the object has it."""

_One = Callable[[sqlite3.Connection, Object, Given, Writer], Row]


class Writes:
    """The writing methods of every object."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records

    def serve(self, org: Org, call: Call) -> etree._Element:
        """Serves one write. Raises SoapFault, with nothing written."""
        given = PayloadReader(org, call).read()
        writer = Writer(user=call.user, late=call.request.late)
        with org.write() as connection:
            rows = [one(connection, call.record, part, writer) for one, part in self._work(call, given)]
        return self._output(call, rows)

    def _work(self, call: Call, given: list[Given]) -> list[tuple[_One, Given]]:
        """What to do with each record. The first says by which user key all of them are found."""
        by_key = [one for one in given if self._named(call, one) != "insert"]
        key = usable_key(call.record, by_key[0]) if by_key else None
        if by_key and key is None:
            raise no_user_key(call.record.name)
        return [(self._one(self._named(call, one), key or ()), one) for one in given]

    def _named(self, call: Call, given: Given) -> str:
        return given.operation if call.method == "Execute" else call.method.lower()

    def _one(self, operation: str, key: tuple[str, ...]) -> _One:
        match operation:
            case "insert":
                return self._records.insert
            case "insertorupdate":
                return partial(self._upsert, key)
            case "update":
                return partial(self._found, key, self._records.update)
            case "delete":
                return partial(self._found, key, self._records.delete)
        return partial(self._skip, key)

    def _found(
        self,
        key: tuple[str, ...],
        work: Callable[[sqlite3.Connection, Object, str, Given, Writer], Row],
        connection: sqlite3.Connection,
        record: Object,
        given: Given,
        writer: Writer,
    ) -> Row:
        row_id = self._records.find(connection, record, key, given)
        if row_id is None:
            raise no_record(record.name, " AND ".join(f'[{tag}] = "{given.values[tag]}"' for tag in key))
        return work(connection, record, row_id, given, writer)

    def _upsert(
        self, key: tuple[str, ...], connection: sqlite3.Connection, record: Object, given: Given, writer: Writer
    ) -> Row:
        row_id = self._records.find(connection, record, key, given)
        if row_id is None:
            return self._records.insert(connection, record, given, writer)
        return self._records.update(connection, record, row_id, given, writer)

    def _skip(
        self, key: tuple[str, ...], connection: sqlite3.Connection, record: Object, given: Given, writer: Writer
    ) -> Row:
        """Leaves the record alone and works on its children."""

        def children(connection: sqlite3.Connection, record: Object, row_id: str, given: Given, writer: Writer) -> Row:
            self._records.children(connection, record, row_id, given)
            return {"Id": row_id}

        return self._found(key, children, connection, record, given, writer)

    def _output(self, call: Call, rows: list[Row]) -> etree._Element:
        record, version = call.record, call.version
        payload = v1_namespace(record) if version == "v1" else v2_namespace(record, "Data")
        root = etree.Element(
            f"{{{call.service}}}{message_name(record, version, call.method, 'Output')}", nsmap={"ns": call.service}
        )
        listed = etree.SubElement(root, f"{{{payload}}}ListOf{record.name}", nsmap={"data": payload})
        wire = self._org.wire(version, call.argument("LOVLanguageMode"))
        for row in rows:
            element = etree.SubElement(listed, f"{{{payload}}}{record.name}")
            for tag, field in record.fields.items():
                shown, value = field.tag_in(version, call.flavour), row.get(tag)
                if tag in STATUS_KEY[version] and shown is not None and value is not None:
                    etree.SubElement(element, f"{{{payload}}}{shown}").text = wire.write(field, str(value))
        return root
