"""Queries: the key of the rows that satisfy conditions, and columns added to it; once each, or only what is new."""

from __future__ import annotations

from typing import ClassVar, Literal

from crosstie.activities.query.incremental import IncrementalQuery
from crosstie.activities.query.selecting import Selecting
from crosstie.activities.query.statement import Selection
from crosstie.workflow.activity import OK, Context, Done

__all__ = ["IncrementalQuery", "Query", "Selecting", "Selection"]


class Query(Selecting):
    """Selects rows and puts out their key, with columns added to it."""

    summary: ClassVar[str] = "selects rows of a table by conditions, and puts out their key and columns you add"

    type: Literal["query"]

    def run(self, context: Context) -> Done:
        """One statement fills the outbound work table."""
        table = self.fill(context)
        return Done(tables={OK: table}, counts={"rows": table.rows})
