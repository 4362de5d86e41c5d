"""A small world for imports: one sandbox, one marketing database, the real connector, runner and activities."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import pyarrow as pa

from crosstie.activities import ACTIVITIES
from crosstie.crm.connector import Connector
from crosstie.crm.http import Retries
from crosstie.crm.salesforce.bulk import Patience
from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.crm.salesforce.settings import SalesforceSettings
from crosstie.db.database import Database
from crosstie.model import Column, ColumnType, RemoteObject, Table
from crosstie.schema.links import TableLink
from crosstie.sync import windows
from crosstie.workflow import state
from crosstie.workflow.activity import OK, Activity, Context, Done, Shape, Site
from crosstie.workflow.definition import Definition, read_definition
from crosstie.workflow.runner import RunReport, Surroundings, run_workflow
from crosstie.workflow.watcher import Message, Silent, messages
from tests.sandboxes import Sandbox

ACCOUNT = "crm"
OPTION = "LASTIMPORT_contacts_read"
QUICK = Retries(
    attempts=4,
    budget=timedelta(seconds=20),
    first_wait=timedelta(milliseconds=5),
    longest_wait=timedelta(milliseconds=50),
)
SOON = Patience(first=timedelta(milliseconds=5), longest=timedelta(milliseconds=50), total=timedelta(seconds=20))


class Given(Activity):
    """Puts out rows of text that the definition holds."""

    min_inputs: ClassVar[int] = 0
    type: Literal["given"]
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]

    def _shape(self) -> Shape:
        return Shape(columns=tuple(Column(name=name, type=ColumnType.TEXT) for name in self.columns))

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        return {OK: self._shape()}

    def run(self, context: Context) -> Done:
        shape, name = self._shape(), context.private_name()
        context.db.create_work(name, shape.columns)
        arrays = [pa.array([row[place] for row in self.rows], pa.string()) for place in range(len(self.columns))]
        with context.db.load(name, shape.columns, expected_rows=len(self.rows)) as load:
            load.write(pa.RecordBatch.from_arrays(arrays, names=list(self.columns)))
        return Done(tables={OK: shape.work_table(name, len(self.rows))})


CATALOGUE: dict[str, type[Activity]] = {**ACTIVITIES, "given": Given}


@dataclass(frozen=True, slots=True)
class DescribedSite:
    """What validation may look at: the objects that were described, and nothing else."""

    objects: Mapping[str, RemoteObject]

    def table(self, name: str) -> Table | None:
        return None

    def tables(self) -> tuple[str, ...]:
        return ()

    def accounts(self) -> tuple[str, ...]:
        return (ACCOUNT,)

    def account_kind(self, name: str) -> str:
        return "salesforce" if name == ACCOUNT else ""

    def collected(self, account: str) -> tuple[str, ...]:
        return tuple(self.objects)

    def remote_object(self, account: str, name: str) -> RemoteObject | None:
        return self.objects.get(name)

    def links(self, table: str) -> tuple[TableLink, ...]:
        return ()

    def workflow(self, name: str) -> Definition | None:
        return None

    def called_by(self, name: str) -> tuple[str, ...]:
        return ()

    def lists(self) -> tuple[str, ...]:
        return ()

    def list_shape(self, name: str) -> Shape | None:
        return None

    def files_folder(self) -> Path:
        return Path()


@dataclass(frozen=True, slots=True)
class TableSite(DescribedSite):
    """Also shows the tables of a database."""

    db: Database

    def table(self, name: str) -> Table | None:
        return self.db.reflect(name)

    def tables(self) -> tuple[str, ...]:
        return self.db.tables()


@dataclass
class HandClock:
    """The machine's clock, which goes with the sandbox's."""

    at: datetime

    def now(self) -> datetime:
        return self.at


@dataclass
class Hooked(Silent):
    """A watcher that lets a test act, or end the process, when so many rows are loaded."""

    on_rows: Callable[[int], None] = lambda rows: None

    def rows(self, activity: str, rows: int, expected: int | None, calls: int) -> None:
        self.on_rows(rows)


@dataclass
class World:
    """One test's world. `options` are arguments of the connectors that it opens."""

    db: Database
    sandbox: Sandbox
    site: DescribedSite
    clock: HandClock
    watcher: Hooked = field(default_factory=Hooked)
    options: dict[str, Any] = field(default_factory=dict)

    def advance(self, **by: float) -> datetime:
        """Moves both clocks on."""
        self.clock.at = self.sandbox.advance(timedelta(**by))
        return self.clock.at

    def connect(self) -> Connector:
        """A connector of its own."""
        return open_connector(self.sandbox, **self.options)

    def run(self, text: str, *, restart: bool = False) -> RunReport:
        """Runs a definition, or goes on with its unfinished run, as a process of its own would."""
        definition = read_definition("flow.yaml", text, CATALOGUE, self.site)
        around = Surroundings(
            db=self.db,
            site=self.site,
            clock=self.clock,
            connect=lambda account: self.connect(),
            watcher=self.watcher,
            zone=ZoneInfo("UTC"),
        )
        return run_workflow(around, definition, 1, restart=restart)

    def rows(self, report: RunReport | state.Run, activity: str = "read", transition: str = OK) -> list[dict[str, Any]]:
        """The population that an activity put out at the end of a branch, which is kept until the next run."""
        run = report.run if isinstance(report, RunReport) else report.id
        with self.db.reading() as transaction:
            found = [
                event.table
                for event in state.events(transaction, run)
                if (event.source, event.transition, event.target) == (activity, transition, "")
            ]
        assert len(found) == 1 and found[0] is not None
        table = found[0]
        listed = ", ".join(self.db.quote(column.name) for column in table.columns)
        sql = f"select {listed} from crosstie.{table.name}"
        rows = [row for batch in self.db.read(sql, {}, table.columns) for row in batch.to_pylist()]
        assert len(rows) == table.rows
        for name in table.key:
            assert len({row[name] for row in rows}) == len(rows)
        return rows

    def ids(self, report: RunReport | state.Run) -> list[str]:
        """The remote ids that an import put out, sorted."""
        return sorted(row["Id"] for row in self.rows(report))

    def option(self, name: str = OPTION) -> str | None:
        """An option's text."""
        with self.db.reading() as transaction:
            return windows.read_option(transaction, name)

    def set_option(self, value: str, name: str = OPTION) -> None:
        """Sets an option as a person would."""
        self.execute(
            "insert into crosstie.option (name, value) values (:name, :value)"
            " on conflict (name) do update set value = excluded.value",
            name=name,
            value=value,
        )

    def execute(self, sql: str, **params: object) -> None:
        """A statement of its own transaction."""
        with self.db.transaction("test") as transaction:
            transaction.execute(sql, params)

    def query(self, sql: str, **params: object) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        with self.db.reading() as transaction:
            return transaction.rows(sql, params)

    def log(self, report: RunReport) -> list[Message]:
        """What was logged."""
        with self.db.reading() as transaction:
            return list(messages(transaction, report.run))

    def latest_run(self) -> state.Run:
        """The newest run of the import."""
        with self.db.reading() as transaction:
            found = state.latest_run(transaction, "contacts")
        assert found is not None
        return found

    def window(self) -> windows.Window:
        """The newest window."""
        with self.db.reading() as transaction:
            row = transaction.row("select max(run) from crosstie.import_window")
            assert row is not None
            return windows.windows_of(transaction, int(row[0]))[-1]


def open_connector(sandbox: Sandbox, *, flow: str = "client_credentials", **options: Any) -> SalesforceConnector:
    """A connector that signs in that way and is impatient enough for tests."""
    given = {name: value for name, value in sandbox.sign_in(flow).items() if name in SalesforceSettings.model_fields}
    host = {"host": sandbox.salesforce["login_url"], "ca_file": str(sandbox.ca_file)}
    settings = SalesforceSettings.model_validate({**given, **host, "flow": flow})
    return SalesforceConnector(settings, account=ACCOUNT, patience=SOON, retries=QUICK, **options)


def describe(connector: Connector, *names: str) -> DescribedSite:
    """A site of objects as they are described now."""
    return DescribedSite({name: connector.describe(name) for name in names})


def flow(
    read: Mapping[str, object],
    *,
    name: str = "contacts",
    zone: str = "",
    before: Mapping[str, object] | None = None,
    more: Mapping[str, object] | None = None,
) -> str:
    """A definition whose activity `read` imports contacts unless told otherwise. JSON is YAML too."""
    importing = {"type": "crm_import", "account": ACCOUNT, "object": "Contact", "fields": ["LastName"], **read}
    activities = {**(before or {}), "read": importing, **(more or {})}
    top = {"workflow": name, **({"time_zone": zone} if zone else {}), "activities": activities}
    return json.dumps(top, ensure_ascii=False)


def indexed(fields: list[object] | None = None, *, more: Mapping[str, object] | None = None, **read: object) -> str:
    """A definition of an import with automatic index."""
    chosen = fields or ["LastName", "Title", "Score__c"]
    return flow({"index": {"field": "SystemModstamp"}, "fields": chosen, **read}, more=more)
