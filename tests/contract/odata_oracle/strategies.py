"""Rows and conditions for them."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from .conditions import KINDS, Columns, Compare, Field, Function, Not, Related, Row, Several, TextTest

_SIGNS = ("eq", "ne", "gt", "ge", "lt", "le")
_MOMENTS = [datetime(2024, 1, day, hour, 30, 5, tzinfo=UTC) for day in (1, 2) for hour in (0, 23)]
_DAYS = [date(2024, 1, 1), date(2024, 2, 29), date(1999, 12, 31)]
texts = st.text(alphabet="aAbéÉ%_[]^'ıß \"\\", max_size=4)
patterns = st.lists(st.sampled_from(["[^a]", "[ab]", "[", "]", "%", "_", "a", "É"]), max_size=3).map("".join)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "new_name": texts,
    "new_serial": texts,
    "name": texts,
    "new_count": st.integers(-2, 2),
    "numberofemployees": st.integers(-2, 2),
    "new_share": st.sampled_from([Decimal("-1.5"), Decimal("1.0000000001"), Decimal("9"), Decimal("10")]),
    "new_price": st.sampled_from([Decimal("9"), Decimal("10"), Decimal("922337203685476.9999")]),
    "new_weight": st.sampled_from([-1.5, 0.25, 1.0]),
    "new_colour": st.sampled_from([100_000_000, 100_000_001]),
    "new_active": st.booleans(),
    "new_seen": st.sampled_from(_MOMENTS),
    "new_built": st.sampled_from(_DAYS),
    "new_tags": st.lists(st.sampled_from("123"), min_size=1, unique=True).map(",".join),
}
HERE = [name for name in KINDS if name.startswith("new_")]


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Accounts, and rows of the table with every type, some of which lead to an account."""
    accounts: list[Row] = [
        {"accountid": str(uuid.UUID(int=number)), "children": [], **_drawn(draw, ["name", "numberofemployees"])}
        for number in range(draw(st.integers(0, 3)))
    ]
    found: list[Row] = []
    for number in range(draw(st.integers(1, 8))):
        row = {"new_everythingid": str(uuid.UUID(int=1000 + number)), **_drawn(draw, HERE)}
        row["new_AccountId"] = draw(st.sampled_from([None, *accounts]))
        if row["new_AccountId"] is not None:
            row["new_AccountId"]["children"].append(row)
        found.append(row)
    return accounts, found


def _drawn(draw: st.DrawFn, names: list[str]) -> Row:
    return {name: draw(st.none() | _VALUES[name]) for name in names}


fields = st.sampled_from(HERE).map(lambda name: Field((name,)))
_ABOVE = st.sampled_from(["name", "numberofemployees"]).map(lambda name: Field(("new_AccountId", name)))


@st.composite
def leaves(draw: st.DrawFn, chosen: st.SearchStrategy[Field]) -> Any:
    """One condition of one column."""
    field = draw(chosen)
    name, kind = field.names[-1], field.kind
    values = _VALUES[name]
    shapes = ["compare", "compare"]
    shapes += ["in"] if kind != "boolean" else []
    shapes += ["between"] if kind in ("number", "instant", "date") else []
    shapes += ["text"] if kind == "text" else []
    shapes += ["contain"] if kind == "set" else []
    shape = draw(st.sampled_from(shapes))
    negation = draw(st.sampled_from(["", "Not"]))
    if shape == "in":
        return Function(f"{negation}In", field, tuple(draw(st.lists(values, min_size=1, max_size=3))))
    if shape == "between":
        return Function(f"{negation}Between", field, (draw(values), draw(values)))
    if shape == "contain":
        chosen_values = tuple(draw(st.lists(st.sampled_from("123"), min_size=1, max_size=2)))
        return Function("DoesNotContainValues" if negation else "ContainValues", field, chosen_values)
    if shape == "text":
        return TextTest(draw(st.sampled_from(["contains", "startswith", "endswith"])), field, draw(texts | patterns))
    signs = _SIGNS if kind not in ("boolean", "set") else ("eq", "ne")
    return Compare(field, draw(st.sampled_from(signs)), draw(st.none() | values))


_PAIRS = [("new_name", "new_serial"), ("new_count", "new_share"), ("new_price", "new_share"), ("new_seen", "new_seen")]
_columns = st.builds(
    lambda pair, sign: Columns(Field((pair[0],)), sign, Field((pair[1],))),
    st.sampled_from(_PAIRS),
    st.sampled_from(_SIGNS),
)


def _nested(single: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        single,
        lambda inner: (
            st.builds(Not, inner)
            | st.builds(Several, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3).map(tuple))
        ),
        max_leaves=5,
    )


conditions = _nested(leaves(fields | _ABOVE) | _columns)
"""Conditions of the table with every type."""
account_conditions = _nested(
    leaves(st.sampled_from(["name", "numberofemployees"]).map(lambda name: Field((name,))))
    | st.builds(
        Related,
        st.sampled_from(["any", "all"]),
        _nested(leaves(st.sampled_from(HERE).map(lambda name: Field(("o", name))))),
    )
)
"""Conditions of accounts and of what is behind them."""
orders = st.lists(
    st.tuples(st.sampled_from([name for name in HERE if name != "new_tags"]), st.booleans()),
    max_size=3,
    unique_by=lambda key: key[0],
)
