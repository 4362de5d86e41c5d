"""What is enumerated: workflows with the project and the org from which every point of theirs starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from tests.sandboxes import Sandbox

ACCOUNT = "salesforce"
START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
CONTACTS = 150
FIRST_ROWS = 150
LATER_ROWS = 26
Backend = Literal["sqlite", "postgresql"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where a path is prepared: the database, the org, and how statements and a run at an instant are made there."""

    database: str
    sandbox: Sandbox
    sql: Callable[..., None]
    run: Callable[[datetime], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A workflow and where every point of it starts.

    `definition` is its file. `prepare` makes people's tables and whatever ran before, and gives the instant at which
    the run that is killed takes place. `people`: queries whose rows must come out the same ({tie}: the tie table);
    `written` is the one of them that counts writes, which a run without change must leave as it is. `bulk`: whether a
    run makes a bulk job. `page_rows`: of a page of records, by either road. `rewind` sets the org back to the start
    where more than its clock moved. `by_child`: SQLite loads by the loader child. `parts`: the files of workflows that
    it runs as its own parts. `files`: what the folder of files holds at the start, by name.
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
    rewind: Callable[[Sandbox], None] = lambda sandbox: None
    by_child: bool = False
    parts: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.backend}-{self.name}"


IMPORT = """\
workflow: contact-import
time_zone: Europe/Paris
activities:
  contacts:
    type: crm_import
    account: salesforce
    object: Contact
    road: {road}
    index: {{field: SystemModstamp}}
    fields:
      - FirstName
      - LastName
      - Email
      - Birthdate
      - {{field: Score__c, as: score}}
      - {{field: LastActivityDate, as: last_activity}}
      - {{field: CreatedDate, conversion: date_only, as: created_on}}
      - {{field: LastModifiedDate, conversion: without_time_offset, as: modified_at}}
      - {{field: Interests__c, as: interests}}
    rejects: refused
  reconcile:
    type: enrichment
    links:
      recipient:
        to: recipient
        first_of:
          - {{Id: crm_id}}
          - {{Email: email}}
  one-each:
    type: deduplication
    by: [Id]
    keep: {{highest: SystemModstamp}}
  write:
    type: update_data
    into: recipient
    operation: insert or update
    identify: link recipient
    set:
      crm_id: Id
      first_name: FirstName
      last_name: LastName
      email: lower(Email)
      birth_date: Birthdate
      last_activity: last_activity
      created_on: created_on
      modified_at: modified_at
      interests: interests
      score: score
  done: {{type: end}}
  refused:
    type: update_data
    into: refused
    operation: insert
    set: {{crm_id: Id, field: errorField, message: errorMessage}}
    next: done
"""

WATCHED = """\
workflow: watched-import
activities:
  contacts:
    type: crm_import
    account: salesforce
    object: Contact
    road: pages
    index: {field: SystemModstamp}
    fields: [LastName, Email, {field: Score__c, as: score}]
    filter:
      all:
        - {field: Score__c, is: at least, value: "50"}
    leavers: left
  write:
    type: update_data
    into: recipient
    identify: {Id: crm_id}
    set: {crm_id: Id, last_name: LastName, email: lower(Email), score: score}
  known:
    type: query
    from: recipient
    where: crm_id is not null
    add: {crm_id: crm_id, key: id}
  again:
    type: crm_import
    account: salesforce
    object: Contact
    fields: [Title, Department]
    population: {ids: crm_id, keep: [key]}
    rejects: refused
  look-up:
    type: update_data
    into: looked_up
    identify: {Id: crm_id}
    set: {crm_id: Id, title: Title, department: Department}
    ties: false
  done: {type: end}
  left:
    type: update_data
    into: refused
    operation: insert
    set: {crm_id: Id, field: "'left'"}
    ties: false
    next: done
  refused:
    type: update_data
    into: refused
    operation: insert
    set: {crm_id: crm_id, field: errorField, message: errorMessage}
    ties: false
    next: done
"""

SCRIPTED = """\
workflow: scripted-import
activities:
  contacts:
    type: crm_import
    account: salesforce
    object: Contact
    road: pages
    index: {field: SystemModstamp}
    fields: [LastName]
  told:
    type: javascript
    code: |
      logInfo(`${vars.crmOptionName} from ${vars.crmStartImport} to ${vars.crmEndDate}`);
      setOption("SEEN", vars.crmEndDate);
  known:
    type: query
    from: recipient
    where: crm_id is not null
    add: {crm_id: crm_id, key: id}
  again:
    type: crm_import
    account: salesforce
    object: Contact
    fields: [Title, Department]
    population: {ids: crm_id, keep: [key]}
    rejects: refused
  look-up:
    type: update_data
    into: looked_up
    identify: {Id: crm_id}
    set: {crm_id: Id, title: Title, department: Department}
  done: {type: end}
  refused:
    type: update_data
    into: refused
    operation: insert
    set: {crm_id: crm_id, field: errorField, message: errorMessage}
    ties: false
    next: done
"""

OUTSIDE = """\
workflow: reaching-outside
activities:
  visitors:
    type: file_load
    file: visitors*.csv
    columns: {code: text, name: text, score: integer}
    missing: empty
    afterwards: archive
    file_as: came_from
    rejects: refused
  counted:
    type: sql_code
    code: |
      update tally set executed = executed + 1, loaded = loaded + $(vars/@fileRows);
      insert into looked_up (crm_id, title) select code, came_from from $(inbound)
  graded: {type: sub_workflow, workflow: grading}
  handed-out: {type: file_extract, file: out/graded.csv, empty: skip}
  told:
    type: alert
    to: ann@example.com
    subject: "<%= vars.recCount %> rows"
    attach: true
    webhook: https://hooks.example.com/visits
    empty: skip
  write:
    type: update_data
    into: recipient
    identify: {code: crm_id}
    set: {crm_id: code, last_name: name, first_name: grade, score: score}
  done: {type: end}
  refused:
    type: update_data
    into: refused
    operation: insert
    set: {crm_id: code, field: errorColumn, message: errorMessage}
    ties: false
    next: done
"""

GRADING = """\
workflow: grading
activities:
  begin: {type: start, takes: {code: text, name: text, score: integer}}
  noted: {type: sql_code, code: "update tally set parts = parts + 1"}
  graded: {type: edit_schema, add: {grade: "case when score > 20 then 'A' else 'B' end"}}
  done: {type: end}
"""

_VISITORS = "code,name,score\n" + "".join(f"v{number},Visitor {number},{number}\n" for number in range(40))
_FILES = {"visitors-1.csv": _VISITORS, "visitors-2.csv": "code,name,score\nw1,Zoë,41\nw2,Ono,many\n", "kept.txt": ""}

CALLING = """\
workflow: calling-import
activities:
  news: {type: sub_workflow, workflow: fetching, result: one-each}
  write:
    type: update_data
    into: recipient
    identify: {Id: crm_id}
    set: {crm_id: Id, last_name: LastName, email: lower(Email)}
  done: {type: end}
"""

FETCHING = """\
workflow: fetching
activities:
  contacts:
    type: crm_import
    account: salesforce
    object: Contact
    road: pages
    index: {field: SystemModstamp}
    fields: [LastName, Email, Birthdate]
    rejects: refused
  one-each:
    type: deduplication
    by: [Id]
    keep: {highest: SystemModstamp}
  done: {type: end}
  refused:
    type: update_data
    into: refused
    operation: insert
    set: {crm_id: Id, field: errorField, message: errorMessage}
    ties: false
    next: done
"""

_TABLES = (
    "create table recipient (id {serial}, crm_id varchar(18) unique, first_name varchar(80), last_name varchar(80),"
    " email varchar(120), birth_date date, last_activity date, created_on date, modified_at timestamp,"
    " interests varchar(400), score numeric(18, 2))",
    "create index recipient_email on recipient (email)",
    "create table refused (id {serial}, crm_id varchar(18), field varchar(80), message varchar(400))",
    "create table written (operation varchar(10), crm_id varchar(18))",
)
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
_PEOPLE = {
    "people: recipient": "select crm_id, first_name, last_name, email, birth_date, last_activity, created_on,"
    " modified_at, interests, score from recipient",
    "people: refused": "select crm_id, field, message from refused",
    "people: written": "select operation, crm_id from written",
    "people: ties": 'select e.remote_id, r.crm_id, e.stamp, e.tombstone, e."FirstName", e."Interests__c"'
    " from {tie} e left join recipient r on cast(r.id as text) = e.local_key",
}


def _ready(setting: Setting) -> str:
    """People's tables, some of whose rows are known before any import, and a record that will be refused."""
    on_sqlite = setting.database.startswith("sqlite")
    serial = "integer primary key" if on_sqlite else "bigint generated always as identity primary key"
    setting.sql(*(one.format(serial=serial) for one in _TABLES))
    setting.sql("insert into recipient (last_name, email) values ('Ours', 'ours@newsletter.invalid')")
    setting.sql(*(_SQLITE_TRIGGERS if on_sqlite else _POSTGRESQL_TRIGGERS))
    setting.sandbox.control("clock", at=START.isoformat(), frozen=True)
    (bad,) = setting.sandbox.insert("Contact", [{"LastName": "Refused", "Email": "refused@first.invalid"}])
    _spoil(setting.sandbox, bad, datetime(2001, 1, 1, tzinfo=UTC))
    setting.sandbox.advance(timedelta(hours=1))
    return bad


def _spoil(sandbox: Sandbox, record: str, stamp: datetime) -> None:
    """Gives the newest record a date that there is not, and the oldest stamp: it comes last, by either road."""
    wire = f"{stamp:%Y-%m-%dT%H:%M:%S}.000+0000"
    sandbox.control("set_stamp", ids=[record], values={"Birthdate": "2026-02-31", "SystemModstamp": wire})


def first_import(setting: Setting) -> datetime:
    """Nothing was ever imported; one record cannot be."""
    _ready(setting)
    return setting.sandbox.now()


def incremental(setting: Setting) -> datetime:
    """After a first import with one refused record: records changed, one new, the refused one mended, another one that
    cannot be imported, and one that became visible only when a window had passed its stamp."""
    bad = _ready(setting)
    setting.run(setting.sandbox.now())
    setting.sandbox.change_contacts(12)
    setting.sandbox.change_contacts(1, late=4 * 60, holds_back=False)
    setting.run(setting.sandbox.advance(timedelta(minutes=3)))
    setting.sandbox.change_contacts(25)
    setting.sandbox.control("set_stamp", ids=[bad], values={"Birthdate": None})
    setting.sandbox.insert("Contact", [{"LastName": "New", "FirstName": "One", "Email": "new@later.invalid"}])
    (worse,) = setting.sandbox.insert("Contact", [{"LastName": "Refused", "Email": "refused@later.invalid"}])
    _spoil(setting.sandbox, worse, START + timedelta(hours=1))
    return setting.sandbox.advance(timedelta(minutes=3))


def watched(setting: Setting) -> datetime:
    """After a first import: records that left the filter, changed, came or were deleted, and a row whose id nobody
    knows."""
    _ready(setting)
    setting.sql("create table looked_up (crm_id varchar(18) primary key, title varchar(128), department varchar(80))")
    values = [{"LastName": f"Watched {number}", "Score__c": 60} for number in range(8)]
    ids = setting.sandbox.insert("Contact", values)
    setting.run(setting.sandbox.advance(timedelta(minutes=30)))
    for place, changed in enumerate(({"Score__c": 10}, {"Score__c": None}, {"Score__c": 70}, {"Title": "Changed"})):
        setting.sandbox.control("update", id=ids[place], values=changed)
    setting.sandbox.control("delete", ids=ids[4:5])
    setting.sandbox.insert("Contact", [{"LastName": "Watched too", "Score__c": 99}])
    setting.sql("insert into recipient (last_name, crm_id) values ('Nobody', '0035g00000zzzzzAAA')")
    return setting.sandbox.advance(timedelta(minutes=30))


def watched_import(backend: Backend) -> Path:
    """An import that looks for leavers, and one that asks for records by their ids."""
    return Path(
        name="leavers-and-population",
        backend=backend,
        workflow="watched-import",
        definition=WATCHED,
        prepare=watched,
        people={
            "people: recipient": "select crm_id, last_name, email, score from recipient",
            "people: looked up": "select crm_id, title, department from looked_up",
            "people: refused": "select crm_id, field, message from refused",
            "people: written": "select operation, crm_id from written",
        },
        page_rows=1_000,
    )


def scripted(setting: Setting) -> datetime:
    """Rows of people's, some of them with ids of the CRM's, one with an id that nobody knows."""
    _ready(setting)
    setting.sql("create table looked_up (crm_id varchar(18) primary key, title varchar(128), department varchar(80))")
    ids = setting.sandbox.insert("Contact", [{"LastName": f"Known {number}", "Title": "T"} for number in range(5)])
    for record_id in (*ids, "0035g00000zzzzzAAA"):
        setting.sql(f"insert into recipient (last_name, crm_id) values ('Known', '{record_id}')")
    return setting.sandbox.advance(timedelta(minutes=30))


def scripted_import(backend: Backend) -> Path:
    """The reference workflows of a script behind an import, and of a population by ids."""
    return Path(
        name="script-and-population",
        backend=backend,
        workflow="scripted-import",
        definition=SCRIPTED,
        prepare=scripted,
        people={
            "people: looked up": "select crm_id, title, department from looked_up",
            "people: refused": "select crm_id, field, message from refused",
            "people: written": "select operation, crm_id from written",
        },
        page_rows=1_000,
    )


def outside(setting: Setting) -> datetime:
    """Two files to load, one of them with a row that is refused."""
    _ready(setting)
    setting.sql(
        "create table looked_up (crm_id varchar(18) primary key, title varchar(128))",
        "create table tally (executed integer, parts integer, loaded integer)",
        "insert into tally values (0, 0, 0)",
    )
    return setting.sandbox.now()


def reaching_outside(backend: Backend) -> Path:
    """Files loaded and moved, SQL code, a part of its own, a file written, messages to send."""
    return Path(
        name="files-and-messages",
        backend=backend,
        workflow="reaching-outside",
        definition=OUTSIDE,
        parts=(GRADING,),
        files=_FILES,
        prepare=outside,
        people={
            "people: recipient": "select crm_id, last_name, first_name, score from recipient",
            "people: looked up": "select crm_id, title from looked_up",
            "people: refused": "select crm_id, field, message from refused",
            "people: tally": "select executed, parts, loaded from tally",
            "people: written": "select operation, crm_id from written",
            "messages": "select kind, recipient, status, attachment from crosstie.outbox",
            "files known": "select activity, direction, name, row_count, status, to_name from crosstie.file",
        },
    )


def import_in_part(backend: Backend) -> Path:
    """An import with automatic index in a workflow that another one runs, and what it brings is written there."""
    return Path(
        name="import-in-a-part",
        backend=backend,
        workflow="calling-import",
        definition=CALLING,
        parts=(FETCHING,),
        prepare=incremental,
        people={
            "people: recipient": "select crm_id, last_name, email from recipient",
            "people: refused": "select crm_id, field, message from refused",
            "people: written": "select operation, crm_id from written",
        },
        page_rows=1_000,
    )


def contact_import(backend: Backend, road: str, kind: str, *, by_child: bool = False) -> Path:
    """The canonical import: automatic index, rejects, conversions, enrichment, deduplication, update."""
    return Path(
        name=f"{kind}-{road}{'-by-child' if by_child else ''}",
        backend=backend,
        workflow="contact-import",
        definition=IMPORT.format(road=road),
        prepare=first_import if kind == "first" else incremental,
        people=_PEOPLE,
        bulk=road == "bulk",
        # The refused record, which is the last, has a page to itself: a page brings one slice of one load.
        page_rows=FIRST_ROWS // 2 if kind == "first" else LATER_ROWS // 2,
        by_child=by_child,
    )


BACKENDS: tuple[Backend, ...] = ("sqlite", "postgresql")
CANONICAL = (
    *(contact_import(backend, "bulk", "incremental") for backend in BACKENDS),
    *(scripted_import(backend) for backend in BACKENDS),
    reaching_outside("sqlite"),
    import_in_part("sqlite"),
)
"""The path with the most machinery: both roads (what was refused is asked for again by pages), a job, a window with a
tail, late rows, a reject mended and a new one; the other reference workflows that send nothing to the CRM; and what
reaches outside or runs as a part of another workflow, on SQLite."""

MATRIX = tuple(
    contact_import(backend, road, kind)
    for backend in BACKENDS
    for road in ("bulk", "pages")
    for kind in ("incremental", "first")
) + tuple(
    made(backend)
    for made in (watched_import, scripted_import, reaching_outside, import_in_part)
    for backend in BACKENDS
)
"""Every database, road and kind of import, an import whose population is calculated or left, what reaches outside,
and an import in a part of its workflow."""

BY_CHILD = contact_import("sqlite", "bulk", "first", by_child=True)
