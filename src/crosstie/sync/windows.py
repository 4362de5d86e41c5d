"""Windows: what an import with automatic index reads, and when its option moves.

A window is [start, end) in UTC on the CRM's own clock. It is stored open with its run, and confirmed in the
transaction that ends the last task which its import fed. See docs/decisions/001-storage-of-the-sync.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from crosstie.db.database import Transaction, instant_text, parse_instant
from crosstie.errors import BrakeError, ConfigError, DatabaseError

OVERLAP = timedelta(minutes=15)
GUARD = timedelta(seconds=60)
DELETIONS = "deletions"
"""The index field of windows in which deletions are read: no field of the object tells of them."""
TRACKING = "change tracking"
"""The index field of windows that go by the CRM's change tracking; their `job` is the token of the next one."""

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
"""The end of a first window in which nothing could be read yet: no CRM is older."""

_OPTION_FORM = re.compile(r"\d{4}/\d{2}/\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)
_FIRST_YEAR = BEGINNING.year  # what reaches back before it is a slip


class WindowStatus(StrEnum):
    """At most one window of an option is open."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """An import's window. `start` None means from the beginning. `option_read` is the option's text as it was read,
    None when there was no such option. `job` is the remote job of this read, '' before one exists; `generation` counts
    the jobs. `fingerprint` stands for the columns and the filter; `tail_*` is the candidate for the next tail."""

    id: int
    option: str
    account: str
    org: str
    object: str
    workflow: str
    activity: str
    run: int
    field: str
    start: datetime | None
    end: datetime
    overlap: timedelta
    option_read: str | None
    status: WindowStatus
    job: str = ""
    generation: int = 0
    fingerprint: str = ""
    tail_table: str = ""
    rows: int = 0

    @property
    def read_from(self) -> datetime | None:
        """Where the read begins: the start less the overlap."""
        return None if self.start is None else self.start - self.overlap

    @property
    def tail_since(self) -> datetime:
        """From which stamp on this window's rows are kept as the next tail. Half as far again as it reached back
        itself: no lateness can show in it that would make the next read reach further (`overlap_for`)."""
        since = self.end - self.overlap * 3 / 2
        return since if self.read_from is None else max(since, self.read_from)

    @property
    def subject(self) -> str:
        """What is read, for people."""
        return f"deleted {self.object}" if self.field == DELETIONS else self.object

    @property
    def moves_option(self) -> bool:
        """Whether this is an automatic index, and not just the record of a full read."""
        return bool(self.field)

    @property
    def goes_by_stamps(self) -> bool:
        """Whether it is read by an index field, reaching back before its start."""
        return self.moves_option and self.field != TRACKING


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The last rows of the last confirmed window: table name, the end it belongs to, fingerprint of its columns and
    filter, and the worst lateness seen for this option. It has every row stamped at `since` or later that the window
    read; None when that is not known."""

    table: str
    end: datetime | None
    fingerprint: str
    late: timedelta
    since: datetime | None = None


def option_text(instant: datetime) -> str:
    """An instant as an option keeps it: yyyy/MM/dd hh:mm:ss, UTC, 24 hours."""
    return instant.astimezone(UTC).strftime("%Y/%m/%d %H:%M:%S")


def variables(window: Window) -> dict[str, str]:
    """What an import with automatic index tells the following activities of its window, under Campaign's names."""
    return {
        "crmOptionName": window.option,
        "crmStartImport": option_text(window.start) if window.start else "",
        "crmEndDate": option_text(window.end),
    }


def parse_option(name: str, text: str | None) -> datetime | None:
    """The instant in an option; None when missing or empty. Raises ConfigError when malformed."""
    if text is None or not text.strip():
        return None
    cleaned = text.strip()
    try:
        if not _OPTION_FORM.fullmatch(cleaned) or int(cleaned[:4]) < _FIRST_YEAR:
            raise ValueError(cleaned)
        return datetime.strptime(cleaned, "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise ConfigError(
            f"Option {name} holds “{text}”, which is not a date of the form yyyy/MM/dd hh:mm:ss (UTC, 24 hours)"
            f" from {_FIRST_YEAR} on.",
            hint=f"Nothing was read. Set it right: crosstie option set {name} '2026/11/23 08:00:00'"
            " (or '' to read everything again).",
        ) from error


def read_option(transaction: Transaction, name: str) -> str | None:
    """An option's text; None when there is no such option, which differs from an empty one."""
    row = transaction.row("select value from crosstie.option where name = :name", {"name": name})
    return None if row is None else str(row[0] or "")


def is_index(transaction: Transaction, name: str) -> bool:
    """Whether an import has had that option as its automatic index."""
    query = "select 1 from crosstie.import_window where option_name = :name and field <> '' limit 1"
    return transaction.row(query, {"name": name}) is not None


def read_tail(transaction: Transaction, option: str) -> Tail | None:
    """What is known of the option's tail."""
    row = transaction.row(
        "select table_name, end_at, fingerprint, late_seconds from crosstie.tail where option_name = :option",
        {"option": option},
    )
    if row is None:
        return None
    made_by = transaction.row(
        f"select {_COLUMNS} from crosstie.import_window where option_name = :option and tail_table = :table"
        " and tail_table <> '' and status = 'confirmed' order by id desc limit 1",
        {"option": option, "table": row[0]},
    )
    return Tail(
        table=str(row[0] or ""),
        end=parse_instant(str(row[1])) if row[1] else None,
        fingerprint=str(row[2] or ""),
        late=timedelta(seconds=int(row[3] or 0)),
        since=_window(made_by).tail_since if made_by else None,
    )


def overlap_for(tail: Tail | None, least: timedelta) -> timedelta:
    """How far a read reaches back: at least `least`, and half as much again as the worst lateness seen."""
    if tail is None:
        return least
    return max(least, tail.late * 3 / 2)


_COLUMNS = (
    "id, option_name, account, org, object, workflow, activity, run, field, start_at, end_at, overlap_seconds,"
    " option_read, status, job, generation, fingerprint, tail_table, rows"
)


def _window(row: tuple[object, ...]) -> Window:
    def text(position: int) -> str:
        return "" if row[position] is None else str(row[position])

    return Window(
        id=int(text(0)),
        option=text(1),
        account=text(2),
        org=text(3),
        object=text(4),
        workflow=text(5),
        activity=text(6),
        run=int(text(7)),
        field=text(8),
        start=parse_instant(text(9)) if row[9] else None,
        end=parse_instant(text(10)),
        overlap=timedelta(seconds=int(text(11) or 0)),
        option_read=None if row[12] is None else text(12),
        status=WindowStatus(text(13)),
        job=text(14),
        generation=int(text(15) or 0),
        fingerprint=text(16),
        tail_table=text(17),
        rows=int(text(18) or 0),
    )


def open_window(transaction: Transaction, option: str) -> Window | None:
    """The window of that option that is open, whichever run it belongs to."""
    row = transaction.row(
        f"select {_COLUMNS} from crosstie.import_window where option_name = :option and status = 'open'",
        {"option": option},
    )
    return _window(row) if row else None


def windows_of(transaction: Transaction, run: int) -> tuple[Window, ...]:
    """All windows that a run opened, oldest first."""
    rows = transaction.rows(f"select {_COLUMNS} from crosstie.import_window where run = :run order by id", {"run": run})
    return tuple(_window(row) for row in rows)


def last_confirmed(transaction: Transaction, option: str) -> Window | None:
    """The option's last confirmed window."""
    row = transaction.row(
        f"select {_COLUMNS} from crosstie.import_window where option_name = :option and status = 'confirmed'"
        " order by id desc limit 1",
        {"option": option},
    )
    return _window(row) if row else None


def last_confirmed_of(transaction: Transaction, workflow: str, activity: str) -> Window | None:
    """The last confirmed window of an import with automatic index, whatever its option was called."""
    row = transaction.row(
        f"select {_COLUMNS} from crosstie.import_window where workflow = :workflow and activity = :activity"
        " and field <> '' and status = 'confirmed' order by id desc limit 1",
        {"workflow": workflow, "activity": activity},
    )
    return _window(row) if row else None


class WindowTaken(BrakeError):
    """Another run has this window open for the same option."""

    def __init__(self, window: Window, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.window = window


def lock(transaction: Transaction, option: str) -> None:
    """Lets nobody else look at the windows of an option, and open one, until the transaction ends."""
    transaction.lock(f"window of {option}")


def begin(transaction: Transaction, wanted: Window, now: datetime) -> Window:
    """Stores a new open window. Raises WindowTaken when another run has one open for the same option."""
    lock(transaction, wanted.option)
    existing = open_window(transaction, wanted.option)
    if existing is not None:
        raise WindowTaken(
            existing,
            f"Option {wanted.option} has an open window of run {existing.run} ({existing.workflow}).",
            hint=f"Finish that run first (crosstie run {existing.workflow}), or give this import an option of its own.",
        )
    row = transaction.row(
        "insert into crosstie.import_window (option_name, account, org, object, workflow, activity, run, field,"
        " start_at, end_at, overlap_seconds, option_read, status, job, generation, fingerprint, tail_table,"
        " rows, opened_at) values (:option, :account, :org, :object, :workflow, :activity, :run,"
        " :field, :start, :end, :overlap, :option_read, 'open', '', 0, :fingerprint, '', 0, :now) returning id",
        {
            "option": wanted.option,
            "account": wanted.account,
            "org": wanted.org,
            "object": wanted.object,
            "workflow": wanted.workflow,
            "activity": wanted.activity,
            "run": wanted.run,
            "field": wanted.field,
            "start": instant_text(wanted.start) if wanted.start else None,
            "end": instant_text(wanted.end),
            "overlap": int(wanted.overlap.total_seconds()),
            "option_read": wanted.option_read,
            "fingerprint": wanted.fingerprint,
            "now": instant_text(now),
        },
    )
    if row is None:
        raise DatabaseError(f"the database gave no number for the window of option {wanted.option}")
    return replace(wanted, id=int(row[0]))


def keep_job(transaction: Transaction, window: Window, job: str) -> None:
    """Remembers the remote job of this read, before anything waits for it."""
    transaction.execute(
        "update crosstie.import_window set job = :job, generation = generation + 1 where id = :id and status = 'open'",
        {"id": window.id, "job": job},
    )


def record_read(transaction: Transaction, window: Window, *, rows: int, tail_table: str) -> None:
    """Records, with the import's publish, how much was read and which table would be the next tail."""
    transaction.execute(
        "update crosstie.import_window set rows = :rows, tail_table = :tail where id = :id and status = 'open'",
        {"id": window.id, "rows": rows, "tail": tail_table},
    )


def note_lateness(transaction: Transaction, option: str, late: timedelta) -> None:
    """Keeps the worst lateness seen for an option; the overlap grows with it."""
    transaction.execute(
        "insert into crosstie.tail (option_name, table_name, end_at, fingerprint, late_seconds)"
        " values (:option, '', null, '', :late) on conflict (option_name) do update set late_seconds ="
        " case when crosstie.tail.late_seconds < excluded.late_seconds then excluded.late_seconds"
        " else crosstie.tail.late_seconds end",
        {"option": option, "late": int(late.total_seconds())},
    )


def confirm(transaction: Transaction, window: Window, now: datetime) -> bool:
    """Confirms an open window: the option moves if it still holds the text that was read, and the tail is replaced.

    Gives whether the option moved; a hand edit meanwhile wins. Repeating it on a window that is not open does nothing.
    """
    changed = transaction.execute(
        "update crosstie.import_window set status = 'confirmed', closed_at = :now where id = :id and status = 'open'",
        {"id": window.id, "now": instant_text(now)},
    )
    if changed == 0:
        return False
    _forget_settled(transaction, window)
    if not window.moves_option:
        return False
    values = {
        "name": window.option,
        "read": window.option_read,
        "value": option_text(window.end),
        "now": instant_text(now),
        "who": f"workflow {window.workflow}",
        "label": f"Last import of {window.subject} by {window.workflow}/{window.activity}",
    }
    if window.option_read is None:
        moved = transaction.execute(
            "insert into crosstie.option (name, label, type, value, changed_at, changed_by)"
            " values (:name, :label, 'text', :value, :now, :who) on conflict (name) do nothing",
            {key: value for key, value in values.items() if key != "read"},
        )
    else:
        moved = transaction.execute(
            "update crosstie.option set value = :value, changed_at = :now, changed_by = :who"
            " where name = :name and value = :read",
            {key: value for key, value in values.items() if key != "label"},
        )
    if moved:
        transaction.execute(
            "insert into crosstie.tail (option_name, table_name, end_at, fingerprint, late_seconds)"
            " values (:option, :table, :end, :fingerprint, 0) on conflict (option_name) do update set"
            " table_name = excluded.table_name, end_at = excluded.end_at, fingerprint = excluded.fingerprint",
            {
                "option": window.option,
                "table": window.tail_table,
                "end": instant_text(window.end),
                "fingerprint": window.fingerprint,
            },
        )
    return bool(moved)


def abandon(transaction: Transaction, run: int, now: datetime) -> None:
    """Closes the open windows of a run without moving anything: the next run reads again."""
    transaction.execute(
        "update crosstie.import_window set status = 'abandoned', closed_at = :now where run = :run and status = 'open'",
        {"run": run, "now": instant_text(now)},
    )


def hand_over(transaction: Transaction, window: Window, run: int) -> None:
    """An open window belongs to another run from now on: what it fed has ended well in its own, and goes on there."""
    transaction.execute(
        "update crosstie.import_window set run = :run where id = :id and status = 'open'", {"run": run, "id": window.id}
    )


def abandon_one(transaction: Transaction, window: Window, now: datetime) -> None:
    """Closes one open window without moving anything."""
    transaction.execute(
        "update crosstie.import_window set status = 'abandoned', closed_at = :now where id = :id and status = 'open'",
        {"id": window.id, "now": instant_text(now)},
    )


def tail_tables(transaction: Transaction) -> frozenset[str]:
    """The tables that a register names: tails and matches in force, and the candidates of open windows for both."""
    rows = transaction.rows(
        "select table_name from crosstie.tail where table_name <> ''"
        " union select table_name from crosstie.matches union"
        " select tail_table from crosstie.import_window where status = 'open' and tail_table <> '' union"
        " select c.table_name from crosstie.match_change c join crosstie.import_window w on w.id = c.window_id"
        " where w.status = 'open' and c.table_name <> ''"
    )
    return frozenset(str(row[0]) for row in rows)


HANDED_ON = (
    "select u.remote_id from crosstie.unaccepted u join crosstie.import_window w on w.option_name = u.option_name"
    " and w.run = u.run and w.status = 'confirmed' where u.option_name = :option"
)
"""The refused ids that a run which ended well has handed on to its Reject transition."""


def unaccepted(transaction: Transaction, option: str) -> tuple[str, ...]:
    """The remote ids that earlier reads refused, and those that a comparison asked for: each read asks for them by id.
    Some of them may lie in its window too, but only the CRM knows which."""
    rows = transaction.rows(
        "select remote_id from crosstie.unaccepted where option_name = :option order by remote_id", {"option": option}
    )
    return tuple(str(row[0]) for row in rows)


ASKED_FOR = 0
"""Stands for the run of an id that no run refused: a comparison of both sides wants it to be read by its id."""

_CHUNK = 500


def replace_unaccepted(
    transaction: Transaction, window: Window, *, settled: Sequence[str], refused: Sequence[str], now: datetime
) -> None:
    """Remembers the refused ids with the run that hands them on. The ids that were accepted or are gone are forgotten
    when the window is confirmed, and not before: until then what was read of them may still be lost with its run."""
    for first in range(0, len(settled), _CHUNK):
        chunk = {f"id_{place}": one for place, one in enumerate(settled[first : first + _CHUNK])}
        transaction.execute(
            "update crosstie.unaccepted set run = :run where option_name = :option"
            f" and remote_id in ({', '.join(f':{name}' for name in chunk)})",
            {"option": window.option, "run": -window.run, **chunk},
        )
    for remote_id in refused:
        transaction.execute(
            "insert into crosstie.unaccepted (option_name, remote_id, since, run) values (:option, :id, :now, :run)"
            " on conflict (option_name, remote_id) do update set run = excluded.run",
            {"option": window.option, "id": remote_id, "now": instant_text(now), "run": window.run},
        )


def _forget_settled(transaction: Transaction, window: Window) -> None:
    """Forgets the ids that the run has settled, and closes their rejects."""
    place = {"option": window.option, "run": -window.run}
    transaction.execute(
        "update crosstie.reject set status = 'accepted' where workflow = :workflow and activity = :activity"
        " and status = 'open' and remote_id in"
        " (select remote_id from crosstie.unaccepted where option_name = :option and run = :run)",
        {"workflow": window.workflow, "activity": window.activity, **place},
    )
    transaction.execute("delete from crosstie.unaccepted where option_name = :option and run = :run", place)
