"""Every kind of CRM, each with one sandbox for the whole suite, in both positions of what nobody is sure of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from crosstie.crm.connector import Connector
from crosstie.model import RemoteObject
from crosstie.sandbox.dynamics.switches import UNSURE as DYNAMICS
from crosstie.sandbox.oracle_on_demand.switches import UNSURE as ORACLE
from tests.contract.every_connector.worlds import RECORDS, ROLES, World
from tests.contract.positions import OTHER
from tests.sandboxes import Sandbox, running_sandbox

_DOCUMENTED = frozenset({"like_wildcards"})
"""How a wildcard is made to stand for itself is documented, and no text means the same where there are none."""

_TOLD = frozenset({"v2_dates_in_utc"})
"""What dates mean is a setting of the account."""

FLIPPED: Mapping[str, Mapping[str, Any]] = {
    "salesforce": OTHER,
    "dynamics": {name: value for name, value in DYNAMICS.items() if name not in _DOCUMENTED},
    "oracle_on_demand": {name: value for name, value in ORACLE.items() if name not in _TOLD},
}


@pytest.fixture(scope="session", params=[(kind, flipped) for kind in ROLES for flipped in (False, True)], ids=str)
def served(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A running sandbox."""
    kind, flipped = request.param
    with running_sandbox(records=RECORDS, kind=kind) as running:
        running.switches(**ROLES[kind].small_pages)
        if flipped:
            running.switches(**FLIPPED[kind])
        yield running


@pytest.fixture
def world(served: Sandbox) -> Iterator[World]:
    """The sandbox with its names; afterwards it behaves again."""
    before = served.switches()
    world = World(served.kind, served)
    yield world
    for connector in world.opened:
        connector.close()
    served.faults([])
    served.hide()
    served.switches(**before)


@pytest.fixture
def connector(world: World) -> Connector:
    """A connector that is signed in; its sign-in is not among the counters any more."""
    opened = world.open()
    opened.org_id()
    world.sandbox.counters(reset=True)
    return opened


@pytest.fixture
def contact(connector: Connector, world: World) -> RemoteObject:
    """Contacts."""
    return connector.describe(world.roles.contact)
