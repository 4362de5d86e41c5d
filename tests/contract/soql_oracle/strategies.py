"""Generated data and queries: small pools, so that values meet, and the texts on which folding goes wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from crosstie.sandbox.salesforce.ids import checksum

from .org import CHILDREN, KINDS, PARENTS, TAGS, TYPES, Row, Rows
from .queries import Aggregate, Compare, DateWord, Includes, Joined, Kids, Not, OneOf, Order, Path, Query, Semi

TEXTS = [
    "Müller", "MÜLLER", "mÜller ", "straße", "STRASSE", "ẞ", "i", "I", "ı", "İ", "Σίσυφος", "ΣΊΣΥΦΟΣ", "σ", "ς",
    "a%b", "A_B", "a\\b", "O'Brien", 'say "hi"', "🌸 Chloe", "K", "k", "ſ", "s", "S", "ﬁ", "FI", "[x]", "*?",
    "[é]", "É*?", "line\ntwo", "tab\there", " ", "null", "TRUE", "2026-01-01", "é", "e\u0301", "É", "ǅ", "ǆ",
    "_", "Z", "z", "𐐨", "𐐀",
]  # fmt: skip
NOWS = [
    datetime(2026, 11, 23, 1, 7, 37, tzinfo=UTC),
    datetime(2024, 2, 29, 23, 30, tzinfo=UTC),
    datetime(2025, 3, 30, 1, 0, tzinfo=UTC),
    datetime(2018, 11, 4, 3, 0, tzinfo=UTC),
    datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC),
]
ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Paris", "America/Sao_Paulo", "Pacific/Kiritimati", "America/Adak")]

nows = st.sampled_from(NOWS)
zones = st.sampled_from(ZONES)
_any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
texts = st.sampled_from(TEXTS) | _any_text
ints = st.integers(-3, 3) | st.integers(-(2**31) + 1, 2**31 - 1)
doubles = st.integers(-400, 400).map(lambda quarters: quarters / 4)
days = st.builds(lambda now, n: now.date() + timedelta(days=n), nows, st.integers(-420, 420))
moments = st.builds(
    lambda now, zone, n, shift: (
        datetime.combine(now.astimezone(zone).date() + timedelta(days=n), datetime.min.time(), tzinfo=zone)
        + timedelta(seconds=shift)
    ).astimezone(UTC),
    nows,
    zones,
    st.integers(-100, 100),
    st.sampled_from([0, -1, 1, 3600, 43200, 86399]),
)
tag_sets = st.lists(st.sampled_from(TAGS), min_size=1, unique=True).map(
    lambda tags: tuple(sorted(tags, key=TAGS.index))
)
kinds = st.sampled_from([*KINDS, "GOLD", "not listed"])
GROUPABLE = ("string", "int", "picklist", "date", "reference", "boolean")
SUFFIXES = "0aA1bBzZ"


def _ids(prefix: str) -> list[str]:
    bodies = [f"{prefix}5g000000000{letter}" for letter in SUFFIXES]
    return [body + checksum(body) for body in bodies]


IDS = {"Firm__c": _ids("a00"), "Person__c": _ids("a01")}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": texts,
    "int": ints,
    "double": doubles,
    "boolean": st.booleans(),
    "picklist": kinds,
    "multipicklist": tag_sets,
    "date": days,
    "datetime": moments,
}


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    """Rows of both objects, references included; about a third of the values are null."""
    ids = {owner: draw(st.lists(st.sampled_from(pool), unique=True, max_size=7)) for owner, pool in IDS.items()}
    tables: Rows = {}
    for owner, fields in TYPES.items():
        tables[owner] = [_row(draw, owner, fields, record_id, ids) for record_id in ids[owner]]
    return tables


def _row(draw: st.DrawFn, owner: str, fields: dict[str, str], record_id: str, ids: dict[str, list[str]]) -> Row:
    row: Row = {}
    for name, kind in fields.items():
        if kind == "id":
            row[name] = record_id
        elif kind == "reference":
            target = PARENTS[owner, name.replace("__c", "__r")][1]
            row[name] = draw(st.sampled_from([None, *ids[target]]))
        elif kind == "boolean":
            row[name] = draw(st.booleans()) if name != "IsDeleted" else draw(st.integers(0, 5)) == 0
        else:
            row[name] = None if draw(st.integers(0, 2)) == 0 else draw(VALUES[kind])
    return row


def _paths(owner: str, depth: int = 2) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = [((name,), kind) for name, kind in TYPES[owner].items()]
    if depth:
        for (child, relationship), (_, parent) in PARENTS.items():
            if child == owner:
                found += [((relationship, *path), kind) for path, kind in _paths(parent, depth - 1)]
    return found


def _literals(owner: str, path: Path, kind: str) -> st.SearchStrategy[Any]:
    if kind in ("id", "reference"):
        pool = [record_id for ids in IDS.values() for record_id in ids]
        return st.sampled_from([*pool, *(record_id[:15] for record_id in pool), None])
    if kind in ("date", "datetime"):
        return st.one_of(VALUES[kind], date_words, st.none())
    return VALUES[kind] | st.none()


PLAIN_WORDS = ["TODAY", "YESTERDAY", "TOMORROW", "LAST_90_DAYS", "NEXT_90_DAYS"] + [
    f"{when}_{unit}" for when in ("LAST", "THIS", "NEXT") for unit in ("WEEK", "MONTH", "QUARTER", "YEAR")
]
COUNTED_WORDS = [
    f"{when}_N_{unit}S" for when in ("LAST", "NEXT") for unit in ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
] + [f"N_{unit}S_AGO" for unit in ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")]
date_words = st.sampled_from(PLAIN_WORDS).map(DateWord) | st.builds(
    DateWord, st.sampled_from(COUNTED_WORDS), st.integers(1, 40)
)


@st.composite
def patterns(draw: st.DrawFn) -> tuple[Any, ...]:
    """A LIKE pattern made from a text: some characters become wildcards."""
    text = draw(texts)
    pieces: list[Any] = []
    for character in text:
        pieces.append(draw(st.sampled_from([character, character, ("_",), ("%",), character.swapcase() or character])))
    if draw(st.booleans()):
        pieces.append(("%",))
    return tuple(pieces)


@st.composite
def leaves(draw: st.DrawFn, owner: str, semi: bool) -> Any:
    """One condition on one field."""
    path, kind = draw(st.sampled_from(_paths(owner)))
    if semi and draw(st.integers(0, 5)) == 0:
        return draw(semi_joins(owner))
    literals = _literals(owner, path, kind)
    if kind == "boolean":
        return Compare(path, draw(st.sampled_from(["=", "!=", "<>"])), draw(literals))
    if kind == "multipicklist":
        choices = st.lists(tag_sets, min_size=1, max_size=3).map(tuple)
        return draw(
            st.builds(Includes, st.just(path), st.booleans(), choices)
            | st.builds(Compare, st.just(path), st.sampled_from(["=", "!="]), literals)
        )
    if draw(st.integers(0, 3)) == 0:
        values = draw(st.lists(literals, min_size=1, max_size=4))
        return OneOf(path, draw(st.booleans()), tuple(values))
    if kind in ("string", "picklist") and draw(st.booleans()):
        return Compare(path, "LIKE", draw(patterns()))
    return Compare(path, draw(st.sampled_from(["=", "!=", "<>", "<", "<=", ">", ">="])), draw(literals))


@st.composite
def semi_joins(draw: st.DrawFn, owner: str) -> Semi:
    """A semi-join or anti-join to the other object."""
    negated = draw(st.booleans())
    if owner == "Firm__c":
        return Semi(("Id",), negated, "Person__c", "Firm__c", draw(st.none() | conditions("Person__c", semi=False)))
    return Semi(("Firm__c",), negated, "Firm__c", "Id", draw(st.none() | conditions("Firm__c", semi=False)))


def conditions(owner: str, *, semi: bool = True) -> st.SearchStrategy[Any]:
    """Conditions; semi-joins only where Salesforce allows them: at the top or under AND, twice at most."""
    deep = st.recursive(
        leaves(owner, False),
        lambda inner: (
            st.builds(Joined, st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3).map(tuple))
            | st.builds(Not, inner)
        ),
        max_leaves=5,
    )
    if not semi:
        return deep
    return deep | st.builds(Joined, st.just("AND"), st.tuples(deep, leaves(owner, True), leaves(owner, True)))


@st.composite
def orders(draw: st.DrawFn, owner: str) -> tuple[Order, ...]:
    """ORDER BY items over distinct paths."""
    paths = [path for path, kind in _paths(owner) if kind != "multipicklist"]
    chosen = draw(st.lists(st.sampled_from(paths), max_size=3, unique=True))
    return tuple(Order(path, draw(st.booleans()), draw(st.sampled_from([None, "FIRST", "LAST"]))) for path in chosen)


@st.composite
def kids(draw: st.DrawFn, owner: str) -> Kids:
    """A child subquery of an object."""
    name, (child, _) = draw(
        st.sampled_from([(name, found) for (parent, name), found in CHILDREN.items() if parent == owner])
    )
    fields = draw(st.lists(st.sampled_from([path for path, _ in _paths(child)]), min_size=1, max_size=4, unique=True))
    condition = draw(st.none() | conditions(child, semi=False))
    return Kids(name, tuple(fields), condition, draw(orders(child)), draw(st.none() | st.integers(0, 3)))


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """A query of records: fields, parents, perhaps a child subquery."""
    owner = draw(st.sampled_from(list(TYPES)))
    select: list[Any] = draw(
        st.lists(st.sampled_from([path for path, _ in _paths(owner)]), min_size=1, max_size=6, unique=True)
    )
    if draw(st.integers(0, 2)) == 0:
        select.append(draw(kids(owner)))
    order = draw(orders(owner))
    pages = bool(order)
    return Query(
        owner,
        tuple(select),
        draw(st.none() | conditions(owner)),
        order=order,
        limit=draw(st.none() | st.integers(0, 6)) if pages else None,
        offset=draw(st.none() | st.integers(0, 3)) if pages else None,
        all_rows=draw(st.booleans()),
    )


@st.composite
def aggregates(draw: st.DrawFn, owner: str) -> Aggregate:
    """An aggregate that the type of its field allows."""
    path, kind = draw(
        st.sampled_from([(path, kind) for path, kind in _paths(owner, 1) if kind not in ("boolean", "multipicklist")])
    )
    functions = ["COUNT", "COUNT_DISTINCT", "MIN", "MAX"]
    return Aggregate(draw(st.sampled_from(functions + (["SUM", "AVG"] if kind in ("int", "double") else []))), path)


def _last(path: Path) -> str:
    return path[-1]


@st.composite
def grouped_queries(draw: st.DrawFn) -> Query:
    """A query of groups."""
    owner = draw(st.sampled_from(list(TYPES)))
    groupable = [path for path, kind in _paths(owner, 1) if kind in GROUPABLE]
    groups: list[Path] = draw(st.lists(st.sampled_from(groupable), max_size=2, unique_by=_last))
    sums = [item for item in draw(st.lists(aggregates(owner), max_size=3)) if item.path not in groups]
    select: tuple[Any, ...] = (*groups, *sums)
    if not any(isinstance(item, Aggregate) for item in select):
        select = (*groups, Aggregate("COUNT", ("Id",)))
    having = None
    if bool(groups) and draw(st.booleans()):
        having = Compare(
            Aggregate("COUNT", ("Id",)), draw(st.sampled_from(["=", "!=", ">", "<="])), draw(st.integers(0, 3))
        )
    order: tuple[Order, ...] = ()
    if groups:
        sortable: list[Any] = [*groups, Aggregate("COUNT", ("Id",))]
        operands = draw(st.lists(st.sampled_from(sortable), max_size=2, unique=True))
        order = tuple(
            Order(item, draw(st.booleans()), draw(st.sampled_from([None, "FIRST", "LAST"]))) for item in operands
        )
    return Query(owner, select, draw(st.none() | conditions(owner)), tuple(groups), having, order)
