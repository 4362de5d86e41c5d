"""Shipments for tests: rows by field name, answers by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa

from crosstie.crm.connector import Connector
from crosstie.crm.writing import KEY, REMOTE_ID, ROW, VERSION, Outcome, RemoteWrite, Sent, answer_columns, outgoing
from crosstie.errors import ConnectorError

Row = dict[str, str | None]
"""A row by field name; `remote_id` and `key` beside them."""


class Answer(NamedTuple):
    """What became of a row."""

    outcome: str
    effect: str | None
    remote_id: str | None
    symbol: str | None
    message: str | None
    fields: str | None


@dataclass(slots=True)
class Answered:
    """The answers by row number, the failure, and the tokens that were kept."""

    rows: dict[int, Answer]
    failure: ConnectorError | None
    kept: list[str] = field(default_factory=list)

    def outcomes(self) -> set[str]:
        """The words that came."""
        return {one.outcome for one in self.rows.values()}

    def where(self, outcome: Outcome) -> list[int]:
        """The numbers of the rows with that answer."""
        return [row for row, one in self.rows.items() if one.outcome == outcome]


def batches(write: RemoteWrite, rows: Sequence[Row], numbers: Iterable[int] | None = None) -> list[pa.RecordBatch]:
    """The rows as a shipment's batches, in two pieces; numbered from 0 unless told otherwise."""
    schema = outgoing(write)
    named = (REMOTE_ID, KEY, *write.fields, *([VERSION] if write.conditional else []))
    columns = [
        pa.array(list(range(len(rows)) if numbers is None else numbers), pa.int64()),
        *(pa.array([row.get(name) for row in rows], pa.string()) for name in named),
    ]
    whole = pa.RecordBatch.from_arrays(columns, schema=schema)
    middle = len(rows) // 2
    return [whole.slice(0, middle), whole.slice(middle)]


def send(
    connector: Connector,
    write: RemoteWrite,
    rows: Sequence[Row],
    *,
    numbers: Iterable[int] | None = None,
    keep: Callable[[str], None] = lambda token: None,
) -> Answered:
    """Sends the rows as one shipment, and parts of it where they were refused together."""
    kept: list[str] = []
    numbered = dict(zip(range(len(rows)) if numbers is None else numbers, rows, strict=True))

    def keeping(token: str) -> None:
        kept.append(token)
        keep(token)

    sent = connector.send(write, batches(write, rows, list(numbered)), keeping)
    found = answered(sent, kept)
    for part in sent.parts:
        assert {found.rows[row].outcome for row in part} == {Outcome.RETRY}
        more = send(connector, write, [numbered[row] for row in part], numbers=part, keep=keeping)
        found.rows.update(more.rows)
        found.failure = found.failure or more.failure
    return found


def find(connector: Connector, write: RemoteWrite, rows: Sequence[Row], token: str, left_at: datetime) -> Answered:
    """Looks up what became of them."""
    return answered(connector.find(write, batches(write, rows), token=token, left_at=left_at), [])


def answered(sent: Sent, kept: list[str]) -> Answered:
    """The answers; their columns and words are what the contract says, one for each row."""
    assert sent.answers.schema == answer_columns()
    found = {row[ROW]: Answer(*(row[name] for name in Answer._fields)) for row in sent.answers.to_pylist()}
    assert len(found) == sent.answers.num_rows
    for one in found.values():
        assert one.outcome in set(Outcome)
        assert (one.effect is not None) == (one.outcome == Outcome.ACCEPTED)
        assert one.outcome not in {Outcome.REJECTED} or one.symbol
    return Answered(rows=found, failure=sent.failure, kept=kept)
