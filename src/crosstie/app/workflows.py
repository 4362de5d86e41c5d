"""Workflows and their runs: definitions are applied as versions, and the newest version runs."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crosstie.app.following import follow
from crosstie.app.schemas import DatabaseSite, Draft
from crosstie.app.versions import Version, is_superseded, newest_version, newest_versions, read_file, superseded
from crosstie.db.audit import record, who
from crosstie.db.database import Database, Transaction, instant_text
from crosstie.errors import BrakeError, ConfigError
from crosstie.sync import windows
from crosstie.sync.windows import Window
from crosstie.workflow import firing, instances, state
from crosstie.workflow.definition import Definition, read_definition, read_settings
from crosstie.workflow.instances import WorkflowStatus
from crosstie.workflow.runner import RunKind, RunReport, Surroundings, run_workflow, serve_workflow
from crosstie.workflow.settings import WorkflowSettings
from crosstie.workflow.state import Run, Task
from crosstie.workflow.watcher import Message, Silent, Watcher, messages

if TYPE_CHECKING:
    from crosstie.app.reconciling import Reconciliation, Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The result of applying a file. `changed` is False when its text was the newest version already."""

    definition: Definition
    version: int
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow by its name: `app.workflows["contact-import"].run()`. The newest version is meant each time."""

    name: str
    workflows: Workflows

    @property
    def version(self) -> Version:
        """The newest version, as it is stored."""
        return self.workflows.get(self.name)

    @property
    def definition(self) -> Definition:
        """The newest version, read and validated against the database as it is now."""
        return self.workflows.definition(self.name)

    def run(
        self,
        *,
        restart: bool = False,
        simulate: bool = False,
        plan: bool = False,
        from_plan: int = 0,
        accept_edit: bool = False,
        watcher: Watcher | None = None,
    ) -> RunReport:
        """See `Workflows.run`."""
        return self.workflows.run(
            self.name,
            restart=restart,
            simulate=simulate,
            plan=plan,
            from_plan=from_plan,
            accept_edit=accept_edit,
            watcher=watcher,
        )


class Workflows:
    """`app.workflows`. Validation looks at the database, never at a CRM."""

    def __init__(
        self,
        db: Database,
        site: DatabaseSite,
        now: Callable[[], datetime],
        around: Callable[[Watcher], Surroundings],
        delivering: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._delivering = delivering
        self._db = db
        self._site = site
        self._now = now
        self._around = around

    def validate(self, file: Path, *, beside: Mapping[str, Draft] | None = None) -> Definition:
        """Reads a definition file. `beside` are texts by the names of their workflows that are to be applied with it.
        Raises DefinitionError with every mistake, ConfigError when it cannot be read."""
        site = self._site.with_drafts(beside) if beside else self._site
        return _read(str(file), read_file(file), site)

    def warnings(self, definition: Definition) -> dict[str, str]:
        """What a person should know of a valid definition before it is started, by activity."""
        return firing.warnings(definition) | firing.past(definition, self._around(Silent()).zone, self._now())

    def _read(self, source: str, text: str) -> Definition:
        return _read(source, text, self._site)

    def apply(self, file: Path, *, force: bool = False) -> Applied:
        """Validates the file and stores its text as the newest version, unless it is that already. Raises BrakeError
        when that would undo an edit made elsewhere, unless `force`."""
        definition = self.validate(file)
        with self._db.reading() as transaction:
            newest = newest_version(transaction, definition.name)
        if newest is not None and newest.text == definition.text:  # what is there already waits for nobody
            return Applied(definition=definition, version=newest.version, changed=False)
        return self.store([(file, definition)], force=force)[0]

    def store(self, read: Sequence[tuple[Path, Definition]], *, force: bool = False) -> tuple[Applied, ...]:
        """Stores the validated files as newest versions, all of them or none. Raises BrakeError as `apply`, with every
        difference."""
        applied, refused = [], []
        ordered = sorted(read, key=lambda one: one[1].name)
        with self._db.transaction(f"{', '.join(one.name for _, one in ordered)} applied") as transaction:
            for file, definition in ordered:
                transaction.lock(f"versions of {definition.name}")
                newest = newest_version(transaction, definition.name)
                if newest is not None and newest.text == definition.text:
                    applied.append(Applied(definition=definition, version=newest.version, changed=False))
                    continue
                if newest is not None and not force and is_superseded(transaction, newest, file, definition.text):
                    refused.append(superseded(newest, file, definition.text))
                    continue
                version = newest.version + 1 if newest else 1
                self._store(transaction, definition, version, str(file.resolve()))
                applied.append(Applied(definition=definition, version=version, changed=True))
            if refused:
                raise BrakeError(
                    "\n".join(refused),
                    hint="Nothing was applied. Take the database's version into the file: crosstie workflow export"
                    " FOLDER NAME. Or let the file win: crosstie workflow apply FILE --force",
                )
        return tuple(applied)

    def save(self, text: str, source: str) -> Applied:
        """Stores a text that was edited elsewhere than in a file, like `console`, as the newest version."""
        definition = self._read(source, text)
        with self._db.transaction(f"{definition.name} is saved") as transaction:
            transaction.lock(f"versions of {definition.name}")
            newest = newest_version(transaction, definition.name)
            if newest is not None and newest.text == text:
                return Applied(definition=definition, version=newest.version, changed=False)
            version = newest.version + 1 if newest else 1
            self._store(transaction, definition, version, source)
        return Applied(definition=definition, version=version, changed=True)

    def _store(self, transaction: Transaction, definition: Definition, version: int, source: str) -> None:
        now = self._now()
        transaction.execute(
            "insert into crosstie.workflow (name, label, version, changed_at) values (:name, :label, :version, :now)"
            " on conflict (name) do update set label = excluded.label, version = excluded.version,"
            " changed_at = excluded.changed_at",
            {"name": definition.name, "label": definition.label, "version": version, "now": instant_text(now)},
        )
        transaction.execute(
            "insert into crosstie.workflow_version (workflow, version, text, source, applied_at, applied_by)"
            " values (:name, :version, :text, :source, :now, :who)",
            {
                "name": definition.name,
                "version": version,
                "text": definition.text,
                "source": source,
                "now": instant_text(now),
                "who": who(),
            },
        )
        before = f"version {version - 1}" if version > 1 else ""
        record(transaction, now, "apply", f"workflow {definition.name}", before, f"version {version}")
        instances.lock_status(transaction, definition.name)
        instance = instances.find_instance(transaction, definition.name)
        if instance is not None and instance.status in (
            WorkflowStatus.STARTED,
            WorkflowStatus.PAUSED,
            WorkflowStatus.FAILED,
        ):
            firing.register(transaction, definition, self._around(Silent()).zone, now, anew=False)

    def list(self) -> tuple[Version, ...]:
        """The newest version of each workflow, by name."""
        with self._db.reading() as transaction:
            return newest_versions(transaction)

    def get(self, name: str) -> Version:
        """The newest version of a workflow. Raises ConfigError when there is none of that name."""
        with self._db.reading() as transaction:
            newest = newest_version(transaction, name)
            names = [] if newest else [str(row[0]) for row in transaction.rows("select name from crosstie.workflow")]
        if newest is None:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {close[0]}? " if close else ""
            raise ConfigError(
                f"There is no workflow {name}.",
                hint=f"{hint}All of them: crosstie workflow list. A file is added by: crosstie workflow apply FILE",
            )
        return newest

    def __getitem__(self, name: str) -> Workflow:
        """A workflow by its name. Raises ConfigError, with a suggestion, when there is none."""
        return Workflow(name=self.get(name).workflow, workflows=self)

    def definition(self, name: str) -> Definition:
        """The newest version, read and validated against the database as it is now."""
        return self.load(name)[0]

    def load(self, name: str) -> tuple[Definition, int]:
        """The newest version, read and validated, and its number."""
        newest = self.get(name)
        return self._read(f"{name} (version {newest.version})", newest.text), newest.version

    def settings(self, name: str) -> WorkflowSettings:
        """The settings of the newest version, whether its activities can run or not."""
        newest = self.get(name)
        return read_settings(f"{name} (version {newest.version})", newest.text)

    def serve(self, name: str, watcher: Watcher) -> bool:
        """Carries on what `serve` has begun of a workflow until nothing is left to do now; False when another process
        holds it. Raises TaskError when a task suspended it."""
        return serve_workflow(
            self._around(watcher), name, lambda: self.load(name), settings=lambda: self.settings(name)
        )

    def run(
        self,
        target: str | Path,
        *,
        restart: bool = False,
        simulate: bool = False,
        plan: bool = False,
        from_plan: int = 0,
        accept_edit: bool = False,
        watcher: Watcher | None = None,
    ) -> RunReport:
        """Runs a workflow by name, or applies a file and runs it. An unfinished run is gone on with, or with
        `restart` abandoned for a new one. With `simulate` nothing that acts on more than work tables is executed, nor
        what follows it. With `plan` likewise, but what would be sent to CRMs is kept under the number of the run, to be
        shown (`app.plans`) and carried out: `from_plan` is that number. Raises DefinitionError, ConfigError for a plan
        that is not there, TaskError, and BrakeError: another process runs it, or the activity at which the run stopped
        was edited since, unless `accept_edit`, or a run is unfinished that a plan would do away with."""
        if isinstance(target, Path):
            applied = self.apply(target)
            definition, version = applied.definition, applied.version
        else:
            definition, version = self.load(target)
        with self._delivering():
            return run_workflow(
                self._around(watcher or Silent()),
                definition,
                version,
                restart=restart,
                kind=RunKind(simulated=simulate, planning=plan, from_plan=from_plan),
                accept_edit=accept_edit,
            )

    def reconcile(
        self,
        name: str,
        activity: str = "",
        *,
        into: str = "",
        repair: bool = False,
        limit: int = 10,
        output: Path | None = None,
        watch: Watch | None = None,
    ) -> Reconciliation:
        """Compares the ids and stamps of what the CRM holds with what an import of a workflow brought into a table:
        its only import with automatic index, or `activity`; the only table that its rows are tied to, or `into`.

        With `repair` the missing and stale records are read by their ids by the next run. `limit` records of each
        verdict come with the answer, all of them go to `output` as CSV. Raises ConfigError where nothing can be
        compared (never run, another org, no ties), BrakeError when the same comparison is under way."""
        from crosstie.app.reconciling import Reconciler, Watch
        from crosstie.app.reconciling.subject import find_subject

        subject = find_subject(self.definition(name), self._site, activity, into)
        return Reconciler(
            around=self._around(Silent()),
            subject=subject,
            repair=repair,
            limit=limit,
            output=output,
            watch=watch or Watch(),
        ).run()


class Runs:
    """`app.runs`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def list(self, workflow: str = "", limit: int = 50) -> tuple[Run, ...]:
        """The newest first."""
        with self._db.reading() as transaction:
            return state.runs(transaction, workflow, limit)

    def get(self, number: int) -> Run:
        """A run by its number. Raises ConfigError when there is none."""
        with self._db.reading() as transaction:
            found = state.find_run(transaction, number)
        if found is None:
            raise ConfigError(f"There is no run {number}.", hint="The newest ones: crosstie log")
        return found

    def tasks(self, number: int) -> tuple[Task, ...]:
        """Its tasks, oldest first."""
        with self._db.reading() as transaction:
            return state.tasks(transaction, number)

    def messages(self, number: int) -> tuple[Message, ...]:
        """Its log, oldest first."""
        with self._db.reading() as transaction:
            return messages(transaction, number)

    def follow(self, number: int, wait: Callable[[], None]) -> Iterator[Message]:
        """Its log as it grows, every message once, until it is over or nobody carries it on. `wait` is called between
        two looks. Raises ConfigError when there is no such run."""
        return follow(self._db, self.get(number), wait)

    def windows(self, number: int) -> tuple[Window, ...]:
        """The windows of its automatic indexes, oldest first. A read without index keeps a window too, as the record
        of what it read, but there is no option that it could move."""
        with self._db.reading() as transaction:
            return tuple(one for one in windows.windows_of(transaction, number) if one.moves_option)


def _read(source: str, text: str, site: DatabaseSite) -> Definition:
    # Here, because the activities bring in everything that only a run needs.
    from crosstie.activities import ACTIVITIES

    return read_definition(source, text, ACTIVITIES, site)
