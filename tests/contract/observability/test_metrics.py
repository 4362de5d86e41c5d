"""What a scrape of `serve --metrics` shows, on both databases."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from crosstie.app.metrics import Metrics, served
from crosstie.db.database import Database, instant_text
from crosstie.errors import ConfigError, TaskError
from crosstie.workflow import state
from crosstie.workflow.activity import OK, Context, Done, Reject, Waiting
from tests.contract.workflow.desk import Desk
from tests.contract.workflow.test_dispatch import PLAY, START

FLOW = "  a: {type: act, next: b}\n  b: {type: act}\n"


class Scrape:
    """Metrics served on this machine, and read."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"

    def __call__(self) -> dict[str, float]:
        with urllib.request.urlopen(self._url, timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        values = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in values}


@contextmanager
def scraping(desk: Desk) -> Iterator[Scrape]:
    with served(Metrics(desk.db, desk.clock.now), 0, "127.0.0.1") as port:
        yield Scrape(port)


def test_counters_begin_at_nought_and_count_what_ends(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def writes(context: Context) -> Done:
        desk.clock.at = desk.clock.at.replace(second=desk.clock.at.second + 2)
        rejects = [Reject(symbol="BAD", message="it is")]
        return Done(tables={OK: None}, counts={"inserted": 3, "rejected": 1}, rejects=rejects)

    desk = Desk(database)
    desk.apply(FLOW)
    monkeypatch.setitem(PLAY.acts, "a", writes)
    desk.run()

    with scraping(desk) as scrape:
        before = scrape()
        desk.run()
        first = desk.runs()[-1]
        with database.transaction("test") as transaction:
            state.add_account_usage(transaction, first.id, "salesforce", 7)
        scrape()
        with database.transaction("test") as transaction:
            state.add_account_usage(transaction, first.id, "salesforce", 2)
        after = scrape()
        again = scrape()

    assert before["crosstie_up"] == 1
    assert before['crosstie_runs{status="done",workflow="flow"}'] == 1
    assert not [name for name in before if name.startswith(("crosstie_rows", "crosstie_task_seconds"))]
    assert after['crosstie_rows_total{outcome="inserted",type="act",workflow="flow"}'] == 3
    assert after['crosstie_tasks_total{status="finished",type="act",workflow="flow"}'] == 2
    assert after['crosstie_task_seconds_total{status="finished",type="act",workflow="flow"}'] == 2
    assert after['crosstie_api_calls_total{account="salesforce",workflow="flow"}'] == 9
    assert after['crosstie_rejects_open{workflow="flow"}'] == 2
    assert after['crosstie_last_success_timestamp_seconds{workflow="flow"}'] == desk.clock.at.timestamp()
    assert again == after


def test_waiting_tasks_failures_and_late_schedules(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(context: Context) -> Done:
        raise ConfigError("no")

    desk = Desk(database)
    desk.apply(FLOW)
    monkeypatch.setitem(PLAY.acts, "a", lambda context: None if context.woken else Waiting(signal=True))
    monkeypatch.setitem(PLAY.acts, "b", fails)
    with scraping(desk) as scrape:
        desk.run()
        waiting = scrape()
        with database.transaction("test") as transaction:
            transaction.execute("update crosstie.task set due_at = :now", {"now": instant_text(START)})
            transaction.execute("update crosstie.workflow set status = 'started'")
            transaction.execute(
                "insert into crosstie.schedule (workflow, activity, rule, next_at) values ('flow', 'a', :rule, :at)",
                {"rule": '{"every": "1h"}', "at": instant_text(START.replace(minute=0))},
            )
        desk.clock.at = START.replace(minute=5)
        with pytest.raises(TaskError):
            desk.run()
        failed = scrape()

    assert waiting['crosstie_tasks_waiting{workflow="flow"}'] == 1
    assert 'crosstie_tasks_waiting{workflow="flow"}' not in failed
    assert failed['crosstie_runs{status="failed",workflow="flow"}'] == 1
    assert failed['crosstie_tasks_total{status="finished",type="act",workflow="flow"}'] == 1
    assert failed['crosstie_tasks_total{status="failed",type="act",workflow="flow"}'] == 1
    assert failed['crosstie_schedule_lag_seconds{activity="a",workflow="flow"}'] == 300


def test_a_taken_port_is_named(database: Database) -> None:
    desk = Desk(database)
    metrics = Metrics(database, desk.clock.now)

    with served(metrics, 0, "127.0.0.1") as port:
        with pytest.raises(ConfigError, match=str(port)):
            with served(metrics, port, "127.0.0.1"):
                pass
