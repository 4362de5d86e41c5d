"""Wait: goes on after a duration; with `attempts` it bounds a loop that tries again what failed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from crosstie.errors import UnavailableError
from crosstie.workflow.activity import OK, Activity, Context, Done, Overlap, Scalar, Shape, Site, Waiting
from crosstie.workflow.durations import WrittenDuration, parse_duration
from crosstie.workflow.state import TaskStatus

ATTEMPT = "attempt"


class Wait(Activity):
    """Hands on what it receives, later. The due time is stored: nothing shortens or repeats it but a person."""

    summary: ClassVar[str] = "goes on after a duration; bounds the attempts of a loop"
    min_inputs: ClassVar[int] = 0
    default_overlap: ClassVar[Overlap] = "allow"

    type: Literal["wait"]
    for_: timedelta = Field(
        alias="for", description="how long: 30s, 10m, 1h30m, 2d, 1y; a number without unit counts days"
    )
    attempts: int | None = Field(
        None,
        ge=1,
        description="how often it hands on what comes round again in a loop; after that the error that led here fails"
        " the run",
    )

    @field_validator("for_", mode="before", json_schema_input_type=WrittenDuration | int)
    @classmethod
    def _duration(cls, value: object) -> object:
        text = str(value).strip()
        return timedelta(days=int(text)) if text.isdecimal() else parse_duration(value)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What comes in goes out."""
        return {OK: inputs[0] if inputs else None}

    def run(self, context: Context) -> Done | Waiting:
        """Waits, counted from its activation, then goes on. What a person resumes goes on at once: they have looked
        after what was wrong, and the count begins anew."""
        renewed = self.attempts is not None and _was_refused(context)
        variables = self._counted(context, renewed)
        due = context.begun_at + self.for_
        if context.woken is None and not renewed and due > context.now():
            local = due.astimezone(context.zone)
            counted = f", attempt {variables[ATTEMPT]} of {self.attempts}" if self.attempts is not None else ""
            return Waiting(until=due, reason=f"It waits until {local:%Y-%m-%d %H:%M:%S %Z}{counted}.")
        return Done(tables={OK: context.inputs[0] if context.inputs else None}, vars=variables)

    def _counted(self, context: Context, renewed: bool) -> dict[str, Scalar]:
        """The variables that count how often this event came round. Raises the error that led here when that was
        often enough."""
        if self.attempts is None:
            return {}
        own = f"{ATTEMPT}_{context.activity}"
        before = context.vars.get(own)
        rounds = before if isinstance(before, int) and not renewed else 0
        if rounds >= self.attempts:
            again = f"It was tried again {_times(rounds)}, all that {context.activity} allows."
            raise UnavailableError(
                str(context.vars.get("errorMessage") or "What waits here came round once more."),
                hint=f"{again} Resume the run to have it tried again as often.",
                code=str(context.vars.get("errorCode") or ""),
            )
        return {ATTEMPT: rounds + 1, own: rounds + 1}


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _was_refused(context: Context) -> bool:
    """Whether this event was refused here before, so that only a person can have brought it back."""
    with context.db.reading() as transaction:
        found = transaction.row(
            "select 1 from crosstie.task earlier join crosstie.task present on earlier.run = present.run"
            " and earlier.activity = present.activity and earlier.inbound = present.inbound"
            " where present.id = :task and earlier.id < present.id and earlier.status = :failed limit 1",
            {"task": context.task, "failed": TaskStatus.FAILED},
        )
    return found is not None
