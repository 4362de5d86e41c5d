"""Unique values that rows exchange with each other: none can be written before another gives its value up.

The rows of such a ring are parked on null for a moment, in the savepoint that then writes them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from crosstie.db.database import Transaction
from crosstie.db.merge.plan import MergePlan
from crosstie.db.merge.staging import UPDATED, Names
from crosstie.db.merge.target import Target
from crosstie.db.statements import quote_identifier
from crosstie.errors import DatabaseError

Edge = tuple[int, int]
_PAGE = 500


def equal(target: Target, columns: Sequence[str], values: Sequence[str], alias: str = "g") -> str:
    """The condition that a row of the target, alias t, has the values of the stage, under that alias."""
    return " and ".join(
        f"t.{quote_identifier(one)} = {target.given(target.column(one), f'{alias}.{value}')}"
        for one, value in zip(columns, values, strict=True)
    )


def rings(edges: Iterable[Edge]) -> list[list[int]]:
    """The groups of rows that wait for each other in a circle. An edge leads from a row to the one that holds what it
    waits for; what only leads to a circle, or out of one, belongs to none."""
    following: dict[int, set[int]] = defaultdict(set)
    followed: dict[int, set[int]] = defaultdict(set)
    for one, other in edges:
        following[one].add(other)
        followed[other].add(one)
    loose = [one for one in {*following, *followed} if not following.get(one) or not followed.get(one)]
    while loose:
        one = loose.pop()
        for there, back in ((following, followed), (followed, following)):
            for other in there.pop(one, ()):
                back[other].discard(one)
                if not back[other]:
                    loose.append(other)
    found, seen = [], set()
    for start in sorted(one for one in following if following[one]):
        ring, waiting = [], [start]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                ring.append(one)
                waiting += [*following[one], *followed[one]]
        if ring:
            found.append(ring)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanges:
    """Writes the staged updates that were refused only because they exchange unique values. `statement` gives their
    write with a restriction on alias g, the stage; `uniques` are the target's unique columns by the fault that names
    them; `settle` makes deferred constraints speak."""

    transaction: Transaction
    plan: MergePlan
    stage: str
    statement: Callable[[str, str], str]
    uniques: Mapping[int, Sequence[str]]
    settle: Callable[[], None]

    def write(
        self,
        bisect: Callable[
            [Transaction, int, Callable[[int, int], int], Callable[[int, DatabaseError], None]],
            int,
        ],
    ) -> int:
        """How many rows were written. A ring of which one row can't be written stays refused as a whole."""
        uniques = [one for one in self.uniques.values() if self._parked(one)]
        if not uniques:
            return 0
        self._number()
        found = rings(edge for unique in uniques for edge in self._edges(unique))
        self._mark(found)
        parked = [column for unique in uniques for column in self._parked(unique)]

        def attempt(low: int, high: int) -> int:
            return self._attempt(low, high, tuple(dict.fromkeys(parked)))

        written = bisect(self.transaction, len(found), attempt, lambda number, error: None)
        self.transaction.execute(
            f"update crosstie.{self.stage} set number = case when fault is null then 0 end where number <> 0"
        )
        return written

    def _parked(self, unique: Sequence[str]) -> list[str]:
        """The columns of a unique key that can be empty for a moment: one is enough."""
        written = self.plan.written
        return [one for one in unique if one in written and self.plan.target.column(one).column.nullable][:1]

    def _number(self) -> None:
        names = Names.of(self.plan)
        own = ", ".join(names.source)
        same = " and ".join(f"g.{name} = x.{name}" for name in names.source)
        faults = ", ".join(str(one) for one in self.uniques)
        self.transaction.execute(
            f"update crosstie.{self.stage} as g set number = x.number from (select {own},"
            f" row_number() over (order by {own}) as number from crosstie.{self.stage}"
            f" where what = '{UPDATED}' and fault in ({faults}) and number is null) x where {same}"
        )
        self.transaction.execute(f"create index if not exists {self.stage}_number on crosstie.{self.stage} (number)")

    def _edges(self, unique: Sequence[str]) -> list[Edge]:
        names, target = Names.of(self.plan), self.plan.target
        staged = {
            **dict(zip(target.table.key, names.key, strict=True)),
            **dict(zip(self.plan.written, names.values, strict=True)),
        }
        held = equal(target, unique, [staged[one] for one in unique])
        own = equal(target, target.table.key, names.key, "h")
        rows = self.transaction.rows(
            f"select g.number, h.number from crosstie.{self.stage} g join {target.sql} t on {held}"
            f" join crosstie.{self.stage} h on {own} where g.number > 0 and h.number > 0 and g.number <> h.number"
        )
        return [(int(one), int(other)) for one, other in rows]

    def _mark(self, found: Sequence[Sequence[int]]) -> None:
        """Gives each row its ring's number, as a negative one; to all others none."""
        pairs = [(one, -place) for place, ring in enumerate(found, 1) for one in ring]
        for first in range(0, len(pairs), _PAGE):
            listed = ", ".join(f"({one}, {ring})" for one, ring in pairs[first : first + _PAGE])
            self.transaction.execute(
                f"update crosstie.{self.stage} as g set number = x.column2 from (values {listed}) x"
                " where g.number = x.column1"
            )
        self.transaction.execute(f"update crosstie.{self.stage} set number = null where number > 0")

    def _attempt(self, low: int, high: int, parked: Sequence[str]) -> int:
        target = self.plan.target
        params = {"low": -high, "high": -low}
        due = "number between :low and :high"
        self.transaction.execute(f"update crosstie.{self.stage} set fault = null where {due}", params)
        empty = ", ".join(f"{quote_identifier(one)} = null" for one in parked)
        same = equal(target, target.table.key, Names.of(self.plan).key)
        self.transaction.execute(
            f"update {target.sql} as t set {empty} from crosstie.{self.stage} g where {same} and g.{due}", params
        )
        written = self.transaction.execute(self.statement(UPDATED, f" and g.{due}"), params)
        self.settle()
        return written
