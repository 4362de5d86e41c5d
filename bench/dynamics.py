"""Imports and exports of Dynamics beside the floor: a bare HTTP loop over the same pages and batches, and COPY of the
same rows."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import sqlite3
import statistics
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.databases import PostgresServer

from bench.exports import compare
from bench.measured import Measured, measure
from bench.stage import IDENTITY, Project, SandboxProcess, secured

EXPORTED = 20_000
BATCH_ROWS = 100
FIELDS = (
    "firstname", "lastname", "emailaddress1", "telephone1", "jobtitle", "birthdate", "_parentcustomerid_value",
    "address1_city", "address1_country", "new_interests", "new_score", "numberofchildren", "createdon",
)  # fmt: skip
# With contactid and modifiedon, which are added by themselves: 15 columns.
COLUMNS = ("contactid", "modifiedon", *FIELDS)
TYPES = {
    "birthdate": "date",
    "new_score": "numeric",
    "numberofchildren": "integer",
    "createdon": "timestamptz",
    "modifiedon": "timestamptz",
}
IMPORT = """
workflow: load
activities:
  contacts:
    type: crm_import
    account: dynamics
    object: contact
    index: {{field: modifiedon}}
    fields: [{fields}]
"""
EXPORT = """\
workflow: export-batches
activities:
  ours: {type: query, from: recipient, add: [first_name, last_name, email, title]}
  send:
    type: crm_export
    account: dynamics
    object: contact
    insert: always
    map: {firstname: first_name, lastname: last_name, emailaddress1: email, jobtitle: title}
"""
RECIPIENT = """
create table {schema}recipient ({identity}, crm_id text, first_name text, last_name text, email text, title text);
insert into {schema}recipient (first_name, last_name, email, title)
select 'First ' || n, 'Last name ' || n, 'someone' || n || '@example.com', 'Head of department ' || n % 99
from ({numbers}) numbers
"""
_NUMBERS = {
    "postgresql": f"select n from generate_series(1, {EXPORTED}) n",
    "sqlite": f"with recursive r (n) as (select 1 union all select n + 1 from r where n < {EXPORTED}) select n from r",
}


def dynamics_project(folder: Path, backend: str, served: SandboxProcess, postgres: PostgresServer | None) -> Project:
    """A project with an account of Dynamics, its contacts collected, and the people to export."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = Project(folder, backend, postgres, f"bench_{folder.name.replace('-', '_')}")
    if postgres is not None:
        made.env["CROSSTIE_DATABASE"] = postgres.create_database(made.name)
    made.call("init", str(folder))
    told = served.info["dynamics"]
    flow = next(one for one in told["sign_in"] if one["flow"] == "client_secret")
    made.call(
        "account", "add", "dynamics", "--host", told["url"], "--tenant", told["tenant"],
        "--authority", told["authority"], "--flow", "client_secret", "--client-id", flow["client_id"],
        "--ca-file", served.info["ca_file"], "--secrets-stdin",
        stdin=json.dumps({"client_secret": flow["client_secret"]}),
    )  # fmt: skip
    made.call("account", "check", "dynamics")
    made.call("collect", "dynamics", "contact")
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
    names = ", ".join("parentcustomerid" if one.startswith("_") else one for one in FIELDS)
    (folder / "load.yaml").write_text(IMPORT.format(fields=names))
    (folder / "export.yaml").write_text(EXPORT)
    made.fresh()
    return made


def dynamics(projects: dict[str, Project], served: SandboxProcess, rows: int, runs: int) -> None:
    """Both ways, each in turn with its floor."""
    print("| Dynamics | rows/s best | rows/s median | CPU s (client) median | peak MiB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for backend, made in projects.items():
        floor = import_floor(served, made)
        ours, floors = [], []
        for _ in range(runs):
            floors.append(floor())
            made.fresh()
            ours.append(well(measure(made.command("run", str(made.folder / "load.yaml")), env=made.env)))
        shown(f"{backend}, import: floor", [sum(one.wall for one in pair) for pair in floors], rows)
        shown(f"{backend}, import: crosstie run", [one.wall for one in ours], rows)
        ratio = [one.wall / sum(part.wall for part in pair) for one, pair in zip(ours, floors, strict=True)]
        print(f"| {backend}, import: times the floor's time | {min(ratio):.2f} | {statistics.median(ratio):.2f} | | |")
        made.fresh()
        compare(
            f"{backend}, export", made, made.folder / "export.yaml", export_floor(served, made.folder), EXPORTED, runs
        )


def well(one: Measured) -> Measured:
    """Only what went well counts."""
    if one.code:
        raise SystemExit(one.output)
    return one


def shown(name: str, walls: list[float], rows: int) -> None:
    """A line of the table."""
    speeds = [rows / wall for wall in walls]
    print(f"| {name} | {max(speeds):,.0f} | {statistics.median(speeds):,.0f} | | |", flush=True)


def token(served: SandboxProcess) -> str:
    """An access token, by the client secret."""
    told = served.info["dynamics"]
    flow = next(one for one in told["sign_in"] if one["flow"] == "client_secret")
    form = {"grant_type": "client_credentials", "scope": f"{told['url']}/.default"}
    form |= {name: flow[name] for name in ("client_id", "client_secret")}
    url = f"{told['authority']}/{told['tenant']}/oauth2/v2.0/token"
    found: str = secured(served, url, urllib.parse.urlencode(form).encode())["access_token"]
    return found


def import_floor(served: SandboxProcess, made: Project) -> Callable[[], tuple[Measured, Measured]]:
    """The pages read and thrown away, then the same rows loaded by what the database itself loads CSV with."""
    told = served.info["dynamics"]
    query = {"$select": ",".join(COLUMNS), "$orderby": "contactid"}
    given = {
        "url": f"{told['url']}/api/data/v9.2/contacts?{urllib.parse.urlencode(query)}",
        "token": token(served),
        "ca_file": served.info["ca_file"],
        "rows": str(made.folder / "rows.csv"),
    }
    file = made.folder / "pages.json"
    file.write_text(json.dumps(given))
    file.chmod(0o600)
    well(measure([sys.executable, "-m", "bench.pages", str(file), "keep"]))
    columns = ", ".join(f'"{name}" {TYPES.get(name, "text")}' for name in COLUMNS)
    rows = shlex.quote(given["rows"])

    def load() -> Measured:
        if made.postgres is None:
            database = made.folder / "floor.db"
            database.unlink(missing_ok=True)
            measure(["sqlite3", str(database), f"create table floor ({columns})"], memory=False)
            return well(measure(["sqlite3", str(database), f".import --csv {rows} floor"]))
        made.postgres.drop_database("floor")
        url = made.postgres.create_database("floor")
        measure(["psql", "-q", url, "-c", f"create table floor ({columns})"], memory=False)
        copy = f"\\copy floor from {rows} with (format csv)"
        return well(measure(["psql", "-q", url, "-c", copy]))

    return lambda: (well(measure([sys.executable, "-m", "bench.pages", str(file)])), load())


def export_floor(served: SandboxProcess, folder: Path) -> Callable[[], Measured]:
    """Prepared batches of new rows, eight connections at a time."""
    told = served.info["dynamics"]
    bodies = folder / "floor.jsonl"
    with bodies.open("w", encoding="utf-8") as file:
        for start in range(0, EXPORTED, BATCH_ROWS):
            parts = [
                "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
                "POST contacts HTTP/1.1\r\nContent-Type: application/json\r\n\r\n"
                + json.dumps(
                    {
                        "firstname": f"First {n}",
                        "lastname": f"Last name {n}",
                        "emailaddress1": f"someone{n}@example.com",
                        "jobtitle": f"Head of department {n % 99}",
                    }
                )
                + "\r\n"
                for n in range(start, start + BATCH_ROWS)
            ]
            file.write(json.dumps("".join(parts) + "--b--\r\n") + "\n")
    given = {"url": f"{told['url']}/api/data/v9.2/$batch", "token": token(served), "ca_file": served.info["ca_file"]}
    described = folder / "batches.json"
    described.write_text(json.dumps({**given, "bodies": str(bodies)}))
    described.chmod(0o600)
    return lambda: measure([sys.executable, "-m", "bench.pages", str(described), "post"])


def written(path: str, rows: list[dict[str, object]], *, first: bool) -> None:
    """Adds rows to the CSV that COPY takes."""
    with Path(path).open("w" if first else "a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([row.get(name) for name in COLUMNS] for row in rows)
