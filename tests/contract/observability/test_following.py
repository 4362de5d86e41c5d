"""Following a run: each message once, until nothing more is to come."""

from __future__ import annotations

from crosstie.app.following import follow
from crosstie.db.database import Database
from crosstie.workflow import state
from crosstie.workflow.holding import Hold
from crosstie.workflow.state import Run, RunStatus
from crosstie.workflow.watcher import add_message
from tests.contract.workflow.desk import Desk


def say(desk: Desk, run: int, text: str) -> None:
    with desk.db.transaction("test") as transaction:
        add_message(
            transaction,
            at=desk.clock.now(),
            workflow="flow",
            run=run,
            task=None,
            activity="a",
            level="info",
            text=text,
            details={},
        )


def begun(desk: Desk) -> Run:
    with desk.db.transaction("test") as transaction:
        number = state.begin_run(transaction, "flow", 1, desk.clock.now(), initial=(), variables={})
        found = state.find_run(transaction, number)
    assert found is not None
    return found


def test_messages_come_once_until_the_run_ends(database: Database) -> None:
    desk = Desk(database)
    run = begun(desk)
    say(desk, run.id, "first")
    looks = 0

    def wait() -> None:
        nonlocal looks
        looks += 1
        say(desk, run.id + 1, "of another run")
        say(desk, run.id, f"during look {looks}")
        if looks == 3:
            with database.transaction("test") as transaction:
                state.end_run(transaction, run.id, RunStatus.DONE, desk.clock.now())

    with database.hold(Hold(database, "flow").name):
        found = [message.text for message in follow(database, run, wait)]

    assert found == ["first", "during look 1", "during look 2", "during look 3"]


def test_following_ends_when_nobody_carries_the_run_on(database: Database) -> None:
    desk = Desk(database)
    run = begun(desk)
    say(desk, run.id, "before the kill")
    looks: list[None] = []

    assert [message.text for message in follow(database, run, lambda: looks.append(None))] == ["before the kill"]
    assert looks
