"""The window of what is read: taken over from an earlier attempt of the run, or opened before the CRM is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from crosstie.crm.connector import Connector
from crosstie.errors import ConfigError
from crosstie.sync import windows
from crosstie.sync.windows import Tail, Window
from crosstie.workflow import state
from crosstie.workflow.activity import Context

_CLOCK_STEP = timedelta(days=1)  # an option a little ahead comes from a clock that was set back; more is a slip


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexing:
    """What an activity reads of an object by a window. `field` is the index field, `overlap` how far a read reaches
    back at least; `fingerprint` stands for the columns and the filter."""

    context: Context
    connector: Connector
    account: str
    org: str
    object: str
    fingerprint: str
    field: str = ""
    overlap: timedelta = timedelta(0)

    def whole(self) -> Window:
        """The record of a read without index, which moves no option."""
        option = f"#{self.context.workflow}/{self.context.activity}"
        return self._take_or_open(self._window(option, None, self.connector.server_time()))

    def window(self, option: str, end: Callable[[datetime | None, datetime], datetime]) -> tuple[Window, Tail | None]:
        """The window of an automatic index, and the tail of the last one where it can be compared with. A new one
        reaches from what the option holds to what `end` gives for that start and the CRM's clock. Raises ConfigError
        for an option that holds no date, or was moved by imports from another org, and WindowTaken."""
        context = self.context
        with context.db.reading() as transaction:
            existing = windows.open_window(transaction, option)
            text = windows.read_option(transaction, option)
            tail = windows.read_tail(transaction, option)
        start = windows.parse_option(option, text)
        mine = existing is not None and (existing.run, existing.activity) == (context.run, context.activity)
        if existing is not None and mine and existing.fingerprint == self.fingerprint:
            self._refuse_other_org(existing)
            return existing, self._usable(tail, existing)
        now = self.connector.server_time()
        self._refuse_far_ahead(option, text, start, now)
        wanted = replace(
            self._window(option, start, end(start, now)),
            option_read=text,
            overlap=windows.overlap_for(tail, self.overlap),
        )
        self._tell_start(option, text, start, now)
        self._refuse_moved_by_another_org(option, text, start)
        opened = self._take_or_open(wanted)
        return opened, self._usable(tail, opened)

    def tell(self, window: Window) -> None:
        """Writes the window of an automatic index to the log."""
        start = windows.option_text(window.start) if window.start else "the beginning"
        back = f", reaching back {int(window.overlap.total_seconds() // 60)} minutes" if window.overlap else ""
        self.context.log.info(
            f"index {window.field}: {start} → {windows.option_text(window.end)} (UTC){back}", option=window.option
        )

    def _window(self, option: str, start: datetime | None, end: datetime) -> Window:
        return Window(
            id=0,
            option=option,
            account=self.account,
            org=self.org,
            object=self.object,
            workflow=self.context.workflow,
            activity=self.context.activity,
            run=self.context.run,
            field=self.field,
            start=start,
            end=end,
            overlap=self.overlap,
            option_read=None,
            status=windows.WindowStatus.OPEN,
            fingerprint=self.fingerprint,
        )

    def _take_or_open(self, wanted: Window) -> Window:
        context = self.context
        with context.step(f"window of {wanted.option}") as transaction:
            windows.lock(transaction, wanted.option)  # branches of a run one after the other
            for one in windows.windows_of(transaction, context.run):
                _refuse_shared(one, wanted)
            existing = windows.open_window(transaction, wanted.option)
            family = {run.id for run in state.ancestry(transaction, context.run)} | {context.run}
            if existing is not None and existing.run in family:
                self._refuse_other_org(existing)
                if existing.fingerprint == wanted.fingerprint:
                    return existing
                windows.abandon_one(transaction, existing, context.now())
            return windows.begin(transaction, wanted, context.now())

    def _usable(self, tail: Tail | None, window: Window) -> Tail | None:
        """The tail, when it is there and belongs to this window's start and to the same columns and filter."""
        if tail is None or tail.fingerprint != window.fingerprint or tail.end != window.start:
            return None
        return tail if tail.table in self.context.db.work_tables() else None

    def _tell_start(self, option: str, text: str | None, start: datetime | None, now: datetime) -> None:
        log = self.context.log
        if start is None:
            log.info(f"Option {option} is {'empty' if text is not None else 'not there yet'}: reading everything.")
        elif start > now:
            log.warning(
                f"Option {option} holds {text} (UTC), which is later than the CRM's clock: nothing is read until then."
            )

    def _refuse_far_ahead(self, option: str, text: str | None, start: datetime | None, now: datetime) -> None:
        if start is not None and start > now + _CLOCK_STEP:
            raise ConfigError(
                f"Option {option} holds {text} (UTC), but on the CRM it is {windows.option_text(now)}: no import would"
                " read anything until then.",
                hint=f"Nothing was read. Set it right: crosstie option set {option} '{windows.option_text(now)}'"
                " (or '' to read everything again).",
            )

    def _refuse_moved_by_another_org(self, option: str, text: str | None, start: datetime | None) -> None:
        with self.context.db.reading() as transaction:
            before = windows.last_confirmed(transaction, option)
        if before is not None and start is not None and before.org != self.org:
            raise ConfigError(
                f"Option {option} was moved by imports from the org {before.org}, but account {self.account} now leads"
                f" to {self.org}: what changed there before {text} would never be read.",
                hint="Nothing was read. Point the account back, or give this import an option of its own:"
                " index: {option: …}.",
            )

    def _refuse_other_org(self, window: Window) -> None:
        if window.org != self.org:
            raise ConfigError(
                f"Account {window.account} now leads to another org ({self.org}) than this run's window"
                f" ({window.org}).",
                hint="Point the account back, or begin anew with --restart"
                + (" and another option." if window.moves_option else "."),
            )


def _refuse_shared(one: Window, wanted: Window) -> None:
    if one.option == wanted.option and one.activity != wanted.activity:
        raise ConfigError(
            f"Activity “{one.activity}” of this run imports by option {wanted.option} too: whichever ended"
            " first would move it for both, and the other's records would be lost.",
            hint="Nothing was read. Give each import an option of its own: index: {option: …}.",
        )
