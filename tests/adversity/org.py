"""What the org holds, as the test knows it, and which changes an index has promised to find.

The promise: a change is imported when the first read that can see it reaches back to its stamp. So a change may become
visible late by the overlap and the guard, or by any time while latestDateCovered waits for it; clocks may go back, and
a person may set the option forward, as far as this still holds. What lies beyond is excluded here, by `floor`, and is
for `crosstie reconcile` to find.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from crosstie.sync.windows import GUARD, OVERLAP
from tests.adversity.steering import NearSandbox

BAD = "2026-02-31"
GOOD = "1980-01-31"
MOST_LATE = OVERLAP + GUARD


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """A commit that becomes visible that many seconds after its stamp; `held`: latestDateCovered waits for it."""

    seconds: int
    held: bool

    def __post_init__(self) -> None:
        assert self.held or self.seconds <= MOST_LATE.total_seconds()


@dataclass(slots=True, kw_only=True)
class Change:
    """A change that no confirmed window is known to have read. A stamp of None is read by a full read only.

    `visible_at` None: it is visible, and its records can be changed again."""

    stamp: datetime | None
    records: Sequence[Record]
    visible_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Record:
    """A contact. `locked`: a transaction that is still open has changed it, nobody else can. `dismissed`: a person has
    given up on its reject, so that only a change with a stamp brings it again."""

    id: str
    state: Literal["alive", "in the bin", "purged"] = "alive"
    bad: bool = False
    locked: bool = False
    dismissed: bool = False


@dataclass(kw_only=True)
class Org:
    """The org's side of one example. `frontier` says up to which stamp an import has read, or is about to."""

    sandbox: NearSandbox
    now: datetime
    frontier: Callable[[], datetime | None]
    records: list[Record] = field(default_factory=list)
    unread: list[Change] = field(default_factory=list)
    deletions: list[Change] = field(default_factory=list)
    last_changed: list[Record] = field(default_factory=list)
    highest: datetime = field(init=False)
    """The latest instant that the clock has shown since the run began."""
    latest: datetime = field(init=False)
    """The latest instant that it has ever shown."""

    def __post_init__(self) -> None:
        self.highest = self.latest = self.now

    def floor(self) -> datetime | None:
        """The oldest stamp that the next read is sure to reach back to; None for any."""
        frontier = self.frontier()
        return None if frontier is None else frontier - OVERLAP

    def visible(self) -> list[Change]:
        """The unread changes that a read can see now."""
        return [one for one in self.unread if one.visible_at is None]

    def last_due(self) -> datetime:
        """When the last open transaction will have ended."""
        return max((one.visible_at for one in [*self.unread, *self.deletions] if one.visible_at), default=self.now)

    def _may_change(self) -> bool:
        floor = self.floor()
        return floor is None or self.now.replace(microsecond=0) >= floor

    def _free(self, places: Sequence[int]) -> list[Record]:
        """The living records at these places (counted round) that nobody holds."""
        alive = [one for one in self.records if one.state == "alive" and not one.locked]
        return [alive[place] for place in sorted({place % len(alive) for place in places})] if alive else []

    def _note(self, kept: list[Change], records: Sequence[Record], late: Lateness | None) -> None:
        visible_at = self.now + timedelta(seconds=late.seconds) if late else None
        kept.append(Change(stamp=self.now, visible_at=visible_at, records=records))
        for record in records:
            record.locked = late is not None

    def change(self, places: Sequence[int] | None, late: Lateness | None) -> None:
        """Changes the records at these places, or all of them, in one second."""
        records = self._free(places if places is not None else range(len(self.records)))
        if records and self._may_change():
            self.last_changed = records
            self.sandbox.control("change", ids=[one.id for one in records], **_arguments(late))
            self._note(self.unread, records, late)

    def change_again(self, late: Lateness | None) -> None:
        """Changes once more what was changed last: the overlap of the next read may hold it as it was."""
        alive = [one for one in self.records if one.state == "alive" and not one.locked]
        self.change([place for place, one in enumerate(alive) if one in self.last_changed], late)

    def insert(self, count: int, late: Lateness | None) -> None:
        """Creates records in one second."""
        if self._may_change():
            made = self.sandbox.insert("Contact", [{"LastName": f"Løve {n}"} for n in range(count)], **_arguments(late))
            records = [Record(id=one) for one in made]
            self.records += records
            self._note(self.unread, records, late)

    def insert_without_stamp(self) -> None:
        """A record of before there were stamps; only a full read can find it."""
        if self.frontier() is None:
            (made,) = self.sandbox.insert("Contact", [{"LastName": "Unstamped"}])
            self.sandbox.control("set_stamp", ids=[made], values={"SystemModstamp": None})
            self.records.append(Record(id=made))
            self.unread.append(Change(stamp=None, records=self.records[-1:]))

    def delete(self, place: int, late: Lateness | None) -> None:
        """Moves a record into the bin; the first stays."""
        for record in self._free([place]):
            if record is not self.records[0]:
                self.sandbox.control("delete", ids=[record.id], late=late.seconds if late else 0)
                record.state = "in the bin"
                self._note(self.deletions, [record], late)

    def undelete(self, place: int) -> None:
        """Takes a record out of the bin, with a new stamp."""
        binned = [one for one in self.records if one.state == "in the bin" and not one.locked]
        if binned and self._may_change():
            record = binned[place % len(binned)]
            self.sandbox.control("undelete", ids=[record.id])
            record.state = "alive"
            self._note(self.unread, [record], None)

    def purge(self, place: int) -> None:
        """Deletes for good, out of the bin."""
        binned = [one for one in self.records if one.state == "in the bin" and not one.locked]
        if binned:
            record = binned[place % len(binned)]
            self.sandbox.control("purge", ids=[record.id])
            record.state = "purged"

    def spoil(self, place: int) -> None:
        """Gives a record a value that can't be converted; not to the first."""
        for record in self._free([place]):
            if record is not self.records[0] and self._may_change():
                self._set_birthdate(record, BAD, stamped=True)
                record.bad = True

    def mend(self, place: int, *, stamped: bool) -> None:
        """Gives a spoilt record a value that can be converted, with a new stamp or without."""
        bad = [one for one in self.records if one.bad and one.state == "alive" and not one.locked]
        record = bad[place % len(bad)] if bad else None
        stamped = stamped or (record is not None and record.dismissed)
        if record is not None and (self._may_change() or not stamped):
            self._set_birthdate(record, GOOD, stamped=stamped)
            record.bad = False

    def _set_birthdate(self, record: Record, value: str, *, stamped: bool) -> None:
        values = {"Birthdate": value}
        if stamped:
            values["SystemModstamp"] = f"{self.now:%Y-%m-%dT%H:%M:%S}.000+0000"
            self._note(self.unread, [record], None)
        self.sandbox.control("set_stamp", ids=[record.id], values=values)

    def move_clock(self, by: timedelta) -> None:
        """Moves the org's clock, forward or back."""
        self.set_clock(self.now + by)

    def set_clock(self, at: datetime) -> None:
        """Sets the org's clock."""
        self.sandbox.control("clock", at=at.isoformat(), frozen=True)
        self.sandbox.control("clock")  # what is due becomes visible before the clock moves on
        self.now = at
        self.highest, self.latest = max(self.highest, at), max(self.latest, at)
        for change in [*self.unread, *self.deletions]:
            if change.visible_at is not None and change.visible_at <= at:
                change.visible_at = None
                for record in change.records:
                    record.locked = False

    def was_read(self, changes: Sequence[Change], end: datetime, *, all_of_it: bool) -> None:
        """A window up to `end` was confirmed that saw these changes."""
        gone = [one for one in changes if (all_of_it if one.stamp is None else one.stamp < end)]
        self.unread = [one for one in self.unread if not any(one is read for read in gone)]


def _arguments(late: Lateness | None) -> dict[str, object]:
    return {"late": late.seconds, "holds_back": late.held} if late else {}
