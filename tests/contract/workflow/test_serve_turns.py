"""Overlapping runs of a served workflow at an import with automatic index: the second waits for its turn, or skips."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from crosstie.activities.receiving.turns import wait_for_turn
from crosstie.db.database import Database, Transaction
from crosstie.errors import BrakeError, TaskError
from crosstie.sync import windows
from crosstie.workflow.activity import OK, Context, Done, Overlap, Waiting
from crosstie.workflow.state import RunStatus
from tests.contract.workflow.desk import Desk
from tests.contract.workflow.test_dispatch import PLAY, START, HandClock

FLOW = (
    "  tick: {type: scheduler, every: 1h}\n  read: {type: act, overlap: allow}\n  after: {type: act, overlap: allow}\n"
)
OPTION = "LASTIMPORT_flow_read"
DONE, WAITING = RunStatus.DONE, RunStatus.WAITING


@pytest.fixture(autouse=True)
def _play() -> Iterator[None]:
    PLAY.acts.clear()
    PLAY.calls.clear()
    yield


@dataclass
class RunningClock(HandClock):
    """Goes on by itself too: two runs that are due at once are carried on side by side, and one may look at the other
    while that is at work; then it looks again seconds later, for which the runner stays."""

    began: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        return self.at + timedelta(seconds=time.monotonic() - self.began)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, clock=RunningClock())


def reading(overlap: Overlap = "wait") -> None:
    """The activity `read` opens a window and goes on; `after` waits for two hours."""

    def read(context: Context) -> Done | Waiting:
        try:
            with context.step("window") as transaction:
                if windows.open_window(transaction, OPTION) is None or not windows.windows_of(transaction, context.run):
                    windows.begin(transaction, window(context, transaction), context.now())
        except windows.WindowTaken as taken:
            return wait_for_turn(overlap, context, taken)
        return Done(tables={OK: None})

    PLAY.acts["read"] = read
    PLAY.acts["after"] = lambda context: (
        None if context.woken else Waiting(until=context.now() + timedelta(hours=1, minutes=50))
    )


def window(context: Context, transaction: Transaction) -> windows.Window:
    read = windows.read_option(transaction, OPTION)
    begin = windows.parse_option(OPTION, read)
    return windows.Window(
        id=0,
        option=OPTION,
        account="crm",
        org="org",
        object="Contact",
        workflow=context.workflow,
        activity=context.activity,
        run=context.run,
        field="SystemModstamp",
        start=begin,
        end=(begin or START) + timedelta(hours=1),
        overlap=windows.OVERLAP,
        option_read=read,
        status=windows.WindowStatus.OPEN,
    )


def option(desk: Desk) -> str | None:
    with desk.db.reading() as transaction:
        return windows.read_option(transaction, OPTION)


def test_the_second_run_waits_for_the_window_of_the_first(desk: Desk) -> None:
    reading()
    desk.apply(FLOW)
    desk.control.start("flow")
    desk.tick(2, hours=1)
    desk.tick(2, hours=1)
    assert desk.ended() == [WAITING, WAITING]
    first = desk.runs()[0].id
    assert f"waits for run {first}, which has the window of option {OPTION} open" in desk.log()
    desk.tick(2, minutes=11)
    assert desk.log().count(f"waits for run {first}") == 1
    desk.tick(2, minutes=39)
    assert desk.ended()[0] is DONE
    desk.tick(2, minutes=9)
    assert PLAY.calls.count("after") == 3
    assert option(desk) == "2026/11/23 09:00:00"
    desk.control.wake("flow", "after")
    desk.tick()
    assert desk.ended()[:2] == [DONE, DONE]
    assert option(desk) == "2026/11/23 10:00:00"


def test_the_second_run_skips_when_it_is_set_so(desk: Desk) -> None:
    reading("skip")
    desk.apply(FLOW)
    desk.control.start("flow")
    desk.tick(2, hours=1)
    desk.tick(2, hours=1)
    assert desk.ended() == [WAITING, DONE]
    assert "has not ended, and this is set to skip" in desk.log()


def test_a_run_that_nobody_carries_on_is_not_waited_for(desk: Desk) -> None:
    reading()
    desk.apply(FLOW)
    desk.control.start("flow")
    desk.tick(2, hours=1)
    with pytest.raises(TaskError) as caught:
        desk.run()
    assert isinstance(caught.value.cause, BrakeError)
    assert f"Option {OPTION} has an open window of run {desk.runs()[0].id} (flow)." in caught.value.message
