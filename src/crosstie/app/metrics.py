"""Metrics for Prometheus, read from the database when they are asked for: each workflow has a process of its own.

Gauges say what is in the database now. Counters begin at nought with the process that serves them, and count what ends
from then on, whichever process did it.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crosstie.db.database import Database, Transaction, parse_instant
from crosstie.errors import ConfigError, CrosstieError
from crosstie.workflow import firing
from crosstie.workflow.yaml_source import parse

# Transactions that end later may hold smaller numbers: so many are looked at again.
_LOOKS_BACK = 1_000


class Metrics(Collector):
    """What `serve --metrics` shows; `now` is the clock by which schedules are late."""

    def __init__(self, db: Database, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now
        self._guard = threading.Lock()
        self._tasks = _Ended()
        self._calls = _Calls()
        with db.reading() as transaction:
            self._tasks.look(transaction, count=False)
            self._calls.look(transaction, count=False)

    def describe(self) -> tuple[Metric, ...]:
        """Nothing beforehand: registering reads nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics; only `crosstie_up` when the database cannot be read."""
        with self._guard:
            try:
                with self._db.reading() as transaction:
                    self._tasks.look(transaction)
                    self._calls.look(transaction)
                    found = [*_gauges(transaction, self._now()), *self._tasks.metrics(), self._calls.metric()]
                up = 1
            except CrosstieError:
                found, up = [], 0
        yield GaugeMetricFamily("crosstie_up", "1 when the database could be read", value=up)
        yield from found


@contextmanager
def served(metrics: Metrics, port: int, address: str) -> Iterator[int]:
    """Answers at http://ADDRESS:PORT/metrics while the block lasts; the port, which the system chooses when 0 is given.
    Raises ConfigError when it cannot be had."""
    registry = CollectorRegistry()
    registry.register(metrics)
    try:
        server, thread = start_http_server(port, addr=address, registry=registry)
    except OSError as error:
        raise ConfigError(
            f"Metrics cannot be served at {address}:{port}: {error.strerror}.", hint="Give --metrics another port."
        ) from error
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Ended:
    """The tasks that ended since the first look: how long they took, and the rows of each outcome."""

    def __init__(self) -> None:
        self._newest = 0
        self._open: set[int] = set()
        self._known: set[int] = set()
        self.seconds: dict[tuple[str, ...], float] = defaultdict(float)
        self.number: dict[tuple[str, ...], float] = defaultdict(float)
        self.rows: dict[tuple[str, ...], float] = defaultdict(float)

    def look(self, transaction: Transaction, *, count: bool = True) -> None:
        """Counts what ended since the last look; the first one only learns what there is."""
        if not count:
            newest = transaction.row("select coalesce(max(id), 0) from crosstie.task")
            self._newest = int(newest[0]) if newest else 0
            found = transaction.rows("select id from crosstie.task where status in ('running', 'waiting')")
            self._open = {int(row[0]) for row in found}
        floor = max(self._newest - _LOOKS_BACK, 0)
        listed = ", ".join(str(one) for one in sorted(self._open)) or "0"
        tasks = transaction.rows(
            "select t.id, r.workflow, r.version, t.activity, t.status, t.started_at, t.ended_at, t.counts"
            " from crosstie.task t join crosstie.run r on r.id = t.run"
            f" where t.id > :floor or t.id in ({listed}) order by t.id",
            {"floor": floor},
        )
        self._open = {int(row[0]) for row in tasks if row[6] is None}
        for row in tasks:
            if row[6] is not None and int(row[0]) not in self._known and count:
                took = (parse_instant(str(row[6])) - parse_instant(str(row[5]))).total_seconds()
                kind = _types(transaction, str(row[1]), int(row[2])).get(str(row[3]), "")
                self._count(str(row[1]), kind, str(row[4]), took, str(row[7] or "{}"))
        self._newest = max([self._newest, *(int(row[0]) for row in tasks)])
        self._known = {int(row[0]) for row in tasks if row[6] is not None}

    def _count(self, workflow: str, kind: str, status: str, took: float, counts: str) -> None:
        self.seconds[workflow, kind, status] += took
        self.number[workflow, kind, status] += 1
        for outcome, rows in json.loads(counts).items():
            self.rows[workflow, kind, outcome] += int(rows)

    def metrics(self) -> Iterator[Metric]:
        """Seconds and number of tasks, and rows."""
        of_tasks = ("workflow", "type", "status")
        yield _counter("crosstie_task_seconds", "Seconds that ended tasks took", of_tasks, self.seconds)
        yield _counter("crosstie_tasks", "Tasks that ended", of_tasks, self.number)
        outcomes = ("workflow", "type", "outcome")
        yield _counter("crosstie_rows", "Rows of ended tasks by activity type and outcome", outcomes, self.rows)


class _Calls:
    """The API calls that runs made since the first look."""

    def __init__(self) -> None:
        self._newest = 0
        self._known: dict[tuple[int, str], int] = {}
        self._made: dict[tuple[str, ...], float] = defaultdict(float)

    def look(self, transaction: Transaction, *, count: bool = True) -> None:
        """Adds what was recorded since the last look."""
        if not count:
            newest = transaction.row("select coalesce(max(id), 0) from crosstie.run")
            self._newest = int(newest[0]) if newest else 0
        living = "'running', 'waiting', 'paused', 'failed', 'interrupted'"
        used = transaction.rows(
            "select r.id, r.workflow, u.account, u.api_calls from crosstie.run r"
            " join crosstie.api_usage u on u.run = r.id"
            f" where r.id > :floor or r.status in ({living})",
            {"floor": max(self._newest - _LOOKS_BACK, 0)},
        )
        for run, workflow, account, calls in used:
            if count:
                new = int(calls) - self._known.get((int(run), str(account)), 0)
                self._made[str(workflow), str(account)] += new
        self._newest = max([self._newest, *(int(row[0]) for row in used)])
        self._known = {(int(row[0]), str(row[2])): int(row[3]) for row in used}

    def metric(self) -> Metric:
        """Calls by workflow and account."""
        return _counter("crosstie_api_calls", "Calls of CRM interfaces", ("workflow", "account"), self._made)


def _gauges(transaction: Transaction, now: datetime) -> Iterator[Metric]:
    runs = GaugeMetricFamily("crosstie_runs", "Runs in the history by status", labels=["workflow", "status"])
    for workflow, status, number in transaction.rows(
        "select workflow, status, count(*) from crosstie.run group by workflow, status"
    ):
        runs.add_metric([str(workflow), str(status)], int(number))
    yield runs
    yield _by_workflow(
        "crosstie_rejects_open",
        "Open rejects",
        transaction.rows("select workflow, count(*) from crosstie.reject where status = 'open' group by workflow"),
    )
    yield _by_workflow(
        "crosstie_tasks_waiting",
        "Tasks that wait for their time or a signal",
        transaction.rows(
            "select r.workflow, count(*) from crosstie.task t join crosstie.run r on r.id = t.run"
            " where t.status = 'waiting' group by r.workflow"
        ),
    )
    done = transaction.rows(
        "select workflow, max(ended_at) from crosstie.run where status = 'done' and simulated = 0 group by workflow"
    )
    yield _by_workflow(
        "crosstie_last_success_timestamp_seconds",
        "When a run last ended well, in seconds since 1970",
        [(workflow, parse_instant(str(at)).timestamp()) for workflow, at in done],
    )
    started = {str(row[0]) for row in transaction.rows("select name from crosstie.workflow where status = 'started'")}
    lag = GaugeMetricFamily(
        "crosstie_schedule_lag_seconds",
        "Seconds since a schedule of a started workflow should have fired; 0 when none is due",
        labels=["workflow", "activity"],
    )
    for one in firing.planned(transaction):
        if one.workflow in started and one.next_at is not None:
            lag.add_metric([one.workflow, one.activity], max((now - one.next_at).total_seconds(), 0.0))
    yield lag


def _by_workflow(name: str, text: str, rows: Iterable[Sequence[Any]]) -> Metric:
    metric = GaugeMetricFamily(name, text, labels=["workflow"])
    for workflow, value in rows:
        metric.add_metric([str(workflow)], float(value))
    return metric


def _counter(name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> Metric:
    metric = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        metric.add_metric(key, value)
    return metric


def _types(transaction: Transaction, workflow: str, version: int) -> dict[str, str]:
    """The type of each activity of a version."""
    row = transaction.row(
        "select text from crosstie.workflow_version where workflow = :workflow and version = :version",
        {"workflow": workflow, "version": version},
    )
    return _types_in(str(row[0])) if row else {}


@lru_cache(maxsize=256)
def _types_in(text: str) -> dict[str, str]:
    activities = parse("", text).value_at(("activities",))
    if not isinstance(activities, dict):
        return {}
    return {str(name): str(keys.get("type", "")) for name, keys in activities.items() if isinstance(keys, dict)}
