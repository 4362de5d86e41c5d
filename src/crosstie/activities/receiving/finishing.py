"""What happens to a loaded table before it is published: one row per remote id, and nothing that was seen before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from crosstie.db.database import Database, parse_instant
from crosstie.model import Column
from crosstie.sync import windows
from crosstie.workflow.activity import Context


def without_repeats(
    db: Database, raw: str, name: str, columns: Sequence[Column], *, key: str, stamp: str
) -> tuple[str, int]:
    """The table with one row per remote id, the newest stamp winning, and how many rows it left out.

    It is `raw` itself when nothing repeats."""
    quoted_key = db.quote(key)
    with db.reading() as transaction:
        row = transaction.row(f"select count(*) - count(distinct {quoted_key}) from crosstie.{raw}")
    repeats = int(row[0]) if row else 0
    if repeats == 0:
        return raw, 0
    db.create_work(name, columns)
    listed = ", ".join(db.quote(one.name) for one in columns)
    order = f"{db.quote(stamp)} desc nulls last, " if stamp else ""
    with db.transaction("one row per remote id") as transaction:
        transaction.execute(
            f"insert into crosstie.{name} ({listed}) select {listed} from (select {listed}, row_number() over"
            f" (partition by {quoted_key} order by {order}{listed}) as crosstie_n from crosstie.{raw}) t"
            " where crosstie_n = 1"
        )
    return name, repeats


def find_late(
    context: Context, table: str, tail: windows.Tail, window: windows.Window, *, key: str, stamp: str
) -> None:
    """Notices rows that became visible after the window that should have had them: the overlap grows with them.

    Only of what the tail covers is it known whether an earlier window had it; and what was refused before is no late
    comer, whenever it is accepted."""
    if window.start is None or tail.since is None or not stamp:
        return
    db = context.db
    with db.reading() as transaction:
        row = transaction.row(
            f"select count(*), min(w.{db.quote(stamp)}) from crosstie.{table} w where w.{db.quote(stamp)} < :start"
            f" and w.{db.quote(stamp)} >= :since"
            f" and not exists (select 1 from crosstie.{tail.table} t where t.{db.quote(key)} = w.{db.quote(key)})"
            f" and w.{db.quote(key)} not in (select remote_id from crosstie.unaccepted where option_name = :option)",
            {"start": window.start, "since": tail.since, "option": window.option},
        )
    late = int(row[0]) if row else 0
    if row is None or late == 0:
        return
    oldest = parse_instant(row[1]) if isinstance(row[1], str) else row[1]
    lateness: timedelta = window.start - oldest
    with db.transaction(f"lateness of {window.option}") as transaction:
        windows.note_lateness(transaction, window.option, lateness)
    context.log.info(
        f"{late} records became visible up to {int(lateness.total_seconds())} s after the last window had passed their"
        " stamp; they are imported now, and the next reads reach back far enough.",
        option=window.option,
    )


def without_tail(
    db: Database, table: str, tail: windows.Tail, window: windows.Window, *, key: str, columns: Sequence[str]
) -> int:
    """Drops the rows that the last window had already, all values equal; how many. What a comparison of both sides
    asked for stays: it did not arrive, whatever was read of it."""
    quoted = db.quote(key)
    same = " and ".join(
        f"t.{db.quote(name)} is not distinct from w.{db.quote(name)}" for name in columns if name != key
    )
    with db.transaction("rows seen before") as transaction:
        return transaction.execute(
            f"delete from crosstie.{table} as w where exists (select 1 from crosstie.{tail.table} t"
            f" where t.{quoted} = w.{quoted}{f' and {same}' if same else ''}) and w.{quoted} not in"
            f" (select remote_id from crosstie.unaccepted where option_name = :option and run = {windows.ASKED_FOR})",
            {"option": window.option},
        )


def next_tail(
    db: Database, table: str, name: str, window: windows.Window, *, columns: Sequence[Column], stamp: str
) -> None:
    """Keeps the rows of this read that the next window's overlap will see again, as a table of their own."""
    # It outlives the run: emptied by a crash of the server, it would show every row of the overlap as late.
    db.create_work(name, columns, durable=True)
    listed = ", ".join(db.quote(one.name) for one in columns)
    with db.transaction("tail of the window") as transaction:
        transaction.execute(
            f"insert into crosstie.{name} ({listed}) select {listed} from crosstie.{table}"
            f" where {db.quote(stamp)} >= :since",
            {"since": window.tail_since},
        )
