"""The sandbox's own clock: what its Date headers, stamps and query literals say."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from crosstie.sandbox.database import Database

FIRST_INSTANT = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
"""Where the clock of a new state directory begins, so that generated data is the same on every day."""

_SETTING = "clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hands:
    """Where the clock stood at an instant of the machine, and whether it stands still."""

    at: datetime
    since: datetime
    frozen: bool


class SandboxClock:
    """Runs at the machine's pace from where it was set, also while the sandbox is down, unless it is frozen.

    Kept in the state directory. All instants are aware UTC.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._setting = threading.Lock()
        kept = database.setting(_SETTING)
        if kept is None:
            self._hands = _Hands(at=FIRST_INSTANT, since=datetime.now(UTC), frozen=False)
            self._keep()
        else:
            self._hands = _Hands(
                at=datetime.fromisoformat(kept["at"]),
                since=datetime.fromisoformat(kept["since"]),
                frozen=bool(kept["frozen"]),
            )

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still until it is set, advanced or let run."""
        return self._hands.frozen

    def now(self) -> datetime:
        """The current instant of the sandbox. Asked within transactions, so it waits for nobody: who sets the clock
        waits for them to keep it."""
        hands = self._hands
        if hands.frozen:
            return hands.at
        return hands.at + max(datetime.now(UTC) - hands.since, timedelta(0))

    def set(self, instant: datetime | None = None, *, frozen: bool | None = None) -> datetime:
        """Sets the instant, stops or restarts the clock; what is None stays. Returns the new instant."""
        with self._setting:
            at = self.now() if instant is None else instant.astimezone(UTC)
            stands = self._hands.frozen if frozen is None else frozen
            self._hands = _Hands(at=at, since=datetime.now(UTC), frozen=stands)
            self._keep()
            return at

    def advance(self, by: timedelta) -> datetime:
        """Moves the clock on; returns the new instant."""
        with self._setting:
            at = self.now() + by
            self._hands = _Hands(at=at, since=datetime.now(UTC), frozen=self._hands.frozen)
            self._keep()
            return at

    def http_date(self) -> str:
        """The instant as a Date header (RFC 9110)."""
        return format_datetime(self.now(), usegmt=True)

    def _keep(self) -> None:
        hands = self._hands
        value = {"at": hands.at.isoformat(), "since": hands.since.isoformat(), "frozen": hands.frozen}
        self._database.keep_setting(_SETTING, value)
