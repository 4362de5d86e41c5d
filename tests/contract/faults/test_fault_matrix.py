"""Every fault at every kind of request that an import makes: overcome and said, or refused by name and gone on with."""

from __future__ import annotations

from typing import Any

import pytest

from crosstie.workflow.state import RunStatus
from tests.contract.faults import dynamics, oracle_on_demand
from tests.contract.faults.outcomes import NEVER_LASTING, RECORDS, RETRIED, Cell, cells, lasting, passing, rows
from tests.contract.imports.world import World


@pytest.fixture(scope="module")
def right() -> list[tuple[Any, ...]]:
    """The rows of an import that nothing befell, by whatever road; filled by the first cell."""
    return []


@pytest.fixture(scope="module")
def right_of_dynamics() -> list[tuple[Any, ...]]:
    """The same from Dynamics."""
    return []


@pytest.fixture(scope="module")
def right_of_oracle() -> list[tuple[Any, ...]]:
    """The same from Oracle CRM On Demand."""
    return []


def undisturbed(world: World, right: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    if not right:
        right += rows(world, Cell.of(world, "query", "503").run())
    return right


@pytest.mark.parametrize(("kind", "fault"), cells())
def test_a_fault_at_a_request(cell: World, right: list[tuple[Any, ...]], kind: str, fault: str) -> None:
    """First it lasts: refused by name. Then the run is gone on with while it passes: overcome and said, or refused by
    name again. In the end everything is there once."""
    expected = undisturbed(cell, right)
    befalls(Cell.of(cell, kind, fault, [row[0] for row in expected]), expected)


@pytest.mark.parametrize(("kind", "fault"), dynamics.cells())
def test_a_fault_at_a_request_to_dynamics(
    dynamics_cell: World, right_of_dynamics: list[tuple[Any, ...]], kind: str, fault: str
) -> None:
    if not right_of_dynamics:
        whole = Cell.of(dynamics_cell, "query", "503", expected=dynamics.EXPECTED)
        right_of_dynamics += rows(dynamics_cell, whole.run())
        assert len(right_of_dynamics) == RECORDS
    befalls(Cell.of(dynamics_cell, kind, fault, expected=dynamics.EXPECTED), right_of_dynamics)


@pytest.mark.parametrize(("kind", "fault"), oracle_on_demand.cells())
def test_a_fault_at_a_request_to_oracle_on_demand(
    oracle_cell: World, right_of_oracle: list[tuple[Any, ...]], kind: str, fault: str
) -> None:
    if not right_of_oracle:
        whole = Cell.of(oracle_cell, "query", "503", expected=oracle_on_demand.EXPECTED)
        right_of_oracle += rows(oracle_cell, whole.run())
        assert len(right_of_oracle) == RECORDS
    befalls(Cell.of(oracle_cell, kind, fault, expected=oracle_on_demand.EXPECTED), right_of_oracle)


def befalls(one: Cell, expected: list[tuple[Any, ...]]) -> None:
    """First a fault lasts, then it passes, then there is none."""
    kind, fault = one.kind, one.fault
    first = 0
    if fault not in NEVER_LASTING:
        one.spoil(times=None)
        first = one.refused(one.expected.lasting(kind, fault)).run
        assert one.option() is None
    one.spoil(times=1)
    if one.expected.passing(kind, fault) == RETRIED:
        report = one.run()
        assert one.said(report.run, "Tried again ")
    else:
        assert one.refused(one.expected.passing(kind, fault)).run == first
        report = one.run()
    assert report.run == first or not first
    one.right(report, expected)


@pytest.mark.parametrize("fault", ["session-ends", "locators-end"])
def test_sessions_and_locators_that_end_before_every_page(
    cell: World, right: list[tuple[Any, ...]], fault: str
) -> None:
    expected = undisturbed(cell, right)
    one = Cell.of(cell, "query_more", fault)
    one.spoil(times=None)
    if fault == "session-ends":  # also straight after signing in again: no request would ever be answered
        one.refused("straight after signing in")
        cell.sandbox.faults([])
    one.right(one.run(), expected)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("token", "502-html"),
        ("updated", "drop-after"),
        ("query_more", "cut-plain"),
        ("bulk_create", "drop-after"),
        ("bulk_results", "count-up"),
    ],
)
def test_the_state_after_a_fault_on_both_databases(world: World, kind: str, fault: str) -> None:
    expected = rows(world, Cell.of(world, "query", "503").run())
    one = Cell.of(world, kind, fault)
    one.spoil(times=None)
    error = one.refused(lasting(kind, fault))
    assert world.query("select status from crosstie.run where id = :run", run=error.run) == [(str(RunStatus.FAILED),)]
    one.spoil(times=1)
    if passing(kind, fault):
        one.refused(passing(kind, fault))
    report = one.run()
    assert report.run == error.run
    one.right(report, expected)
