"""Matches: the records that an import has read, and whether they matched its filter when it last saw them.

By them an import knows which records leave. The table of an option is kept as long as a register names it, and changes
only when a window is confirmed: what left is told of once when the run ends well, and again when it did not. What has
left stays there as such (`has_left`), so that a comparison of both sides knows who was told of.
"""

from __future__ import annotations

from dataclasses import dataclass

from crosstie.db.database import Transaction
from crosstie.sync.windows import Window, last_confirmed


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The matches of an option: the name of their table, and whether they are `complete`, which they are not after
    windows that were read without looking for leavers."""

    table: str
    complete: bool


def known_matches(transaction: Transaction, window: Window) -> Matches | None:
    """What is known of the option of a window; None when there is nothing yet, or it is of another org."""
    row = transaction.row(
        "select org, table_name, window_id from crosstie.matches where option_name = :option", {"option": window.option}
    )
    if row is None or row[0] != window.org:
        return None
    before = last_confirmed(transaction, window.option)
    return Matches(table=str(row[1]), complete=before is not None and before.id == int(row[2]))


def keep_leaver_job(transaction: Transaction, window: Window, job: str) -> None:
    """Remembers the remote job that looks for leavers, before anything waits for it."""
    transaction.execute(
        "insert into crosstie.match_change (window_id, job) values (:window, :job)"
        " on conflict (window_id) do update set job = excluded.job",
        {"window": window.id, "job": job},
    )


def leaver_job(transaction: Transaction, window: Window) -> str:
    """The remote job of an earlier attempt, or ''."""
    row = transaction.row("select job from crosstie.match_change where window_id = :window", {"window": window.id})
    return "" if row is None else str(row[0])


def plan_change(transaction: Transaction, window: Window, table: str, *, replaces: bool) -> None:
    """Records, with the import's publish, what the confirmation of its window will do to the matches."""
    transaction.execute(
        "insert into crosstie.match_change (window_id, table_name, replaces) values (:window, :table, :replaces)"
        " on conflict (window_id) do update set table_name = excluded.table_name, replaces = excluded.replaces",
        {"window": window.id, "table": table, "replaces": int(replaces)},
    )


def confirm_matches(transaction: Transaction, window: Window) -> None:
    """Carries out what was planned for a window that is confirmed. A hand edit of the option does not prevent it: what
    was handed on was handed on."""
    row = transaction.row(
        "select c.table_name, c.replaces, m.table_name from crosstie.match_change c left join crosstie.matches m"
        " on m.option_name = :option where c.window_id = :window and c.table_name <> ''",
        {"option": window.option, "window": window.id},
    )
    if row is None:
        return
    table = str(row[0] if int(row[1]) else row[2])
    if not int(row[1]):
        transaction.execute(
            f"insert into crosstie.{table} (remote_id, has_left) select remote_id, leaves from crosstie.{row[0]}"
            " where true on conflict (remote_id) do update set has_left = excluded.has_left"
        )
    transaction.execute(
        "insert into crosstie.matches (option_name, org, table_name, window_id) values (:option, :org, :table, :window)"
        " on conflict (option_name) do update set org = excluded.org, table_name = excluded.table_name,"
        " window_id = excluded.window_id",
        {"option": window.option, "org": window.org, "table": table, "window": window.id},
    )
    transaction.execute("delete from crosstie.match_change where window_id = :window", {"window": window.id})
