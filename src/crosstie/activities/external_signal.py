"""External signal: goes on when it is called by name, with what the call brings, or when nobody called in time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from crosstie.workflow.activity import OK, Activity, Context, Done, Overlap, Problem, Shape, Site, Waiting
from crosstie.workflow.durations import WrittenDuration, parse_duration

EXPIRED = "expired"
CALLS = "calls"


class ExternalSignal(Activity):
    """Waits to be called. Each call activates its transition, until a complete one, or the expiry, makes it deaf."""

    summary: ClassVar[str] = "goes on each time it is called by name, or when nobody called in time"
    extra_transitions: ClassVar[tuple[str, ...]] = (EXPIRED,)
    min_inputs: ClassVar[int] = 0
    default_overlap: ClassVar[Overlap] = "allow"

    type: Literal["external_signal"]
    expires: timedelta | None = Field(
        None, description="how long it listens, counted from its activation: 30s, 10m, 1h30m, 2d; by default for ever"
    )
    expired: str | None = Field(None, description="where it goes on when that time is over")

    @field_validator("expires", mode="before", json_schema_input_type=WrittenDuration | None)
    @classmethod
    def _duration(cls, value: object) -> object:
        return None if value is None else parse_duration(value)

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """A branch for an expiry that never comes."""
        leads = self.expired is not None or (isinstance(self.next, dict) and EXPIRED in self.next)
        if leads and self.expires is None:
            place = (EXPIRED,) if self.expired is not None else ("next", EXPIRED)
            yield Problem(path=place, message="it never expires: say how long it listens, like “expires: 2d”")

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What comes in goes on, with each call."""
        inbound = inputs[0] if inputs else None
        return {OK: inbound, EXPIRED: inbound}

    def run(self, context: Context) -> Done | Waiting:
        """Listens; called, it hands on what it received and what the call brought, and listens again unless the call
        was complete. A person who wakes it lets it go on as if it had been called for the last time."""
        table = context.inputs[0] if context.inputs else None
        counted = context.state.get(CALLS)
        calls = counted if isinstance(counted, int) else 0
        woken = context.woken
        if woken is None:
            return self._listening(context, calls)
        if woken.by == "time":
            context.log.info(f"Its time is over; it was called {_times(calls)}.")
            return Done(tables={EXPIRED: table}, vars={CALLS: calls}, counts={CALLS: calls})
        if woken.by == "person":
            return Done(tables={OK: table}, vars={CALLS: calls}, counts={CALLS: calls})
        calls += 1
        return Done(
            tables={OK: table},
            vars={**woken.vars, CALLS: calls},
            counts={CALLS: calls},
            then=None if woken.complete else self._listening(context, calls),
        )

    def _listening(self, context: Context, calls: int) -> Waiting:
        due = None if self.expires is None else context.begun_at + self.expires
        until = "" if due is None else f" until {due.astimezone(context.zone):%Y-%m-%d %H:%M:%S %Z}"
        return Waiting(until=due, signal=True, reason=f"It listens to calls{until}.", state={CALLS: calls})


def _times(count: int) -> str:
    return "never" if count == 0 else "once" if count == 1 else f"{count} times"
