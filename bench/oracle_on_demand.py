"""Imports and exports of Oracle CRM On Demand: their calls beside the cost model, and the parsing of pages beside lxml
reading the same pages and discarding them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lxml import etree
from tests.databases import PostgresServer
from tests.sandboxes import Sandbox, SoapWire

from bench.measured import Measured, measure
from bench.stage import IDENTITY, Project, SandboxProcess
from crosstie.crm.http import Answer
from crosstie.crm.oracle_on_demand.envelope import body_of, child
from crosstie.crm.oracle_on_demand.rows import RowReader
from crosstie.crm.oracle_on_demand.times import WireTimes
from crosstie.model import FieldType, RemoteField, RemoteObject

CONTACTS, EXPORTED, REFUSED = 20_000, 2_000, 20
PAGE_ROWS, GROUP_ROWS = 100, 20
NO_NAME = "Nobody"
FIELDS: Mapping[str, FieldType] = {
    "ContactFirstName": FieldType.TEXT, "ContactLastName": FieldType.TEXT, "ContactEmail": FieldType.TEXT,
    "WorkPhone": FieldType.TEXT, "JobTitle": FieldType.TEXT, "DateofBirth": FieldType.DATE,
    "AccountId": FieldType.REFERENCE, "AlternateCity": FieldType.TEXT, "AlternateCountry": FieldType.TEXT,
    "mspInterests": FieldType.SET, "nScore": FieldType.DECIMAL, "NeverEmail": FieldType.BOOLEAN,
    "CreatedDate": FieldType.DATETIME,
}  # fmt: skip
# With Id and ModifiedDate, which are added by themselves: 15 columns.
IMPORT = f"""
workflow: load
activities:
  contacts:
    type: crm_import
    account: oracle_on_demand
    object: Contact
    index: {{field: ModifiedDate}}
    fields: [{", ".join(FIELDS)}]
"""
EXPORT = """\
workflow: export-groups
activities:
  ours: {type: query, from: recipient, add: [first_name, last_name, email, title]}
  send:
    type: crm_export
    account: oracle_on_demand
    object: Contact
    insert: always
    map: {ContactFirstName: first_name, ContactLastName: last_name, ContactEmail: "'MARK' || email", JobTitle: title}
    rejects: end
  end: {type: end}
"""
RECIPIENT = """
create table {schema}recipient ({identity}, crm_id text, first_name text, last_name text, email text, title text);
insert into {schema}recipient (first_name, last_name, email, title)
select 'First ' || n, 'Last name ' || n, 'someone' || n || '@example.com', 'Head of department ' || (n % 99)
from ({numbers}) numbers
"""
_NUMBERS = {
    "postgresql": f"select n from generate_series(1, {EXPORTED}) n",
    "sqlite": f"with recursive r (n) as (select 1 union all select n + 1 from r where n < {EXPORTED}) select n from r",
}


def oracle_project(folder: Path, backend: str, served: SandboxProcess, postgres: PostgresServer | None) -> Project:
    """A project with an account of the company, its contacts collected, and the people to export."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = Project(folder, backend, postgres, f"bench_{folder.name.replace('-', '_')}")
    if postgres is not None:
        made.env["CROSSTIE_DATABASE"] = postgres.create_database(made.name)
    made.call("init", str(folder))
    told = served.info["oracle_on_demand"]
    made.call(
        "account", "add", "oracle_on_demand", "--host", told["url"], "--user", told["user"],
        "--time-zone", told["time_zone"], "--ca-file", served.info["ca_file"], "--secrets-stdin",
        stdin=json.dumps({"password": told["password"]}),
    )  # fmt: skip
    made.call("account", "check", "oracle_on_demand")
    made.call("collect", "oracle_on_demand", "Contact")
    schema = "public." if postgres else ""
    create = RECIPIENT.format(identity=IDENTITY[backend], schema=schema, numbers=_NUMBERS[backend])
    if postgres is not None:
        url = made.env.pop("CROSSTIE_DATABASE")
        subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", url], input=create, text=True, check=True)
    else:
        connection = sqlite3.connect(folder / "crosstie.db")
        connection.executescript(create)
        connection.execute("pragma wal_checkpoint(truncate)")
        connection.close()
        shutil.move(folder / "crosstie.db", folder / "template.db")
    (folder / "load.yaml").write_text(IMPORT)
    for name in ("export", "refused"):  # nobody is there twice: names and address are a key of theirs
        (folder / f"{name}.yaml").write_text(EXPORT.replace("MARK", f"{name[0]}{time.time():.0f}{backend[0]}."))
    made.fresh()
    return made


def oracle_on_demand(projects: dict[str, Project], served: SandboxProcess, runs: int) -> None:
    """Both ways with their calls, then the parsing of pages."""
    print("| Oracle CRM On Demand | rows/s | CPU s (client) | peak MiB | calls | cost model |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    pages, groups = -(-CONTACTS // PAGE_ROWS), -(-EXPORTED // GROUP_ROWS)
    for backend, made in projects.items():
        counted(served)
        one = measure(made.command("run", str(made.folder / "load.yaml")), env=made.env)
        tell(f"{backend}, import of {CONTACTS:,}", one, CONTACTS, counted(served), f"{pages} and 2 for the session")
        made.fresh()
        one = measure(made.command("run", str(made.folder / "export.yaml")), env=made.env)
        tell(f"{backend}, export of {EXPORTED:,}", one, EXPORTED, counted(served), f"{groups} and 2")
        made.fresh()
        served.control("rules", rules=[{"object": "Contact", "field": "JobTitle", "value": "Head of department 0"}])
        one = measure(made.command("run", str(made.folder / "refused.yaml")), env=made.env)
        most = f"at most {groups + 9 * (EXPORTED // 99)} and 2"
        tell(f"{backend}, the same, {EXPORTED // 99} of them refused", one, EXPORTED, counted(served), most)
        served.control("rules")
    print()
    parsing(served, runs)


def counted(served: SandboxProcess) -> dict[str, int]:
    """The requests since the last look, by kind."""
    found: dict[str, int] = served.control("counters", reset=True)["requests"]
    return found


def tell(name: str, one: Measured, rows: int, calls: Mapping[str, int], model: str) -> None:
    """A line of the table. A run with rejects has ended well too."""
    if one.code not in (0, 3):
        raise SystemExit(one.output)
    said = ", ".join(f"{number} {kind}" for kind, number in sorted(calls.items()))
    print(f"| {name} | {rows / one.wall:,.0f} | {one.cpu:.1f} | {one.peak_mib:.0f} | {said} | {model} |", flush=True)


def parsing(served: SandboxProcess, runs: int) -> None:
    """Pages of 100 records of 15 fields: made into columns, and read and thrown away."""
    pages = [one for one in fetched(served, 20) for _ in range(10)]
    megabytes = sum(len(one) for one in pages) / 1e6
    fields = {"Id": FieldType.ID, "ModifiedDate": FieldType.DATETIME, **FIELDS}
    described = tuple(RemoteField(name=name, label=name, type=kind, wire_type="") for name, kind in fields.items())
    remote = RemoteObject(name="Contact", label="Contact", label_plural="Contacts", key="Id", fields=described)
    times = WireTimes(zone=None, is_text=False)

    def ours() -> None:
        reader = RowReader(remote, tuple(fields), times, "a page")
        for page in pages:
            answer = Answer(status=200, headers={}, body=page, request_id="", what="a page")
            listed = child(body_of(answer), "ListOfContact")
            assert listed is not None, "a page has a list"
            rows = reader.rows(listed)
            reader.checked_ids(rows)
            assert reader.batch(rows).num_rows == PAGE_ROWS

    def bare() -> None:
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        for page in pages:
            etree.fromstring(page, parser)

    print("| parsing, CPU | records/s best | records/s median | MB/s best |")
    print("| --- | ---: | ---: | ---: |")
    found: dict[str, list[float]] = {"lxml, discarded": [], "pages to columns": []}
    for _ in range(runs):
        found["lxml, discarded"].append(timed(bare))
        found["pages to columns"].append(timed(ours))
    for name, seconds in found.items():
        records = len(pages) * PAGE_ROWS
        best, median = min(seconds), statistics.median(seconds)
        print(f"| {name} | {records / best:,.0f} | {records / median:,.0f} | {megabytes / best:.1f} |", flush=True)


def timed(work: Callable[[], None]) -> float:
    """Seconds of CPU."""
    began = time.process_time()
    work()
    return time.process_time() - began


def fetched(served: SandboxProcess, number: int) -> list[bytes]:
    """The first pages, as the company answers them."""
    info: dict[str, Any] = served.info
    wire = SoapWire(Sandbox(info=info, ca_file=Path(info["ca_file"]), kind="oracle_on_demand"), pace=0.06)
    wire.login()
    asked = "".join(f"<{name}/>" for name in ("Id", "ModifiedDate", *FIELDS))
    found = []
    for page in range(number):
        inner = (
            f'<ListOfContact pagesize="100" startrownum="{page * PAGE_ROWS}"><Contact>{asked}</Contact></ListOfContact>'
        )
        answer = wire.send("Contact", inner, method="QueryPage")
        if answer.status_code != 200:
            raise SystemExit(answer.text)
        found.append(answer.content)
    time.sleep(0.06)
    wire.logoff()
    wire.close()
    return found
