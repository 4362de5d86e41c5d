"""Sub-workflow: runs another workflow as a part of this one, and goes on with what it brings back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

from pydantic import Field, StrictFloat, StrictInt

from crosstie.errors import CrosstieError, DefinitionError, ScriptError
from crosstie.model import find_column
from crosstie.script.template import Template, Templated
from crosstie.workflow.activity import (
    OK,
    Activity,
    Context,
    Done,
    Problem,
    Scalar,
    Shape,
    Site,
    SubRun,
    Waiting,
)
from crosstie.workflow.definition import Definition
from crosstie.workflow.state import SUB_RUN
from crosstie.workflow.yaml_source import suggest

_FAILED = "subRunFailed"
Edge = tuple[str, str]


class SubWorkflow(Activity):
    """Runs a workflow with variables and what comes in, waits for its end, and hands on what it brings back."""

    summary: ClassVar[str] = "runs another workflow as a part of this one, and goes on with what it brings back"
    min_inputs: ClassVar[int] = 0

    type: Literal["sub_workflow"]
    workflow: str = Field(description="the workflow, as it is applied when its run begins")
    vars: dict[str, Templated | StrictInt | StrictFloat] = Field(
        default_factory=dict, description="the variables that its run begins with, with templates: name: value"
    )
    result: str | None = Field(
        None,
        description="the activity of it, or activity.transition, whose population goes on; by default the one that"
        " leads to its end",
    )

    def runs(self) -> tuple[str, ...]:
        """The workflow."""
        return (self.workflow,)

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """A workflow that is not there or cannot run, what it takes and does not get, and a result that is not one."""
        try:
            definition = site.workflow(self.workflow)
        except DefinitionError as error:
            yield Problem(path=("workflow",), message=f"“{self.workflow}” cannot run: {error.message.splitlines()[0]}")
            return
        if definition is None:
            yield Problem(
                path=("workflow",),
                message=f"there is no workflow “{self.workflow}”. Apply it first, or a folder that holds both",
            )
            return
        if not definition.begun_by():
            yield Problem(path=("workflow",), message=f"“{self.workflow}” is begun by schedules only")
        for message in _lacks(definition, inputs):
            yield Problem(path=("workflow",), message=message)
        yield from self._result_problems(definition)

    def _result_problems(self, definition: Definition) -> Iterable[Problem]:
        edge = self._edge(definition)
        found = definition.results()
        if self.result is not None and (edge is None or definition.shapes.get(edge) is None):
            known = [_written(one) for one, shape in definition.shapes.items() if shape is not None]
            yield Problem(
                path=("result",),
                message=f"“{self.result}” puts out no population in “{self.workflow}”.{suggest(self.result, known)}",
            )
        elif self.result is None and len(found) > 1:
            listed = ", ".join(map(_written, found))
            yield Problem(
                path=("workflow",),
                message=f"“{self.workflow}” ends with several populations; choose one by “result”: {listed}",
            )

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What it brings back."""
        definition = site.workflow(self.workflow)
        edge = self._edge(definition) if definition is not None else None
        return {OK: definition.shapes.get(edge) if definition is not None and edge is not None else None}

    def run(self, context: Context) -> Done | Waiting:
        """Begins the run, and goes on when it has ended. A failure of it is one of this task; resumed, it is gone on
        with."""
        number = context.state.get(SUB_RUN)
        if not isinstance(number, int):
            return self._begin(context)
        definition = context.site.workflow(self.workflow)
        edge = self._edge(definition) if definition is not None else None
        found = context.sub_runs.look(number, edge)
        match found.status:
            case "at work":
                return _waiting(number, self.workflow)
            case "gone":
                return self._again(context, number, found)
            case "failed":
                if context.state.get(_FAILED) is not None:
                    context.sub_runs.resume(number)
                    return _waiting(number, self.workflow)
                raise self._failure(context, number, found)
        shape = definition.shapes.get(edge) if definition is not None and edge is not None else None
        table = found.table
        if table is None and shape is not None:
            context.log.info(f"Run {number} of {self.workflow} has not reached what it brings back; no rows go on.")
            name = context.private_name()
            context.db.create_work(name, shape.columns)
            table = shape.work_table(name, 0)
        return Done(tables={OK: table if shape is not None else None}, vars=found.vars)

    def _begin(self, context: Context) -> Waiting:
        given = context.inputs[0] if context.inputs else None
        number = context.sub_runs.begin(self.workflow, self._variables(context), given)
        return _waiting(number, self.workflow)

    def _again(self, context: Context, number: int, found: SubRun) -> Waiting:
        """A run that was given up is told of once; the next attempt begins another one."""
        if context.state.get(_FAILED) is not None:
            return self._begin(context)
        raise self._failure(context, number, found)

    def _failure(self, context: Context, number: int, found: SubRun) -> CrosstieError:
        with context.step(f"{context.activity} has failed") as transaction:
            context.keep(transaction, {SUB_RUN: number, _FAILED: 1})
        goes_on = " Resumed, it goes on where it stopped." if found.status == "failed" else ""
        return CrosstieError(
            f"Run {number} of {self.workflow} failed: {found.message}",
            hint=f"What it did: crosstie log {number}.{goes_on}",
            code=found.code,
        )

    def _variables(self, context: Context) -> dict[str, Scalar]:
        scope = context.scope()
        given: dict[str, Scalar] = {}
        for name, written in self.vars.items():
            value = Template(written).value(scope) if isinstance(written, str) else written
            if isinstance(value, bool):
                raise ScriptError(
                    f"Variable {name} is {str(value).lower()}; a variable holds text, a number or a date."
                )
            if value is not None:
                given[name] = value
        return given

    def _edge(self, definition: Definition) -> Edge | None:
        if self.result is not None:
            activity, _, transition = self.result.partition(".")
            return activity, transition or OK
        found = definition.results()
        return found[0] if len(found) == 1 else None


def _lacks(definition: Definition, inputs: tuple[Shape, ...]) -> Iterable[str]:
    """What the workflow takes and what does not come in."""
    for name in definition.begun_by():
        if not definition.activities[name].takes_in():
            continue
        taken = definition.shapes.get((name, OK))
        if taken is None:
            continue
        if not inputs:
            yield f"“{definition.name}” takes a population, and none comes in here"
            continue
        for column in taken.columns:
            found = find_column(inputs[0].columns, column.name)
            if found is None:
                known = ", ".join(one.name for one in inputs[0].columns)
                yield f"“{definition.name}” takes a column {column.name}, which does not come in. There is: {known}"
            elif found.type is not column.type:
                yield (
                    f"“{definition.name}” takes {column.name} as {column.type.value}, and it comes in as"
                    f" {found.type.value}"
                )
        unique = {name.removeprefix("@").lower() for name in inputs[0].key}
        if taken.key and not (unique and unique <= {name.removeprefix("@").lower() for name in taken.key}):
            by = ", ".join(taken.key)
            yield f"“{definition.name}” takes rows that are unique by {by}; those that come in are not known to be"


def _waiting(number: int, workflow: str) -> Waiting:
    return Waiting(reason=f"It waits for run {number} of {workflow}.", state={SUB_RUN: number})


def _written(edge: Edge) -> str:
    return edge[0] if edge[1] == OK else f"{edge[0]}.{edge[1]}"
