"""The demo: a first sync and the way back, step by step, through the command line as a person would type it.

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
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROJECT = HERE.parent / "demo-project"
SANDBOX = PROJECT / "sandbox"
CONTACTS = 3000
CHANGED = 25
CLICKED = 12
REJECTS = 3  # the exit code of a run that is done, with rejects
START_SECONDS = 60


def main() -> int:
    """Runs the demo from an empty folder; 0 when everything came out as it should."""
    began = time.monotonic()
    prepare_folder()
    say("1. A Salesforce to try with: a sandbox on this machine, with made-up people")
    with sandbox(CONTACTS) as info:
        prepare_project(info)
        facts = first_sync(info)
        facts += results_back(info)
        facts += deletions(info)
    return report(facts, time.monotonic() - began)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened, in words, and whether it is what should have."""

    about: str
    said: str
    right: bool = True


def prepare_project(info: dict[str, Any]) -> None:
    """From an empty folder to collected objects."""
    say("2. A project: configuration, key, and a SQLite marketing database with a table “recipient”")
    crosstie("init")
    with database() as connection:
        connection.executescript((HERE / "recipient.sql").read_text(encoding="utf-8"))
    for file in HERE.glob("*.yaml"):
        shutil.copy(file, PROJECT)
    say("3. How to reach the CRM. The secret comes by standard input and is sealed at once")
    add_account(info)
    crosstie("account", "check", "salesforce")
    say("4. The objects to work with: each gets a table of its own, after the CRM's description")
    crosstie("collect", "salesforce", "Contact", "Account", "Lead")


def first_sync(info: dict[str, Any]) -> list[Fact]:
    """From the CRM, three times."""
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
    return [
        Fact(about="first run", said=f"{len(first):,} contacts of the CRM were written into the table recipient."),
        Fact(
            about="second run",
            said=f"{len(changed)} contacts had changed; exactly those {len(second)} rows were written.",
            right=sorted(second) == sorted(changed),
        ),
        Fact(about="third run", said=f"nothing had changed; {len(third)} rows were written.", right=not third),
    ]


def results_back(info: dict[str, Any]) -> list[Fact]:
    """Results to the CRM, with rows that it does not take."""
    say(f"9. A newsletter goes out: {CLICKED} people of the CRM click, and Ana, who is not in it yet")
    change(
        "update recipient set clicks = 1, score = round(coalesce(score, 0) + 10, 2) where id in"
        f" (select id from recipient where crm_id is not null order by id limit {CLICKED}) or first_name = 'Ana'"
    )
    say("10. Two queries, a union, an export: who clicked, and who is not in the CRM yet")
    crosstie("run", "results-export.yaml", "--verbose", expect=REJECTS)
    first = newsletter(info)
    say("11. What the CRM refused, and why; and the journal of what was sent")
    crosstie("rejects", "list")
    crosstie("journal", "show", str(last_run()))
    say("12. Somebody mends the two rows. The same workflow sends those, and nothing else")
    change(
        "update recipient set email = 'bo.lund@newsletter.invalid' where last_name = 'Lund' and crm_id is null",
        "update recipient set last_name = 'Sands' where first_name = 'Cleo' and crm_id is null",
    )
    control(info, "counters", reset=True)
    crosstie("run", "results-export")
    calls = control(info, "counters")["requests"]
    updates = sum(number for kind, number in calls.items() if kind.startswith("collection_"))
    second = newsletter(info)
    here = {(key, score) for key, score in rows("select crm_id, score from recipient where clicks > 0")}
    there = {(one["Id"], one["Score__c"]) for one in asked(info, "SELECT Id, Score__c FROM Contact")}
    return [
        Fact(
            about="export",
            said=f"{first} people of the newsletter are in the CRM, 2 were refused with the reason.",
            right=first == 3 and rows("select count(*) from export_rejects") == [(2,)],
        ),
        Fact(
            about="mended",
            said=f"{second - first} more are; nobody was sent twice, {updates} calls changed what was there already.",
            right=second == 5 and not updates,
        ),
        Fact(
            about="scores",
            said=f"{len(here)} people clicked; the CRM has each score as it is here.",
            right=here <= there,
        ),
    ]


def newsletter(info: dict[str, Any]) -> int:
    """How many contacts of the CRM are people of the newsletter."""
    return len(asked(info, "SELECT Id FROM Contact WHERE Email LIKE '%@newsletter.invalid'"))


def deletions(info: dict[str, Any]) -> list[Fact]:
    """A record deleted on each side, and what comes back of all that."""
    say("13. Søren asks to be forgotten: deleted in the CRM, then here")
    change("update recipient set forget = 1 where first_name = 'Søren' and last_name = 'Holm'")
    crosstie("run", "forget.yaml")
    left = rows("select 1 from recipient where forget = 1")
    say("14. Somebody deletes two contacts in the CRM: they are deleted here")
    listed = "select crm_id from recipient where crm_id is not null and clicks = 0 order by id desc limit 2"
    lost = [str(row[0]) for row in rows(listed)]
    control(info, "delete", object="Contact", ids=lost)
    control(info, "advance", seconds=600)
    crosstie("run", "deleted-contacts.yaml")
    kept = rows(f"select 1 from recipient where crm_id in ('{lost[0]}', '{lost[1]}')")
    say("15. An import after all that: what we wrote comes back, and changes nothing")
    before = len(written())
    crosstie("run", "contact-import")
    echoes = len(written()) - before
    return [
        Fact(about="forgotten", said="Søren is gone on both sides.", right=not left and newsletter(info) == 4),
        Fact(about="deleted", said=f"{len(lost)} contacts deleted in the CRM are gone here.", right=not kept),
        Fact(about="last import", said=f"what we had written came back; {echoes} rows were written.", right=not echoes),
    ]


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


def crosstie(*arguments: str, given: str | None = None, expect: int = 0) -> None:
    """Types a command, shows it with its output, and stops the demo when it ends otherwise than expected."""
    print(f"$ crosstie {' '.join(arguments)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "crosstie", *arguments], cwd=PROJECT, input=given, text=True, env=environment()
    )
    if done.returncode != expect:
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


def change(*statements: str) -> None:
    """What people, or other programs, do to the marketing database."""
    with database() as connection:
        for statement in statements:
            connection.execute(statement)


def rows(sql: str) -> list[tuple[Any, ...]]:
    """What the marketing database says."""
    with database() as connection:
        return connection.execute(sql).fetchall()


def last_run() -> int:
    """The number of the run that was the last one to begin, as `crosstie log` shows it."""
    return int(rows("select max(id) from crosstie_run")[0][0])


def asked(info: dict[str, Any], soql: str) -> list[dict[str, Any]]:
    """What the CRM says, asked without Crosstie."""
    org = info["salesforce"]
    page: dict[str, Any] = {"nextRecordsUrl": f"/services/data/v60.0/query?{urllib.parse.urlencode({'q': soql})}"}
    found: list[dict[str, Any]] = []
    while path := page.get("nextRecordsUrl"):
        request = urllib.request.Request(
            org["instance_url"] + path, headers={"Authorization": f"Bearer {org['access_token']}"}
        )
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=info["ca_file"])) as answer:
            page = json.load(answer)
        found += page["records"]
    return found


def report(facts: Sequence[Fact], seconds: float) -> int:
    """Says what happened in words; 0 when it is what should have happened."""
    say("What happened")
    for one in facts:
        print(f"  {one.about:<12} {one.said}{'' if one.right else '  THIS IS NOT AS IT SHOULD BE.'}")
    people, ours = rows("select count(*), sum(crm_id is null) from recipient")[0]
    print(
        f"  recipient    {people:,} people, {ours} of them not in the CRM.\n"
        f"  The triggers of demo/recipient.sql counted, and the CRM was asked; not Crosstie.\n\n"
        f"Where things are\n"
        f"  {PROJECT}/*.yaml         the workflows\n"
        f"  {PROJECT}/crosstie.db    the marketing database (SQLite)\n"
        f"  {PROJECT}/crosstie.toml  the configuration\n"
        f"  {SANDBOX}/sandbox.json   how to reach the sandbox\n\n"
        f"Go on by yourself: start the sandbox again in another terminal,\n"
        f"  {Path(sys.executable).parent}/crosstie sandbox start --state {SANDBOX}\n"
        f"and try in {PROJECT}:\n"
        f"  {Path(sys.executable).parent}/crosstie log\n"
        f"({seconds:.0f} s)"
    )
    return 0 if all(one.right for one in facts) else 1


if __name__ == "__main__":
    sys.exit(main())
