"""End: marks where a branch ends, drops what it receives, and may end everything else too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from crosstie.workflow.activity import Activity, Context, Done, Overlap, Shape, Site


class End(Activity):
    """Ends a branch. A branch whose last activity goes nowhere ends by itself, so this is only a mark, unless it
    stops the others."""

    summary: ClassVar[str] = "marks where a branch ends; may stop every other task of the run"
    min_inputs: ClassVar[int] = 0
    max_inputs: ClassVar[int] = 99
    has_default_next: ClassVar[bool] = False
    default_overlap: ClassVar[Overlap] = "allow"

    type: Literal["end"]
    stops_others: bool = Field(
        False, description="whether every other task of the run is stopped when it is reached, also those that wait"
    )

    def is_end(self) -> bool:
        """It is."""
        return True

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """Nothing leaves."""
        return {}

    def run(self, context: Context) -> Done:
        """Drops what it receives."""
        return Done(tables={}, ends_run=self.stops_others)
