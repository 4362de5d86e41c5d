"""What the engine knows besides the query itself, and the facts of which nobody is sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from crosstie.sandbox.dynamics.table import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The moment and the person of a query, and how the service reads what its documentation leaves open."""

    now: datetime
    """The service's clock, aware."""
    user_id: str = ""
    """The systemuserid of who asks."""
    hidden: frozenset[str] = frozenset()
    """Columns (`contact.jobtitle`) that column security shows to nobody here."""
    choices: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)
    """The values of the columns (`contact.new_interests`) whose choices were changed."""
    ne_includes_nulls: bool = True
    """Whether `ne`, `not` and NotIn of a value find records without one."""
    wildcards: bool = True
    """Whether `%`, `_` and `[…]` inside a value match as they do in LIKE."""
    accents: bool = True
    """Whether text with an accent differs from text without."""

    @property
    def today(self) -> datetime:
        """The midnight that the day began with, in UTC, which is the zone of the sandbox's users."""
        return self.now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
