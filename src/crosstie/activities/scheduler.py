"""Scheduler: begins a run at the times that it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from crosstie.workflow.activity import OK, Activity, Context, Done, Overlap, Shape, Site
from crosstie.workflow.schedules import Schedule


class Scheduler(Schedule, Activity):
    """Begins a branch at the times that it gives, once the workflow is started. In `crosstie run` it begins at once."""

    summary: ClassVar[str] = "begins a run at given times"
    min_inputs: ClassVar[int] = 0
    max_inputs: ClassVar[int] = 0
    default_overlap: ClassVar[Overlap] = "allow"

    type: Literal["scheduler"]

    def timetable(self) -> Schedule:
        """Its own keys."""
        return Schedule.model_validate({name: getattr(self, name) for name in Schedule.model_fields})

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """No population."""
        return {OK: None}

    def run(self, context: Context) -> Done:
        """Goes on: whoever began the run has looked at the clock."""
        return Done(tables={OK: None})
