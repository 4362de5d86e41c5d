"""Fork: activates several transitions at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

from crosstie.workflow.activity import OK, Activity, Context, Done, Overlap, Problem, Shape, Site


class Fork(Activity):
    """Hands what it receives to several activities. Any activity can do that by `next: [a, b]`; this is only a mark."""

    summary: ClassVar[str] = "hands what it receives to several activities at once"
    min_inputs: ClassVar[int] = 0
    has_default_next: ClassVar[bool] = False
    default_overlap: ClassVar[Overlap] = "allow"

    type: Literal["fork"]

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """A fork that leads to one activity, or to none."""
        if not isinstance(self.next, list) or len(set(self.next)) < 2:
            yield Problem(path=("next",), message="a fork says where its branches begin, like next: [one, other]")

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What comes in goes out."""
        return {OK: inputs[0] if inputs else None}

    def run(self, context: Context) -> Done:
        """Goes on."""
        return Done(tables={OK: context.inputs[0] if context.inputs else None})
