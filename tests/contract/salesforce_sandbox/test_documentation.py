"""docs/sandbox.md names everything that the control endpoint takes."""

from pathlib import Path
from typing import get_args

import pytest

from crosstie.sandbox.faults import FaultType
from tests.sandboxes import ControlRefused, Sandbox

PAGE = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")


def test_every_action_is_documented(sandbox: Sandbox) -> None:
    with pytest.raises(ControlRefused) as refused:
        sandbox.control("what-is-there")
    actions = str(refused.value).partition("There are: ")[2].partition(".")[0].split(", ")
    assert len(actions) > 10
    assert [name for name in actions if f"`{name}`" not in PAGE] == []


def test_every_switch_and_fault_is_documented(sandbox: Sandbox) -> None:
    names = [*sandbox.switches(), *get_args(FaultType)]
    assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_permanent_latency_can_be_set_and_taken_back(sandbox: Sandbox) -> None:
    sandbox.control("latency", milliseconds=1)
    sandbox.control("latency", milliseconds=0)
    with pytest.raises(ControlRefused):
        sandbox.control("latency", seconds=1)
