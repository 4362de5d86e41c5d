"""Start: marks where a branch begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from crosstie.workflow.activity import OK, Activity, Context, Done, Shape, Site


class Start(Activity):
    """Begins a branch. An activity that nothing leads to begins one by itself, so this is only a mark."""

    summary: ClassVar[str] = "marks where a branch begins"
    min_inputs: ClassVar[int] = 0
    max_inputs: ClassVar[int] = 0

    type: Literal["start"]

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """No population."""
        return {OK: None}

    def run(self, context: Context) -> Done:
        """Goes on."""
        return Done(tables={OK: None})
