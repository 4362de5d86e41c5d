"""One process that runs a workflow, as `crosstie run` does, on the drivers that tell of their commits."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from crosstie.accounts import AccountStore, Vault
from crosstie.app.accounts import Accounts
from crosstie.app.schemas import DatabaseSite
from crosstie.app.workflows import Workflows
from crosstie.config import Config, read_config
from crosstie.crm.connector import Connector
from crosstie.crm.dynamics.connector import DynamicsConnector
from crosstie.crm.http import Retries
from crosstie.crm.oracle_on_demand.connector import OracleOnDemandConnector
from crosstie.crm.salesforce.bulk import Patience
from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.crm.salesforce.packing import Lanes
from crosstie.crm.writing import Pauses
from crosstie.db import open_database
from crosstie.db.database import Database
from crosstie.schema.store import SchemaStore
from crosstie.workflow.runner import RunReport, Surroundings
from tests.crash.drivers import LINE, Line, report_commits

HERE = Path(__file__).resolve().parent
QUICK = Retries(
    attempts=3,
    budget=timedelta(seconds=20),
    first_wait=timedelta(milliseconds=5),
    longest_wait=timedelta(milliseconds=50),
)
SOON = Patience(first=timedelta(milliseconds=5), longest=timedelta(milliseconds=20), total=timedelta(seconds=20))
PAUSES = Pauses(first=timedelta(milliseconds=5), longest=timedelta(milliseconds=50), total=timedelta(seconds=20))
ONE_AFTER_THE_OTHER = Lanes(collections=1, bulk=1)
"""Shipments that every run sends in the same order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a process is to run, where and when. `line` leads to the conductor, `at` is the machine's clock (ISO).
    `page_rows` come at a time, of what the connector itself cuts into pages. `by_child`: SQLite loads by the loader
    child, however few rows."""

    line: str
    folder: str
    database: str
    workflow: str
    at: str
    page_rows: int
    by_child: bool = False


def _salesforce(settings: Any, order: Order, **given: Any) -> Connector:
    return SalesforceConnector(
        settings, bulk_page_rows=order.page_rows, patience=SOON, lanes=ONE_AFTER_THE_OTHER, **given
    )


def _dynamics(settings: Any, order: Order, **given: Any) -> Connector:
    return DynamicsConnector(settings, page_rows=order.page_rows, lanes=1, **given)


def _oracle(settings: Any, order: Order, **given: Any) -> Connector:
    rows = min(order.page_rows, settings.page_rows)
    return OracleOnDemandConnector(settings, page_rows=rows, lanes=1, between=timedelta(0), **given)


CONNECT: Mapping[str, Callable[..., Connector]] = {
    "salesforce": _salesforce,
    "dynamics": _dynamics,
    "oracle_on_demand": _oracle,
}
"""Connectors whose shipments go one after the other, by the kind of their account."""


@dataclass(frozen=True, slots=True)
class StandingClock:
    """The machine's clock, which goes with the sandbox's."""

    at: datetime

    def now(self) -> datetime:
        """The instant at which it stands."""
        return self.at


class ByChild:
    """A SQLite database that loads everything by the loader child."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def load(self, *given: Any, **named: Any) -> Any:
        """See `Database`; the road is the child's."""
        return self._db.load(*given, **named, road="child")


def carry_out(given: Mapping[str, Any]) -> int:
    """Runs the workflow of an `Order` and tells how it ended; the exit code of the process."""
    order = Order(**given)
    line = Line(order.line, "runner")
    os.environ[LINE] = order.line
    os.environ["PYTHONPATH"] = os.pathsep.join((str(HERE / "loader"), str(HERE.parents[1])))
    report_commits(line)
    config = replace(read_config(Path(order.folder), {}), database=order.database)
    try:
        with closing(open_database(config.database, create=False)) as db:
            report = _run(order, config, cast(Database, ByChild(db)) if order.by_child else db)
    except BaseException as error:  # noqa: BLE001 - told to the one who ordered
        line.tell(event="ended", error="".join(traceback.format_exception(error)), kind=type(error).__name__)
        return 1
    line.tell(event="ended", run=report.run, resumed=report.resumed)
    return 0


def _run(order: Order, config: Config, db: Database) -> RunReport:
    clock = StandingClock(datetime.fromisoformat(order.at))
    schemas = SchemaStore(db, clock.now)
    store = AccountStore(db, lambda: Vault.open(config), clock.now)
    site = DatabaseSite(db, schemas, Accounts(store, lambda name: (), config.zone), files=config.files_folder)

    def connect(name: str) -> Connector:
        account = store.get(name)
        return CONNECT[account.kind](
            account.model(),
            order,
            account=name,
            org_id=account.org_id,
            token=store.token(name),
            on_token=lambda token: store.keep_token(name, token),
            retries=QUICK,
            pauses=PAUSES,
        )

    def around(watcher: Any) -> Surroundings:
        return Surroundings(
            db=db,
            site=site,
            clock=clock,
            connect=connect,
            watcher=watcher,
            zone=config.zone,
            definitions=lambda name: workflows.load(name),
        )

    workflows = Workflows(db, site, clock.now, around)
    return workflows.run(order.workflow)
