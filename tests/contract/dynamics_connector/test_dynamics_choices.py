"""Choices of Dynamics: those that columns share, their labels in several languages, status reasons of their states."""

from __future__ import annotations

from tests.contract.every_connector.worlds import World


def test_choices_that_columns_share_come_with_their_name_and_languages(world: World) -> None:
    described = world.open().describe("new_everything")
    seasons = [one for one in described.fields if one.value_set == "new_season"]
    assert len(seasons) > 1
    for field in seasons:
        first, second, *_ = field.values
        assert (first.label, first.labels) == ("Spring", (("fr-FR", "Printemps"),))
        assert (second.label, second.labels) == ("Summer", (("fr-FR", "Été"),))


def test_status_reasons_depend_on_their_state(world: World) -> None:
    described = world.open().describe("opportunity")
    state, reason = described.field("statecode"), described.field("statuscode")
    assert state is not None
    assert reason is not None
    assert (reason.controller, state.controller) == ("statecode", "")
    assert {one.name for one in state.values} == {state for one in reason.values for state in one.valid_for}
    assert all(len(one.valid_for) == 1 for one in reason.values)
