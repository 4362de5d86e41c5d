"""What an import costs in calls, and options that cannot be meant."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crosstie.errors import ConfigError, TaskError
from crosstie.sync.windows import option_text
from tests.contract.imports.world import World, indexed


def test_a_run_without_change_asks_three_times_even_when_the_overlap_has_rows(world: World) -> None:
    world.run(indexed())
    world.sandbox.change_contacts(25)
    world.advance(minutes=10)
    world.run(indexed())
    world.advance(minutes=2)
    world.sandbox.counters(reset=True)
    report = world.run(indexed())
    asked = {kind: count for kind, count in world.sandbox.counters()["requests"].items() if count}
    assert report.counts["read"] == {"rows": 0, "seen before": 25}
    assert {kind: asked.get(kind, 0) for kind in ("describe", "updated", "query")} == {
        "describe": 1,
        "updated": 1,
        "query": 1,
    }
    assert report.api_calls == 3


def test_an_option_far_ahead_of_the_crm_is_refused_and_one_day_is_waited_for(world: World) -> None:
    world.set_option("2062/11/23 00:00:00")
    with pytest.raises(TaskError, match="but on the CRM it is") as caught:
        world.run(indexed())
    assert isinstance(caught.value.cause, ConfigError)
    assert world.option() == "2062/11/23 00:00:00"
    ahead = option_text(world.clock.now() + timedelta(hours=2))
    world.set_option(ahead)
    report = world.run(indexed())
    assert report.counts["read"] == {"rows": 0}
    assert world.option() == ahead
