"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crosstie.workflow.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("10m", 600), ("1h30m", 5400), ("2d", 172800), ("1y", 31536000), (0, 0), ("0", 0), ("1h 5s", 3605)],
)
def test_durations_are_read_in_their_units(text: object, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "ten minutes", "-5m", "5 m x", True, None, -1])
def test_what_is_no_duration_is_refused_in_words(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("value", [15, "15"])
def test_a_number_without_unit_is_refused_with_the_way_out(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration: it has no unit; write 15m or 15s"):
        parse_duration(value)
