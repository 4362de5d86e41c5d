"""Start: marks where a branch begins, and says what comes in where another workflow runs this one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from crosstie.db.statements import quote_identifier
from crosstie.errors import ConfigError
from crosstie.model import Column, ColumnType, find_column
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site


class Start(Activity):
    """Begins a branch. An activity that nothing leads to begins one by itself, so this is only a mark, unless it takes
    the population of the workflow that runs this one."""

    summary: ClassVar[str] = "marks where a branch begins; says what a workflow takes that others run"
    min_inputs: ClassVar[int] = 0
    max_inputs: ClassVar[int] = 0

    type: Literal["start"]
    takes: dict[str, ColumnType] = Field(
        default_factory=dict,
        description="name: type of the columns of the population that comes in, where another workflow runs this one",
    )
    key: tuple[str, ...] = Field((), description="the columns of it that together are unique")

    def takes_in(self) -> bool:
        """Whether it says what comes in."""
        return bool(self.takes)

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """A key of columns that don't come in, and two columns of one name."""
        columns = self._shape().columns
        for name in self.key:
            if find_column(columns, name) is None:
                yield Problem(path=("key",), message=f"“{name}” is not among the columns that it takes")
        names = [name.removeprefix("@").lower() for name in self.takes]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Problem(path=("takes",), message=f"two columns are called “{name}”")

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What it takes."""
        return {OK: self._shape() if self.takes else None}

    def run(self, context: Context) -> Done:
        """Goes on, with what it takes. Raises ConfigError where nothing was given."""
        if not self.takes:
            return Done(tables={OK: None})
        if not context.inputs:
            raise ConfigError(
                f"{context.workflow} takes a population, and nobody gave one.",
                hint=f"Run it from another workflow: {{type: sub_workflow, workflow: {context.workflow}}}",
            )
        given, shape = context.inputs[0], self._shape()
        if given.columns == shape.columns and given.key == shape.key:
            return Done(tables={OK: given})
        listed = []
        for column in shape.columns:
            found = find_column(given.columns, column.name)
            if found is None or found.type is not column.type:
                raise ConfigError(
                    f"{context.workflow} takes a column {column.name} ({column.type.value}), which did not come in.",
                    hint="Validate the workflow that runs it again.",
                )
            listed.append(f"{quote_identifier(found.name)} as {quote_identifier(column.name)}")
        name = context.private_name()
        context.db.drop_work((name,))
        with context.db.transaction(f"{context.activity} publishes") as transaction:
            transaction.execute(f"create view crosstie.{name} as select {', '.join(listed)} from crosstie.{given.name}")
        return Done(tables={OK: shape.work_table(name, given.rows, bases=(*given.bases, given.name))})

    def _shape(self) -> Shape:
        return Shape(columns=tuple(Column(name=name, type=kind) for name, kind in self.takes.items()), key=self.key)
