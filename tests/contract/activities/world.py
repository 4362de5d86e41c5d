"""A small world for one activity: people's tables, a work table made from Python rows, and what the activity did."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from crosstie.crm.connector import Connector
from crosstie.db.columns import arrow_schema
from crosstie.db.database import Database
from crosstie.db.foreign_keys import foreign_keys
from crosstie.db.statements import quote_identifier
from crosstie.model import Column, ColumnType, Lineage, RemoteObject, Table, WorkTable
from crosstie.schema.links import TableLink, links_of, of_foreign_keys
from crosstie.script.engine import ScriptScope
from crosstie.workflow import lists as stored
from crosstie.workflow.activity import Activity, Context, Done, Problem, Reject, Scalar, Shape, SubRun, Woken
from crosstie.workflow.definition import Definition

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
TEXT, INTEGER, INSTANT = ColumnType.TEXT, ColumnType.INTEGER, ColumnType.INSTANT


def columns(**types: ColumnType) -> tuple[Column, ...]:
    """Columns by name and type."""
    return tuple(Column(name=name, type=kind) for name, kind in types.items())


CONTACT = columns(Id=TEXT, Email=TEXT, LastName=TEXT, SystemModstamp=INSTANT)
LINEAGE = Lineage(
    account="salesforce",
    org="00D1",
    object="Contact",
    remote_id="Id",
    stamp="SystemModstamp",
    fields=(("Id", "Id"), ("Email", "Email"), ("LastName", "LastName"), ("SystemModstamp", "SystemModstamp")),
)


@dataclass
class Lines:
    """A log that keeps its lines."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def info(self, text: str, **details: object) -> None:
        self.lines.append(("info", text))

    def warning(self, text: str, **details: object) -> None:
        self.lines.append(("warning", text))

    def error(self, text: str, **details: object) -> None:
        self.lines.append(("error", text))

    def texts(self, level: str) -> list[str]:
        return [text for one, text in self.lines if one == level]


class Tables:
    """Validation over a database's real tables."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db = db
        self.folder = folder

    def table(self, name: str) -> Table | None:
        return self.db.reflect(name)

    def tables(self) -> tuple[str, ...]:
        return self.db.tables()

    def accounts(self) -> tuple[str, ...]:
        return ()

    def account_kind(self, name: str) -> str:
        return ""

    def collected(self, account: str) -> tuple[str, ...]:
        return ()

    def remote_object(self, account: str, name: str) -> RemoteObject | None:
        return None

    def links(self, table: str) -> tuple[TableLink, ...]:
        with self.db.reading() as transaction:
            return links_of(table, of_foreign_keys(foreign_keys(transaction)), self.db.reflect)

    def workflow(self, name: str) -> Definition | None:
        return None

    def called_by(self, name: str) -> tuple[str, ...]:
        return ()

    def lists(self) -> tuple[str, ...]:
        with self.db.reading() as transaction:
            return tuple(one.name for one in stored.lists(transaction))

    def list_shape(self, name: str) -> Shape | None:
        with self.db.reading() as transaction:
            found = stored.find_list(transaction, name)
        return Shape.of(found.table) if found is not None else None

    def files_folder(self) -> Path:
        return self.folder


class NoSubRuns:
    """No activity under test runs other workflows: that takes a runner."""

    def begin(self, workflow: str, variables: Mapping[str, Scalar], table: WorkTable | None) -> int:
        raise AssertionError(workflow)

    def look(self, run: int, result: tuple[str, str] | None) -> SubRun:
        raise AssertionError(run)

    def resume(self, run: int) -> None:
        raise AssertionError(run)


@dataclass(kw_only=True)
class Ended:
    """What an activity did."""

    tables: Mapping[str, WorkTable | None]
    counts: Mapping[str, int]
    vars: dict[str, Scalar]
    rejects: list[Reject]
    log: Lines


class World:
    """The marketing database of a test."""

    def __init__(self, db: Database, folder: Path = Path()) -> None:
        self.db = db
        self.site = Tables(db, folder)
        self.tasks = itertools.count(1)

    def sql(self, *statements: str) -> None:
        """Runs statements as a person would."""
        with self.db.transaction("test") as transaction:
            for statement in statements:
                transaction.execute(statement)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.db.reading() as transaction:
            return transaction.rows(sql)

    def serial(self) -> str:
        """A primary key that the database counts."""
        return (
            "integer primary key"
            if self.db.dialect == "sqlite"
            else "bigint generated by default as identity primary key"
        )

    def population(
        self,
        made_of: Sequence[Column],
        rows: Sequence[Sequence[object]],
        *,
        key: tuple[str, ...] = (),
        lineage: Lineage | None = None,
        dimension: str = "",
    ) -> WorkTable:
        """A published work table with those rows."""
        name = f"w_1_{next(self.tasks)}_ok"
        self.db.create_work(name, made_of)
        if rows:
            schema = arrow_schema(tuple(made_of))
            values = [
                pa.array(list(value), type=one.type) for value, one in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            with self.db.load(name, made_of, expected_rows=len(rows)) as load:
                load.write(pa.RecordBatch.from_arrays(values, schema=schema))
        self.db.prepare(name, key, unique=bool(key))
        return WorkTable(
            name=name, columns=tuple(made_of), rows=len(rows), key=key, lineage=lineage, dimension=dimension
        )

    def contacts(self, *rows: Sequence[object], key: tuple[str, ...] = ("Id",)) -> WorkTable:
        """Imported contacts: (Id, Email, LastName[, day of November 2026 as stamp])."""
        full = [(*row[:3], NOW.replace(day=int(str(row[3])) if len(row) > 3 else 1)) for row in rows]
        return self.population(CONTACT, full, key=key, lineage=LINEAGE)

    def problems(self, activity: Activity, *inbound: WorkTable) -> list[Problem]:
        """What validation says."""
        return list(activity.problems(tuple(Shape.of(one) for one in inbound), self.site))

    def run(
        self,
        activity: Activity,
        *inbound: WorkTable,
        meanwhile: Sequence[str] = (),
        killed: bool = False,
        variables: Mapping[str, Scalar] | None = None,
        context: Context | None = None,
    ) -> Ended:
        """Validates, runs and publishes, as the runner does; the published tables must have the promised shape.

        `meanwhile`: what somebody else does before the commit that ends the task. `killed`: that commit does not
        happen, RuntimeError comes instead. `context`: to run in, instead of a new one."""
        problems = self.problems(activity, *inbound)
        assert problems == [], problems
        log = Lines()
        given = context or self.context(*inbound, variables=variables)
        given.log = log
        done = activity.run(given)
        assert isinstance(done, Done), done
        self.sql(*meanwhile)
        ended = self._publish(done, log, killed=killed)
        promised = activity.outputs(tuple(Shape.of(one) for one in inbound), self.site)
        for transition, table in ended.tables.items():
            shape = promised[transition]
            assert (table is None) == (shape is None), transition
            if table is not None and shape is not None:
                known = table
                if table.lineage is not None and shape.lineage is not None and not shape.lineage.org:
                    known = replace(table, lineage=replace(table.lineage, org=""))  # which org it is only a run knows
                assert shape.work_table(table.name, table.rows, bases=table.bases) == known
                assert len(self.read(table)) == table.rows
        return ended

    def context(
        self,
        *inbound: WorkTable,
        log: Lines | None = None,
        variables: Mapping[str, Scalar] | None = None,
        state: Mapping[str, Scalar] | None = None,
        woken: Woken | None = None,
    ) -> Context:
        """What the activity `box` of workflow `contact-import` may touch."""
        kept = dict(state or {})
        return Context(
            workflow="contact-import",
            run=1,
            task=next(self.tasks),
            activity="box",
            inputs=inbound,
            sources=tuple(f"in{place}" for place in range(1, len(inbound) + 1)),
            vars=dict(variables or {}),
            zone=ZoneInfo("Europe/Paris"),
            db=self.db,
            site=self.site,
            log=log or Lines(),
            now=lambda: NOW,
            connector=_no_connector,
            scope=lambda: ScriptScope(
                now=NOW, vars={name: value for name, value in (variables or {}).items() if value is not None}
            ),
            progress=lambda rows, expected: None,
            run_started=NOW,
            begun_at=NOW,
            state=kept,
            woken=woken,
            step=self.db.transaction,
            keep=lambda transaction, values: kept.update(values),
            sub_runs=NoSubRuns(),
        )

    def _publish(self, done: Done, log: Lines, *, killed: bool = False) -> Ended:
        with self.db.transaction("box is published") as transaction:
            if done.effect is not None:
                done = done.effect(transaction) or done
            rejects = list(done.rejects)
            if killed:
                raise RuntimeError("killed")
        if done.after is not None:
            done.after()
        return Ended(tables=dict(done.tables), counts=dict(done.counts), vars=dict(done.vars), rejects=rejects, log=log)

    def read(self, table: WorkTable | None, *names: str) -> list[tuple[Any, ...]]:
        """The rows of a work table, all columns or those named, in order of the first."""
        assert table is not None
        chosen = names or tuple(column.name for column in table.columns)
        listed = ", ".join(quote_identifier(name) for name in chosen)
        found = self.rows(f"select {listed} from crosstie.{table.name}")
        kinds = [column.type for name in chosen for column in table.columns if column.name == name]
        plain = [
            tuple(bool(value) if kind is ColumnType.BOOLEAN else value for kind, value in zip(kinds, row, strict=True))
            for row in found
        ]
        return sorted(plain, key=lambda row: [(value is not None, str(value)) for value in row])

    def count_writes(self, table: str) -> None:
        """Counts each row written in a table, by triggers, in the table `writes`."""
        self.sql("create table writes (what text)")
        for what in ("insert", "update", "delete"):
            if self.db.dialect == "sqlite":
                body = f"begin insert into writes values ('{what}'); end"
                self.sql(f"create trigger count_{what} after {what} on {table} {body}")
            else:
                self.sql(
                    f"create function count_{what}() returns trigger language plpgsql as"
                    f" $$ begin insert into writes values ('{what}'); return null; end $$",
                    f"create trigger count_{what} after {what} on {table} for each row execute function count_{what}()",
                )

    def writes(self) -> dict[str, int]:
        """How many rows were inserted, updated, deleted since the last call."""
        found = dict(self.rows("select what, count(*) from writes group by what"))
        self.sql("delete from writes")
        return found


def _no_connector(name: str) -> Connector:
    raise AssertionError(f"no activity under test speaks to a CRM ({name})")
