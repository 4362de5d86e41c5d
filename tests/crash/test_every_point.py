"""Killed before and after every commit and every request, a workflow ends as if it had never been interrupted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from tests.crash.paths import CANONICAL, MATRIX, Path
from tests.crash.stage import Stage
from tests.scale import SOAK

PATHS = MATRIX if SOAK else CANONICAL


def chunks(path: Path) -> int:
    """How many tests share the points of a path, so that several test processes can play them; each makes a stage."""
    return 1 if path.near else 4 if path.once else 8


@pytest.mark.parametrize(
    ("path", "number"),
    [pytest.param(path, number, id=f"{path}-{number}") for path in PATHS for number in range(chunks(path))],
)
def test_a_kill_at_any_point_ends_as_if_there_had_been_none(
    path: Path, number: int, stages: Callable[[Path], Stage], tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage = stages(path)
    agree(stage, tmp_path_factory)
    told = []
    played = 0
    for point in stage.points[number :: chunks(path)]:
        told += stage.check(point)
        played += 1
    print(f"{path}: {played} of {len(stage.points)} points")
    assert not told, "\n".join(told)
    assert played == len(range(number, len(stage.points), chunks(path)))


def agree(stage: Stage, folders: pytest.TempPathFactory) -> None:
    """The dry runs of all test processes counted the same points, else some would be left out."""
    counted = {what: len(labels) for what, labels in stage.dry.labels.items()}
    together = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    folder = folders.getbasetemp().parent if together else folders.getbasetemp()
    shared = folder / f"{together or 'alone'}-{stage.path}.json"
    try:
        with shared.open("x") as file:
            json.dump(counted, file)
    except FileExistsError:
        assert json.loads(shared.read_text()) == counted, stage.dry.labels
