"""Expressions with known values, the same on both databases."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.contract.expressions.conftest import REFUSED, Both

FIRST_ROW: list[tuple[str, object]] = [
    ("n / 2", 3),
    ("-n / 2", -3),
    ("n / -2", -3),
    ("n / 0", None),
    ("d / 0", None),
    ("f / 0.0", None),
    ("d / 3", Decimal("4.166667")),
    ("-d / 3", Decimal("-4.166667")),
    ("d + e", Decimal("12.6")),
    ("e + e + e", Decimal("0.3")),
    ("n * d", Decimal("87.5")),
    ("n + f", 8.5),
    ("round(d)", Decimal(13)),
    ("round(-d)", Decimal(-13)),
    ("round(2.345, 2)", Decimal("2.35")),
    ("round(f)", Decimal(2)),
    ("floor(-d)", Decimal(-13)),
    ("ceil(f)", Decimal(2)),
    ("abs(-n)", 7),
    ("name || '-' || n || '-' || d", "Ada-7-12.5"),
    ("concat(name, null, b, day)", "Adatrue2026-01-31"),
    ("name || null", None),
    ("left(name, 2) || right(name, -1)", "Adda"),
    ("left(name, -1)", "Ad"),
    ("right(name, 0)", ""),
    ("substr(name, 0, 2)", "A"),
    ("substr(name, -1)", "Ada"),
    ("replace(name, 'a', '')", "Ad"),
    ("replace(name, '', 'x')", "Ada"),
    ("trim('xxaxx', 'x')", "a"),
    ("greatest(n, null, m)", 7),
    ("least(name, 'B', 'a')", "Ada"),
    ("coalesce(null, n, 1)", 7),
    ("nullif(m, 2)", None),
    ("case when n > 5 then 1 else 2.5 end", Decimal(1)),
    ("case m when 2 then 'two' end", "two"),
    ("name = 'ADA'", False),
    ("lower(name) = lower('ADA')", True),
    ("name like 'A_a'", True),
    ("name like 'a%'", False),
    ("name < 'a'", True),
    ("n in (1, 7, null)", True),
    ("n not in (1, null)", None),
    ("n between 7 and 7.0", True),
    ("not c and b", True),
    ("null and c", False),
    ("b is not false", True),
    ("likes = 'b;a'", True),
    ("contains(likes, 'a')", True),
    ("has_any(likes, 'x', 'b')", True),
    ("cast(at as date)", "2026-01-02"),
    ("cast(at as wall_clock)", "2026-01-02T00:30:00.000000"),
    ("cast(wall as instant)", "2026-01-01T22:30:00.000000Z"),
    ("cast(at as text)", "2026-01-01T23:30:00.000000Z"),
    ("year(at)", 2026),
    ("day(at)", 2),
    ("day < today()", True),
    ("today()", "2026-03-30"),
    ("now()", "2026-03-29T23:30:00.000000Z"),
    ("date_add(day, 29)", "2026-03-01"),
    ("date_add(at, 1)", "2026-01-02T23:30:00.000000Z"),
    ("date_diff_days(today(), day)", 58),
    ("at >= date_add(today(), -88)", True),
    ("at >= date_add(today(), -86)", False),
    ("to_date('31.01.2026', 'dd.MM.yyyy') = day", True),
    ("try_cast(name as integer)", None),
    ("cast('2.345' as decimal(5, 2))", Decimal("2.35")),
    ("cast(2.5 as integer)", 3),
    ("cast(f as integer)", 2),
    ("cast(b as integer)", 1),
    ("n = $(vars/@number)", True),
    ("d * $(instance/vars/@half)", Decimal("6.25")),
    ("day = $(vars/@date)", True),
    ("$(vars/@text) || name", "ÜnalAda"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), FIRST_ROW, ids=[text for text, _ in FIRST_ROW])
def test_an_expression_has_the_documented_value(both: Both, text: str, value: object) -> None:
    assert both.agreed(text)[0] == value


@pytest.mark.parametrize(
    "text",
    [
        "cast(name as integer)",
        "cast(other as date)",
        "to_date(name, 'yyyy-MM-dd')",
        "name like other || '\\'",
        "n * 4611686018427387904",
        "substr(name, 1, n - 8)",
        "cast(d as decimal(3, 2))",
    ],
)
def test_what_fails_fails_on_both(both: Both, text: str) -> None:
    assert both.agreed(text) == [REFUSED]


@pytest.mark.parametrize("text", ["cast(e * e * e as decimal(38, 20))", "n * 1.000001"])
def test_a_decimal_beyond_fifteen_digits_is_exact_or_refused_never_rounded(both: Both, text: str) -> None:
    found = both.values(text)
    assert found["sqlite"] in ([REFUSED], found["postgresql"])


def test_case_is_mapped_character_by_character(both: Both) -> None:
    assert both.agreed("lower(name)")[1:4] == ["ünal çelik", "σίσυφος 😀", "straße"]
    assert both.agreed("lower(other)")[2] == "σίσυφοσ"
    assert both.agreed("upper(name)")[1:4] == ["ÜNAL ÇELİK", "ΣΊΣΥΦΟΣ 😀", "STRAßE"]


def test_days_begin_and_end_with_the_zone_in_force(both: Both) -> None:
    # The second row is the last microsecond before Paris goes from 2 to 3 o'clock.
    assert both.agreed("cast(at as wall_clock)")[1] == "2026-03-29T01:59:59.999999"
    assert both.agreed("cast(day as instant)")[4] == "2026-03-28T23:00:00.000000Z"
    # 02:30 does not exist that day and is read with the offset before; on 25 October it is read as the first of two.
    assert both.agreed("cast(wall as instant)")[1] == "2026-03-29T01:30:00.000000Z"
    assert both.agreed("cast(wall as instant)")[3] == "2026-10-25T00:30:00.000000Z"


def test_a_date_as_text_is_compared_as_text_with_what_looks_like_a_number(both: Both) -> None:
    for text in (
        "cast(day as text) < concat('5')",
        "cast(at as text) < concat('5')",
        "cast(wall as text) < concat('5')",
    ):
        assert both.agreed(text)[0] is True, text
