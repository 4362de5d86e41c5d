"""What happens to a loaded table before it is published: one row per remote id, and nothing that was seen before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from crosstie.db.database import Database, parse_instant
from crosstie.errors import ConfigError
from crosstie.model import Column
from crosstie.sync import windows
from crosstie.workflow.activity import OK, Context


@dataclass(slots=True)
class Landing:
    """What an import has in hand: the table to publish and its counts."""

    table: str = ""
    rows: int = 0
    loaded: int = 0
    rejected: int = 0
    seen_before: int = 0
    unknown: int = 0
    dismissed: int = 0
    tail_table: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The imported rows with what was kept of their inbound rows. `unknown` inbound ids have no imported row, each
    empty one counted; `repeated` inbound rows name a record that another one names too."""

    table: str
    unknown: int
    repeated: int


def inbound_column(context: Context, name: str) -> Column:
    """A column of the inbound population. Raises ConfigError when it has none of that name."""
    column = context.input.column(name)
    if column is None:
        raise ConfigError(f"The inbound population has no column {name}.")
    return column


def with_upstream(
    context: Context, table: str, columns: Sequence[Column], *, imported: int, key: str, ids: str
) -> Joined:
    """Joins the inbound columns to keep (those of `columns` behind the imported ones) to the imported rows.

    A record goes on once, however often its id comes in, with the first inbound row by the values kept."""
    db, inbound = context.db, context.input.name
    name = context.private_name(OK)
    db.create_work(name, columns)
    db.prepare(table, [key])
    quoted_ids, quoted_key = f"i.{db.quote(inbound_column(context, ids).name)}", f"r.{db.quote(key)}"
    listed = [db.quote(column.name) for column in columns]
    kept = [f"i.{one}" for one in listed[imported:]]
    source = ", ".join([*(f"r.{one}" for one in listed[:imported]), *kept])
    numbered = (
        f"select i.*, row_number() over (partition by {quoted_ids} order by {', '.join(['1', *kept])}) as crosstie_n"
        f" from crosstie.{inbound} i"
    )
    join = f"crosstie.{table} r on {quoted_key} = {quoted_ids}"
    with db.transaction("population joined") as transaction:
        transaction.execute(
            f"insert into crosstie.{name} ({', '.join(listed)}) select {source} from ({numbered}) i join {join}"
            " where i.crosstie_n = 1"
        )
        row = transaction.row(
            "select sum(case when unknown = 1 and (crosstie_n = 1 or empty = 1) then 1 else 0 end),"
            " sum(case when unknown = 0 and crosstie_n > 1 then 1 else 0 end) from ("
            f"select i.crosstie_n, case when {quoted_key} is null then 1 else 0 end as unknown,"
            f" case when {quoted_ids} is null then 1 else 0 end as empty from ({numbered}) i left join {join}) n"
        )
    unknown, repeated = (int(number or 0) for number in row) if row else (0, 0)
    return Joined(table=name, unknown=unknown, repeated=repeated)
