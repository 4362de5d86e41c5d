"""Imports with automatic index, and imports of the records that a population names."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.crash.paths.names import SALESFORCE, Names
from tests.crash.paths.path import SEEN, START, Backend, Path, Setting, ready, refused, spoil

FIRST_ROWS = 150
LATER_ROWS = 26

IMPORT = """\
workflow: contact-import
time_zone: Europe/Paris
activities:
  contacts:
    type: crm_import
    account: <kind>
    object: <contact>
    road: <road>
    index: {field: <stamp>}
    fields:
      - <first_name>
      - <last_name>
      - <email>
      - <birthday>
      - {field: <score>, as: score}
      - {field: <last_activity>, as: last_activity}
      - {field: <created>, conversion: date_only, as: created_on}
      - {field: <modified>, conversion: without_time_offset, as: modified_at}
      - {field: <interests>, as: interests}
    rejects: refused
  reconcile:
    type: enrichment
    links:
      recipient:
        to: recipient
        first_of:
          - {<key>: crm_id}
          - {<email>: email}
  one-each:
    type: deduplication
    by: [<key>]
    keep: {highest: <stamp>}
  write:
    type: update_data
    into: recipient
    operation: insert or update
    identify: link recipient
    set:
      crm_id: <key>
      first_name: <first_name>
      last_name: <last_name>
      email: lower(<email>)
      birth_date: <birthday>
      last_activity: last_activity
      created_on: created_on
      modified_at: modified_at
      interests: interests
      score: score
  done: {type: end}
"""

_POPULATION = """\
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
"""

WATCHED = f"""\
workflow: watched-import
activities:
  contacts:
    type: crm_import
    account: salesforce
    object: Contact
    road: pages
    index: {{field: SystemModstamp}}
    fields: [LastName, Email, {{field: Score__c, as: score}}]
    filter:
      all:
        - {{field: Score__c, is: at least, value: "50"}}
    leavers: left
  write:
    type: update_data
    into: recipient
    identify: {{Id: crm_id}}
    set: {{crm_id: Id, last_name: LastName, email: lower(Email), score: score}}
{_POPULATION}    ties: false
  done: {{type: end}}
  left:
    type: update_data
    into: refused
    operation: insert
    set: {{crm_id: Id, field: "'left'"}}
    ties: false
    next: done
{refused("crm_id")}"""

SCRIPTED = f"""\
workflow: scripted-import
activities:
  contacts:
    type: crm_import
    account: salesforce
    object: Contact
    road: pages
    index: {{field: SystemModstamp}}
    fields: [LastName]
  told:
    type: javascript
    code: |
      logInfo(`${{vars.crmOptionName}} from ${{vars.crmStartImport}} to ${{vars.crmEndDate}}`);
      setOption("SEEN", vars.crmEndDate);
{_POPULATION}  done: {{type: end}}
{refused("crm_id")}"""

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

FETCHING = f"""\
workflow: fetching
activities:
  contacts:
    type: crm_import
    account: salesforce
    object: Contact
    road: pages
    index: {{field: SystemModstamp}}
    fields: [LastName, Email, Birthdate]
    rejects: refused
  one-each:
    type: deduplication
    by: [Id]
    keep: {{highest: SystemModstamp}}
  done: {{type: end}}
{refused("Id")}"""

_LOOKED_UP = "create table looked_up (crm_id varchar(18) primary key, title varchar(128), department varchar(80))"
_PEOPLE = {
    "people: recipient": "select crm_id, first_name, last_name, email, birth_date, last_activity, created_on,"
    " modified_at, interests, score from recipient",
    **SEEN,
    "people: ties": 'select e.remote_id, r.crm_id, e.stamp, e.tombstone, e."<first_name>", e."<interests>"'
    " from {tie} e left join recipient r on cast(r.id as text) = e.local_key",
}


def first_import(setting: Setting) -> datetime:
    """Nothing was ever imported; one record cannot be."""
    ready(setting)
    return setting.sandbox.now()


def incremental(setting: Setting) -> datetime:
    """After a first import with one refused record: records changed, one new, the refused one mended, another one that
    cannot be imported, and one that became visible only when a window had passed its stamp."""
    names, sandbox = setting.names, setting.sandbox
    first = ready(setting)
    setting.run(sandbox.now())
    sandbox.change_contacts(12)
    sandbox.change_contacts(1, late=4 * 60, **names.late)
    setting.run(sandbox.advance(timedelta(minutes=3)))
    sandbox.change_contacts(25)
    sandbox.control("set_stamp", ids=[first], values={names.birthday: None})
    sandbox.insert(names.contact, [{names.last_name: "New", names.first_name: "One", names.email: "new@later.invalid"}])
    worse = {names.last_name: "Refused", names.email: "refused@later.invalid", **names.after_last}
    (second,) = sandbox.insert(names.contact, [worse])
    spoil(setting, second, START + timedelta(hours=1))
    return sandbox.advance(timedelta(minutes=3))


def watched(setting: Setting) -> datetime:
    """After a first import: records that left the filter, changed, came or were deleted, and a row whose id nobody
    knows."""
    ready(setting)
    setting.sql(_LOOKED_UP)
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
            **SEEN,
        },
        page_rows=1_000,
    )


def scripted(setting: Setting) -> datetime:
    """Rows of people's, some of them with ids of the CRM's, one with an id that nobody knows."""
    ready(setting)
    setting.sql(_LOOKED_UP)
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
            **SEEN,
        },
        page_rows=1_000,
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
            **SEEN,
        },
        page_rows=1_000,
    )


def contact_import(
    backend: Backend, road: str, kind: str, *, names: Names = SALESFORCE, by_child: bool = False
) -> Path:
    """The canonical import: automatic index, rejects, conversions, enrichment, deduplication, update."""
    of = "" if names is SALESFORCE else f"{names.kind}-"
    return Path(
        name=f"{of}{kind}-{road}{'-by-child' if by_child else ''}",
        backend=backend,
        names=names,
        workflow="contact-import",
        definition=names.fill(IMPORT.replace("<road>", road)) + refused(names.key),
        prepare=first_import if kind == "first" else incremental,
        people={one: names.fill(sql) for one, sql in _PEOPLE.items()},
        bulk=road == "bulk",
        # The refused record, which is the last, has a page to itself: a page brings one slice of one load.
        page_rows=FIRST_ROWS // 2 if kind == "first" else LATER_ROWS // 2,
        by_child=by_child,
    )
