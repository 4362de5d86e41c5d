"""What changes while the pages of a read are fetched: a page shows the values of now in the order of before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crosstie.sandbox.http import Request, Response
from tests.contract.imports.conftest import FIRST
from tests.contract.imports.world import World, indexed
from tests.sandboxes import Sandbox, running_sandbox

PAGE = 5


class Between:
    """Lets something happen right before the n-th further page is given."""

    def __init__(self) -> None:
        self.acts: dict[int, Callable[[], object]] = {}
        self.pages = 0

    def around(self, request: Request, answer: Callable[[Request], Response]) -> Response:
        """Stands between the requests of clients and who answers them."""
        if "/query/01g" in request.path:
            self.pages += 1
            self.acts.pop(self.pages, lambda: None)()
        return answer(request)


@pytest.fixture(scope="module")
def between() -> Between:
    return Between()


@pytest.fixture(scope="module")
def sandbox(between: Between) -> Iterator[Sandbox]:
    with running_sandbox(records=40, around=between.around) as running:
        running.control("clock", at=FIRST.isoformat(), frozen=True)
        yield running


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """A fresh marketing database on SQLite."""
    return f"sqlite:///{tmp_path / 'marketing.db'}"


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4])
def test_a_lost_locator_loses_no_row_behind_one_that_has_just_changed(
    world: World, between: Between, place: int
) -> None:
    text = indexed(road="pages")
    world.sandbox.switches(query_page_rows=PAGE)
    world.run(text)
    world.advance(hours=1)
    made = []
    for number in range(4 * PAGE):
        made += world.sandbox.insert("Contact", [{"LastName": f"No. {number}"}])
        world.advance(seconds=1)
    world.advance(minutes=30)
    # The second page is fetched when one of its rows has just changed: in either order that row stands in it.
    changed = [made[PAGE + place], made[-1 - PAGE - place]]
    between.pages = 0
    between.acts = {
        1: lambda: world.sandbox.change_contacts(0, ids=changed),
        2: lambda: world.sandbox.control("expire_locators"),
    }
    first = world.ids(world.run(text))
    assert between.acts == {}
    world.advance(minutes=30)
    again = world.ids(world.run(text))
    assert set(first) | set(again) == set(made)
    assert set(again) <= set(changed)
