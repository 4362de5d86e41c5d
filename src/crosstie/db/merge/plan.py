"""What a merge is to do, and why it refuses a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from crosstie.db.merge.matching import Candidates, Fragment, Ordering
from crosstie.db.merge.target import Target
from crosstie.model import Column, WorkTable

Operation = Literal["insert or update", "insert", "update", "delete"]
Occasion = Literal["both", "insert", "update"]

AMBIGUOUS_TARGET = "AMBIGUOUS_TARGET"
DUPLICATE_TARGET = "DUPLICATE_TARGET"
TIED_TO_ANOTHER = "TIED_TO_ANOTHER"
CONFLICT = "CONFLICT"
KEY_EXISTS = "KEY_EXISTS"
KEY_MISSING = "KEY_MISSING"
NOT_NULL = "NOT_NULL"
TOO_LONG = "TOO_LONG"
ROUNDED = "ROUNDED"
OUT_OF_RANGE = "OUT_OF_RANGE"
NOT_UNIQUE = "NOT_UNIQUE"
CONSTRAINT = "CONSTRAINT"
INVALID_VALUE = "INVALID_VALUE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a row is refused: `code` is the machine's word, `column` the target's column at fault ('' if none)."""

    code: str
    message: str
    column: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One line of “set”: the value (over alias s, of the column's type) goes into the column when the condition holds.

    `keep_empty`: an empty value leaves the column as it is. What is not `compared` (a date of modification) goes along
    when something else is written, and is no reason to write."""

    column: str
    value: Fragment
    when: Fragment | None = None
    on: Occasion = "both"
    keep_empty: bool = False
    compared: bool = True

    @property
    def always(self) -> bool:
        """Whether it applies to every row."""
        return self.when is None and self.on == "both" and not self.keep_empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """How a row of the work table finds its row of the target: `joins` stand after alias s, `key` is the target's key
    as SQL (empty: rows are only added), `names` is what names the destination even when there is no such row yet,
    `ambiguous` the condition under which several rows were found and none was chosen."""

    joins: str = ""
    key: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    ambiguous: str = ""
    params: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def by_candidates(cls, found: Candidates, names: Sequence[Fragment]) -> Resolution:
        """By values that must be equal on both sides."""
        params = dict(found.params)
        for name in names:
            params.update(name.params)
        keys = found.keys
        if not found.unique:
            keys = tuple(f"case when {found.found} = 1 then {key} end" for key in keys)
        return cls(
            joins=found.join,
            key=keys,
            names=tuple(name.sql for name in names),
            ambiguous="" if found.unique else f"{found.found} > 1",
            params=params,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A value that is staged beside those to be written, for whoever follows the merge."""

    column: Column
    value: Fragment


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """What goes along with a merge, in its transaction: more joins (after the resolution's), the key that is taken
    where the resolution finds none (SQL per key column), values to carry, the condition (over s, t and the joins) that
    stages a row although nothing in the target changes, the condition under which a row is passed over, what must be
    unique among the rows, and, given the SQL of the target's key, the condition (over s and the joins) under which that
    row of the target belongs to another record and is not taken. `kept` gives, by column, the condition (over s, t and
    the joins) under which the target's row keeps its own value; `refused` those under which a row is refused.
    `absent_is_done`: a row that is to be updated or deleted and is not there is none to refuse."""

    joins: str = ""
    key: tuple[str, ...] = ()
    carried: tuple[Carried, ...] = ()
    concerned: str = ""
    passed_over: str = ""
    names: tuple[str, ...] = ()
    anothers: Callable[[str], str] | None = None
    kept: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[tuple[str, Fault], ...] = ()
    absent_is_done: bool = False
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePlan:
    """A merge of a work table into a table of people's. The work table's `key` must be known.

    `first_by` is given when rows for the same target are not refused but only the first of them used."""

    source: WorkTable
    target: Target
    operation: Operation
    assignments: tuple[Assignment, ...]
    resolution: Resolution
    companion: Companion = Companion()
    ignores_same_target: bool = False
    first_by: tuple[Ordering, ...] = ()

    @property
    def written(self) -> tuple[str, ...]:
        """The target's columns that are set, each once, in the order of their first line."""
        return tuple(dict.fromkeys(one.column for one in self.assignments))

    @property
    def compared(self) -> frozenset[str]:
        """Those of them whose difference is a reason to write."""
        return frozenset(one.column for one in self.assignments if one.compared)
