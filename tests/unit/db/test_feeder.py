"""The thread that loads what another prepares."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from crosstie.db.feeder import Feeder


def batch(number: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([number])], names=["n"])


def test_batches_are_consumed_in_order_and_the_end_is_idle() -> None:
    seen: list[int | str] = []
    feeder = Feeder("test", lambda one: seen.append(one[0][0].as_py()), lambda: seen.append("idle"), idle_seconds=60)
    for number in range(20):
        feeder.write(batch(number))
    feeder.finish()
    assert seen == [*range(20), "idle"]


def test_it_says_when_nothing_comes() -> None:
    idle = threading.Event()
    feeder = Feeder("test", lambda _: None, idle.set, idle_seconds=0.01)
    feeder.write(batch(1))
    assert idle.wait(60)
    feeder.finish()


def test_a_failure_reaches_the_writer_and_stops_the_rest() -> None:
    seen: list[int] = []

    def consume(one: pa.RecordBatch) -> None:
        seen.append(one[0][0].as_py())
        if len(seen) == 2:
            raise RuntimeError("on purpose")

    feeder = Feeder("test", consume, lambda: seen.append(-1), idle_seconds=60)
    with pytest.raises(RuntimeError, match="on purpose"):
        for number in range(100):
            feeder.write(batch(number))
    with pytest.raises(RuntimeError, match="on purpose"):
        feeder.finish()
    assert seen == [0, 1]


def test_abandoned_batches_are_not_consumed() -> None:
    entered, go = threading.Event(), threading.Event()
    seen: list[int] = []

    def consume(one: pa.RecordBatch) -> None:
        seen.append(one[0][0].as_py())
        entered.set()
        assert go.wait(60)

    feeder = Feeder("test", consume, lambda: seen.append(-1), idle_seconds=60)
    feeder.write(batch(1))
    feeder.write(batch(2))
    assert entered.wait(60)
    threading.Timer(0.05, go.set).start()
    feeder.abandon()
    assert seen == [1]
