"""docs/oracle-on-demand-sandbox.md names everything that the control endpoint takes, and what nobody is sure of as it
is."""

import json
import re
from pathlib import Path

import pytest

from crosstie.sandbox.oracle_on_demand.switches import UNSURE, Switches
from tests.sandboxes import ControlRefused, Sandbox

PAGE = (Path(__file__).parents[3] / "docs" / "oracle-on-demand-sandbox.md").read_text(encoding="utf-8")


def test_every_action_and_switch_is_documented(oracle: Sandbox) -> None:
    with pytest.raises(ControlRefused) as refused:
        oracle.control("what-is-there")
    actions = str(refused.value).partition("There are: ")[2].partition(".")[0].split(", ")
    assert len(actions) > 10
    assert [name for name in (*actions, *oracle.switches()) if f"`{name}`" not in PAGE] == []


def test_the_table_of_unsure_facts_has_both_positions() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \| \S", PAGE.partition("nobody is sure of:")[2], re.MULTILINE)
    usual = Switches()

    def shown(value: object) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    assert rows == [(name, shown(getattr(usual, name)), shown(other)) for name, other in sorted(UNSURE.items())]
