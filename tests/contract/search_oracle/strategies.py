"""Rows and conditions for them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from .conditions import Compare, Manner, Null, Related, Row, Several

_MOMENTS = [datetime(2026, 11, 1, hour, 30, 5, tzinfo=UTC) for hour in (4, 5, 6, 7)]
"""Of these, the clocks of New York show the second and the third as one."""
_SIGNS = ("=", "<>", "<", "<=", ">", ">=")
texts = st.text(alphabet="aAbéÉ*?[]\\'ıß \"", min_size=1, max_size=4).map(str.strip).filter(bool)
patterned = st.text(alphabet="a*?[]\\^", max_size=5)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "ContactLastName": texts,
    "JobTitle": texts,
    "nScore": st.sampled_from([Decimal("-1.5"), Decimal("0.25"), Decimal(9), Decimal(10)]),
    "bNewsletter": st.booleans(),
    "DateofBirth": st.sampled_from([date(2024, 2, 29), date(1999, 12, 31), date(2000, 1, 1)]),
    "LastCallDate": st.sampled_from(_MOMENTS),
    "Gender": st.sampled_from(["M", "F"]),
}
_ROLES = st.sampled_from(["Sales", "Support", "Executive"])
manners = st.builds(Manner, st.just("v2"), st.booleans(), st.booleans())


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Contacts with their team."""
    found = []
    for number in range(draw(st.integers(1, 8))):
        row: Row = {tag: draw(st.none() | values) for tag, values in _VALUES.items()}
        row["Id"] = f"AAPA-{number:06d}"
        row["team"] = [{"TeamRole": draw(st.none() | _ROLES)} for _ in range(draw(st.integers(0, 2)))]
        found.append(row)
    return found


@st.composite
def leaves(draw: st.DrawFn, tags: tuple[str, ...] = tuple(_VALUES)) -> Any:
    """One condition of one field."""
    tag = draw(st.sampled_from(tags))
    if draw(st.integers(0, 4)) == 0:
        return Null(tag, draw(st.booleans()))
    values = _VALUES.get(tag, _ROLES)
    signs: tuple[str, ...] = ("=", "<>") if tag in ("bNewsletter", "Gender", "TeamRole") else _SIGNS
    if values is texts:
        signs += ("~=", "LIKE", "~LIKE")
        values = texts | st.just("")
    return Compare(tag, draw(st.sampled_from(signs)), draw(values))


def _nested(single: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        single,
        lambda inner: st.builds(
            Several, st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3).map(tuple)
        ),
        max_leaves=6,
    )


conditions = _nested(leaves() | st.builds(Related, st.booleans(), _nested(leaves(("TeamRole",)))))
"""What a search specification may say of a contact."""
contents = st.dictionaries(st.sampled_from(list(_VALUES)), st.none(), min_size=1, max_size=2).flatmap(
    lambda chosen: st.fixed_dictionaries({tag: _nested(leaves((tag,))) for tag in chosen})
)
"""What the elements of some fields may hold."""
orders = st.lists(st.tuples(st.sampled_from(list(_VALUES)), st.booleans()), max_size=3, unique_by=lambda key: key[0])
