"""What expressions of a query consist of, before anything is known of tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as Fixed

Quantifier = Fixed["any", "all"]


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as it was written. `kind` is null, boolean, number, string, guid, date or datetime."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Property:
    """A path of names: the last is a property, those before it navigation properties or a lambda's variable."""

    names: tuple[str, ...]


Operand = Literal | Property


@dataclass(frozen=True, slots=True)
class Compare:
    """`left operator right`, the operator being eq, ne, gt, ge, lt or le."""

    left: Operand
    operator: str
    right: Operand


@dataclass(frozen=True, slots=True)
class Both:
    """All of the parts (and)."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Any of the parts (or)."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not the part."""

    part: Condition


@dataclass(frozen=True, slots=True)
class TextTest:
    """contains, startswith or endswith."""

    function: str
    subject: Property
    value: Literal


@dataclass(frozen=True, slots=True)
class Special:
    """A query function of Dataverse by its name without namespace; `prefix` are the names before it."""

    prefix: tuple[str, ...]
    name: str
    arguments: dict[str, str | tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Related:
    """A lambda: whether any or all records behind a collection meet a condition (None: whether there is one)."""

    path: tuple[str, ...]
    quantifier: Quantifier
    variable: str
    inner: Condition | None


Condition = Compare | Both | Either | Not | TextTest | Special | Related


@dataclass(frozen=True, slots=True)
class Order:
    """One expression of $orderby."""

    names: tuple[str, ...]
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The system query options of a collection, or of an expanded navigation property. `select` None means all."""

    select: tuple[str, ...] | None = None
    filter: Condition | None = None
    order: tuple[Order, ...] = ()
    top: int | None = None
    count: bool = False
    expand: tuple[Expand, ...] = ()


@dataclass(frozen=True, slots=True)
class Expand:
    """A navigation property to expand, with its own options, and with their texts as a link to more repeats them."""

    name: str
    options: Options = field(default_factory=Options)
    given: tuple[tuple[str, str], ...] = ()
