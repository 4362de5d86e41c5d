"""Queries looked at without a run: their statement, and how many rows they select now."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from crosstie.db.database import Database
from crosstie.errors import ConfigError
from crosstie.workflow.activity import Scalar, Site

if TYPE_CHECKING:
    from crosstie.activities.query import Selecting, Selection
    from crosstie.app.workflows import Workflows
    from crosstie.workflow.definition import Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """`app.queries`."""

    db: Database
    site: Site
    workflows: Workflows
    now: Callable[[], datetime]
    zone: ZoneInfo

    def preview(self, workflow: str | Path, activity: str, variables: Mapping[str, Scalar] | None = None) -> Selection:
        """The statement of a query activity of a workflow (by name, or a file that is not applied) and what it binds;
        `variables` are those that an event would bring. Raises ConfigError for an activity that is no query, for one
        that needs what comes in, and for a variable that is not given."""
        definition = self._definition(workflow)
        return self._selection(definition, activity, self._query(definition, activity), variables or {})

    def count(self, workflow: str | Path, activity: str, variables: Mapping[str, Scalar] | None = None) -> int:
        """How many rows it selects now."""
        selection = self.preview(workflow, activity, variables)
        with self.db.reading() as transaction:
            found = transaction.row(f"select count(*) from ({selection.sql}) counted", selection.params)
        assert found is not None, "a count is a row"
        return int(found[0])

    def _definition(self, workflow: str | Path) -> Definition:
        if isinstance(workflow, Path):
            return self.workflows.validate(workflow)
        return self.workflows.definition(workflow)

    def _query(self, definition: Definition, name: str) -> Selecting:
        from crosstie.activities.query import Selecting
        from crosstie.activities.query.levels import INBOUND

        activity = definition.activities.get(name)
        queries = [one for one, other in definition.activities.items() if isinstance(other, Selecting)]
        if not isinstance(activity, Selecting):
            close = difflib.get_close_matches(name, queries, n=1)
            guess = f"Did you mean {close[0]}? " if close else ""
            known = f"Its queries: {', '.join(queries)}." if queries else "It has none."
            raise ConfigError(f"{definition.name} has no query {name}.", hint=f"{guess}{known}")
        if activity.inputs_from == INBOUND:
            raise ConfigError(
                f"{name} queries the population that comes in, which only a run has.",
                hint="Run the workflow; its log says how many rows were selected.",
            )
        return activity

    def _selection(
        self, definition: Definition, name: str, query: Selecting, variables: Mapping[str, Scalar]
    ) -> Selection:
        from crosstie.db.expressions import Binding
        from crosstie.script.engine import ScriptScope

        read = query.understood(self.site, None)
        zone, now = definition.zone(name, self.zone), self.now()
        scope = ScriptScope(
            now=now,
            workflow=definition.name,
            activity=name,
            zone=zone,
            vars={one: value for one, value in variables.items() if value is not None},
        )
        templates = read.templates.values(scope) if read.templates.found else {}
        binding = Binding(now=now, zone=zone, vars={**variables, **templates})
        without = query.left_out(self.db, definition.name, name)
        return query.selection(self.db, read, None, binding, without=without)
