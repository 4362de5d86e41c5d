"""End: marks where a branch ends, and drops what it receives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from crosstie.workflow.activity import Activity, Context, Done, Overlap, Shape, Site


class End(Activity):
    """Ends a branch. A branch whose last activity goes nowhere ends by itself, so this is only a mark."""

    summary: ClassVar[str] = "marks where a branch ends"
    min_inputs: ClassVar[int] = 0
    max_inputs: ClassVar[int] = 99
    has_default_next: ClassVar[bool] = False
    default_overlap: ClassVar[Overlap] = "allow"

    type: Literal["end"]

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """Nothing leaves."""
        return {}

    def run(self, context: Context) -> Done:
        """Drops what it receives."""
        return Done(tables={})
