"""Thousands of records stamped in one second, some changed again while they are read: each comes, none twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from crosstie.sandbox.http import Request, Response
from tests.contract.imports.conftest import FIRST
from tests.contract.imports.world import World, indexed
from tests.sandboxes import Client, Sandbox, running_sandbox

CONTACTS = 5_000
PAGE = 700


class Between:
    """Lets something happen right before the n-th page of a read is given, by either road."""

    def __init__(self) -> None:
        self.acts: dict[int, Callable[[], object]] = {}
        self.pages = 0

    def around(self, request: Request, answer: Callable[[Request], Response]) -> Response:
        """Stands between the requests of clients and who answers them."""
        if "/query/01g" in request.path or request.path.endswith("/results"):
            self.pages += 1
            self.acts.pop(self.pages, lambda: None)()
        return answer(request)


@pytest.fixture(scope="module")
def between() -> Between:
    return Between()


@pytest.fixture(scope="module")
def sandbox(between: Between) -> Iterator[Sandbox]:
    with running_sandbox(records=CONTACTS, around=between.around) as running:
        running.control("clock", at=FIRST.isoformat(), frozen=True)
        yield running


def org(world: World) -> dict[str, str | None]:
    """The title of every record, by a query of the test's own."""
    client = Client(world.sandbox)
    records = client.all("SELECT Id, Title FROM Contact")
    client.close()
    return {one["Id"]: one["Title"] for one in records}


@pytest.mark.parametrize("road", ["pages", "bulk"])
def test_thousands_of_records_in_one_second(world: World, between: Between, road: str) -> None:
    text = indexed(road=road)
    world.options = {"bulk_page_rows": PAGE}
    world.sandbox.switches(query_page_rows=PAGE)
    between.acts = {}
    held: dict[str, str | None] = {}

    def brought() -> list[str]:
        rows = world.rows(world.run(text))
        ids = [row["Id"] for row in rows]
        assert len(ids) == len(set(ids))
        held.update((row["Id"], row["Title"]) for row in rows)
        return sorted(ids)

    everything = sorted(org(world))
    assert len(everything) == CONTACTS
    assert brought() == everything
    world.advance(hours=1)
    world.sandbox.change_contacts(0, ids=everything)
    world.advance(minutes=30)
    again = everything[1000:3400]
    between.pages = 0
    between.acts = {
        2: lambda: world.sandbox.change_contacts(0, ids=again),
        3: lambda: world.sandbox.control("expire_locators"),
        5: lambda: world.sandbox.change_contacts(0, ids=again[::2]),
    }
    first = brought()
    assert between.acts == {}
    assert {*everything} - {*again} <= {*first}
    world.advance(minutes=30)
    assert {*brought()} <= {*again}
    assert held == org(world)
    # Two halves of one second, the later one visible only when a run has read the first.
    world.sandbox.change_contacts(0, ids=everything[:2500])
    world.sandbox.change_contacts(0, ids=everything[2500:], late=900, holds_back=False)
    world.advance(minutes=12)
    assert brought() == everything[:2500]
    world.advance(minutes=10)
    assert brought() == everything[2500:]
    assert held == org(world)
    world.advance(minutes=30)
    assert brought() == []
