"""Jump: goes on at another activity, without a line across the whole diagram."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from crosstie.workflow.activity import Activity, Context, Done, Overlap, Problem, Shape, Site

TO = "to"


class Jump(Activity):
    """Goes on at the activity that it names, with what it receives."""

    summary: ClassVar[str] = "goes on at another activity"
    extra_transitions: ClassVar[tuple[str, ...]] = (TO,)
    min_inputs: ClassVar[int] = 0
    has_default_next: ClassVar[bool] = False
    default_overlap: ClassVar[Overlap] = "allow"

    type: Literal["jump"]
    to: str = Field(description="the activity at which it goes on")

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """A second way out."""
        if self.next is not None:
            yield Problem(path=("next",), message=f"a jump goes on at {self.to}, and nowhere else: leave out next")

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What comes in goes on."""
        return {TO: inputs[0] if inputs else None}

    def run(self, context: Context) -> Done:
        """Goes on."""
        return Done(tables={TO: context.inputs[0] if context.inputs else None})
