"""Rows that a task refuses: a private table with their keys and the reasons, from which the Reject transition's
population and the reject inbox are made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from crosstie.db.database import Database, Transaction
from crosstie.db.merge.keys import key_columns, same_key
from crosstie.db.statements import quote_identifier
from crosstie.db.values import text_of
from crosstie.model import Column, ColumnType, WorkTable, find_column
from crosstie.workflow.activity import Reject, Shape

_REASONS = (
    Column(name="errorCode", type=ColumnType.TEXT),
    Column(name="errorMessage", type=ColumnType.TEXT),
    Column(name="errorColumn", type=ColumnType.TEXT),
)
_PAGE = 500
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def without_columns(shape: Shape, *names: str) -> Shape:
    """The shape without columns of these names, whatever their case."""
    taken = {name.lower() for name in names}
    return replace(shape, columns=tuple(one for one in shape.columns if one.name.lower() not in taken))


def with_reasons(inbound: Shape) -> Shape:
    """The refused rows: the inbound columns, and why."""
    kept = without_columns(inbound, *(one.name for one in _REASONS))
    return replace(kept, columns=(*kept.columns, *_REASONS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """The refused rows of `source`, a work table whose key is known. `name` is the private table, which the activity
    fills: the source's key (`s_1` …), a number that counts from 1, `code`, `message`, `field` and `value`. `inbound` is
    what came in, of which `source` may be a copy with a key."""

    name: str
    source: WorkTable
    inbound: Shape

    def make(self, db: Database, *, durable: bool = False) -> None:
        """Makes the empty table."""
        texts = (Column(name=name, type=ColumnType.TEXT) for name in ("code", "message", "field", "value"))
        db.create_work(
            self.name,
            (*key_columns(self.source), Column(name="number", type=ColumnType.INTEGER), *texts),
            durable=durable,
        )

    @property
    def listed(self) -> str:
        """The names of the table's columns, as they stand in an `insert`."""
        keys = [column.name for column in key_columns(self.source)]
        return ", ".join([*keys, "number", "code", "message", "field", "value"])

    def publish(self, db: Database, name: str, purpose: str) -> None:
        """Makes the view behind the Reject transition, which shows what the table will hold."""
        kept = without_columns(self.inbound, *(one.name for one in _REASONS))
        shown = [f"s.{quote_identifier(one.name)}" for one in kept.columns]
        shown += [
            f"r.{column} as {quote_identifier(one.name)}"
            for column, one in zip(("code", "message", "field"), _REASONS, strict=True)
        ]
        db.drop_work((name,))
        with db.transaction(purpose) as transaction:
            transaction.execute(
                f"create view crosstie.{name} as select {', '.join(shown)} from crosstie.{self.source.name} s"
                f" join crosstie.{self.name} r on {same_key(self.source, 'r')}"
            )

    def work_table(self, name: str, rows: int) -> WorkTable:
        """That view, as a population."""
        bases = (*self.source.bases, self.source.name, self.name)
        return with_reasons(self.inbound).work_table(name, rows, bases=bases)

    def rejects(self, transaction: Transaction) -> Iterator[Reject]:
        """The refused rows for the inbox, page by page."""
        columns = self.inbound.columns
        shown = ", ".join(["r.number, r.code, r.message, r.field, r.value", *(_read(one) for one in columns)])
        query = (
            f"select {shown} from crosstie.{self.name} r join crosstie.{self.source.name} s"
            f" on {same_key(self.source, 'r')} where r.number > :last and r.number <= :last + {_PAGE} order by r.number"
        )
        last = 0
        while rows := transaction.rows(query, {"last": last}):
            for row in rows:
                record = {one.name: text_of(one, value) for one, value in zip(columns, row[5:], strict=True)}
                yield self._reject(row, record)
            last += _PAGE

    def rejects_of(self, db: Database) -> Iterator[Reject]:
        """The same, of a table that is committed already."""
        with db.reading() as transaction:
            yield from self.rejects(transaction)

    def _reject(self, row: tuple[object, ...], record: dict[str, str | None]) -> Reject:
        lineage = self.inbound.lineage
        _, code, message, field, value = row[:5]
        return Reject(
            remote_id=(record.get(lineage.remote_id) or "") if lineage is not None else "",
            row=key_for_the_log(self.inbound, record),
            row_key="|".join(record.get(name) or "" for name in self.inbound.key),
            symbol=str(code),
            message=str(message),
            field=str(field or ""),
            value=None if value is None else str(value),
            record=record,
            account=lineage.account if lineage is not None else "",
            object=lineage.object if lineage is not None else "",
        )


def key_for_the_log(inbound: Shape, record: dict[str, str | None]) -> str:
    """`id 7`, `order 12, line 3`: the key of a row; '' where there is none, or where it is neither numbers nor UUIDs:
    texts and dates may tell of a person."""
    named = []
    for name in inbound.key:
        column = find_column(inbound.columns, name)
        value = record.get(column.name) if column is not None else None
        if column is None or value is None:
            return ""
        if column.type not in (ColumnType.INTEGER, ColumnType.DECIMAL) and not _UUID.fullmatch(value):
            return ""
        named.append(f"{column.name} {value}")
    return ", ".join(named)


def _read(column: Column) -> str:
    return f"s.{quote_identifier(column.name)}"
