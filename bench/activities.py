"""Reconciliation, deduplication and update data on PostgreSQL, in turn with SQL written by hand that does the same.

Both store what the next step needs: the key found for each row under an index, the rows kept, the rows written.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from tests.contract.activities.world import World
from tests.databases import PostgresServer

from crosstie.activities.deduplication import Deduplication
from crosstie.activities.enrichment import Enrichment
from crosstie.activities.update_data import UpdateData
from crosstie.db import open_database
from crosstie.model import Column, ColumnType, Lineage, WorkTable
from crosstie.workflow.activity import Activity, Done

TEXT = ColumnType.TEXT
CONTACT = (
    Column(name="Id", type=TEXT),
    Column(name="Email", type=TEXT),
    Column(name="FirstName", type=TEXT),
    Column(name="LastName", type=TEXT),
    Column(name="City", type=TEXT),
    Column(name="SystemModstamp", type=ColumnType.INSTANT),
)
LINEAGE = Lineage(
    account="salesforce",
    org="00D1",
    object="Contact",
    remote_id="Id",
    stamp="SystemModstamp",
    fields=tuple((one.name, one.name) for one in CONTACT),
)
RECIPIENT = """
create table recipient (id bigint generated always as identity primary key, crm_id text unique, email text,
    first_name text, last_name text, city text, score numeric)
"""
TYPES: Mapping[type[Activity], str] = {
    Enrichment: "enrichment",
    Deduplication: "deduplication",
    UpdateData: "update_data",
}
# One row in ten has the e-mail of the row before it, and another city in the second version.
FILL = """
insert into crosstie.{name} select '003' || lpad(cast(n as text), 15, '0'),
    'person' || (n - case when n % 10 = 0 then 1 else 0 end) || '@example.com', 'First' || n % 1000, 'Last' || n,
    case when n % 10 = 5 then '{city}' else 'City' end || n % 500, timestamptz '2026-01-01' + n * interval '1 second'
    from generate_series(1, {rows}) n
"""
RECONCILE = """
drop table if exists by_hand;
create unlogged table by_hand as select s."Id", t.id from crosstie.{inbound} s
    join recipient t on t.crm_id = s."Id";
create unique index on by_hand ("Id");
analyze by_hand
"""
RECONCILE_EMAIL = """
drop table if exists by_hand;
create unlogged table by_hand as select s."Id", min(t.id) as id, count(*) as found from crosstie.{inbound} s
    join recipient t on lower(t.email) = lower(s."Email") group by s."Id";
create unique index on by_hand ("Id");
analyze by_hand
"""
DEDUPLICATE = """
drop table if exists by_hand;
create unlogged table by_hand as select "Id", "Email", "FirstName", "LastName", "City", "SystemModstamp" from (
    select *, row_number() over (partition by lower("Email") order by "SystemModstamp" desc, "Id") as place
    from crosstie.{inbound}) x where place = 1;
create unique index on by_hand ("Id");
analyze by_hand
"""
UPDATE = """
begin;
lock table recipient in share row exclusive mode;
update recipient t set email = s."Email", first_name = s."FirstName", last_name = s."LastName", city = s."City"
    from crosstie.{inbound} s where t.crm_id = s."Id" and (t.email is distinct from s."Email"
    or t.first_name is distinct from s."FirstName" or t.last_name is distinct from s."LastName"
    or t.city is distinct from s."City");
insert into recipient (crm_id, email, first_name, last_name, city)
    select s."Id", s."Email", s."FirstName", s."LastName", s."City" from crosstie.{inbound} s
    where not exists (select 1 from recipient t where t.crm_id = s."Id");
commit
"""


@dataclass(slots=True)
class Bench:
    """A marketing database with two versions of the same population, and a table that holds the first."""

    world: World
    connection: psycopg.Connection[tuple[object, ...]]
    first: WorkTable
    second: WorkTable

    def hand(self, script: str, inbound: WorkTable) -> float:
        """Runs SQL written by hand; the seconds."""
        began = time.monotonic()
        for statement in script.format(inbound=inbound.name).split(";"):
            self.connection.execute(statement.encode())
        return time.monotonic() - began

    def ours(self, activity: Activity, inbound: WorkTable) -> float:
        """Executes an activity and publishes it; the seconds. Its tables are dropped after that."""
        began = time.monotonic()
        done = activity.run(self.world.context(inbound))
        assert isinstance(done, Done)
        with self.world.db.transaction("box is published") as transaction:
            if done.effect is not None:
                done = done.effect(transaction) or done
            assert not list(done.rejects), "nothing is refused here"
        taken = time.monotonic() - began
        kept = {self.first.name, self.second.name}
        self.world.db.drop_work([name for name in self.world.db.work_tables() if name not in kept])
        return taken

    def tidy(self) -> None:
        """What autovacuum would do between two runs."""
        self.connection.execute("vacuum analyze")
        self.connection.execute("checkpoint")


def activities(postgres: PostgresServer, rows: int, runs: int) -> None:
    """Prints a table: seconds of ours and by hand, the ratio, and the growth of this process's memory."""
    postgres.drop_database("bench_activities")
    url = postgres.create_database("bench_activities")
    db = open_database(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set work_mem = '64MB'")
        bench = _prepared(World(db), connection, rows)
        print(f"| PostgreSQL, {rows:,} rows | ours s | by hand s | times by hand, median | memory grew by MiB |")
        print("| --- | ---: | ---: | ---: | ---: |")
        by_id = {"links": {"recipient": {"to": "recipient", "first_of": {"Id": "crm_id"}}}}
        by_email = {"links": {"recipient": {"to": "recipient", "first_of": {"lower(Email)": "lower(email)"}}}}
        one_each = {"by": ["lower(Email)"], "keep": {"highest": "SystemModstamp"}}
        compare("reconciliation by a unique key", bench, runs, Enrichment, by_id, RECONCILE)
        compare("reconciliation by an expression", bench, runs, Enrichment, by_email, RECONCILE_EMAIL)
        compare("deduplication", bench, runs, Deduplication, one_each, DEDUPLICATE)
        write = {
            "into": "recipient",
            "identify": {"Id": "crm_id"},
            "set": {
                "crm_id": "Id",
                "email": "Email",
                "first_name": "FirstName",
                "last_name": "LastName",
                "city": "City",
            },
        }
        compare("update data, 10 % changed, no ties", bench, runs, UpdateData, {**write, "ties": False}, UPDATE)
        bench.ours(UpdateData.model_validate({"type": "update_data", **write}), bench.first)
        compare("update data, 10 % changed, with ties", bench, runs, UpdateData, write, UPDATE)
        in_batches = {**write, "ties": False, "batch": rows // 10}
        compare("update data in ten batches", bench, runs, UpdateData, in_batches, UPDATE)
    db.close()


def _prepared(world: World, connection: psycopg.Connection[tuple[object, ...]], rows: int) -> Bench:
    made = []
    for number, city in enumerate(("City", "Town"), 1):
        name = f"w_1_{number}_ok"
        world.db.create_work(name, CONTACT)
        connection.execute(FILL.format(name=name, city=city, rows=rows).encode())
        world.db.prepare(name, ("Id",), unique=True)
        made.append(WorkTable(name=name, columns=CONTACT, rows=rows, key=("Id",), lineage=LINEAGE))
    next(world.tasks), next(world.tasks)
    connection.execute(RECIPIENT.encode())
    connection.execute(
        'insert into recipient (crm_id, email, first_name, last_name, city) select "Id", "Email", "FirstName",'
        f' "LastName", "City" from crosstie.{made[0].name}'.encode()
    )
    bench = Bench(world, connection, made[0], made[1])
    bench.tidy()
    return bench


def compare(what: str, bench: Bench, runs: int, kind: type[Activity], keys: Mapping[str, object], script: str) -> None:
    """A line of the table. Each run of ours is followed by one by hand; an update brings the second version, and by
    hand the first again, so that both write as many rows."""
    activity = kind.model_validate({"type": TYPES[kind], **keys})
    changes = kind is UpdateData
    ours, hand, grown = [], [], []
    for _ in range(runs):
        bench.tidy()
        before = _peak_mib(reset=True)
        ours.append(bench.ours(activity, bench.second if changes else bench.first))
        grown.append(_peak_mib() - before)
        bench.tidy()
        hand.append(bench.hand(script, bench.first))
    ratio = statistics.median(one / other for one, other in zip(ours, hand, strict=True))
    shown = f"{statistics.median(ours):.2f} | {statistics.median(hand):.2f} | {ratio:.2f} | {max(grown):.1f}"
    print(f"| {what} | {shown} |", flush=True)


def _peak_mib(*, reset: bool = False) -> float:
    """The most memory this process has held since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
