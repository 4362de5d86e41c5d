"""Exports beside the floor: the same CSV uploaded by `curl`, and the same calls of 200 records by a bare HTTP loop."""

from __future__ import annotations

import csv
import json
import shlex
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.floor import VERSION
from bench.measured import Measured, measure
from bench.stage import Project, SandboxProcess

BULK_ROWS = 200_000
COLLECTION_ROWS = 20_000
CALL_ROWS = 200
FIELDS = {
    "LastName": "last_name",
    "FirstName": "first_name",
    "Email": "email",
    "Phone": "phone",
    "Title": "title",
    "Birthdate": "birth_date",
    "MailingCity": "city",
    "MailingCountry": "country",
    "Interests__c": "interests",
    "Score__c": "score",
}
EXPORT = """\
workflow: export-{road}
activities:
  ours: {{type: query, from: recipient, where: id <= {rows}, add: [{columns}]}}
  send:
    type: crm_export
    account: salesforce
    object: Contact
    insert: always
    batches: {batches}
    map: {{{map}}}
"""
PEOPLE = """\
insert into {schema}recipient (last_name, first_name, email, phone, title, birth_date, city, country, interests, score)
select 'Last name ' || n, 'First ' || n, 'someone' || n || '@example.com', '+33 1 ' || n,
 'Head of department ' || n % 99, '1980-02-29', 'Saint-Étienne', 'France', 'Golf', n % 100 from ({numbers}) numbers
"""
_NUMBERS = {
    "postgresql": f"select n from generate_series(1, {BULK_ROWS}) n",
    "sqlite": f"with recursive r (n) as (select 1 union all select n + 1 from r where n < {BULK_ROWS}) select n from r",
}


def exports(projects: dict[str, Project], served: SandboxProcess, runs: int) -> None:
    """Creates records by Bulk and by collections, in turn with the floor."""
    print("| export | rows/s best | rows/s median | CPU s (client) median | peak MiB | calls |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for made in projects.values():
        fill(made)
        rows = people()
        for road, count in (("bulk", BULK_ROWS), ("collections", COLLECTION_ROWS)):
            path = made.folder / f"export-{road}.yaml"
            path.write_text(
                EXPORT.format(
                    road=road,
                    rows=count,
                    columns=", ".join(FIELDS.values()),
                    batches="on" if road == "bulk" else "off",
                    map=", ".join(f"{name}: {column}" for name, column in FIELDS.items()),
                )
            )
            floor = (bulk_floor if road == "bulk" else collections_floor)(served, made.folder, rows[:count])
            compare(f"{made.backend}, {road}", made, path, floor, count, runs)
    print()


def fill(made: Project) -> None:
    """As many recipients as the largest export takes."""
    made.fresh()
    sql = PEOPLE.format(schema="public." if made.postgres else "", numbers=_NUMBERS[made.backend])
    if made.postgres is None:
        connection = sqlite3.connect(made.folder / "crosstie.db")
        connection.execute(sql)
        connection.commit()
        connection.close()
    else:
        subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", made.env["CROSSTIE_DATABASE"], "-c", sql], check=True)


def people() -> list[dict[str, str]]:
    """The rows as the wire has them."""
    return [
        {
            "LastName": f"Last name {n}",
            "FirstName": f"First {n}",
            "Email": f"someone{n}@example.com",
            "Phone": f"+33 1 {n}",
            "Title": f"Head of department {n % 99}",
            "Birthdate": "1980-02-29",
            "MailingCity": "Saint-Étienne",
            "MailingCountry": "France",
            "Interests__c": "Golf",
            "Score__c": str(n % 100),
        }
        for n in range(1, BULK_ROWS + 1)
    ]


def compare(name: str, made: Project, path: Path, floor: Callable[[], Measured], rows: int, runs: int) -> None:
    """Lines of the table, ours in turn with the floor."""
    ours: list[Measured] = []
    floors: list[Measured] = []
    calls: set[int] = set()
    for _ in range(runs):
        floors.append(well(floor()))
        one = well(measure(made.command("run", str(path), "--json", "--restart"), env=made.env))
        report = json.loads(one.output)
        assert report["counts"]["send"]["created"] == rows, report
        calls.add(report["api_calls"])
        ours.append(one)
    tell(f"{name}: floor", floors, rows, "")
    tell(f"{name}: crosstie run", ours, rows, "/".join(str(one) for one in sorted(calls)))
    ratio = [one.wall / other.wall for one, other in zip(ours, floors, strict=True)]
    print(f"| {name}: times the floor's time | {min(ratio):.2f} | {statistics.median(ratio):.2f} | | | |", flush=True)


def well(one: Measured) -> Measured:
    """Only what went well counts."""
    if one.code:
        raise SystemExit(one.output)
    return one


def tell(name: str, runs: Sequence[Measured], rows: int, calls: str) -> None:
    """A line of the table."""
    speeds = [rows / one.wall for one in runs]
    cpu = statistics.median(one.cpu for one in runs)
    peak = max(one.peak_mib for one in runs)
    print(
        f"| {name} | {max(speeds):,.0f} | {statistics.median(speeds):,.0f} | {cpu:.2f} | {peak:.0f} | {calls} |",
        flush=True,
    )


def bulk_floor(served: SandboxProcess, folder: Path, rows: Sequence[dict[str, str]]) -> Callable[[], Measured]:
    """One job of a prepared CSV: made, filled, started, waited for, its three results thrown away."""
    content = folder / "floor.csv"
    with content.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(FIELDS), lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    told = served.info["salesforce"]
    header = folder / "header"
    header.write_text(f"Authorization: Bearer {told['access_token']}\n")
    header.chmod(0o600)
    base = f"{told['instance_url']}/services/data/{VERSION}/jobs/ingest"
    curl = f"curl -sS --fail --cacert {shlex.quote(served.info['ca_file'])} -H @{header}"
    job = json.dumps({"object": "Contact", "operation": "insert", "contentType": "CSV", "lineEnding": "LF"})
    script = f"""
set -e
id=$({curl} -H 'Content-Type: application/json' -d '{job}' {base} | sed 's/.*"id":"\\([^"]*\\)".*/\\1/')
{curl} -X PUT -H 'Content-Type: text/csv' -T {content} {base}/$id/batches >/dev/null
{curl} -X PATCH -H 'Content-Type: application/json' -d '{{"state":"UploadComplete"}}' {base}/$id >/dev/null
until {curl} {base}/$id | grep -q JobComplete; do sleep 0.2; done
for result in successfulResults failedResults unprocessedrecords; do {curl} {base}/$id/$result >/dev/null; done
"""
    return lambda: measure(["sh", "-c", script])


def collections_floor(served: SandboxProcess, folder: Path, rows: Sequence[dict[str, str]]) -> Callable[[], Measured]:
    """Prepared calls of 200 records, four at a time, each connection kept."""
    bodies = folder / "floor.jsonl"
    with bodies.open("w", encoding="utf-8") as file:
        for start in range(0, len(rows), CALL_ROWS):
            records = [{"attributes": {"type": "Contact"}, **row} for row in rows[start : start + CALL_ROWS]]
            file.write(json.dumps({"allOrNone": False, "records": records}) + "\n")
    told = served.info["salesforce"]
    given = {
        "url": f"{told['instance_url']}/services/data/{VERSION}/composite/sobjects",
        "token": told["access_token"],
        "ca_file": served.info["ca_file"],
        "bodies": str(bodies),
    }
    path = folder / "floor.json"
    path.write_text(json.dumps(given))
    path.chmod(0o600)
    return lambda: measure([sys.executable, str(Path(__file__).parent / "loop.py"), str(path)])
