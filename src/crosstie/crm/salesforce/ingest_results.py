"""The results of an ingest job, joined to the rows that were sent (Bulk API 2.0 guide, Get Job … Record Results).

They come in no useful order. Rows are joined by the id or external id that was sent; those of an insert by all that was
sent, equal rows being interchangeable. Nothing is acknowledged unless every sent row is in exactly one of the results.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from crosstie.crm.csv import CsvReader, records
from crosstie.crm.http import REPORT
from crosstie.crm.salesforce.answers import Answers
from crosstie.crm.salesforce.collections import KeyPrefixes
from crosstie.crm.salesforce.ids import complete_id
from crosstie.crm.salesforce.session import Session
from crosstie.crm.salesforce.shipment import Shipment
from crosstie.crm.writing import Effect, Operation, Outcome
from crosstie.errors import ConnectorError, ProtocolError, RequestError, UnavailableError

if TYPE_CHECKING:
    import pyarrow as pa

_SEPARATOR = "\0"
"""Between the joined texts of a row; a row with a NUL in it is not sent."""

_EFFECTS = {Operation.UPDATE: Effect.UPDATED, Operation.DELETE: Effect.DELETED}


_NO_FIELD = "Field name not found"
"""In the message of a job whose data names a field that the object has not, or not for this user."""


class RowError(NamedTuple):
    """An sf__Error: the code, the message, and the names of the fields at fault."""

    code: str
    message: str
    fields: tuple[str, ...]


def row_error(text: str) -> RowError:
    """Reads `CODE:message:fields --`; the message may hold colons."""
    code, _, rest = text.partition(":")
    if not rest.endswith("--"):
        return RowError(code, rest, ())
    message, _, fields = rest[:-2].rstrip(" ").rpartition(":")
    return RowError(code, message, tuple(re.findall(r"[\w.]+", fields)))


def job_failure(job_id: str, state: str, reason: str) -> ConnectorError:
    """The failure of a job that ended otherwise than complete."""
    hint = "The rows that it did not come to were not executed, and can be sent again."
    if _NO_FIELD in reason:
        hint += (
            " The field was removed, or is hidden from the user of the account: give the user access to it, or leave it"
            " out of the mapping."
        )
    return RequestError(
        f"The bulk job {job_id} ended as {state}: {reason or 'Salesforce gives no reason'}.",
        hint=hint,
        code="JOB_FAILED",
    )


class IngestResults:
    """Reads and joins the three results of jobs that have ended."""

    def __init__(self, session: Session, prefixes: KeyPrefixes) -> None:
        self._session = session
        self._prefixes = prefixes

    def read(
        self, shipment: Shipment, job_id: str, version: str, failure: ConnectorError | None, *, never_ran: bool
    ) -> tuple[Answers, ConnectorError | None]:
        """The answers to all rows, and the failure if it left rows without an answer of their own. Raises ProtocolError
        when the results are not those of exactly the rows that were sent; with `never_ran` no result at all means that
        nothing was executed."""
        header = shipment.headers()
        successful = self._result(job_id, version, "successfulResults", ["sf__Id", "sf__Created", *header])
        failed = self._result(job_id, version, "failedResults", ["sf__Id", "sf__Error", *header])
        unprocessed = self._result(job_id, version, "unprocessedrecords", header)
        found = (successful.num_rows, failed.num_rows, unprocessed.num_rows)
        answers = Answers(shipment)
        if never_ran and failure is not None and not any(found):
            answers.whole(shipment.open, Outcome.RETRY, failure)
            return answers, failure
        if sum(found) != len(shipment.open):
            raise ProtocolError(
                f"The bulk job {job_id} gives {found[0]:,} successful, {found[1]:,} failed and {found[2]:,} "
                f"unprocessed rows, {sum(found):,} in all; {len(shipment.open):,} were sent.",
                hint="Nothing of it was acknowledged. Look again: crosstie journal settle RUN.",
            )
        join = _Join(shipment, job_id)
        self._successful(answers, shipment, join, successful, job_id)
        for place, text in zip(join.places(failed, 2), failed.column("sf__Error").to_pylist(), strict=True):
            error = row_error(text or "")
            if not error.code:
                raise ProtocolError(f"The bulk job {job_id} refuses a row without an error code.", hint=REPORT)
            answers.refuse(place, *error)
        said = (failure.code, failure.message) if failure else ("UNPROCESSED", "The job did not come to this row.")
        for place in join.places(unprocessed, 0):
            answers.set(place, Outcome.RETRY, *said)
        return answers, failure if found[2] else None

    def _successful(self, answers: Answers, shipment: Shipment, join: _Join, successful: pa.Table, job_id: str) -> None:
        operation = shipment.write.operation

        def wrong(how: str) -> ProtocolError:
            return ProtocolError(f"The successful results of bulk job {job_id} {how}.", hint=REPORT)

        ids = [complete_id(one or "") for one in successful.column("sf__Id").to_pylist()]
        whole = [one for one in ids if one is not None]
        if len(whole) != len(ids):
            raise wrong("hold a row without an id")
        if operation is Operation.INSERT and len(set(whole)) != len(whole):
            raise wrong("give one id to several new records")
        if not self._prefixes.fits(shipment.write.object.name, whole):
            raise wrong(f"hold ids that are not of {shipment.write.object.name}")
        created = [(one or "").lower() == "true" for one in successful.column("sf__Created").to_pylist()]
        for place, remote_id, new in zip(join.places(successful, 2), whole, created, strict=True):
            sent = shipment.remote_ids[place]
            if sent is not None and sent != remote_id:
                raise wrong("name another record than the one that was sent")
            effect = _EFFECTS.get(operation, Effect.CREATED if new else Effect.UPDATED)
            answers.accept(place, effect, remote_id)

    def _result(self, job_id: str, version: str, name: str, columns: Sequence[str]) -> pa.Table:
        """One result as text columns, read again while it breaks off."""
        return self._session.http.repeat(lambda: self._read(job_id, version, name, columns))

    def _read(self, job_id: str, version: str, name: str, columns: Sequence[str]) -> pa.Table:
        import pyarrow as pa

        what = f"{name} of a bulk job"
        path = f"jobs/ingest/{quote(job_id, safe='')}/{name}"
        stream = self._session.stream(path, what, headers={"Accept": "text/csv"}, version=version)
        try:
            if stream.status != 200:
                raise UnavailableError(
                    f"“{what}” was answered with HTTP {stream.status}: the results of {job_id} are not ready.",
                    hint="Run it again.",
                    request_id=stream.request_id,
                )
            pieces = records(stream.chunks())
            first = next(pieces, b"")
            named = _header(first, columns)
            # The results of a job that never got its data have a header without its columns.
            empty = not first.partition(b"\n")[2].strip()
            batches = [] if empty else list(CsvReader(named, what).batches(_chain(first, pieces)))
        finally:
            stream.close()
        schema = pa.schema([(one, pa.string()) for one in named])
        return pa.Table.from_batches(batches, schema).select(list(columns))


class _Join:
    """Finds the place of each result row among those that were sent; each place is given once."""

    def __init__(self, shipment: Shipment, job_id: str) -> None:
        self._job_id = job_id
        self._header = shipment.headers()
        sent = shipment.columns()
        keyed = shipment.write.operation is not Operation.INSERT
        self._joined = self._header[:1] if keyed and len(sent[0].unique()) == len(sent[0]) else self._header
        self._open: dict[str, list[int]] = {}
        for place, key in zip(shipment.open, self._keys(sent[: len(self._joined)], len(shipment.open)), strict=True):
            self._open.setdefault(key, []).append(place)

    def _keys(self, columns: Sequence[Any], rows: int) -> list[str]:
        """What rows are joined by. Line ends are taken as equal: the CSV may have been through a hand that changes
        them."""
        import pyarrow.compute as pc

        if not columns:
            return [""] * rows
        joined = pc.binary_join_element_wise(*columns, _SEPARATOR, null_handling="replace", null_replacement="")
        if pc.any(pc.match_substring(joined, "\r")).as_py():
            joined = pc.replace_substring(pc.replace_substring(joined, "\r\n", "\n"), "\r", "\n")
        found: list[str] = joined.to_pylist()
        return found

    def places(self, result: pa.Table, own: int) -> Iterator[int]:
        """The places of a result's rows, in its order; `own` columns stand before those that were sent. Raises
        ProtocolError for a row that was not sent, or not so often."""
        columns = [result.column(name).combine_chunks() for name in result.column_names[own:][: len(self._joined)]]
        for key in self._keys(columns, result.num_rows):
            places = self._open.get(key)
            if not places:
                raise ProtocolError(
                    f"The results of bulk job {self._job_id} hold a row that was not sent, or hold one twice.",
                    hint="Nothing of it was acknowledged. Look again: crosstie journal settle RUN.",
                )
            yield places.pop()


def _header(piece: bytes, columns: Sequence[str]) -> list[str]:
    """The asked columns in the order in which they come; as they are asked when others come, which is then refused."""
    line = piece.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].decode("utf-8", "replace")
    found = [name.strip().lower() for name in next(csv.reader([line]), [])]
    asked = {name.lower(): name for name in columns}
    return [asked[name] for name in found] if sorted(found) == sorted(asked) else list(columns)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
