"""The floor: the same result pages, one header, by `curl` piped into what the database itself loads CSV with."""

from __future__ import annotations

import json
import shlex
import ssl
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.databases import PostgresServer

from bench.measured import Measured, measure
from bench.stage import COLUMNS, TYPES, SandboxProcess

PAGE_ROWS = 100_000
VERSION = "v68.0"


@dataclass(slots=True)
class FinishedJob:
    """A finished bulk job and the addresses of its pages."""

    urls: list[str]
    header_file: Path
    ca_file: str

    def pipe(self) -> str:
        """A shell command that prints the pages as one CSV."""
        commands = []
        for position, url in enumerate(self.urls):
            curl = f"curl -sS --fail --cacert {shlex.quote(self.ca_file)} -H @{self.header_file} {shlex.quote(url)}"
            commands.append(curl if position == 0 else f"{curl} | tail -n +2")
        return "( " + "; ".join(commands) + " )"


def finished_job(served: SandboxProcess, folder: Path) -> FinishedJob:
    """Makes the job, waits for it, and lists its pages."""
    told = served.info["salesforce"]
    base = f"{told['instance_url']}/services/data/{VERSION}/jobs/query"
    header = {"Authorization": f"Bearer {told['access_token']}", "Content-Type": "application/json"}
    context = ssl.create_default_context(cafile=served.info["ca_file"])

    def ask(url: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=header), context=context) as answer:
            return answer.headers, answer.read()

    soql = f"SELECT {', '.join(COLUMNS)} FROM Contact"
    job = json.loads(ask(base, {"operation": "query", "query": soql})[1])["id"]
    while json.loads(ask(f"{base}/{job}")[1])["state"] != "JobComplete":
        time.sleep(0.2)
    urls, locator = [], ""
    while locator != "null":
        url = f"{base}/{job}/results?maxRecords={PAGE_ROWS}" + (f"&locator={locator}" if locator else "")
        urls.append(url)
        locator = ask(url)[0]["Sforce-Locator"]
    header_file = folder / "header"
    header_file.write_text(f"Authorization: Bearer {told['access_token']}\nAccept: text/csv\n")
    header_file.chmod(0o600)
    return FinishedJob(urls, header_file, served.info["ca_file"])


def postgres_floor(job: FinishedJob, postgres: PostgresServer) -> Measured:
    """curl | COPY, into an ordinary table with the same types."""
    postgres.drop_database("floor")
    url = postgres.create_database("floor")
    columns = ", ".join(f'"{name}" {TYPES.get(name, "text")}' for name in COLUMNS)
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    copy = f"copy floor from stdin with (format csv, header, force_null ({names}))"
    measure(["psql", "-q", url, "-c", f"create table floor ({columns})"], memory=False)
    return measure(["sh", "-c", f"{job.pipe()} | psql -q {shlex.quote(url)} -c {shlex.quote(copy)}"])


def sqlite_floor(job: FinishedJob, folder: Path) -> Measured:
    """curl | .import, into an ordinary table."""
    for leftover in folder.glob("floor.db*"):
        leftover.unlink()
    columns = ", ".join(f'"{name}" {TYPES.get(name, "text")}' for name in COLUMNS)
    measure(["sqlite3", str(folder / "floor.db"), f"create table floor ({columns})"], memory=False)
    load = f"sqlite3 {folder / 'floor.db'} '.import --csv --skip 1 /dev/stdin floor'"
    return measure(["sh", "-c", f"{job.pipe()} | {load}"])
