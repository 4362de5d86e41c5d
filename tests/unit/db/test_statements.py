"""Translation of statements into the two dialects."""

from __future__ import annotations

import pytest

from crosstie.db.statements import for_postgresql, for_sqlite, quote_identifier


@pytest.mark.parametrize(
    ("written", "sqlite"),
    [
        ("select * from crosstie.option o", "select * from crosstie_option o"),
        ("select crosstie.option.value", "select crosstie_option.value"),
        ('select * from crosstie."w_1_bad-rows"', 'select * from "crosstie_w_1_bad-rows"'),
        ("select 'crosstie.option', \"crosstie.option\"", "select 'crosstie.option', \"crosstie.option\""),
        ("select 1 -- crosstie.option\n", "select 1 -- crosstie.option\n"),
        ("select 1 /* crosstie.option */", "select 1 /* crosstie.option */"),
        ("select x.crosstie.option, mycrosstie.option", "select x.crosstie.option, mycrosstie.option"),
        ("select 'it''s crosstie.a', crosstie.a", "select 'it''s crosstie.a', crosstie_a"),
    ],
)
def test_the_namespace_is_a_prefix_on_sqlite(written: str, sqlite: str) -> None:
    assert for_sqlite(written) == sqlite


@pytest.mark.parametrize(
    ("written", "postgresql", "names"),
    [
        ("select :a, :a, :b_2", "select %(a)s, %(a)s, %(b_2)s", {"a", "b_2"}),
        ("select :a::text, x::date", "select %(a)s::text, x::date", {"a"}),
        ("select ':a', \":b\", :c", "select ':a', \":b\", %(c)s", {"c"}),
        ("select '^(?:a)%$' like :p", "select '^(?:a)%%$' like %(p)s", {"p"}),
        ("select 5 % 2, '100%'", "select 5 % 2, '100%'", set()),
        ("select 1 -- :a\n, :b /* :c */", "select 1 -- :a\n, %(b)s /* :c */", {"b"}),
    ],
)
def test_named_values_are_found_outside_literals(written: str, postgresql: str, names: set[str]) -> None:
    assert for_postgresql(written) == (postgresql, frozenset(names))


def test_identifiers_are_quoted() -> None:
    assert quote_identifier('odd "name"; drop') == '"odd ""name""; drop"'
    for bad in ("", "a\0b"):
        with pytest.raises(ValueError, match="cannot be a name"):
            quote_identifier(bad)
