"""Whether the activity at which a run stopped was edited since: that has to be confirmed (workflow semantics, Actions).

An edit of an activity that was executed changes nothing until the next start from the beginning; one of an activity
that was not is used.
"""

from __future__ import annotations

from crosstie.db.database import Transaction
from crosstie.errors import BrakeError, DefinitionError
from crosstie.workflow import state
from crosstie.workflow.state import Run, TaskStatus
from crosstie.workflow.yaml_source import parse

EDITED = "EDITED"
# What does not change what an activity does.
_COSMETIC = ("label",)
_STOPPED_AT = (TaskStatus.FAILED, TaskStatus.LOST, TaskStatus.RUNNING, TaskStatus.WAITING)


def refuse_edit(transaction: Transaction, run: Run, newest: str, version: int) -> None:
    """Raises BrakeError where the activity that a run is to execute again is not what it was when it was begun."""
    if run.version == version:
        return
    row = transaction.row(
        "select text from crosstie.workflow_version where workflow = :workflow and version = :version",
        {"workflow": run.workflow, "version": run.version},
    )
    last = {task.activity: task.status for task in state.tasks(transaction, run.id)}
    stopped_at = [name for name, status in last.items() if status in _STOPPED_AT]
    before, after = _keys(str(row[0]) if row else ""), _keys(newest)
    edited = [name for name in stopped_at if before.get(name) != after.get(name)]
    if edited:
        names = ", ".join(f"“{name}”" for name in edited)
        raise BrakeError(
            f"Run {run.id} of {run.workflow} stopped at {names}, and that was edited since (version {run.version} →"
            f" {version}).",
            hint="If the rest of the run is to go on with the edit, confirm it with --accept-edit;"
            f" from the beginning: crosstie run {run.workflow} --restart",
            code=EDITED,
        )


def _keys(text: str) -> dict[str, dict[str, object]]:
    """The keys of each activity as they are written."""
    try:
        value = parse("", text).value
    except DefinitionError:
        return {}
    activities = value.get("activities") if isinstance(value, dict) else None
    return {
        name: {key: one for key, one in keys.items() if key not in _COSMETIC}
        for name, keys in (activities.items() if isinstance(activities, dict) else ())
        if isinstance(keys, dict)
    }
