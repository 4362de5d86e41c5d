"""The demo: a first sync, step by step, through the command line as a person would type it.

It needs nothing but this repository: the CRM is a sandbox on this machine. Run it with `make demo`.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROJECT = HERE.parent / "demo-project"
SANDBOX = PROJECT / "sandbox"
CONTACTS = 3000
CHANGED = 25
START_SECONDS = 60


def main() -> int:
    """Runs the demo from an empty folder; 0 when the second run wrote exactly what had changed."""
    began = time.monotonic()
    prepare_folder()
    say("1. A Salesforce to try with: a sandbox on this machine, with made-up people")
    with sandbox(CONTACTS) as info:
        say("2. A project: configuration, key, and a SQLite marketing database with a table “recipient”")
        crosstie("init")
        with database() as connection:
            connection.executescript((HERE / "recipient.sql").read_text(encoding="utf-8"))
        shutil.copy(HERE / "contact-import.yaml", PROJECT)
        say("3. How to reach the CRM. The secret comes by standard input and is sealed at once")
        add_account(info)
        crosstie("account", "check", "salesforce")
        say("4. The objects to work with: each gets a table of its own, after the CRM's description")
        crosstie("collect", "salesforce", "Contact", "Account", "Lead")
        say("5. The workflow: import, reconcile, one row each, write")
        crosstie("workflow", "validate", "contact-import.yaml")
        crosstie("run", "contact-import.yaml", "--verbose")
        first = written()
        say(f"6. On the CRM, {CHANGED} contacts change; then some minutes pass there")
        changed = control(info, "change", object="Contact", count=CHANGED)["ids"]
        control(info, "advance", seconds=600)
        print(f"changed on the CRM: {', '.join(changed[:3])}, … {len(changed)} in all", flush=True)
        say("7. The same workflow again: only what changed is read and written")
        crosstie("run", "contact-import", "--verbose")
        second = written()[len(first) :]
        say("8. And once more: nothing changed, so nothing is written")
        crosstie("run", "contact-import")
        third = written()[len(first) + len(second) :]
        crosstie("option", "list")
    return report(changed, first, second, third, time.monotonic() - began)


def say(text: str) -> None:
    """A heading."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def prepare_folder() -> None:
    """An empty project folder; what an earlier demo left there goes."""
    marker = PROJECT / ".demo"
    if PROJECT.exists() and not marker.exists():
        sys.exit(f"{PROJECT} was not made by the demo. Move it away, and run the demo again.")
    shutil.rmtree(PROJECT, ignore_errors=True)
    PROJECT.mkdir()
    marker.touch()


def crosstie(*arguments: str, given: str | None = None) -> None:
    """Types a command, shows it with its output, and stops the demo when it fails."""
    print(f"$ crosstie {' '.join(arguments)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "crosstie", *arguments], cwd=PROJECT, input=given, text=True, env=environment()
    )
    if done.returncode:
        sys.exit(f"The demo stops here: that command ended with exit code {done.returncode}.")


def environment() -> dict[str, str]:
    """The environment without settings of other projects."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CROSSTIE_")}


@contextmanager
def sandbox(records: int) -> Iterator[dict[str, Any]]:
    """A running sandbox, as a process of its own; what its sandbox.json says."""
    arguments = ["sandbox", "start", "--state", str(SANDBOX), "--records", str(records)]
    print(f"$ crosstie sandbox start --state {SANDBOX.name} --records {records}", flush=True)
    process = subprocess.Popen([sys.executable, "-m", "crosstie", *arguments], cwd=PROJECT, env=environment())
    try:
        file = SANDBOX / "sandbox.json"
        deadline = time.monotonic() + START_SECONDS
        while not file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("The sandbox did not start.")
            time.sleep(0.1)
        yield json.loads(file.read_text(encoding="utf-8"))
    finally:
        process.terminate()
        process.wait()


def add_account(info: dict[str, Any]) -> None:
    """Adds the sandbox as an external account, signed in by client credentials."""
    org = info["salesforce"]
    flow = next(one for one in org["sign_in"] if one["flow"] == "client_credentials")
    crosstie(
        *("account", "add", "salesforce", "--host", org["login_url"], "--flow", "client_credentials"),
        *("--client-id", flow["client_id"], "--ca-file", info["ca_file"], "--secret-stdin", "client_secret"),
        given=flow["client_secret"],
    )


def control(info: dict[str, Any], action: str, **arguments: object) -> Any:
    """Asks the sandbox to do something that a real CRM would do by itself."""
    request = urllib.request.Request(
        f"{info['control_url']}/{action}", data=json.dumps(arguments).encode(), method="POST"
    )
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=info["ca_file"])) as answer:
        return json.load(answer)


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """The demo's marketing database."""
    with closing(sqlite3.connect(PROJECT / "crosstie.db")) as connection:
        with connection:
            yield connection


def written() -> list[str]:
    """The remote id of each row written to `recipient` until now, in order, as the table's own triggers noted them."""
    with database() as connection:
        return [str(row[0]) for row in connection.execute("select crm_id from recipient_written order by rowid")]


def report(changed: list[str], first: list[str], second: list[str], third: list[str], seconds: float) -> int:
    """Says what happened in words; 0 when it is what should have happened."""
    with database() as connection:
        people = connection.execute("select count(*) from recipient").fetchone()[0]
        ours = connection.execute("select count(*) from recipient where crm_id is null").fetchone()[0]
    same = sorted(second) == sorted(changed)
    say("What happened")
    print(
        f"  first run    {len(first):,} contacts of the CRM were written into the table recipient.\n"
        f"  second run   {len(changed)} contacts had changed; {len(second)} rows were written"
        f"{', exactly those.' if same else ': NOT THE SAME.'}\n"
        f"  third run    nothing had changed; {len(third)} rows were written.\n"
        f"  recipient    {people:,} people, {ours} of them not in the CRM and left alone.\n"
        f"  The triggers of demo/recipient.sql counted, not Crosstie.\n\n"
        f"Where things are\n"
        f"  {PROJECT}/contact-import.yaml   the workflow\n"
        f"  {PROJECT}/crosstie.db           the marketing database (SQLite)\n"
        f"  {PROJECT}/crosstie.toml         the configuration\n"
        f"  {SANDBOX}/sandbox.json   how to reach the sandbox\n\n"
        f"Go on by yourself: start the sandbox again in another terminal,\n"
        f"  {Path(sys.executable).parent}/crosstie sandbox start --state {SANDBOX}\n"
        f"and try in {PROJECT}:\n"
        f"  {Path(sys.executable).parent}/crosstie log\n"
        f"({seconds:.0f} s)"
    )
    return 0 if same and not third else 1


if __name__ == "__main__":
    sys.exit(main())
