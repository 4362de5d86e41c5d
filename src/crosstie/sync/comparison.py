"""Comparison of both sides: ids and stamps of what the CRM holds against the ties of what was imported.

All rows are compared by the database; what differs goes into a work table of its own. Comparisons take no lock of the
runner's: the caller settles `bound` before the CRM is read, and the ties are looked at after that. A run that ends in
between can only make ties newer, and a newer tie is no difference. What is tied and was not read is asked for by id.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from crosstie.db.database import Database, Transaction, instant_text
from crosstie.errors import BrakeError, DatabaseError
from crosstie.model import Column, ColumnType
from crosstie.sync import windows

if TYPE_CHECKING:
    import pyarrow as pa


class Verdict(StrEnum):
    """What is the matter with a record. `deleted` and `left the filter` are `gone`, told apart; `handed on` is gone
    too, and a run has said so."""

    MISSING = "missing"
    STALE = "stale"
    DELETED = "deleted"
    LEFT_FILTER = "left the filter"
    GONE = "gone"
    HANDED_ON = "handed on"
    REFUSED = "refused"
    NEW = "too new"


DIFFERENT = (Verdict.MISSING, Verdict.STALE, Verdict.DELETED, Verdict.LEFT_FILTER, Verdict.GONE)
"""The verdicts that say that both sides are not equal; the others are known, or the next run's."""

REPAIRABLE = (Verdict.MISSING, Verdict.STALE)
"""What a read by id brings."""

REMOTE_COLUMNS = (Column(name="remote_id", type=ColumnType.TEXT), Column(name="stamp", type=ColumnType.INSTANT))
"""The columns of a work table of what the CRM holds."""

_ID = (Column(name="remote_id", type=ColumnType.TEXT),)
_LOCAL = (
    *REMOTE_COLUMNS,
    Column(name="local_key", type=ColumnType.TEXT),
    Column(name="tombstone", type=ColumnType.INSTANT),
)
_COLUMNS = (
    Column(name="remote_id", type=ColumnType.TEXT),
    Column(name="verdict", type=ColumnType.TEXT),
    Column(name="remote_stamp", type=ColumnType.INSTANT),
    Column(name="local_stamp", type=ColumnType.INSTANT),
    Column(name="local_key", type=ColumnType.TEXT),
)
_LISTED = ", ".join(column.name for column in _COLUMNS)
_OPEN = f"verdict in ({', '.join(repr(str(one)) for one in REPAIRABLE)})"
_PREFIX = "w_c"
_PAGE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One record on which the two sides don't agree. Stamps are UTC; None where that side has none."""

    remote_id: str
    verdict: Verdict
    remote_stamp: datetime | None
    local_stamp: datetime | None
    local_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The import whose records are compared: its place, its option, and the imported column that holds the stamp."""

    workflow: str
    activity: str
    account: str
    object: str
    option: str
    stamp_column: str


@dataclass(slots=True, kw_only=True)
class Comparison:
    """One comparison under way. `ties` is the tie table, '' where nothing was tied yet; `bound` is the stamp from which
    on a record is the next run's."""

    db: Database
    token: str
    imported: Imported
    ties: str
    bound: datetime
    stamped: bool = field(default=True, init=False)

    def name(self, part: str) -> str:
        """The name of a work table of this comparison."""
        return f"{_PREFIX}{self.token}_{part}"

    def prepare(self) -> None:
        """Looks at our side: whether there are ties at all, and whether they keep stamps."""
        if not self.ties:
            self.ties = self.name("none")
            self.db.create_work(self.ties, _LOCAL)
        with self.db.reading() as transaction:
            tied = transaction.row(f"select 1 from crosstie.{self.ties} limit 1")
            stamped = transaction.row(f"select 1 from crosstie.{self.ties} where stamp is not null limit 1")
        self.stamped = tied is None or stamped is not None

    def local_rows(self) -> int:
        """How many living records are tied."""
        return self._number(f"select count(*) from crosstie.{self.ties} where tombstone is null")

    def rows_of(self, table: str) -> int:
        """How many rows a work table has."""
        return self._number(f"select count(*) from crosstie.{table}")

    def find(self, remote: str) -> None:
        """Compares the work table of what the CRM holds, one row per remote id, with the ties."""
        self.db.prepare(remote, ["remote_id"])
        differs = "r.stamp is distinct from t.stamp and (t.stamp is null or t.stamp < :bound)"
        here = (
            f"select r.remote_id, case when r.stamp >= :bound then '{Verdict.NEW}' when t.remote_id is null"
            f" then '{Verdict.MISSING}' else '{Verdict.STALE}' end as verdict, r.stamp as remote_stamp,"
            f" t.stamp as local_stamp, t.local_key from crosstie.{remote} r left join crosstie.{self.ties} t"
            " on t.remote_id = r.remote_id and t.tombstone is null"
            f" where t.remote_id is null{f' or ({differs})' if self.stamped else ''}"
        )
        gone = (
            f"select t.remote_id, '{Verdict.GONE}' as verdict, r.stamp as remote_stamp, t.stamp as local_stamp,"
            f" t.local_key from crosstie.{self.ties} t left join crosstie.{remote} r on r.remote_id = t.remote_id"
            " where r.remote_id is null and t.tombstone is null"
        )
        self.db.create_work(self.name("differences"), _COLUMNS)
        # Read and loaded in slices rather than by one statement, which would hold SQLite's write lock all the time.
        with self.db.load(self.name("differences"), _COLUMNS, expected_rows=0) as load:
            for batch in self.db.read(here, {"bound": self.bound} if ":bound" in here else {}, _COLUMNS):
                load.write(batch)
            for batch in self.db.read(gone, {}, _COLUMNS):
                load.write(batch)
        self.db.prepare(self.name("differences"), ["remote_id"])

    def mark_refused(self) -> None:
        """Marks what is known to be refused: what the import asks for again, and what a reject of the inbox, open or
        dismissed, says of this version of the record."""
        refused = self.name("refused")
        self.db.create_work(refused, _ID)
        with self.db.load(refused, _ID, expected_rows=0) as load:
            for batch in self._refused():
                load.write(batch)
        with self.db.transaction("refused records are marked") as transaction:
            transaction.execute(
                f"update crosstie.{self.name('differences')} set verdict = '{Verdict.REFUSED}' where {_OPEN}"
                f" and (remote_id in (select remote_id from crosstie.{refused}) or remote_id in (select remote_id"
                " from crosstie.unaccepted where option_name = :option and run > 0))",
                {"option": self.imported.option},
            )

    def _refused(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        columns = (*_ID, Column(name="record", type=ColumnType.TEXT), Column(name="stamp", type=ColumnType.INSTANT))
        sql = (
            "select r.remote_id, r.record, d.remote_stamp as stamp from crosstie.reject r"
            f" join crosstie.{self.name('differences')} d on d.remote_id = r.remote_id where r.workflow = :workflow"
            f" and r.account = :account and r.object = :object and r.status in ('open', 'dismissed') and d.{_OPEN}"
        )
        one = self.imported
        params = {"workflow": one.workflow, "account": one.account, "object": one.object}
        for batch in self.db.read(sql, params, columns, batch_rows=_PAGE):
            rows = batch.to_pylist()
            ids = [row["remote_id"] for row in rows if self._speaks_of(row["record"], row["stamp"])]
            yield pa.RecordBatch.from_arrays([pa.array(ids, pa.string())], names=["remote_id"])

    def _speaks_of(self, record: str, stamp: datetime | None) -> bool:
        """Whether a reject is of that version of its record or of a later one, or does not say."""
        text = json.loads(record).get(self.imported.stamp_column)
        refused = _instant(text) if isinstance(text, str) else None
        return refused is None or stamp is None or refused >= stamp

    def mark_handed_on(self, matches: str) -> None:
        """Marks those that are gone and left by an import's Leavers transition, by the table of its matches."""
        with self.db.transaction("records that were handed on are marked") as transaction:
            transaction.execute(
                f"update crosstie.{self.name('differences')} set verdict = '{Verdict.HANDED_ON}'"
                f" where verdict = '{Verdict.GONE}'"
                f" and remote_id in (select remote_id from crosstie.{matches} where has_left = 1)"
            )

    def gone(self) -> int:
        """How many tied records were not read."""
        return self._number(self._gone("count(*)"))

    def gone_ids(self) -> tuple[str, ...]:
        """Their remote ids."""
        with self.db.reading() as transaction:
            return tuple(str(row[0]) for row in transaction.rows(f"{self._gone('remote_id')} order by 1"))

    def _gone(self, what: str) -> str:
        return f"select {what} from crosstie.{self.name('differences')} where verdict = '{Verdict.GONE}'"

    def moved_since(self, found: str) -> tuple[str, ...]:
        """Of the records of a work table that were found by id, those that a run may have brought since the read."""
        with self.db.reading() as transaction:
            rows = transaction.rows(
                f"select f.remote_id from crosstie.{found} f join crosstie.{self.name('differences')} d"
                " on d.remote_id = f.remote_id where f.stamp >= :bound or d.local_stamp >= :bound order by 1",
                {"bound": self.bound},
            )
        return tuple(str(row[0]) for row in rows)

    def tell_apart(self, found: str, back: str) -> None:
        """Tells what is gone apart: `found` holds those that the CRM has by id, `back` those that fulfil the filter
        too, which came while the comparison was under way."""
        differences = self.name("differences")
        with self.db.transaction("what is gone is told apart") as transaction:
            transaction.execute(
                f"delete from crosstie.{differences} where verdict = '{Verdict.GONE}'"
                f" and remote_id in (select remote_id from crosstie.{back})"
            )
            transaction.execute(
                f"update crosstie.{differences} set verdict = case when remote_id in"
                f" (select remote_id from crosstie.{found}) then '{Verdict.LEFT_FILTER}' else '{Verdict.DELETED}' end"
                f" where verdict = '{Verdict.GONE}'"
            )

    def leave_untold(self) -> None:
        """Where there are too many to tell them apart: leaves out those that a run may have brought since the read."""
        with self.db.transaction("what is gone is counted") as transaction:
            transaction.execute(
                f"delete from crosstie.{self.name('differences')} where verdict = '{Verdict.GONE}'"
                " and local_stamp >= :bound",
                {"bound": self.bound},
            )

    def counts(self) -> Mapping[Verdict, int]:
        """How many records of each verdict, all verdicts in their order."""
        with self.db.reading() as transaction:
            rows = transaction.rows(
                f"select verdict, count(*) from crosstie.{self.name('differences')} group by verdict"
            )
        found = {str(verdict): int(number) for verdict, number in rows}
        return {verdict: found.get(verdict, 0) for verdict in Verdict}

    def first(self, verdict: Verdict, limit: int) -> tuple[Difference, ...]:
        """The first records of a verdict, by remote id."""
        sql = (
            f"select {_LISTED} from crosstie.{self.name('differences')} where verdict = :verdict"
            f" order by remote_id limit {int(limit)}"
        )
        return tuple(self._differences(sql, {"verdict": str(verdict)}))

    def all(self) -> Iterator[Difference]:
        """Every record that is not equal, by verdict and remote id, in flat memory."""
        yield from self._differences(
            f"select {_LISTED} from crosstie.{self.name('differences')} order by verdict, remote_id", {}
        )

    def _differences(self, sql: str, params: Mapping[str, object]) -> Iterator[Difference]:
        for batch in self.db.read(sql, params, _COLUMNS, batch_rows=_PAGE):
            for row in batch.to_pylist():
                yield Difference(**{**row, "verdict": Verdict(row["verdict"])})

    def asked_for(self) -> int:
        """How many of the missing and stale ones the next run asks for by id already."""
        return self._number(
            f"select count(*) from crosstie.{self.name('differences')} where {_OPEN} and remote_id in"
            " (select remote_id from crosstie.unaccepted where option_name = :option"
            f" and run <= {windows.ASKED_FOR})",
            {"option": self.imported.option},
        )

    def ask_for(self, transaction: Transaction, now: datetime) -> int:
        """Hands the missing and stale ones to the next run, which asks for them by id; how many were added."""
        return transaction.execute(
            "insert into crosstie.unaccepted (option_name, remote_id, since, run) select :option, remote_id, :now,"
            f" {windows.ASKED_FOR} from crosstie.{self.name('differences')} where {_OPEN}"
            " on conflict (option_name, remote_id) do nothing",
            {"option": self.imported.option, "now": instant_text(now)},
        )

    def _number(self, sql: str, params: Mapping[str, Any] | None = None) -> int:
        with self.db.reading() as transaction:
            row = transaction.row(sql, params or {})
        return int(row[0]) if row else 0


@contextlib.contextmanager
def comparing(db: Database, imported: Imported, ties: str, bound: datetime) -> Iterator[Comparison]:
    """A comparison, its work tables swept at the end. Raises BrakeError when another process compares the same."""
    place = f"{imported.workflow}/{imported.activity}"
    token = hashlib.sha256(place.encode()).hexdigest()[:12]
    with db.hold(_hold_name(token)) as held:
        if not held:
            raise BrakeError(
                f"{place} is being reconciled by another process.", hint="Wait until it has ended, then do it again."
            )
        _drop(db, token)
        try:
            found = Comparison(db=db, token=token, imported=imported, ties=ties, bound=bound)
            found.prepare()
            yield found
        except BaseException:
            # What can't be swept now is swept by the next run; the error that brought us here is the one to tell.
            with contextlib.suppress(DatabaseError):
                _drop(db, token)
            raise
        _drop(db, token)


def is_comparisons(work_table: str) -> bool:
    """Whether a work table belongs to a comparison and to no run."""
    return work_table.startswith(_PREFIX)


def sweep(db: Database, found: Sequence[str]) -> None:
    """Drops the work tables, among those found, of comparisons whose process has ended."""
    for token in sorted({_token_of(name) for name in found if is_comparisons(name)}):
        with db.hold(_hold_name(token)) as held:
            if held:
                db.drop_work([name for name in found if is_comparisons(name) and _token_of(name) == token])


def _drop(db: Database, token: str) -> None:
    db.drop_work([name for name in db.work_tables() if is_comparisons(name) and _token_of(name) == token])


def _hold_name(token: str) -> str:
    return f"comparison {token}"


def _token_of(work_table: str) -> str:
    return work_table.removeprefix(_PREFIX).partition("_")[0]


def _instant(text: str) -> datetime | None:
    """The instant of a reject's record, as the CRM wrote it or as a database holds it; None where it is none."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
