"""The sandbox's own clock: what its Date headers, stamps and query literals say."""

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from crosstie.sandbox.database import Database

FIRST_INSTANT = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
"""Where the clock of a new state directory begins, so that generated data is the same on every day."""

_SETTING = "clock"


class SandboxClock:
    """Runs at the machine's pace from where it was set, also while the sandbox is down, unless it is frozen.

    Kept in the state directory. All instants are aware UTC.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        kept = database.setting(_SETTING)
        if kept is None:
            self._at, self._since, self._frozen = FIRST_INSTANT, datetime.now(UTC), False
            self._keep()
        else:
            self._at = datetime.fromisoformat(kept["at"])
            self._since = datetime.fromisoformat(kept["since"])
            self._frozen = bool(kept["frozen"])

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still until it is set, advanced or let run."""
        return self._frozen

    def now(self) -> datetime:
        """The current instant of the sandbox."""
        with self._lock:
            return self._now()

    def _now(self) -> datetime:
        if self._frozen:
            return self._at
        return self._at + max(datetime.now(UTC) - self._since, timedelta(0))

    def set(self, instant: datetime | None = None, *, frozen: bool | None = None) -> datetime:
        """Sets the instant, stops or restarts the clock; what is None stays. Returns the new instant."""
        with self._lock:
            self._at = self._now() if instant is None else instant.astimezone(UTC)
            self._since = datetime.now(UTC)
            if frozen is not None:
                self._frozen = frozen
            self._keep()
            return self._at

    def advance(self, by: timedelta) -> datetime:
        """Moves the clock on; returns the new instant."""
        with self._lock:
            self._at = self._now() + by
            self._since = datetime.now(UTC)
            self._keep()
            return self._at

    def http_date(self) -> str:
        """The instant as a Date header (RFC 9110)."""
        return format_datetime(self.now(), usegmt=True)

    def _keep(self) -> None:
        value = {"at": self._at.isoformat(), "since": self._since.isoformat(), "frozen": self._frozen}
        self._database.keep_setting(_SETTING, value)
