"""Schedules of started workflows: registered with the workflow, fired by whichever `serve` comes first.

A firing is one transaction that moves `next_at` from what was seen, so that each fires once however many serve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from crosstie.db.database import Database, Transaction, instant_text, parse_instant
from crosstie.workflow import instances, state
from crosstie.workflow.definition import Definition
from crosstie.workflow.instances import WorkflowStatus
from crosstie.workflow.schedules import OFTEN, Schedule
from crosstie.workflow.watcher import add_message

# So many runs of a workflow that wait for each other: more are not begun.
MOST_BEHIND = 10
# What is fired later than this is said to be late.
_IN_TIME = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A registered schedule: when it fires next (None: not any more), when it last did, and how often."""

    workflow: str
    activity: str
    schedule: Schedule
    zone: ZoneInfo
    next_at: datetime | None
    last_at: datetime | None
    fired: int


_PLANNED = "select workflow, activity, rule, zone, next_at, last_at, fired from crosstie.schedule"


def _planned(row: Sequence[object]) -> Planned:
    return Planned(
        workflow=str(row[0]),
        activity=str(row[1]),
        schedule=Schedule.model_validate_json(str(row[2])),
        zone=ZoneInfo(str(row[3])),
        next_at=parse_instant(str(row[4])) if row[4] else None,
        last_at=parse_instant(str(row[5])) if row[5] else None,
        fired=int(str(row[6])),
    )


def planned(transaction: Transaction, workflow: str = "") -> tuple[Planned, ...]:
    """The schedules of a workflow, or of all."""
    where = " and workflow = :workflow" if workflow else ""
    rows = transaction.rows(
        f"{_PLANNED} where activity <> ''{where} order by workflow, activity",
        {"workflow": workflow} if workflow else {},
    )
    return tuple(_planned(row) for row in rows)


def due(transaction: Transaction, now: datetime) -> tuple[Planned, ...]:
    """The schedules of started workflows whose time has come, the earliest first."""
    rows = transaction.rows(
        f"{_PLANNED} where activity <> '' and next_at <= :now and workflow in"
        " (select name from crosstie.workflow where status = 'started') order by next_at, workflow, activity",
        {"now": instant_text(now)},
    )
    return tuple(_planned(row) for row in rows)


def schedules(definition: Definition) -> dict[str, Schedule]:
    """The activities of a definition that begin a run by schedule."""
    found = {name: definition.activities[name].timetable() for name in definition.initial()}
    return {name: schedule for name, schedule in found.items() if schedule is not None}


def warnings(definition: Definition) -> dict[str, str]:
    """What a person should know of a definition's schedules, by activity."""
    found = {}
    for name, schedule in schedules(definition).items():
        shortest = schedule.shortest()
        if shortest is not None and shortest < OFTEN:
            seconds = int(shortest.total_seconds())
            told = f"{seconds // 60} minutes" if seconds % 60 == 0 and seconds > 60 else f"{seconds} seconds"
            found[name] = f"It fires every {told}, which is more often than every 15 minutes."
    return found


def past(definition: Definition, zone: ZoneInfo, now: datetime) -> dict[str, str]:
    """The activities whose schedule never fires from now on, with that for people."""
    return {
        name: "It never fires: all its times lie in the past."
        for name, schedule in schedules(definition).items()
        if schedule.after(now, definition.zone(name, zone)) is None
    }


def register(transaction: Transaction, definition: Definition, zone: ZoneInfo, now: datetime, *, anew: bool) -> None:
    """Keeps the registered schedules in step with the definition. `anew`: the workflow is begun, and their executions
    count from one; else a schedule that did not change keeps its next time."""
    before = {} if anew else {one.activity: one for one in planned(transaction, definition.name)}
    forget(transaction, definition.name)
    for name, schedule in schedules(definition).items():
        there = definition.zone(name, zone)
        old = before.get(name)
        same = old is not None and (old.schedule, str(old.zone)) == (schedule, str(there))
        fired = old.fired if old else 0
        next_at = old.next_at if old is not None and same else _next(schedule, there, now, fired)
        transaction.execute(
            "insert into crosstie.schedule (workflow, activity, rule, zone, next_at, last_at, fired)"
            " values (:workflow, :activity, :rule, :zone, :next, :last, :fired)",
            {
                "workflow": definition.name,
                "activity": name,
                "rule": schedule.model_dump_json(exclude_defaults=True),
                "zone": str(there),
                "next": instant_text(next_at) if next_at else None,
                "last": instant_text(old.last_at) if old and old.last_at else None,
                "fired": fired,
            },
        )


def forget(transaction: Transaction, workflow: str) -> None:
    """Removes the schedules of a workflow."""
    transaction.execute("delete from crosstie.schedule where workflow = :workflow", {"workflow": workflow})


def fire(db: Database, one: Planned, now: datetime) -> int | None:
    """Fires a schedule that is due, unless another process did; the number of the run that it began, None when it was
    too late, or not ours to fire."""
    assert one.next_at is not None
    newest = one.schedule.latest(now, one.zone) or one.next_at
    newest = max(newest, one.next_at)
    with db.transaction(f"schedule {one.activity} of {one.workflow} fires") as transaction:
        instances.lock_status(transaction, one.workflow)
        found = instances.find_instance(transaction, one.workflow)
        if found is None or found.status is not WorkflowStatus.STARTED:
            return None
        refusal = _refusal(transaction, one, newest, now)
        fired = one.fired + (0 if refusal else 1)
        if not _move(transaction, one, _next(one.schedule, one.zone, now, fired), now, fired, began=not refusal):
            return None
        if refusal:
            _say(transaction, one, now, None, refusal)
            return None
        run = begin(transaction, one, found.version, now, newest)
        if now - one.next_at > _IN_TIME:
            _say(transaction, one, now, run, f"Fired late: it was due at {_local(one, one.next_at)}.")
        return run


def begin(transaction: Transaction, one: Planned, version: int, now: datetime, at: datetime) -> int:
    """Begins a served run with the schedule's activity; the run's variable `scheduledAt` says for which time."""
    return state.begin_run(
        transaction,
        one.workflow,
        version,
        now,
        initial=[one.activity],
        variables={"scheduledAt": at},
        served=True,
    )


def _refusal(transaction: Transaction, one: Planned, newest: datetime, now: datetime) -> str:
    """Why a due schedule does not fire, '' when it does."""
    late = one.schedule.late
    if late is not None and now - newest > late:
        return (
            f"Left out: it was due at {_local(one, newest)}, which is longer ago than its “late” allows."
            " It fires again at its next time."
        )
    behind = _behind(transaction, one.workflow)
    if behind >= MOST_BEHIND:
        return (
            f"Left out: {behind} runs of {one.workflow} wait for each other already. It fires again at its next time."
        )
    return ""


def _behind(transaction: Transaction, workflow: str) -> int:
    """How many served runs have something to execute and are not waiting for a time or a signal."""
    row = transaction.row(
        "select count(*) from crosstie.run r where r.workflow = :workflow and r.served = 1"
        " and r.status in ('running', 'interrupted')"
        " and exists (select 1 from crosstie.event e where e.run = r.id and e.task is null and e.target <> '')"
        " and not exists (select 1 from crosstie.task t where t.run = r.id and t.status = 'waiting')",
        {"workflow": workflow},
    )
    return int(row[0]) if row else 0


def _next(schedule: Schedule, zone: ZoneInfo, now: datetime, fired: int) -> datetime | None:
    if schedule.times is not None and fired >= schedule.times:
        return None
    return schedule.after(now, zone)


def _move(
    transaction: Transaction, one: Planned, next_at: datetime | None, now: datetime, fired: int, *, began: bool
) -> bool:
    """Moves the next time from the one that was seen. Whether it was that still."""
    assert one.next_at is not None
    last = now if began else one.last_at
    return (
        transaction.execute(
            "update crosstie.schedule set next_at = :next, last_at = :last, fired = :fired"
            " where workflow = :workflow and activity = :activity and next_at = :seen",
            {
                "next": instant_text(next_at) if next_at else None,
                "last": instant_text(last) if last else None,
                "fired": fired,
                "workflow": one.workflow,
                "activity": one.activity,
                "seen": instant_text(one.next_at),
            },
        )
        == 1
    )


def _say(transaction: Transaction, one: Planned, now: datetime, run: int | None, text: str) -> None:
    add_message(
        transaction,
        at=now,
        workflow=one.workflow,
        run=run,
        task=None,
        activity=one.activity,
        level="warning",
        text=text,
        details={},
    )


def _local(one: Planned, at: datetime) -> str:
    return f"{at.astimezone(one.zone):%Y-%m-%d %H:%M:%S} ({one.zone})"
