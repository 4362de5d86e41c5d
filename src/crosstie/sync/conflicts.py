"""What both sides say of an exchanged field, compared with what they last agreed on: which value stays.

Three values stand beside each other for a row that is tied to the record which comes in: the CRM's (alias s), the
agreed one (alias e, the tie) and the row's own (alias t). What only one side has changed is taken from that side; what
both have changed, and not alike, is a conflict. Afterwards both agree on the CRM's value: a row that says something
else has a change of its own, which an export sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from crosstie.db.merge import Target, TargetColumn
from crosstie.db.merge.plan import CONFLICT, Fault
from crosstie.db.statements import quote_identifier

OnConflict = Literal["crm", "local", "newest", "reject"]

_MOMENT = "strftime('%Y-%m-%dT%H:%M:%f', {})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The three values of a field that goes into `column`, as SQL. `tied` is the condition under which the row is the
    record's own, `applied` the one under which its value is written at all ('' for always), `newer` the one under which
    the row was changed later than the record."""

    target: Target
    column: TargetColumn
    remote: str
    agreed: str
    tied: str
    applied: str
    newer: str
    on_conflict: OnConflict

    @property
    def _own(self) -> str:
        return f"t.{quote_identifier(self.column.name)}"

    @property
    def _differ(self) -> str:
        return self.target.differs(self.column, self._own, self.remote)

    @property
    def _changed_here(self) -> str:
        return self.target.differs(self.column, self._own, self.agreed)

    @property
    def _changed_there(self) -> str:
        word = "is not" if self.target.dialect == "sqlite" else "is distinct from"
        return f"{self.agreed} {word} {self.remote}"

    @property
    def kept(self) -> str:
        """The condition under which the row keeps its own value, where that is another than the CRM's."""
        may = f"not ({self._changed_there})"
        if self.on_conflict == "local":
            may = f"({may} or {self._changed_here})"
        elif self.on_conflict == "newest":
            may = f"({may} or {self._changed_here} and {self.newer})"
        # Most rows say what the CRM says: that is asked first.
        return f"{self._differ} and {self.tied} and {may}"

    @property
    def conflict(self) -> str:
        """The condition under which both sides have changed the field, and not alike."""
        asked = [self._changed_there, self._differ, self._changed_here, self.tied]
        return " and ".join([*asked, f"({self.applied})"] if self.applied else asked)

    @property
    def taken(self) -> str:
        """The condition of a conflict in which the CRM's value is taken; '' for never."""
        never = self.on_conflict in ("local", "reject")
        return "" if never else self._decided(f"not {self.newer}")

    @property
    def left(self) -> str:
        """The condition of a conflict in which the row's own value is kept; '' for never."""
        never = self.on_conflict in ("crm", "reject")
        return "" if never else self._decided(self.newer)

    def _decided(self, newest: str) -> str:
        return f"{self.conflict} and {newest}" if self.on_conflict == "newest" else self.conflict

    @property
    def fault(self) -> Fault:
        """Why a row is refused that must not be decided about."""
        name = self.column.name
        message = f"both sides have changed {name} since they last agreed on it, and not alike"
        return Fault(code=CONFLICT, message=message, column=name)


def later_here(target: Target, changed_at: TargetColumn, stamp: str) -> str:
    """The condition that the row, by its own column, was changed later than the record; a null is older than all."""
    own = f"t.{quote_identifier(changed_at.name)}"
    if target.dialect == "sqlite":
        # Others write instants into a file in forms of their own, which don't sort among ours.
        own, stamp = _MOMENT.format(own), _MOMENT.format(stamp)
    return f"coalesce({own} > {stamp}, {own} is not null)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts:
    """How many conflicts there were, by what was done: the CRM's value taken, the row's own kept. `rejected` counts the
    rows that were refused for one."""

    taken: int = 0
    kept: int = 0
    rejected: int = 0

    def __add__(self, other: Conflicts) -> Conflicts:
        """Both together."""
        return Conflicts(
            taken=self.taken + other.taken, kept=self.kept + other.kept, rejected=self.rejected + other.rejected
        )

    @property
    def decided(self) -> int:
        """Those in rows that were not refused."""
        return self.taken + self.kept

    def lines(self) -> Iterator[str]:
        """What a log says of them."""
        for number, word in ((self.taken, "the CRM's value was taken"), (self.kept, "the local value was kept")):
            if number:
                yield f"{number:,} {'conflict' if number == 1 else 'conflicts'}: {word}."
        if self.rejected:
            yield f"{self.rejected:,} {'row was' if self.rejected == 1 else 'rows were'} refused for a conflict."
