"""Generated queries over generated data: the engine's answer is the plain evaluation's."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings

from crosstie.sandbox.salesforce import soql

from . import strategies
from .evaluator import Evaluator
from .org import CATALOG, Rows, load
from .queries import Aggregate, Query, written

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
_THOROUGH = settings(max_examples=150, deadline=None, suppress_health_check=_SLOW)
_BRIEF = settings(max_examples=50, deadline=None, suppress_health_check=_SLOW)


def _run(rows: Rows, query: Query, now: datetime, zone: ZoneInfo) -> soql.Result:
    return soql.run(load(rows), CATALOG, written(query), now=now, user_zone=zone)


@_THOROUGH
@given(strategies.rows(), strategies.queries(), strategies.nows, strategies.zones)
def test_records_equal_the_plain_evaluation(rows: Rows, query: Query, now: datetime, zone: ZoneInfo) -> None:
    result = _run(rows, query, now, zone)
    records = result.records_json(result.rows(), "v64.0")
    expected = Evaluator(rows, now, zone, all_rows=query.all_rows).answer(query)
    if not query.order:
        records, expected = _by_identity(records), _by_identity(expected)
    assert records == expected, (written(query), result.sql, result.params)
    assert result.total_size == len(expected)


@_THOROUGH
@given(strategies.rows(), strategies.grouped_queries(), strategies.nows, strategies.zones)
def test_groups_equal_the_plain_evaluation(rows: Rows, query: Query, now: datetime, zone: ZoneInfo) -> None:
    result = _run(rows, query, now, zone)
    answered = [tuple(list(record.values())[1:]) for record in result.records_json(result.rows(), "v64.0")]
    evaluator = Evaluator(rows, now, zone)
    expected = evaluator.groups(query)
    assert sorted(answered, key=repr) == sorted(expected, key=repr), (written(query), result.sql)
    assert [item.name for item in result.items] == _names(query)
    if query.order and set(query.groups) <= {item.operand for item in query.order}:
        assert answered == expected, (written(query), result.sql)


@_BRIEF
@given(strategies.rows(), strategies.queries(), strategies.nows, strategies.zones)
def test_count_is_the_number_of_records(rows: Rows, query: Query, now: datetime, zone: ZoneInfo) -> None:
    counted = written(Query(query.owner, (), query.condition)).replace("SELECT ", "SELECT COUNT()", 1)
    result = soql.run(load(rows), CATALOG, counted, now=now, user_zone=zone)
    evaluator = Evaluator(rows, now, zone)
    assert result.total_size == len(evaluator.answer(Query(query.owner, (), query.condition)))
    assert list(result.rows()) == []


@_BRIEF
@given(strategies.rows(), strategies.queries(), strategies.nows, strategies.zones)
def test_rows_fetched_by_their_ids_are_the_rows_of_the_query(
    rows: Rows, query: Query, now: datetime, zone: ZoneInfo
) -> None:
    result = _run(rows, query, now, zone)
    at_once = list(result.rows())
    ids = list(result.ids())
    assert result.rows_by_id(ids) == at_once
    assert result.rows_by_id(ids[::-1]) == at_once[::-1]


def _by_identity(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(records, key=lambda record: str(record["attributes"]["url"]))


def _names(query: Query) -> list[str]:
    names: list[str] = []
    unnamed = 0
    for item in query.select:
        if isinstance(item, Aggregate):
            names.append(f"expr{unnamed}")
            unnamed += 1
        else:
            names.append(item[-1])
    return names
