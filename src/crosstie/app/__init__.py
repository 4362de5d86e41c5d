"""The App: builds everything from the configuration. Command line, console and people's own Python call only this."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from crosstie.accounts import AccountStore, Vault
from crosstie.app import adoption
from crosstie.app.accounts import Accounts
from crosstie.app.adoption import Adopted
from crosstie.app.control import PATIENCE, Control
from crosstie.app.courier import Courier
from crosstie.app.enumerations import Enumerations
from crosstie.app.folders import Folders
from crosstie.app.journal import Journal
from crosstie.app.lists import Lists
from crosstie.app.options import Option, Options
from crosstie.app.plans import Plans
from crosstie.app.project import Made, init_project
from crosstie.app.queries import Queries
from crosstie.app.rejects import InboxReject, Rejects
from crosstie.app.schema_watch import SchemaWatch
from crosstie.app.schemas import DatabaseSite, Schemas, declared_relations
from crosstie.app.workflows import Runs, Workflows
from crosstie.config import Config, read_config
from crosstie.db import open_database
from crosstie.db.database import Database
from crosstie.schema.store import SchemaStore
from crosstie.workflow.clock import Clock, SystemClock
from crosstie.workflow.runner import Surroundings
from crosstie.workflow.watcher import Watcher

if TYPE_CHECKING:
    from crosstie.app.serving import Child
    from crosstie.app.status import Status

__all__ = ["Adopted", "App", "InboxReject", "Made", "Option", "init_project"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rooms:
    """What is built once for an App."""

    accounts: Accounts
    schemas: Schemas
    enumerations: Enumerations
    workflows: Workflows
    folders: Folders
    control: Control
    runs: Runs
    options: Options
    rejects: Rejects
    queries: Queries
    lists: Lists
    courier: Courier
    journal: Journal
    plans: Plans
    schema_watch: SchemaWatch


class App:
    """A project, open: `with App.open() as app: app.workflows.run("contact-import")`."""

    def __init__(self, config: Config, db: Database, clock: Clock) -> None:
        self.config = config
        self.db = db
        self._clock = clock
        self._own = adoption.is_own(db, config.databases_file)
        self._rooms = self._build()

    @classmethod
    def open(
        cls, project: Path | str | None = None, *, database: str | None = None, clock: Clock | None = None
    ) -> Self:
        """Opens the project in that folder (or of that crosstie.toml), else the nearest one from here upward.

        `database`, a path or URL, wins over file and environment. Raises ConfigError where something has to be mended
        in the configuration, DatabaseError where the database cannot be opened or is not there: `init_project` makes
        it."""
        config = read_config(None if project is None else Path(project), os.environ)
        if database is not None:
            config = replace(config, database=database)
        return cls(config, open_database(config.database, create=False), clock or SystemClock())

    def _build(self) -> _Rooms:
        db, now = self.db, self._clock.now
        store = SchemaStore(db, now)
        accounts = Accounts(
            AccountStore(db, lambda: Vault.open(self.config), now),
            lambda name: tuple(schema.object for schema in store.list(name)),
            self.config.zone,
        )
        site = DatabaseSite(db, store, accounts, declared_relations(self.config.links), files=self.config.files_folder)

        def around(watcher: Watcher) -> Surroundings:
            return Surroundings(
                db=db,
                site=site,
                clock=self._clock,
                connect=accounts.connect,
                watcher=watcher,
                zone=self.config.zone,
                definitions=lambda name: workflows.load(name),
            )

        schemas = Schemas(store, accounts, site)
        courier = Courier(db, self.config, now)
        workflows = Workflows(db, site, now, around, courier.during_run)
        return _Rooms(
            accounts=accounts,
            schemas=schemas,
            enumerations=Enumerations(db, accounts, schemas, now),
            workflows=workflows,
            folders=Folders(db, workflows, self._clock),
            control=Control(db, workflows, now, self.config.zone, PATIENCE),
            runs=Runs(db),
            options=Options(db, now),
            rejects=Rejects(db, now),
            queries=Queries(db=db, site=site, workflows=workflows, now=now, zone=self.config.zone),
            lists=Lists(db, now),
            courier=courier,
            journal=Journal(db, now, workflows.run, site.account_kind),
            plans=Plans(db),
            schema_watch=SchemaWatch(db, schemas, workflows, self.config.schema_watch, now),
        )

    @property
    def accounts(self) -> Accounts:
        """The external accounts."""
        return self._rooms.accounts

    @property
    def schemas(self) -> Schemas:
        """The collected objects and their local tables."""
        return self._rooms.schemas

    @property
    def enumerations(self) -> Enumerations:
        """Closed lists of values, and the picklists that they follow."""
        return self._rooms.enumerations

    @property
    def schema_watch(self) -> SchemaWatch:
        """Whether the CRMs still describe what was collected."""
        return self._rooms.schema_watch

    @property
    def workflows(self) -> Workflows:
        """Definitions and their execution."""
        return self._rooms.workflows

    @property
    def folders(self) -> Folders:
        """Folders of definition files, kept in step with the database."""
        return self._rooms.folders

    @property
    def control(self) -> Control:
        """Start, pause, stop and what else people do with workflows."""
        return self._rooms.control

    @property
    def runs(self) -> Runs:
        """What ran, and its log."""
        return self._rooms.runs

    @property
    def queries(self) -> Queries:
        """Queries of workflows, looked at without a run."""
        return self._rooms.queries

    @property
    def lists(self) -> Lists:
        """Populations that workflows keep under a name."""
        return self._rooms.lists

    @property
    def courier(self) -> Courier:
        """What workflows and supervisors are to be told, on its way."""
        return self._rooms.courier

    @property
    def journal(self) -> Journal:
        """What runs have sent to CRMs."""
        return self._rooms.journal

    @property
    def plans(self) -> Plans:
        """What runs with `plan` would send to CRMs."""
        return self._rooms.plans

    @property
    def options(self) -> Options:
        """Named text settings."""
        return self._rooms.options

    @property
    def rejects(self) -> Rejects:
        """The inbox of refused rows."""
        return self._rooms.rejects

    def status(self) -> Status:
        """What all workflows are doing now, and who serves them."""
        from crosstie.app.status import look

        return look(self.db, self._clock.now)

    def serve(
        self, spawn: Callable[[str], Child], wait: Callable[[float], bool], *, workers: int, say: Callable[[str], None]
    ) -> None:
        """Fires schedules and carries on started workflows until `wait` (which sleeps so many seconds at most) says
        that it is time to end. `spawn` begins a process for a workflow, `say` is told what happens."""
        from crosstie.app.serving import Service

        Service(
            db=self.db,
            workflows=self.workflows,
            control=self.control,
            clock=self._clock,
            spawn=spawn,
            workers=workers,
            say=say,
        ).run(wait)

    def adoption_warning(self) -> str:
        """What to say when the database is a copy that nobody adopted; '' when it is this installation's own."""
        if self._own:
            return ""
        return (
            f"{self.db.place} is a copy: its id is not among those beside {self.config.key_file}."
            " It will not write to a CRM. If it is to be this installation's own: crosstie adopt"
        )

    def adopt(self) -> Adopted:
        """Makes a copied database this installation's own."""
        adopted = adoption.adopt(self.db, self.config.databases_file, self._clock.now())
        self._own = True
        return adopted

    def close(self) -> None:
        """Closes the database."""
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
