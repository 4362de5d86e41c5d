"""A database with workflows of made-up activities, a service, and a person who starts and stops them; a hand clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from crosstie.activities.scheduler import Scheduler
from crosstie.app.control import Control
from crosstie.app.serving import Service
from crosstie.db.database import Database, instant_text
from crosstie.errors import ConfigError, CrosstieError, DefinitionError
from crosstie.workflow import firing, instances, state
from crosstie.workflow.activity import Activity
from crosstie.workflow.definition import Definition, called_workflows, read_definition, read_settings
from crosstie.workflow.instances import Instance
from crosstie.workflow.runner import RunReport, Surroundings, run_workflow, serve_workflow
from crosstie.workflow.settings import WorkflowSettings
from crosstie.workflow.state import Run, RunStatus
from crosstie.workflow.watcher import Silent
from tests.contract.workflow.test_dispatch import CATALOGUE, START, HandClock, no_connector
from tests.unit.workflow.test_definition import EmptySite

KINDS: dict[str, type[Activity]] = {**CATALOGUE, "scheduler": Scheduler}


@dataclass
class Ended:
    """A runner that was executed where it was spawned."""

    code: int

    def poll(self) -> int | None:
        return self.code

    def end(self) -> None:
        raise AssertionError("it has ended")

    def kill(self) -> None:
        raise AssertionError("it has ended")


@dataclass
class Applied(EmptySite):
    """Validation that knows the workflows of a desk."""

    desk: Desk

    def workflow(self, name: str) -> Definition | None:
        try:
            return self.desk.load(name)[0]
        except DefinitionError:
            raise
        except ConfigError:
            return None

    def called_by(self, name: str) -> tuple[str, ...]:
        try:
            return called_workflows(self.desk.get(name)[1], self.desk.kinds)
        except ConfigError:
            return ()


@dataclass
class Desk:
    """One service and one person; `failures` are what runners raised."""

    db: Database
    clock: HandClock = field(default_factory=HandClock)
    patience: timedelta = timedelta(seconds=20)
    said: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    carries_on: bool = True
    kinds: dict[str, type[Activity]] = field(default_factory=lambda: KINDS)

    def __post_init__(self) -> None:
        self.control = Control(self.db, self, self.clock.now, ZoneInfo("UTC"), self.patience)
        self.service = self.another()

    def another(self) -> Service:
        """Another service on the same database."""
        return Service(
            db=self.db,
            workflows=self,
            control=self.control,
            clock=self.clock,
            spawn=self._spawn,
            workers=4,
            say=self.said.append,
        )

    def apply(self, activities: str, top: str = "", name: str = "flow") -> int:
        """Applies a new version."""
        text = f"workflow: {name}\n{top}\nactivities:\n{activities}"
        with self.db.transaction("apply") as transaction:
            row = transaction.row(
                "insert into crosstie.workflow (name, label, version, changed_at) values (:name, '', 1, :now)"
                " on conflict (name) do update set version = crosstie.workflow.version + 1 returning version",
                {"name": name, "now": instant_text(START)},
            )
            assert row is not None
            transaction.execute(
                "insert into crosstie.workflow_version (workflow, version, text, applied_at)"
                " values (:name, :version, :text, :now)",
                {"name": name, "version": row[0], "text": text, "now": instant_text(START)},
            )
        return int(row[0])

    def get(self, name: str) -> tuple[int, str]:
        """See `Definitions`."""
        with self.db.reading() as transaction:
            row = transaction.row(
                "select v.version, v.text from crosstie.workflow w join crosstie.workflow_version v"
                " on v.workflow = w.name and v.version = w.version where w.name = :name",
                {"name": name},
            )
        if row is None:
            raise ConfigError(f"There is no workflow {name}.")
        return int(row[0]), str(row[1])

    def load(self, name: str) -> tuple[Definition, int]:
        """See `Definitions`."""
        version, text = self.get(name)
        return read_definition("flow.yaml", text, self.kinds, Applied(self)), version

    def settings(self, name: str) -> WorkflowSettings:
        """See `Definitions`."""
        return read_settings("flow.yaml", self.get(name)[1])

    def around(self) -> Surroundings:
        """What a runner works with."""
        return Surroundings(
            db=self.db,
            site=Applied(self),
            clock=self.clock,
            connect=no_connector,
            watcher=Silent(),
            zone=ZoneInfo("UTC"),
            definitions=self.load,
        )

    def _spawn(self, name: str) -> Ended:
        return Ended(self.serve(name) if self.carries_on else 0)

    def serve(self, name: str = "flow") -> int:
        """Carries a workflow on, here and now; the exit code."""
        try:
            return (
                0
                if serve_workflow(self.around(), name, lambda: self.load(name), settings=lambda: self.settings(name))
                else 4
            )
        except CrosstieError as error:
            self.failures.append(error)
            return 1

    def run(self, **given: Any) -> RunReport:
        """`crosstie run flow`, which leaves waiting tasks to the next one."""
        definition, version = self.load("flow")
        return run_workflow(self.around(), definition, version, waits=False, **given)

    def tick(self, times: int = 1, **later: float) -> None:
        """Lets time pass, then the service look."""
        self.clock.at += timedelta(**later)
        for _ in range(times):
            self.service.tick()

    def instance(self, name: str = "flow") -> Instance:
        """What the workflow is doing."""
        with self.db.reading() as transaction:
            found = instances.find_instance(transaction, name)
        assert found is not None
        return found

    @property
    def status(self) -> str:
        """Its status."""
        return str(self.instance().status)

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        with self.db.reading() as transaction:
            return sorted(state.runs(transaction, "flow", 100_000), key=lambda run: run.id)

    def ended(self) -> list[RunStatus]:
        """How they ended."""
        return [run.status for run in self.runs()]

    def log(self) -> str:
        """All messages."""
        with self.db.reading() as transaction:
            rows = transaction.rows("select level, activity, text from crosstie.log order by id")
        return "\n".join(f"{level} {activity}: {text}" for level, activity, text in rows)

    def next_at(self, activity: str = "tick") -> datetime | None:
        """When a schedule fires next."""
        with self.db.reading() as transaction:
            return next(one.next_at for one in firing.planned(transaction, "flow") if one.activity == activity)

    def audited(self) -> list[tuple[str, str, str]]:
        """What people did."""
        with self.db.reading() as transaction:
            return [
                (str(action), str(before), str(after))
                for action, before, after in transaction.rows(
                    "select action, before, after from crosstie.audit order by id"
                )
            ]
