"""Reading a definition: the graph it means, and every mistake at its line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from crosstie.errors import DefinitionError
from crosstie.model import Column, ColumnType, RemoteObject, Table
from crosstie.schema.links import TableLink
from crosstie.workflow.activity import OK, REJECTS, Activity, Problem, Shape, Site
from crosstie.workflow.definition import Definition, read_definition, workflow_name

COLUMNS = (Column(name="id", type=ColumnType.TEXT),)


class Source(Activity):
    min_inputs: ClassVar[int] = 0
    type: Literal["source"]
    table: str = "people"

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        if self.table != "people":
            yield Problem(path=("table",), message=f"no table {self.table}")

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        return {OK: Shape(columns=COLUMNS), REJECTS: Shape(columns=COLUMNS)}


class Through(Activity):
    type: Literal["through"]
    mode: Literal["fast", "slow"] = "fast"

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        return {OK: inputs[0]}


class Finish(Activity):
    min_inputs: ClassVar[int] = 0
    has_default_next: ClassVar[bool] = False
    type: Literal["finish"]

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        return {}


CATALOGUE: dict[str, type[Activity]] = {"source": Source, "through": Through, "finish": Finish}


class EmptySite:
    def table(self, name: str) -> Table | None:
        return None

    def tables(self) -> tuple[str, ...]:
        return ()

    def accounts(self) -> tuple[str, ...]:
        return ()

    def account_kind(self, name: str) -> str:
        return ""

    def collected(self, account: str) -> tuple[str, ...]:
        return ()

    def remote_object(self, account: str, name: str) -> RemoteObject | None:
        return None

    def links(self, table: str) -> tuple[TableLink, ...]:
        return ()

    def workflow(self, name: str) -> Definition | None:
        return None

    def called_by(self, name: str) -> tuple[str, ...]:
        return ()

    def lists(self) -> tuple[str, ...]:
        return ()

    def list_shape(self, name: str) -> Shape | None:
        return None

    def files_folder(self) -> Path:
        return Path()


def read(text: str) -> Definition:
    return read_definition("flow.yaml", text, CATALOGUE, EmptySite())


def mistakes(text: str) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        read(text)
    return str(caught.value).splitlines()


def test_next_is_the_next_activity_that_no_other_one_names() -> None:
    definition = read(
        """
workflow: flow
activities:
  begin: {type: source, errors: trouble, rejects: refused}
  trouble: {type: finish}
  middle: {type: through}
  refused: {type: finish}
  last: {type: finish}
"""
    )
    assert definition.targets("begin", "ok") == ("middle",)
    assert definition.targets("begin", "errors") == ("trouble",)
    assert definition.targets("begin", "rejects") == ("refused",)
    assert definition.targets("middle", "ok") == ("last",)
    assert definition.initial() == ("begin",)
    assert definition.reachable("middle") == {"middle", "last"}


def test_a_list_forks_and_the_fork_needs_no_default() -> None:
    definition = read(
        """
workflow: flow
activities:
  begin: {type: source, next: [left, right]}
  left: {type: finish}
  right: {type: finish}
"""
    )
    assert definition.targets("begin", "ok") == ("left", "right")


def test_every_mistake_is_reported_at_once_with_its_line() -> None:
    found = mistakes(
        """workflow: flow
time_zone: Europe/Pariss
activities:
  begin: {type: source, table: other}
  middle:
    type: through
    mode: fasst
    extra: 1
  strange: {type: thruogh}
  last: {type: finish, next: nowhere}
"""
    )
    assert found[0].startswith("flow.yaml:2:1  time_zone: “Europe/Pariss” is not a time zone")
    assert found[1].startswith("flow.yaml:4:25  begin.table: no table other")
    assert found[2].startswith("flow.yaml:7:5  middle.mode: “fasst” is not known here. Did you mean “fast”?")
    assert found[3].startswith("flow.yaml:8:5  middle.extra: “extra” is not a key here.")
    assert found[4].startswith("flow.yaml:9:13  strange.type: “thruogh” is not an activity. Did you mean “through”?")
    assert found[5].startswith("flow.yaml:10:24  last.next: there is no activity “nowhere”")
    assert len(found) == 6


def test_an_activity_without_the_population_it_needs_is_a_mistake() -> None:
    found = mistakes("workflow: flow\nactivities:\n  lonely: {type: through}\n")
    assert "needs an inbound population" in found[0]


def test_a_circle_without_beginning_is_a_mistake() -> None:
    found = mistakes(
        "workflow: flow\nactivities:\n  one: {type: through, next: two}\n  two: {type: through, next: one}\n"
    )
    assert "nothing to begin with" in found[0]


def test_a_key_that_stands_twice_is_a_mistake() -> None:
    found = mistakes("workflow: flow\nactivities:\n  a: {type: source}\n  a: {type: source}\n")
    assert found[0].startswith("flow.yaml:4:3  a: this key stands twice")


@pytest.mark.parametrize(
    "text", ["", "just words", "- a list", "workflow: [", "workflow: 'un closed", "workflow: flow\nactivities: {}\n"]
)
def test_what_is_no_definition_is_refused_with_a_place(text: str) -> None:
    assert all(line.startswith("flow.yaml:") for line in mistakes(text))


def test_words_that_yaml_would_turn_into_something_else_stay_words() -> None:
    definition = read("workflow: no\nlabel: 12:30\nactivities:\n  on: {type: source}\n")
    assert definition.name == "no"
    assert definition.label == "12:30"
    assert list(definition.activities) == ["on"]


def test_the_name_can_be_read_without_validating_the_rest() -> None:
    assert workflow_name("flow.yaml", "workflow: flow\nactivities: {a: {type: unknown}}\n") == "flow"


def test_a_loop_back_does_not_take_an_activity_out_of_the_line() -> None:
    definition = read(
        """
workflow: flow
activities:
  begin: {type: source}
  send: {type: through, errors: again}
  done: {type: finish}
  again: {type: through, next: send}
"""
    )
    assert definition.targets("begin", OK) == ("send",)
    assert definition.targets("send", OK) == ("done",)
    assert definition.targets("again", OK) == ("send",)
