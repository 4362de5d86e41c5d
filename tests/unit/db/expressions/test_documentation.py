"""The page for people lists what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crosstie.db.expressions.aggregates import AGGREGATES
from crosstie.db.expressions.casting import TYPE_WORDS
from crosstie.db.expressions.functions import FUNCTIONS

PAGE = (Path(__file__).parents[4] / "docs" / "expressions.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_documented(name: str) -> None:
    assert f"`{name}(" in PAGE


def test_no_other_function_is_documented() -> None:
    tables = PAGE.split("## Functions")[1].split("## Aggregates")[0]
    rows = "".join(line for line in tables.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)\(", rows)) == set(FUNCTIONS)


@pytest.mark.parametrize("name", AGGREGATES)
def test_an_aggregate_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE.split("## Aggregates")[1].split("## Conversions")[0]


@pytest.mark.parametrize("type", dict.fromkeys(TYPE_WORDS.values()))
def test_a_type_is_documented(type: str) -> None:
    assert f"`{type}`" in PAGE
