"""Stages, each made once per test process; all of them use one fork server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.crash.doubt import DoubtfulStage
from tests.crash.paths import Path
from tests.crash.stage import Stage
from tests.databases import PostgresServer
from tests.forks import Forks


@pytest.fixture(scope="session")
def stages(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Stage]]:
    """Gives the stage of a path."""
    made: dict[str, Stage] = {}
    with ExitStack() as stack:
        forks = stack.enter_context(closing(Forks("tests.crash.process")))

        def stage(path: Path) -> Stage:
            if str(path) not in made:
                folder = tmp_path_factory.mktemp("crash")
                kind = DoubtfulStage if path.opaque else Stage
                made[str(path)] = stack.enter_context(closing(kind(path, folder, postgres, forks)))
            return made[str(path)]

        yield stage
