"""The syntax tree of a SOQL query: frozen values, names as written, `at` the offset in the query's text."""

from __future__ import annotations

from dataclasses import dataclass

AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX", "GROUPING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A field, possibly through relationships or an alias: `Account.Owner.Name`."""

    names: tuple[str, ...]
    at: int

    @property
    def text(self) -> str:
        """The path as written."""
        return ".".join(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A literal. `kind`: string, number, boolean, null, date, datetime, time or keyword (TODAY, LAST_N_DAYS:3).

    `text` is the literal as written; `value` the text of a string literal without its escapes, `characters` the same
    with whether each character was escaped (which LIKE needs).
    """

    kind: str
    text: str
    at: int
    value: str = ""
    characters: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function: aggregate, date function, toLabel, format and the like. `name` is upper case."""

    name: str
    arguments: tuple[Operand, ...]
    at: int


Operand = Path | Call | Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`left operator value`; operator is one of = != < <= > >= LIKE."""

    left: Path | Call
    operator: str
    value: Literal
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """`left [NOT] IN (values)`."""

    left: Path | Call
    negated: bool
    values: tuple[Literal, ...]
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """`left INCLUDES|EXCLUDES (values)` on a multi-select picklist; negated for EXCLUDES."""

    left: Path | Call
    negated: bool
    values: tuple[Literal, ...]
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SemiJoin:
    """`left [NOT] IN (SELECT field FROM ..)`."""

    left: Path | Call
    negated: bool
    query: Query
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Junction:
    """Conditions joined by one operator, AND or OR."""

    operator: str
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Negation:
    """`NOT part`."""

    part: Condition


Condition = Comparison | Membership | Inclusion | SemiJoin | Junction | Negation


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A field or function in the SELECT list."""

    operand: Path | Call
    alias: str | None
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedChildren:
    """A child subquery in the SELECT list."""

    query: Query
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedFields:
    """FIELDS(ALL|STANDARD|CUSTOM)."""

    kind: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeofBranch:
    """`WHEN object THEN fields`."""

    object_name: str
    fields: tuple[Path, ...]
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedTypeof:
    """`TYPEOF relationship WHEN .. THEN .. ELSE .. END`."""

    relationship: Path
    branches: tuple[TypeofBranch, ...]
    otherwise: tuple[Path, ...]
    at: int


SelectEntry = Selected | SelectedChildren | SelectedFields | SelectedTypeof


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """One item of ORDER BY; `nulls_first` is None when the query doesn't say."""

    operand: Path | Call
    descending: bool
    nulls_first: bool | None
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One item of FROM: the object (or relationship) and its alias."""

    path: Path
    alias: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A whole query; also a child subquery or the inner query of a semi-join."""

    select: tuple[SelectEntry, ...]
    sources: tuple[Source, ...]
    where: Condition | None
    group_by: tuple[Path | Call, ...]
    group_mode: str | None
    having: Condition | None
    order_by: tuple[Ordering, ...]
    limit: int | None
    offset: int | None
    offset_at: int
    all_rows: bool
    at: int
