"""Whatever is lost or killed in between: each row is in the CRM once, as it is here, and both sides know it."""

from __future__ import annotations

import contextlib

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from crosstie.errors import ConnectorError
from crosstie.workflow.activity import Done
from tests.contract.exports.crm import Crm, Killed
from tests.contract.exports.world import Exports, export
from tests.scale import examples

FAULTS = st.lists(
    st.sampled_from([None, None, "not sent", "lost", "lost before", "killed before", "killed after"]), max_size=14
)


def played(world: Exports, people: list[tuple[object, ...]], *, anew: bool) -> Done | None:
    """One execution of the export in a run of its own or the one before; None where it failed or was killed."""
    if anew:
        world.run_number += 1
    with contextlib.suppress(Killed, ConnectorError):
        table = world.people(*people)
        done = export().run(world.context(table))
        assert isinstance(done, Done)
        world._publish(done, world.context().log)  # type: ignore[arg-type]
        return done
    return None


@settings(max_examples=examples(25, 400), suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True)
@given(rows=st.integers(1, 9), size=st.integers(1, 4), lanes=st.integers(1, 3), faults=FAULTS, anew=st.booleans())
def test_each_row_is_in_the_crm_once(
    world: Exports, rows: int, size: int, lanes: int, faults: list[str | None], anew: bool
) -> None:
    clear(world)
    world.crm = Crm(rows_per_shipment=size, lanes=lanes, faults=list(faults))
    people: list[tuple[object, ...]] = [(number, None, f"N{number}", f"{number}@x") for number in range(rows)]
    for _ in range(2 * len(faults) + 2):
        if played(world, people, anew=anew) is not None:
            break
    expected = sorted(str(name) for _, _, name, _ in people)
    assert sorted(str(one["LastName"]) for one in world.crm.records.values()) == expected
    assert len(world.ties()) == rows
    assert [record for record, _ in world.ties()] == sorted(world.crm.records)
    world.crm.calls.clear()
    world.crm.faults = []
    assert played(world, people, anew=True) is not None
    assert world.crm.calls == [], "nothing has changed"


def clear(world: Exports) -> None:
    """Forgets what an example before has sent."""
    tables = [name for (name,) in world.rows("select table_name from crosstie.tie where table_name <> ''")]
    world.db.drop_work([name for (name,) in world.rows("select table_name from crosstie.plan")])
    world.sql(
        *(f"delete from crosstie.{name}" for name in tables),
        "delete from crosstie.shipment",
        "delete from crosstie.plan",
    )
