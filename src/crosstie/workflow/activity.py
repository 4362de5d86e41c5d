"""What an activity is: a pydantic model whose fields are the definition's keys, and what it may touch when it runs.

An activity never changes its inbound work table, never commits its own state, and never imports another activity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as value_of
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Protocol
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from crosstie.db.database import Database, Transaction
from crosstie.model import Column, Lineage, Link, RemoteObject, Table, WorkTable

if TYPE_CHECKING:
    from crosstie.crm.connector import Connector
    from crosstie.script.engine import ScriptScope

OK = "ok"
REJECTS = "rejects"
ERRORS = "errors"

Scalar = str | int | float | datetime | None


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
    """A refused row for the reject inbox. `record` is the row as column → text, `symbol` the machine's word."""

    remote_id: str = ""
    symbol: str
    message: str
    code: str = ""
    field: str = ""
    value: str | None = None
    record: Mapping[str, str | None] = value_of(default_factory=dict)
    account: str = ""
    object: str = ""


@dataclass(slots=True, kw_only=True)
class Context:
    """All that a running activity may touch. Everything here belongs to one execution of one activity (a task)."""

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

    @property
    def input(self) -> WorkTable:
        """The main inbound population."""
        return self.inputs[0]

    def private_name(self, transition: str = OK) -> str:
        """The name under which this task loads the work table of that transition, before it is published."""
        return f"w_{self.run}_{self.task}_{transition}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The end of a task. The runner publishes it in one transaction, in which `effect` runs first.

    `tables` gives the population of each transition that is activated; a transition without one is not activated.
    `counts` is shown and kept, in this order (`{"inserted": 308, "unchanged": 46769}`). `rejects` go to the inbox.
    `effect` may write to people's tables and the product's own; what it returns replaces `counts` when not None.
    """

    tables: Mapping[str, WorkTable | None]
    counts: Mapping[str, int] = value_of(default_factory=dict)
    vars: Mapping[str, Scalar] = value_of(default_factory=dict)
    rejects: Iterable[Reject] = ()
    reject_count: int = 0
    effect: Callable[[Transaction], Mapping[str, int] | None] | None = None
    ends_run: bool = False


class Activity(BaseModel):
    """Base of all activities: the keys that every one has. A subclass is one module and one line in ACTIVITIES."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    summary: ClassVar[str] = ""
    extra_transitions: ClassVar[tuple[str, ...]] = ()
    min_inputs: ClassVar[int] = 1
    max_inputs: ClassVar[int] = 1
    has_default_next: ClassVar[bool] = True

    type: str = Field(description="which activity this is")
    label: str = Field("", description="shown to people instead of the name")
    next: str | list[str] | dict[str, str] | None = Field(
        None, description="where it goes next; by default the next activity in the file that no other one names"
    )
    inputs_from: str | list[str] | None = Field(
        None, alias="from", description="which activities it takes from, the first being the main set"
    )
    rejects: str | None = Field(None, description="adds the Reject transition and says where it goes")
    errors: str | None = Field(None, description="adds the Error transition and says where it goes")

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Every mistake that can be seen without running, given the shapes that come in."""
        return ()

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The shape behind each transition, without running; None where a transition carries no population."""
        raise TypeError(f"{type(self).__name__} does not say its outputs")

    def run(self, context: Context) -> Done:
        """Does the work. May be called again after a kill at any point: it starts from its inbound tables."""
        raise TypeError(f"{type(self).__name__} cannot run")
