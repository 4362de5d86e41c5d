"""What a benchmark stands on: a sandbox with many contacts, a PostgreSQL server, prepared projects."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.databases import PostgresServer

CLI = (sys.executable, "-m", "crosstie")
FIELDS = (
    "FirstName", "LastName", "Email", "Phone", "Title", "Birthdate", "AccountId", "MailingCity", "MailingCountry",
    "Interests__c", "Score__c", "CreatedDate", "LastModifiedDate",
)  # fmt: skip
# With Id and SystemModstamp, which are added by themselves: 15 columns.
COLUMNS = ("Id", "SystemModstamp", *FIELDS)
TYPES: Mapping[str, str] = {
    "Birthdate": "date",
    "Score__c": "numeric",
    "CreatedDate": "timestamptz",
    "LastModifiedDate": "timestamptz",
    "SystemModstamp": "timestamptz",
}
IMPORT = f"""
workflow: load
activities:
  contacts:
    type: crm_import
    account: salesforce
    object: Contact
    road: {{road}}
    index: {{{{field: SystemModstamp}}}}
    fields: [{", ".join(FIELDS)}]
"""
REFERENCE = f"""
workflow: reference
activities:
  contacts:
    type: crm_import
    account: salesforce
    object: Contact
    index: {{field: SystemModstamp}}
    fields: [{", ".join(FIELDS)}]
  reconcile:
    type: enrichment
    links:
      recipient: {{to: recipient, first_of: [{{Id: crm_id}}, {{Email: email}}]}}
  one-each: {{type: deduplication, by: [Id], keep: {{highest: SystemModstamp}}}}
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
      phone: Phone
      title: Title
      birth_date: Birthdate
      city: MailingCity
      country: MailingCountry
      interests: Interests__c
      score: Score__c
"""
RECIPIENT = """
create table {schema}recipient (
    {identity}, crm_id text unique, first_name text, last_name text, email text, phone text, title text,
    birth_date date, city text, country text, interests text, score numeric
)
"""
IDENTITY = {
    "sqlite": "id integer primary key",
    "postgresql": "id bigint generated always as identity primary key",
}


@dataclass(slots=True)
class SandboxProcess:
    """A sandbox served by a process of its own."""

    info: dict[str, Any]
    process: subprocess.Popen[bytes]

    def control(self, action: str, **arguments: Any) -> Any:
        """Runs an action of the control endpoint."""
        return secured(self, f"{self.info['control_url']}/{action}", json.dumps(arguments).encode())


def secured(served: SandboxProcess, url: str, data: bytes) -> Any:
    """Posts to an address of the sandbox; returns the JSON of its answer."""
    context = ssl.create_default_context(cafile=served.info["ca_file"])
    with urllib.request.urlopen(urllib.request.Request(url, data=data), context=context) as answer:
        return json.load(answer)


@contextmanager
def sandbox(state: Path, records: int, kind: str = "salesforce") -> Iterator[SandboxProcess]:
    """A sandbox with that many contacts, its clock frozen so that equal reads are equal queries."""
    state.mkdir(parents=True, exist_ok=True)
    (state / "sandbox.json").unlink(missing_ok=True)
    process = subprocess.Popen(
        [*CLI, "sandbox", "start", "--state", str(state), "--records", str(records), "--crm", kind],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not (state / "sandbox.json").exists():
            if process.poll() is not None:
                raise SystemExit(f"the sandbox on {state} did not start")
            time.sleep(0.1)
        served = SandboxProcess(json.loads((state / "sandbox.json").read_text()), process)
        served.control("clock", frozen=True)
        yield served
    finally:
        process.terminate()
        process.wait()


@dataclass(slots=True)
class Project:
    """A prepared project, copied afresh for every run: account, collected Contact, an empty recipient table."""

    folder: Path
    backend: str
    postgres: PostgresServer | None
    name: str
    made: int = 0
    env: dict[str, str] = field(default_factory=dict)

    def fresh(self) -> None:
        """Throws away what the last run left."""
        if self.postgres is not None:
            if "CROSSTIE_DATABASE" in self.env:
                self.postgres.drop_database(f"{self.name}_{self.made}")
            self.made += 1
            url = self.postgres.create_database(f"{self.name}_{self.made}", template=self.name)
            self.env["CROSSTIE_DATABASE"] = url
            return
        for leftover in self.folder.glob("crosstie.db*"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        shutil.copy(self.folder / "template.db", self.folder / "crosstie.db")

    def command(self, *arguments: str) -> list[str]:
        """A crosstie command on this project."""
        return [*CLI, "--project", str(self.folder), *arguments]

    def call(self, *arguments: str, stdin: str = "") -> str:
        """Runs a command that must go well; what it printed."""
        done = subprocess.run(
            self.command(*arguments), env={**os.environ, **self.env}, input=stdin, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout


def project(folder: Path, backend: str, served: SandboxProcess, postgres: PostgresServer | None) -> Project:
    """Makes the project and its template."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = Project(folder, backend, postgres, f"bench_{folder.name.replace('-', '_')}")
    if postgres is not None:
        made.env["CROSSTIE_DATABASE"] = postgres.create_database(made.name)
    made.call("init", str(folder))
    told = served.info["salesforce"]
    flow = next(one for one in told["sign_in"] if one["flow"] == "client_credentials")
    made.call(
        "account", "add", "salesforce", "--host", told["login_url"], "--flow", "client_credentials",
        "--client-id", flow["client_id"], "--ca-file", served.info["ca_file"], "--secrets-stdin",
        stdin=json.dumps({"client_secret": flow["client_secret"]}),
    )  # fmt: skip
    made.call("account", "check", "salesforce")
    made.call("collect", "salesforce", "Contact")
    create = RECIPIENT.format(identity=IDENTITY[backend], schema="public." if postgres else "")
    if postgres is not None:
        subprocess.run(
            ["psql", "-q", "-v", "ON_ERROR_STOP=1", made.env.pop("CROSSTIE_DATABASE")],
            input=create + "; create index on public.recipient (email)",
            text=True,
            check=True,
        )
    else:
        import sqlite3

        connection = sqlite3.connect(folder / "crosstie.db")
        connection.executescript(create + "; create index recipient_email on recipient (email);")
        connection.execute("pragma wal_checkpoint(truncate)")
        connection.close()
        shutil.move(folder / "crosstie.db", folder / "template.db")
    (folder / "load.yaml").write_text(IMPORT.format(road="bulk"))
    (folder / "reference.yaml").write_text(REFERENCE)
    made.fresh()
    return made
