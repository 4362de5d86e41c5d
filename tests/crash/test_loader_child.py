"""The loader child of SQLite: it may outlive its parent, and its parent may outlive it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.crash.paths import BY_CHILD, Path
from tests.crash.stage import Stage


@pytest.mark.parametrize("victim", ["runner", "loader"])
def test_a_kill_around_a_slice_of_the_loader_child(victim: str, stages: Callable[[Path], Stage]) -> None:
    stage = stages(BY_CHILD)
    points = [point for point in stage.points if point.what == "load"]
    assert len(points) >= 6, stage.dry.labels
    told = [one for point in points for one in stage.check(point, victim)]
    assert not told, "\n".join(told)
