"""Incremental query: leaves out the rows that it has put out before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from crosstie.activities.query.selecting import Selecting
from crosstie.db.database import Database, Transaction
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, WorkTable, find_column
from crosstie.sync import deliveries
from crosstie.sync.deliveries import History
from crosstie.workflow.activity import OK, Context, Done, Problem, Shape, Site
from crosstie.workflow.durations import WrittenDuration, parse_duration
from crosstie.workflow.schedules import Schedule


class IncrementalQuery(Selecting):
    """A query that leaves out keys which it has put out before, in this run or an earlier one."""

    summary: ClassVar[str] = "selects rows like a query, and leaves out those that it has put out before"

    type: Literal["incremental_query"]
    schedule: Schedule | None = Field(
        None, description="when `serve` begins a run with it: the keys of a scheduler, like {every: 1h}"
    )
    history: timedelta = Field(
        timedelta(0), description="how long a row stays left out after it was put out, like 30d; 0 for ever"
    )
    keep_history: bool = Field(
        True, description="what was put out stays left out when the workflow is started from the beginning"
    )
    even_if_empty: bool = Field(False, description="go on also when nothing is new")

    @field_validator("history", mode="before", json_schema_input_type=WrittenDuration)
    @classmethod
    def _duration(cls, value: object) -> object:
        return parse_duration(value)

    def timetable(self) -> Schedule | None:
        """Its own schedule."""
        return self.schedule

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """As of a query; and rows without a key, which cannot be known again."""
        found = list(super().problems(inputs, site))
        yield from found
        every = next((name for name, one in self.collect.items() if one.first == "all"), "")
        if every:
            yield Problem(
                path=("collect", every, "first"),
                message="an incremental query puts out each row once: it takes no first: all",
            )
        elif self.distinct:
            yield Problem(
                path=("distinct",),
                message="an incremental query knows by their key which rows it has put out, and distinct leaves it out",
            )
        elif not found and not self._shape(inputs, site).key:
            yield Problem(
                path=("from",),
                message="an incremental query knows by their key which rows it has put out, and these have none",
            )

    def run(self, context: Context) -> Done:
        """Selects what is new; with the commit that publishes it the keys are recorded."""
        shape = self._shape(tuple(Shape.of(one) for one in context.inputs), context.site)
        history = self._history(context, _key_columns(shape.columns, shape.key))
        table = self.fill(context, without=_delivered(context.db.dialect, history))
        return Done(tables={}, effect=lambda transaction: self._publish(transaction, context, history, table))

    def _shape(self, inputs: tuple[Shape, ...], site: Site) -> Shape:
        shape = self.outputs(inputs, site)[OK]
        assert shape is not None, "a query puts out a population"
        return shape

    def left_out(self, db: Database, workflow: str, activity: str) -> str:
        """The rows that it has put out before; those whose time is over are counted among them until it runs."""
        with db.reading() as transaction:
            history = deliveries.find_history(transaction, workflow, activity)
        return _delivered(db.dialect, history) if history is not None else ""

    def _history(self, context: Context, keys: tuple[Column, ...]) -> History:
        """The history of this activity, without what does not count any more; a new one where the key is another."""
        with context.db.reading() as transaction:
            known = deliveries.find_history(transaction, context.workflow, context.activity)
        if known is not None and known.keys == keys:
            before = context.now() - self.history if self.history else None
            with context.step(f"{context.activity} forgets") as transaction:
                deliveries.forget(transaction, known, before)
            context.db.prepare(known.table)
            return known
        if known is not None:
            context.log.warning("The key of its rows is another than before: all of them count as new.")
        made = History(
            workflow=context.workflow,
            activity=context.activity,
            table=context.private_name("delivered"),
            keys=keys,
        )
        context.db.create_work(made.table, made.columns, durable=True)
        context.db.prepare(made.table, tuple(column.name for column in made.columns[:-1]))
        return made

    def _publish(self, transaction: Transaction, context: Context, history: History, table: WorkTable) -> Done:
        """Records the keys. Another task of this activity may have put some out meanwhile: these go."""
        transaction.lock(f"deliveries of {context.workflow} {context.activity}")
        known = deliveries.find_history(transaction, context.workflow, context.activity)
        rows = table.rows
        if known is not None and known.table == history.table:
            key = {f"key_{place}": f"crosstie.{table.name}.{name}" for place, name in enumerate(_quoted(table.key), 1)}
            condition = _delivered(context.db.dialect, history).format(**key)
            rows -= transaction.execute(f"delete from crosstie.{table.name} where {condition}")
        if not rows and not self.even_if_empty:
            return Done(tables={}, counts={"new": 0})
        deliveries.keep_history(transaction, history, kept=self.keep_history)
        deliveries.record(transaction, history, table, table.key, run=context.run, task=context.task, now=context.now())
        return Done(tables={OK: replace(table, rows=rows)}, counts={"new": rows})


def _key_columns(columns: Sequence[Column], key: Sequence[str]) -> tuple[Column, ...]:
    """The key's columns by name and type alone: what else is known of them may change."""
    found = (find_column(tuple(columns), name) for name in key)
    return tuple(Column(name=one.name, type=one.type, scale=one.scale) for one in found if one is not None)


def _quoted(names: Sequence[str]) -> list[str]:
    return [quote_identifier(name) for name in names]


def _delivered(dialect: str, history: History) -> str:
    """The SQL condition that a row was put out, in which {key_1}, {key_2} … stand for its key."""
    texts = (ColumnType.TEXT, ColumnType.SET)
    exact = ' collate "C"' if dialect == "postgresql" else " collate binary"
    pairs = [
        f"d.k_{place} = {{key_{place}}}{exact if column.type in texts else ''}"
        for place, column in enumerate(history.keys, 1)
    ]
    counts = deliveries.counts_as_delivered(history, "d")
    return f"exists (select 1 from crosstie.{history.table} d where {' and '.join(pairs)} and {counts})"
