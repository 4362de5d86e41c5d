"""A project driven through the command line, as real processes."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from crosstie.db import open_database
from tests.e2e.command import Order
from tests.forks import Forks
from tests.sandboxes import Sandbox

TIMEOUT_SECONDS = 120

RECIPIENT = """\
create table recipient (
    id {serial},
    crm_id varchar(18) unique,
    first_name varchar(80),
    last_name varchar(80) not null,
    email varchar(120),
    birth_date date,
    last_activity date,
    interests varchar(400),
    score numeric(18, 2)
)"""

WORKFLOW = """\
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
      - {{field: Interests__c, as: interests}}
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
      interests: interests
      score: score
  done: {{type: end}}
"""

ITS_OWN = ("PYTHON", "LD_")
"""Settings of a process that it reads as it starts."""

_one_at_a_time = Lock()
"""Held while a fork is at work; what runs beside it is started by itself."""


@cache
def forks() -> Forks:
    """What runs commands that need no interpreter of their own."""
    server = Forks("tests.e2e.command")
    atexit.register(server.close)
    return server


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project folder with its database."""

    folder: Path
    database: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def env(self) -> dict[str, str]:
        """The environment of a command: ours alone."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTIE_")}
        return {
            **others,
            "CROSSTIE_DATABASE": self.database,
            "PYTHONWARNINGS": "error",
            "PYTHONFAULTHANDLER": "1",
            **self.environment,
        }

    def command(self, *arguments: str) -> list[str]:
        """The command line of a command."""
        return [sys.executable, "-m", "crosstie", *arguments]

    def crosstie(
        self, *arguments: str, expect: int = 0, given: str | None = None, most_file_bytes: int = 0, **env: str
    ) -> Result:
        """Runs a command to its end; fails when its exit code is not the expected one. With `most_file_bytes` the
        system lets no file of it grow larger."""
        environment = {**self.env(), **env}
        if any(name.startswith(ITS_OWN) for name in env) or not _one_at_a_time.acquire(blocking=False):
            result = self._by_itself(arguments, environment, given)
        else:
            try:
                result = self._forked(arguments, environment, given, most_file_bytes)
            finally:
                _one_at_a_time.release()
        assert result.code == expect, f"crosstie {' '.join(arguments)}: {result}"
        assert "Traceback" not in result.err
        return result

    def _by_itself(self, arguments: Sequence[str], env: Mapping[str, str], given: str | None) -> Result:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=env,
            input=given or "",
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        return Result(code=done.returncode, out=done.stdout, err=done.stderr)

    def _forked(
        self, arguments: Sequence[str], env: Mapping[str, str], given: str | None, most_file_bytes: int
    ) -> Result:
        with TemporaryDirectory() as folder:
            streams = [Path(folder, name) for name in ("in", "out", "err")]
            streams[0].write_text(given or "")
            order = Order(
                arguments=arguments,
                folder=str(self.folder),
                environment=env,
                streams=[str(stream) for stream in streams],
                most_file_bytes=most_file_bytes,
            )
            code = forks().run(asdict(order))
            return Result(code=code, out=streams[1].read_text(), err=streams[2].read_text())

    @contextmanager
    def started(self, *arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
        """A command while it runs; killed at the end if it is still there."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.env(), **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        except subprocess.TimeoutExpired as expired:
            if process.poll() is None:
                process.send_signal(signal.SIGABRT)  # it says on standard error where each thread of it is
                expired.add_note(f"crosstie {' '.join(arguments)} did not end: {process.communicate()[1]}")
            raise
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def write(self, name: str, text: str) -> str:
        """Writes a file into the folder; its name."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def workflow(self, *changes: tuple[str, str], road: str = "auto", name: str = "contacts.yaml") -> str:
        """Writes the reference workflow with some texts replaced; the file's name."""
        text = WORKFLOW.format(road=road)
        for before, after in changes:
            assert before in text, before
            text = text.replace(before, after)
        return self.write(name, text)

    def add_account(self, sandbox: Sandbox, name: str = "salesforce", *, secret: str = "", expect: int = 0) -> Result:
        """Adds the sandbox as an account, signed in by client credentials."""
        flow = sandbox.sign_in("client_credentials")
        return self.crosstie(
            *("account", "add", name, "--kind", "salesforce", "--flow", "client_credentials"),
            *("--host", sandbox.salesforce["login_url"], "--ca-file", str(sandbox.ca_file)),
            *("--client-id", flow["client_id"]),
            expect=expect,
            CROSSTIE_SECRET_CLIENT_SECRET=secret or flow["client_secret"],
        )

    def sql(self, *statements: str) -> None:
        """Changes people's tables from outside."""
        if self.is_sqlite:
            import sqlite3
            from contextlib import closing

            with closing(sqlite3.connect(self.database.removeprefix("sqlite:///"))) as connection, connection:
                for statement in statements:
                    connection.execute(statement)
            return
        import psycopg

        with psycopg.connect(self.database) as server:
            for statement in statements:
                server.execute(statement.encode())

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a SQLite file."""
        return self.database.startswith("sqlite:///")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query gives, asked from outside."""
        db = open_database(self.database)
        try:
            with db.reading() as transaction:
                return transaction.rows(sql)
        finally:
            db.close()

    def count(self, table: str) -> int:
        """The rows of a table."""
        return int(self.rows(f"select count(*) from {table}")[0][0])

    def make_recipient(self, *changes: tuple[str, str]) -> None:
        """The table `recipient`, anew, with some texts of its definition replaced; and the table `written`, into which
        a trigger notes each row that anybody writes there."""
        serial = "integer primary key" if self.is_sqlite else "bigint generated always as identity primary key"
        definition = RECIPIENT.format(serial=serial)
        for before, after in changes:
            assert before in definition, before
            definition = definition.replace(before, after)
        self.sql(
            "drop table if exists recipient",
            "drop table if exists written",
            definition,
            "create index recipient_email on recipient (email)",
            "create table written (operation varchar(10), crm_id varchar(18))",
            *(_SQLITE_TRIGGERS if self.is_sqlite else _POSTGRESQL_TRIGGERS),
        )

    def take_written(self) -> list[str]:
        """The remote ids of the rows written since the last time, one for each row and write."""
        ids = [str(row[0]) for row in self.rows("select crm_id from written")]
        self.sql("delete from written")
        return ids

    def tables(self, names: Sequence[str] = ("recipient",)) -> dict[str, list[tuple[Any, ...]]]:
        """Everything in people's tables and in the options, to see that nothing was touched."""
        shown = {name: sorted(self.rows(f"select * from {name}"), key=str) for name in names}
        shown["option"] = self.rows("select name, value from crosstie.option order by name")
        return shown


_SQLITE_TRIGGERS = tuple(
    f"create trigger recipient_{event} after {event} on recipient begin"
    f" insert into written values ('{event}', {row}.crm_id); end"
    for event, row in (("insert", "new"), ("update", "new"), ("delete", "old"))
)

_POSTGRESQL_TRIGGERS = (
    "create or replace function note_written() returns trigger language plpgsql as $$ begin"
    " insert into written values (lower(tg_op), case when tg_op = 'DELETE' then old.crm_id else new.crm_id end);"
    " return null; end $$",
    "create trigger recipient_written after insert or update or delete on recipient"
    " for each row execute function note_written()",
)
