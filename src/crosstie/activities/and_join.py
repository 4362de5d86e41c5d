"""AND-join: goes on when every inbound transition of the run has been activated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site


class AndJoin(Activity):
    """Waits for several branches. The population of the main set goes on, the variables of all are merged."""

    summary: ClassVar[str] = "waits for several branches; the main one's population goes on"
    min_inputs: ClassVar[int] = 0
    max_inputs: ClassVar[int] = 99

    type: Literal["and_join"]

    def joins(self) -> bool:
        """It waits for all of its inbound transitions."""
        return True

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Less than two branches."""
        if len(set(self.default_sources())) < 2:
            yield Problem(
                path=("from",),
                message="an and_join says which branches it waits for, the main one first, like from: [one, other]",
            )

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The population of the first branch that has one."""
        return {OK: inputs[0] if inputs else None}

    def run(self, context: Context) -> Done:
        """Goes on."""
        return Done(tables={OK: context.inputs[0] if context.inputs else None})
