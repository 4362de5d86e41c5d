"""What an activity is: a pydantic model whose fields are the definition's keys, and what it may touch when it runs.

An activity never changes its inbound work table, never commits its own state, and never imports another activity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from dataclasses import field as value_of
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from crosstie.db.database import Database, Transaction
from crosstie.model import Column, Lineage, Link, RemoteObject, Table, WorkTable
from crosstie.schema.links import TableLink
from crosstie.workflow.durations import WrittenDuration, parse_duration
from crosstie.workflow.schedules import Schedule
from crosstie.workflow.zones import zone_named

if TYPE_CHECKING:
    from crosstie.crm.connector import Connector
    from crosstie.db.expressions import Binding
    from crosstie.script.engine import ScriptScope
    from crosstie.workflow.definition import Definition

IN_DOUBT = "in doubt"
"""The word of a count: rows that were sent, and of which nobody knows whether they were executed."""

OK = "ok"
REJECTS = "rejects"
ERRORS = "errors"

Scalar = str | int | float | datetime | None
OnError = Literal["suspend", "ignore", "abort"]
Overlap = Literal["wait", "allow", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is known of a population before anything runs."""

    columns: tuple[Column, ...]
    lineage: Lineage | None = None
    links: tuple[Link, ...] = ()
    key: tuple[str, ...] = ()
    dimension: str = ""

    @classmethod
    def of(cls, table: WorkTable) -> Shape:
        """The shape of a published work table."""
        return cls(
            columns=table.columns,
            lineage=table.lineage,
            links=table.links,
            key=table.key,
            dimension=table.dimension,
        )

    def work_table(self, name: str, rows: int, *, bases: tuple[str, ...] = ()) -> WorkTable:
        """A work table of this shape."""
        return WorkTable(
            name=name,
            columns=self.columns,
            rows=rows,
            lineage=self.lineage,
            links=self.links,
            key=self.key,
            dimension=self.dimension,
            bases=bases,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A mistake in a definition: `path` goes from the activity's own keys inward, like ("filter", "all", 1, "is")."""

    path: tuple[str | int, ...]
    message: str


class Site(Protocol):
    """What validation may look at without running anything."""

    def table(self, name: str) -> Table | None:
        """A table of people's."""
        ...

    def tables(self) -> tuple[str, ...]:
        """The names of people's tables, for suggestions."""
        ...

    def accounts(self) -> tuple[str, ...]:
        """The names of the external accounts."""
        ...

    def account_kind(self, name: str) -> str:
        """The kind of an external account, '' when there is none of that name."""
        ...

    def collected(self, account: str) -> tuple[str, ...]:
        """The names of the collected remote objects of an account."""
        ...

    def remote_object(self, account: str, name: str) -> RemoteObject | None:
        """A collected remote object, as stored."""
        ...

    def links(self, table: str) -> tuple[TableLink, ...]:
        """The links of a table of people's, in both directions."""
        ...

    def workflow(self, name: str) -> Definition | None:
        """The newest version of an applied workflow, None where there is none of that name. Raises DefinitionError when
        it cannot run as things are."""
        ...

    def called_by(self, name: str) -> tuple[str, ...]:
        """The names of the workflows that the newest version of a workflow runs as its own part."""
        ...

    def lists(self) -> tuple[str, ...]:
        """The names of the lists."""
        ...

    def list_shape(self, name: str) -> Shape | None:
        """What is known of the rows of a list, None where there is none of that name."""
        ...

    def files_folder(self) -> Path:
        """The folder within which activities read and write files."""
        ...


class Log(Protocol):
    """Writes to the workflow's log, shown at once and kept. Never give it a secret or a record's personal data."""

    def info(self, text: str, **details: object) -> None:
        """Something to know."""
        ...

    def warning(self, text: str, **details: object) -> None:
        """Something to look at."""
        ...

    def error(self, text: str, **details: object) -> None:
        """Something that failed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A refused row for the reject inbox. `record` is the row as column → text, `symbol` the machine's word. `row`
    names a row that comes from no CRM by its key, like `id 7`, where that tells nothing of a person: the log shows it.
    `row_key` tells the row from the others of its population, whatever it tells: it stays in the inbox."""

    remote_id: str = ""
    row: str = ""
    row_key: str = ""
    symbol: str
    message: str
    code: str = ""
    field: str = ""
    value: str | None = None
    record: Mapping[str, str | None] = value_of(default_factory=dict)
    account: str = ""
    object: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """Why a waiting task is executed again: its time has come, a signal named it, a person asked for it now, or the run
    that belongs to it has ended.
    `vars` came with the signal; `complete` when that was the last one that the task hears."""

    by: Literal["time", "signal", "person", "run"]
    vars: Mapping[str, Scalar] = value_of(default_factory=dict)
    complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SubRun:
    """How a run that belongs to a task is getting on: `at work` or waiting, `failed` so that it can be gone on with,
    `ended` with what it brings back, or `gone` for good without. `table` is the population of the transition that was
    asked about, None when that was not activated."""

    status: Literal["at work", "failed", "ended", "gone"]
    message: str = ""
    code: str = ""
    table: WorkTable | None = None
    vars: Mapping[str, Scalar] = value_of(default_factory=dict)


class SubRuns(Protocol):
    """Runs of other workflows that belong to a task: carried on, stopped and gone on with together with its run."""

    def begin(self, workflow: str, variables: Mapping[str, Scalar], table: WorkTable | None) -> int:
        """Begins a run, and keeps its number in the task's state. `table` comes in where the workflow takes one."""
        ...

    def look(self, run: int, result: tuple[str, str] | None) -> SubRun:
        """How that run is getting on; `result` names the activity and transition whose population it brings back."""
        ...

    def resume(self, run: int) -> None:
        """Has a failed run gone on with."""
        ...


@dataclass(slots=True, kw_only=True)
class Context:
    """All that a running activity may touch. Everything here belongs to one execution of one activity (a task).

    `inputs` are the populations that came in, the main one first; `sources` and `transitions` say for each event, in
    that order, which activity it came from and by which transition, also for those that carry no population. `vars` are
    the event's variables, merged where several came in; `instance` the workflow's own, shared by its runs: what a task
    changes in it is kept when it is published. `state` is what an earlier execution of this same task left
    (`Waiting.state`, `keep`), empty the first time; `woken` says why a waiting task is executed again. `begun_at` is
    when the task began for the first time.

    `step(purpose)` is a transaction before the end of the task, which only the holder of the run can commit: for what
    takes effect in parts (batches). What is kept in it by `keep` comes back as `state`, also after a kill. With
    `planning` an activity that `plans` keeps what it would do, and does nothing of it."""

    workflow: str
    run: int
    task: int
    activity: str
    inputs: tuple[WorkTable, ...]
    vars: dict[str, Scalar]
    zone: ZoneInfo
    db: Database
    site: Site
    log: Log
    now: Callable[[], datetime]
    connector: Callable[[str], Connector]
    scope: Callable[[], ScriptScope]
    progress: Callable[[int, int | None], None]
    run_started: datetime
    attempt: int = 1
    sources: tuple[str, ...] = ()
    transitions: tuple[str, ...] = ()
    instance: dict[str, Scalar] = value_of(default_factory=dict)
    state: Mapping[str, Scalar] = value_of(default_factory=dict)
    woken: Woken | None = None
    begun_at: datetime
    step: Callable[[str], AbstractContextManager[Transaction]]
    keep: Callable[[Transaction, Mapping[str, Scalar]], None]
    sub_runs: SubRuns
    planning: bool = False

    @property
    def input(self) -> WorkTable:
        """The main inbound population."""
        return self.inputs[0]

    def private_name(self, transition: str = OK) -> str:
        """The name under which this task loads the work table of that transition, before it is published."""
        return f"w_{self.run}_{self.task}_{transition}"

    def binding(self) -> Binding:
        """What expressions of this task may take beside columns: the moment, the zone, variables."""
        from crosstie.db.expressions import Binding

        return Binding(now=self.now(), zone=self.zone, vars=dict(self.vars), instance_vars=dict(self.instance))


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The end of a task. The runner publishes it in one transaction, in which `effect` runs first.

    `tables` gives the population of each transition that is activated; a transition without one is not activated.
    `counts` is shown and kept, in this order (`{"inserted": 308, "unchanged": 46769}`). `rejects` go to the inbox.
    `effect` may write to people's tables and the product's own; the `Done` that it returns, if any, replaces this one.
    In a simulation there is no effect. `ends_run` stops every other task of the run. With `then` the task has not
    ended: its transitions are activated, and it goes on waiting. `after` is called when the commit is done, before
    anything that follows begins: a kill may leave it out, so what it does is recorded by the effect and made up for
    when a run is taken up; it raises nothing.
    """

    tables: Mapping[str, WorkTable | None]
    counts: Mapping[str, int] = value_of(default_factory=dict)
    vars: Mapping[str, Scalar] = value_of(default_factory=dict)
    rejects: Iterable[Reject] = ()
    effect: Callable[[Transaction], Done | None] | None = None
    ends_run: bool = False
    after: Callable[[], None] | None = None
    then: Waiting | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Given by `run` when the task has to wait: until an instant, for a signal, or both. It is executed again then, in
    this process or another, with `context.woken` and `context.state` set. `reason` is shown to people."""

    until: datetime | None = None
    signal: bool = False
    reason: str = ""
    state: Mapping[str, Scalar] = value_of(default_factory=dict)


class Activity(BaseModel):
    """Base of all activities: the keys that every one has. A subclass is one module and one line in ACTIVITIES."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    summary: ClassVar[str] = ""
    extra_transitions: ClassVar[tuple[str, ...]] = ()
    min_inputs: ClassVar[int] = 1
    max_inputs: ClassVar[int] = 1
    has_default_next: ClassVar[bool] = True
    acts_outside: ClassVar[bool] = False
    """Whether it acts on more than work tables: then it is not executed in a simulation, nor anything after it."""

    plans: ClassVar[bool] = False
    """Whether it can say beforehand what it would do to a CRM: then it is executed when a run only plans."""
    effect_is_long: ClassVar[bool] = False
    """Whether its effect may take long: then other branches begin and publish meanwhile. It leaves the product's own
    tables alone, but for ties."""
    default_overlap: ClassVar[Overlap] = "wait"

    type: str = Field(description="which activity this is")
    label: str = Field("", description="shown to people instead of the name")
    next: str | list[str] | dict[str, str] | None = Field(
        None, description="where it goes next; by default the next activity in the file that no earlier one names"
    )
    inputs_from: str | list[str] | None = Field(
        None, alias="from", description="which activities it takes from, the first being the main set"
    )
    rejects: str | None = Field(None, description="adds the Reject transition and says where it goes")
    errors: str | None = Field(None, description="adds the Error transition and says where it goes")
    on_error: OnError | None = Field(
        None,
        description="what a failure does that takes no Error transition: suspend, ignore or abort the workflow;"
        " by default what the workflow says",
    )
    overlap: Overlap | None = Field(
        None,
        description="when it is activated while it is still at work: wait, allow both at once, or skip;"
        " by default wait, or allow where it only leads on or waits",
    )
    max_duration: timedelta | None = Field(None, description="a warning is logged when it takes longer")
    time_zone: str = Field("", description="an IANA name; by default the workflow's")

    @field_validator("max_duration", mode="before", json_schema_input_type=WrittenDuration | None)
    @classmethod
    def _longest(cls, value: object) -> object:
        return None if value is None else parse_duration(value)

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        if value:
            zone_named(value)
        return value

    def joins(self) -> bool:
        """Whether it waits for all of its inbound transitions, instead of being executed for each."""
        return False

    def runs(self) -> tuple[str, ...]:
        """The names of the workflows that it runs as its own part."""
        return ()

    def takes_in(self) -> bool:
        """Whether it hands on, as the beginning of a workflow that is run by another one, the population given."""
        return False

    def is_end(self) -> bool:
        """Whether it is a mark for the end of a branch."""
        return False

    def timetable(self) -> Schedule | None:
        """When `serve` begins a run with it; None when it is begun with the workflow, or by what leads to it."""
        return None

    def default_sources(self) -> tuple[str, ...]:
        """The activities it takes from by `from`, the main one first."""
        taken = self.inputs_from
        if taken is None or self.max_inputs < 2:
            return ()
        return (taken,) if isinstance(taken, str) else tuple(taken)

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Every mistake that can be seen without running, given the shapes that come in."""
        return ()

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The shape behind each transition, without running; None where a transition carries no population."""
        raise TypeError(f"{type(self).__name__} does not say its outputs")

    def run(self, context: Context) -> Done | Waiting:
        """Does the work. May be called again after a kill at any point: it starts from its inbound tables."""
        raise TypeError(f"{type(self).__name__} cannot run")
