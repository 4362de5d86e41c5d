"""A workflow that is enumerated, with the project and the org from which every point of it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from tests.crash.paths.names import SALESFORCE, Names
from tests.sandboxes import Sandbox

ACCOUNT = "salesforce"
START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
Backend = Literal["sqlite", "postgresql"]
BACKENDS: tuple[Backend, ...] = ("sqlite", "postgresql")


OURS = "Ours"
"""The department of the records that a path is about."""

RECORD = ("LastName", "Title", "ERP_Id__c", "Email", "Score__c", "IsDeleted")
"""What is looked at of a record of ours, whatever its id."""

Record = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where a path is prepared: the database, the org with its names, and how statements and a run at an instant are
    made there."""

    database: str
    sandbox: Sandbox
    names: Names
    sql: Callable[..., None]
    run: Callable[[datetime], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A workflow and where every point of it starts.

    `definition` is its file. `prepare` makes people's tables and whatever ran before, and gives the instant at which
    the run that is killed takes place. `people`: queries whose rows must come out the same ({tie}: the tie table);
    `written` is the one of them that counts writes, which a run without change must leave as it is. `bulk`: whether a
    run makes a bulk query job. `page_rows`: of a page of records, by either road. `by_child`: SQLite loads by the
    loader child. `parts`: the files of workflows that it runs as its own parts. `files`: what the folder of files holds
    at the start, by name. `holds`: of an export, what the org holds of ours (`RECORD`) when it is through, each row
    once; `names` are those of the org; `opaque`: of some rows nobody can say whether they are there, and a person has
    to. `once`: every state that a kill can leave is played once, by the points after a commit or request; `near`: of
    these, those within so many commits of a request that writes.
    """

    name: str
    backend: Backend
    workflow: str
    definition: str
    prepare: Callable[[Setting], datetime]
    people: Mapping[str, str] = field(default_factory=dict)
    written: str = "people: written"
    bulk: bool = False
    page_rows: int = 60
    by_child: bool = False
    parts: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    holds: tuple[Record, ...] = ()
    names: Names = SALESFORCE
    opaque: bool = False
    once: bool = False
    near: int = 0

    @property
    def switches(self) -> Mapping[str, object]:
        """Those of the sandbox under which it is played."""
        return self.names.switches(self.page_rows)

    @property
    def kind(self) -> str:
        """That of the org, and the name of its account."""
        return self.names.kind

    @property
    def exports(self) -> bool:
        """Whether it writes to the CRM."""
        return bool(self.holds)

    def __str__(self) -> str:
        return f"{self.backend}-{self.name}"


def refused(record: str, field: str = "errorField") -> str:
    """The branch that keeps refused rows, by the column that names them."""
    return f"""\
  refused:
    type: update_data
    into: refused
    operation: insert
    set: {{crm_id: {record}, field: {field}, message: errorMessage}}
    ties: false
    next: done
"""


_TABLES = (
    "create table recipient (id {serial}, crm_id varchar(36) unique, first_name varchar(80), last_name varchar(80),"
    " email varchar(120), birth_date date, last_activity date, created_on date, modified_at timestamp,"
    " interests varchar(400), score numeric(18, 2), code varchar(20), state varchar(40))",
    "create index recipient_email on recipient (email)",
    "create table refused (id {serial}, crm_id varchar(36), field varchar(80), message varchar(400))",
    "create table written (operation varchar(10), crm_id varchar(36))",
)
SEEN = {
    "people: refused": "select crm_id, field, message from refused",
    "people: written": "select operation, crm_id from written",
}
"""What every path looks at: the refused rows, and what the triggers counted."""

_SQLITE_TRIGGERS = tuple(
    f"create trigger recipient_{event} after {event} on recipient begin"
    f" insert into written values ('{event}', {row}.crm_id); end"
    for event, row in (("insert", "new"), ("update", "new"), ("delete", "old"))
)
_POSTGRESQL_TRIGGERS = (
    "create function note_written() returns trigger language plpgsql as $$ begin"
    " insert into written values (lower(tg_op), case when tg_op = 'DELETE' then old.crm_id else new.crm_id end);"
    " return null; end $$",
    "create trigger recipient_written after insert or update or delete on recipient"
    " for each row execute function note_written()",
)


def tables(setting: Setting) -> None:
    """People's tables, some of whose rows are known before anything runs, and the org's clock at the start."""
    on_sqlite = setting.database.startswith("sqlite")
    serial = "integer primary key" if on_sqlite else "bigint generated always as identity primary key"
    setting.sql(*(one.format(serial=serial) for one in _TABLES))
    setting.sql("insert into recipient (last_name, email) values ('Ours', 'ours@newsletter.invalid')")
    setting.sql(*(_SQLITE_TRIGGERS if on_sqlite else _POSTGRESQL_TRIGGERS))
    setting.sandbox.control("clock", at=START.isoformat(), frozen=True)


def ready(setting: Setting) -> str:
    """The tables, and a record that an import will refuse."""
    tables(setting)
    names = setting.names
    bad = {names.last_name: "Refused", names.email: "refused@first.invalid", **names.last}
    (made,) = setting.sandbox.insert(names.contact, [bad])
    spoil(setting, made, datetime(2001, 1, 1, tzinfo=UTC))
    setting.sandbox.advance(timedelta(hours=1))
    return made


def spoil(setting: Setting, record: str, stamp: datetime) -> None:
    """Gives the newest record a date that there is not, and the oldest stamp: it comes last, by either road."""
    names = setting.names
    values = {names.birthday: "2026-02-31", names.stamp: stamp.strftime(names.wire_stamp)}
    setting.sandbox.control("set_stamp", ids=[record], values=values)
