"""Everything that goes wrong on the way: the same rows in the end, or an error that says so; never fewer rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from crosstie.crm.connector import Connector, RemoteQuery, Road
from crosstie.errors import AuthError, ConnectorError
from crosstie.model import RemoteObject
from tests.contract.every_connector.worlds import BELIEVED, RECORDS, World, read

pytestmark = BELIEVED
PASSING: list[dict[str, Any]] = [
    {"type": "status", "status": 503},
    {"type": "status", "status": 502, "html": True},
    {"type": "status", "status": 429, "retry_after": 1},
    {"type": "status", "status": 500, "code": ""},
    {"type": "drop_before"},
    {"type": "drop_after"},
    {"type": "truncate", "bytes": 300},
    {"type": "cut_gzip", "bytes": 20},
    {"type": "expire_session"},
]


@pytest.fixture
def query(contact: RemoteObject, world: World) -> RemoteQuery:
    """All contacts."""
    return RemoteQuery(object=contact, fields=world.roles.fields, road=Road.PAGES)


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: "-".join(str(value) for value in fault.values()))
def test_a_passing_fault_costs_time_and_no_row(
    connector: Connector, world: World, query: RemoteQuery, fault: dict[str, Any]
) -> None:
    world.sandbox.faults([world.fault(world.roles.pages, fault), world.fault(world.roles.more, fault)])
    rows = read(connector, query)
    assert len({row[0] for row in rows}) == len(rows) == RECORDS
    assert connector.usage.retries


def test_the_session_may_end_before_every_single_call(connector: Connector, world: World, query: RemoteQuery) -> None:
    rows = read(connector, query, between=lambda partition: world.sandbox.control("expire_sessions") and None)
    assert len(rows) == RECORDS


def test_a_lasting_fault_is_an_error_and_never_fewer_rows(world: World, query: RemoteQuery) -> None:
    for fault, message in world.roles.lasting:
        connector = world.open()
        connector.org_id()
        world.sandbox.faults([world.fault(world.roles.pages, fault, times=None)])
        with pytest.raises((ConnectorError, AuthError), match=message) as caught:
            read(connector, query)
        assert caught.value.hint
        connector.close()


def test_calls_are_counted_as_the_service_counts_them(connector: Connector, world: World, query: RemoteQuery) -> None:
    before = connector.usage.calls
    world.sandbox.counters(reset=True)
    read(connector, query)
    roles = world.roles
    wanted = Counter([roles.pages, *[roles.more] * (roles.page_count - 1)])
    assert +Counter(world.sandbox.counters()["requests"]) == wanted
    assert connector.usage.calls - before == roles.page_count
    assert connector.usage.rows == RECORDS
