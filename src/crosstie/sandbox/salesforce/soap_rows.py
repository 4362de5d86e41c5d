"""What only SOAP does with records: merge them, take them out of the recycle bin, and empty it of them.

Sources: "merge()", "undelete()", "emptyRecycleBin()", SOAP API guide. Results are listed one for each request or id, in
their order; what can't be done to one is told in its result.
"""

from collections.abc import Callable
from xml.sax.saxutils import escape

from lxml import etree

from crosstie.sandbox.salesforce.catalog import SObject
from crosstie.sandbox.salesforce.errors import ApiError, not_found
from crosstie.sandbox.salesforce.merging import merged
from crosstie.sandbox.salesforce.org import Org, Session
from crosstie.sandbox.salesforce.records import Records, Writer
from crosstie.sandbox.salesforce.row_errors import row_refusal
from crosstie.sandbox.salesforce.row_ids import record_id_of

OPERATIONS = frozenset({"merge", "undelete", "emptyRecycleBin"})
Result = list[tuple[str, str]]
"""The members of a result in order; some come more than once."""


class SoapRows:
    """The operations on records of one org."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records

    def results(self, operation: etree._Element, session: Session) -> str:
        """The `result` elements of an operation."""
        name = etree.QName(operation).localname
        work: Callable[[etree._Element], Result]
        if name == "merge":
            asked, work = _children(operation, "request"), lambda one: self._merge(one, session)
        else:
            asked, work = _children(operation, "ids"), self._undelete if name == "undelete" else self._purge
        return "".join(f"<result>{_listed(self._alone(work, one))}</result>" for one in asked)

    def _alone(self, work: Callable[[etree._Element], Result], asked: etree._Element) -> Result:
        try:
            with self._org.database.writing():
                return work(asked)
        except ApiError as error:
            told = row_refusal(error)
            fields = "".join(f"<fields>{escape(name)}</fields>" for name in told.fields or ())
            entry = f"{fields}<message>{escape(told.message)}</message><statusCode>{told.code}</statusCode>"
            return [("errors", entry), ("success", "false")]

    def _merge(self, request: etree._Element, session: Session) -> Result:
        master = next(iter(_children(request, "masterRecord")), request)
        given = {etree.QName(child).localname: child.text for child in master if isinstance(child.tag, str)}
        sobject = self._org.catalog.object(given.pop("type", None) or "")
        record_id = given.pop("Id", None) or ""
        if sobject is None:
            raise ApiError(400, "INVALID_TYPE", "sObject type of the master record is not known")
        losers = [one.text or "" for one in _children(request, "recordToMergeIds")]
        moved = merged(self._org, self._records, sobject, record_id, losers, user_id=session.user_id)
        if given:
            self._records.update(sobject, record_id_of(record_id), given, Writer(user_id=session.user_id))
        return [
            ("id", record_id_of(record_id)),
            *(("mergedRecordIds", record_id_of(loser)) for loser in losers),
            ("success", "true"),
            *(("updatedRelatedIds", child) for child in moved),
        ]

    def _undelete(self, asked: etree._Element) -> Result:
        sobject, record_id = self._of(asked)
        with self._org.database.writing() as connection:
            self._org.bin.undelete(connection, self._org.full_catalog, sobject, record_id, self._org.now_stamp())
        return [("id", record_id), ("success", "true")]

    def _purge(self, asked: etree._Element) -> Result:
        sobject, record_id = self._of(asked)
        with self._org.database.writing() as connection:
            if not self._org.bin.holds(connection, sobject, record_id):
                raise ApiError(400, "INVALID_ID_FIELD", f"Record is not in the recycle bin: {record_id}", ["Id"])
            self._records.purge(sobject, record_id)
        return [("id", record_id), ("success", "true")]

    def _of(self, asked: etree._Element) -> tuple[SObject, str]:
        """The record that an id names, and its object."""
        record_id = record_id_of(asked.text or "")
        for sobject in self._org.catalog.objects.values():
            if sobject.key_prefix == record_id[:3] and sobject.field("IsDeleted") is not None:
                return sobject, record_id
        raise not_found()


def _children(element: etree._Element, name: str) -> list[etree._Element]:
    return [one for one in element if isinstance(one.tag, str) and etree.QName(one).localname == name]


def _listed(result: Result) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in result)
