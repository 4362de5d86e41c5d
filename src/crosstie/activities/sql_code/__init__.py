"""SQL code: statements of people's own on the marketing database, and optionally a result that goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from crosstie.activities.sql_code.reading import Reading, Statement, Variable, read_statements
from crosstie.db.database import Transaction
from crosstie.db.statements import quote_identifier
from crosstie.errors import ConfigError, DatabaseError
from crosstie.model import Column, ColumnType, WorkTable, find_column
from crosstie.script.template import Template
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Scalar, Shape, Site

_CASTS = {
    ColumnType.TEXT: "text",
    ColumnType.SET: "text",
    ColumnType.INTEGER: "bigint",
    ColumnType.DECIMAL: "numeric",
    ColumnType.FLOAT: "double precision",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: "date",
    ColumnType.INSTANT: "timestamptz",
    ColumnType.WALL_CLOCK: "timestamp",
    ColumnType.TIME: "time",
    ColumnType.BINARY: "bytea",
}


class Result(BaseModel):
    """A query whose rows go out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: str = Field(description="a select; it is executed after the statements, in their transaction")
    columns: dict[str, ColumnType] = Field(
        min_length=1, description="name: type of each of its columns, in their order"
    )
    key: tuple[str, ...] = Field((), description="the columns that together are unique in it")

    @field_validator("key", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @property
    def shape(self) -> Shape:
        """What goes out."""
        return Shape(columns=tuple(Column(name=name, type=kind) for name, kind in self.columns.items()), key=self.key)


class SqlCode(Activity):
    """Executes SQL statements; what comes in goes on, or the result of a query."""

    summary: ClassVar[str] = "executes SQL statements of people's own, once, together with the end of the task"
    min_inputs: ClassVar[int] = 0
    acts_outside: ClassVar[bool] = True
    effect_is_long: ClassVar[bool] = True

    type: Literal["sql_code"]
    code: str = Field("", description="the statements, with semicolons between them")
    result: Result | None = Field(None, description="a query whose rows go out instead of what came in")
    autocommit: bool = Field(
        False,
        description="each statement on its own, outside a transaction (vacuum and such); after a kill it can repeat",
    )

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Statements that can't be read or can't be allowed, variables of no kind, a result that isn't one query."""
        if self.code or self.result is None:
            yield from self._told(("code",), read_statements(self.code), inputs)
        if self.result is None:
            return
        read = read_statements(self.result.query)
        yield from self._told(("result", "query"), read, inputs)
        if len(read.statements) > 1:
            yield Problem(path=("result", "query"), message="write one query here; statements before it go into “code”")
        for name in self.result.key:
            if find_column(self.result.shape.columns, name) is None:
                yield Problem(path=("result", "key"), message=f"“{name}” is not among the columns of the result")
        names = [name.removeprefix("@").lower() for name in self.result.columns]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Problem(path=("result", "columns"), message=f"two columns are called “{name}”")
        if self.autocommit:
            yield Problem(
                path=("autocommit",),
                message="a result needs the transaction: put it into another sql_code after this one",
            )

    def _told(self, place: tuple[str, ...], read: Reading, inputs: tuple[Shape, ...]) -> Iterable[Problem]:
        for message in read.mistakes:
            yield Problem(path=place, message=message)
        if not inputs and any(one.takes_inbound for one in read.statements):
            yield Problem(path=place, message="$(inbound) is the population that comes in, and none does")

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The result's columns as declared, else what comes in."""
        if self.result is not None:
            return {OK: self.result.shape}
        return {OK: inputs[0] if inputs else None}

    def run(self, context: Context) -> Done:
        """Executes the statements in the transaction that ends the task: both happen, or neither."""
        prepared = [_prepared(context, one) for one in read_statements(self.code).statements]
        going_on = context.inputs[0] if context.inputs else None
        if self.autocommit:
            counts = _execute_alone(context, prepared)
            return Done(tables={OK: going_on}, counts={"rows": sum(counts)}, vars=_counted(counts))
        if self.result is None:
            return Done(tables={OK: going_on}, effect=lambda transaction: _end(prepared, transaction, going_on))
        made = self.result.shape
        query = _prepared(context, read_statements(self.result.query).statements[0])
        name = context.private_name()
        context.db.create_work(name, made.columns)

        def effect(transaction: Transaction) -> Done:
            counts = _execute(prepared, transaction)
            rows = _fill(transaction, name, made, query)
            _refuse_doubles(transaction, name, made)
            table = made.work_table(name, rows)
            return Done(tables={OK: table}, counts={"changed": sum(counts), "rows": rows}, vars=_counted(counts))

        return Done(tables={OK: made.work_table(name, 0)}, effect=effect)


Prepared = tuple[str, Mapping[str, object]]


def _prepared(context: Context, statement: Statement) -> Prepared:
    """The statement with the values of now. Raises ConfigError for a variable that is not set."""
    binding = context.binding()

    def value(part: Variable | Template) -> object:
        return part.value(context.scope()) if isinstance(part, Template) else binding.variable(part.path, part.name)

    return statement.bound(context.inputs[0].name if context.inputs else "", value)


def _end(prepared: list[Prepared], transaction: Transaction, going_on: WorkTable | None) -> Done:
    counts = _execute(prepared, transaction)
    return Done(tables={OK: going_on}, counts={"rows": sum(counts)}, vars=_counted(counts))


def _execute(prepared: list[Prepared], transaction: Transaction) -> list[int]:
    return [_one(transaction, number, len(prepared), one) for number, one in enumerate(prepared, 1)]


def _execute_alone(context: Context, prepared: list[Prepared]) -> list[int]:
    """Each statement on its own; those that an attempt before a kill has ended are not executed again."""
    ended = [int(str(context.state[name])) for name in sorted(context.state, key=_number) if name.startswith("sqlRows")]
    for number, one in enumerate(prepared[len(ended) :], len(ended) + 1):
        context.log.info(
            f"Statement {number} is executed outside a transaction. It can repeat: after a kill it is executed again."
        )
        with context.db.outside_transaction(f"{context.activity}, statement {number}") as transaction:
            ended.append(_one(transaction, number, len(prepared), one))
        with context.step(f"{context.activity} has executed statement {number}") as transaction:
            context.keep(transaction, {f"sqlRows{place}": count for place, count in enumerate(ended, 1)})
    return ended


def _number(name: str) -> int:
    digits = name.removeprefix("sqlRows")
    return int(digits) if digits.isdigit() else 0


def _one(transaction: Transaction, number: int, all_of_them: int, prepared: Prepared) -> int:
    sql, values = prepared
    try:
        return transaction.execute(sql, values)
    except DatabaseError as error:
        which = f"Statement {number} of {all_of_them}" if all_of_them > 1 else "The statement"
        raise DatabaseError(
            f"{which} failed: {error.message}", hint=error.hint, code=error.code, retry=error.retry
        ) from error


def _counted(counts: list[int]) -> dict[str, Scalar]:
    """How many rows were changed, by all statements and by each."""
    return {"sqlRows": sum(counts), **{f"sqlRows{number}": count for number, count in enumerate(counts, 1)}}


def _fill(transaction: Transaction, name: str, made: Shape, query: Prepared) -> int:
    sql, values = query
    names = [f"c{place}" for place in range(len(made.columns))]
    cast = transaction.dialect == "postgresql"
    shown = ", ".join(
        f"cast(q.{short} as {_CASTS[column.type]})" if cast else f"q.{short}"
        for short, column in zip(names, made.columns, strict=True)
    )
    listed = ", ".join(quote_identifier(column.name) for column in made.columns)
    return _one(
        transaction,
        1,
        1,
        (f"insert into crosstie.{name} ({listed}) with q({', '.join(names)}) as ({sql}) select {shown} from q", values),
    )


def _refuse_doubles(transaction: Transaction, name: str, made: Shape) -> None:
    """What goes out as a key has to be one."""
    if not made.key:
        return
    listed = ", ".join(quote_identifier(one) for one in made.key)
    nulls = " or ".join(f"{quote_identifier(one)} is null" for one in made.key)
    double = transaction.row(f"select 1 from crosstie.{name} group by {listed} having count(*) > 1 or {nulls}")
    if double is not None:
        raise ConfigError(
            f"The result is not unique in its key {', '.join(made.key)}, or empty in it.",
            hint="Group the rows in the query, or leave “key” out.",
        )
