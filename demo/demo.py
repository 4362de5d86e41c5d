"""The demo: a first sync and the way back, step by step, through the command line as a person would type it.

It needs nothing but this repository: the CRM is a sandbox on this machine. Run it with `make demo`, or with
`make demo CRM=dynamics` or `make demo CRM=oracle_on_demand`.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
PROJECT = HERE.parent / "demo-project"
SANDBOX = PROJECT / "sandbox"
CONTACTS = 3000
CHANGED = 25
CLICKED = 12
REJECTS = 3  # the exit code of a run that is done, with rejects
START_SECONDS = 60
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"


Info = dict[str, Any]
"""What sandbox.json says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crm:
    """What differs between the CRMs: names, how the account is added, and how the CRM is asked without Crosstie."""

    kind: str
    name: str
    workflows: Path
    newcomers: Path | None
    contact: str
    objects: tuple[str, ...]
    account: Callable[[Info], tuple[list[str], str]]
    """Arguments of `account add`, and the secret."""
    newsletter: Callable[[Info], int]
    """How many contacts are people of the newsletter."""
    scores: Callable[[Info], set[tuple[str, float | None]]]
    """The score of each contact by its id."""
    updates: Callable[[Any], int]
    """How many changes of contacts the sandbox has counted."""


def main() -> int:
    """Runs the demo from an empty folder; 0 when everything came out as it should."""
    crm = CRMS.get(sys.argv[1] if len(sys.argv) > 1 else "salesforce")
    if crm is None:
        sys.exit(f"There is a demo for {' and '.join(CRMS)}.")
    began = time.monotonic()
    prepare_folder()
    say(f"1. A {crm.name} to try with: a sandbox on this machine, with made-up people")
    with sandbox(crm, CONTACTS) as info:
        prepare_project(crm, info)
        facts = first_sync(crm, info)
        facts += results_back(crm, info)
        facts += deletions(crm, info)
    return report(crm, facts, time.monotonic() - began)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened, in words, and whether it is what should have."""

    about: str
    said: str
    right: bool = True


def prepare_project(crm: Crm, info: Info) -> None:
    """From an empty folder to collected objects."""
    say("2. A project: configuration, key, and a SQLite marketing database with a table “recipient”")
    crosstie("init")
    with database() as connection:
        connection.executescript((HERE / "recipient.sql").read_text(encoding="utf-8"))
        if crm.newcomers is not None:
            connection.executescript(crm.newcomers.read_text(encoding="utf-8"))
    for file in crm.workflows.glob("*.yaml"):
        shutil.copy(file, PROJECT)
    say("3. How to reach the CRM. The secret comes by standard input and is sealed at once")
    arguments, secret = crm.account(info)
    crosstie("account", "add", crm.kind, *arguments, given=secret)
    crosstie("account", "check", crm.kind)
    say("4. The objects to work with: each gets a table of its own, after the CRM's description")
    crosstie("collect", crm.kind, *crm.objects)


def first_sync(crm: Crm, info: Info) -> list[Fact]:
    """From the CRM, three times."""
    say("5. The workflow: import, reconcile, one row each, write")
    crosstie("workflow", "validate", "contact-import.yaml")
    crosstie("run", "contact-import.yaml", "--verbose")
    first = written()
    say(f"6. On the CRM, {CHANGED} contacts change; then some minutes pass there")
    changed = control(crm, info, "change", object=crm.contact, count=CHANGED)["ids"]
    control(crm, info, "advance", seconds=600)
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


def results_back(crm: Crm, info: Info) -> list[Fact]:
    """Results to the CRM, with rows that it does not take."""
    say(f"9. A newsletter goes out: {CLICKED} people of the CRM click, and Ana, who is not in it yet")
    change(
        "update recipient set clicks = 1, score = round(coalesce(score, 0) + 10, 2) where id in"
        f" (select id from recipient where crm_id is not null order by id limit {CLICKED}) or first_name = 'Ana'"
    )
    say("10. Two queries, a union, an export: who clicked, and who is not in the CRM yet")
    crosstie("run", "results-export.yaml", "--verbose", expect=REJECTS)
    first = crm.newsletter(info)
    say("11. What the CRM refused, and why; and the journal of what was sent")
    crosstie("rejects", "list")
    crosstie("journal", "show", str(last_run()))
    say("12. Somebody mends the two rows. The same workflow sends those, and nothing else")
    change(
        "update recipient set email = 'bo.lund@newsletter.invalid' where last_name = 'Lund' and crm_id is null",
        "update recipient set last_name = 'Sands' where first_name = 'Cleo' and crm_id is null",
    )
    control(crm, info, "counters", reset=True)
    crosstie("run", "results-export")
    updates = crm.updates(control(crm, info, "counters"))
    second = crm.newsletter(info)
    here = {(key, score) for key, score in rows("select crm_id, score from recipient where clicks > 0")}
    there = crm.scores(info)
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


def deletions(crm: Crm, info: Info) -> list[Fact]:
    """A record deleted on each side, and what comes back of all that."""
    say("13. Søren asks to be forgotten: deleted in the CRM, then here")
    change("update recipient set forget = 1 where first_name = 'Søren' and last_name = 'Holm'")
    crosstie("run", "forget.yaml")
    left = rows("select 1 from recipient where forget = 1")
    say("14. Somebody deletes two contacts in the CRM: they are deleted here")
    listed = "select crm_id from recipient where crm_id is not null and clicks = 0 order by id desc limit 2"
    lost = [str(row[0]) for row in rows(listed)]
    control(crm, info, "delete", object=crm.contact, ids=lost)
    control(crm, info, "advance", seconds=1200)
    crosstie("run", "deleted-contacts.yaml")
    kept = rows(f"select 1 from recipient where crm_id in ('{lost[0]}', '{lost[1]}')")
    say("15. An import after all that: what we wrote comes back, and changes nothing")
    before = len(written())
    crosstie("run", "contact-import")
    echoes = len(written()) - before
    return [
        Fact(about="forgotten", said="Søren is gone on both sides.", right=not left and crm.newsletter(info) == 4),
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
def sandbox(crm: Crm, records: int) -> Iterator[Info]:
    """A running sandbox, as a process of its own; what its sandbox.json says."""
    arguments = ["sandbox", "start", "--state", str(SANDBOX), "--records", str(records), "--crm", crm.kind]
    print(f"$ crosstie sandbox start --state {SANDBOX.name} --records {records} --crm {crm.kind}", flush=True)
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


def control(crm: Crm, info: Info, action: str, **arguments: object) -> Any:
    """Asks the sandbox to do something that a real CRM would do by itself."""
    return fetched(info, f"{info[crm.kind]['control_url']}/{action}", data=json.dumps(arguments).encode())


def fetched(
    info: Info, url: str, *, data: bytes | None = None, headers: Mapping[str, str] = MappingProxyType({})
) -> Any:
    """The JSON of an address of the sandbox."""
    request = urllib.request.Request(url, data=data, headers=dict(headers))
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


def credentials(info: Info, kind: str, flow: str) -> dict[str, str]:
    """What sandbox.json says of a way to sign in."""
    return next(one for one in info[kind]["sign_in"] if one["flow"] == flow)


def salesforce_account(info: Info) -> tuple[list[str], str]:
    """Signed in by client credentials."""
    flow = credentials(info, "salesforce", "client_credentials")
    named = ["--host", info["salesforce"]["login_url"], "--flow", "client_credentials"]
    client = ["--client-id", flow["client_id"], "--ca-file", info["ca_file"], "--secret-stdin", "client_secret"]
    return named + client, flow["client_secret"]


def salesforce_asked(info: Info, soql: str) -> list[dict[str, Any]]:
    """What Salesforce says."""
    org = info["salesforce"]
    signed = {"Authorization": f"Bearer {org['access_token']}"}
    page: dict[str, Any] = {"nextRecordsUrl": f"/services/data/v60.0/query?{urllib.parse.urlencode({'q': soql})}"}
    found: list[dict[str, Any]] = []
    while path := page.get("nextRecordsUrl"):
        page = fetched(info, org["instance_url"] + path, headers=signed)
        found += page["records"]
    return found


def dynamics_account(info: Info) -> tuple[list[str], str]:
    """Signed in by a client secret."""
    org, flow = info["dynamics"], credentials(info, "dynamics", "client_secret")
    named = ["--host", org["url"], "--tenant", org["tenant"], "--authority", org["authority"]]
    client = ["--client-id", flow["client_id"], "--ca-file", info["ca_file"], "--secret-stdin", "client_secret"]
    return [*named, "--flow", "client_secret", *client], flow["client_secret"]


def dynamics_asked(info: Info, query: dict[str, str]) -> list[dict[str, Any]]:
    """What Dynamics says of contacts."""
    org, flow = info["dynamics"], credentials(info, "dynamics", "client_secret")
    form = {"grant_type": "client_credentials", "scope": f"{org['url']}/.default"}
    form |= {name: flow[name] for name in ("client_id", "client_secret")}
    url = f"{org['authority']}/{org['tenant']}/oauth2/v2.0/token"
    token = fetched(info, url, data=urllib.parse.urlencode(form).encode())["access_token"]
    following = f"{org['url']}/api/data/v9.2/contacts?{urllib.parse.urlencode(query)}"
    found: list[dict[str, Any]] = []
    while following:
        page = fetched(info, following, headers={"Authorization": f"Bearer {token}"})
        found += page["value"]
        following = page.get("@odata.nextLink", "")
    return found


def oracle_account(info: Info) -> tuple[list[str], str]:
    """Signed in by user and password, for a session."""
    org = info["oracle_on_demand"]
    named = ["--host", org["url"], "--user", org["user"], "--time-zone", org["time_zone"]]
    return [*named, "--ca-file", info["ca_file"], "--secret-stdin", "password"], org["password"]


def oracle_asked(info: Info, tag: str, which: str = "") -> list[tuple[str, str]]:
    """The id and the text of one element of the contacts that a search specification is about."""
    org = info["oracle_on_demand"]
    asked = f' searchspec="{which}"' if which else ""
    found: list[tuple[str, str]] = []
    while True:
        body = (
            f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header><w:Security xmlns:w="{WSSE}">'
            f"<w:UsernameToken><w:Username>{escape(org['user'])}</w:Username><w:Password>{escape(org['password'])}"
            "</w:Password></w:UsernameToken></w:Security></s:Header><s:Body><ContactQueryPage_Input"
            ' xmlns="urn:crmondemand/ws/ecbs/contact/10/2004"><ListOfContact xmlns="urn:/crmondemand/xml/Contact/Query"'
            f' pagesize="100" startrownum="{len(found)}"><Contact{asked}><Id sortorder="ASC" sortsequence="1"/><{tag}/>'
            "</Contact></ListOfContact></ContactQueryPage_Input></s:Body></s:Envelope>"
        )
        headers = {
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": '"document/urn:crmondemand/ws/ecbs/contact/10/2004:ContactQueryPage"',
        }
        time.sleep(0.06)  # twenty requests a second are allowed
        request = urllib.request.Request(f"{org['url']}/Services/Integration", data=body.encode(), headers=headers)
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=info["ca_file"])) as answer:
            page = ElementTree.parse(answer)
        name = "{urn:/crmondemand/xml/Contact/Data}"
        contacts = page.findall(f".//{name}Contact")
        found += [(one.findtext(f"{name}Id", ""), one.findtext(f"{name}{tag}", "")) for one in contacts]
        listed = page.find(f".//{name}ListOfContact")
        if listed is None or not contacts or listed.get("lastpage") == "true":
            return found


def report(crm: Crm, facts: Sequence[Fact], seconds: float) -> int:
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
        f"  {Path(sys.executable).parent}/crosstie sandbox start --state {SANDBOX} --crm {crm.kind}\n"
        f"and try in {PROJECT}:\n"
        f"  {Path(sys.executable).parent}/crosstie log\n"
        f"({seconds:.0f} s)"
    )
    return 0 if all(one.right for one in facts) else 1


CRMS = {
    one.kind: one
    for one in (
        Crm(
            kind="salesforce",
            name="Salesforce",
            workflows=HERE,
            newcomers=None,
            contact="Contact",
            objects=("Contact", "Account", "Lead"),
            account=salesforce_account,
            newsletter=lambda info: len(
                salesforce_asked(info, "SELECT Id FROM Contact WHERE Email LIKE '%@newsletter.invalid'")
            ),
            scores=lambda info: {
                (one["Id"], one["Score__c"]) for one in salesforce_asked(info, "SELECT Id, Score__c FROM Contact")
            },
            updates=lambda counted: sum(
                number for kind, number in counted["requests"].items() if kind.startswith("collection_")
            ),
        ),
        Crm(
            kind="dynamics",
            name="Dynamics",
            workflows=HERE / "dynamics",
            newcomers=HERE / "dynamics" / "newcomers.sql",
            contact="contact",
            objects=("contact", "account", "lead"),
            account=dynamics_account,
            newsletter=lambda info: len(
                dynamics_asked(
                    info, {"$filter": "endswith(emailaddress1,'@newsletter.invalid')", "$select": "fullname"}
                )
            ),
            scores=lambda info: {
                (one["contactid"], one["new_score"]) for one in dynamics_asked(info, {"$select": "new_score"})
            },
            updates=lambda counted: counted["parts"].get("record_update", 0),
        ),
        Crm(
            kind="oracle_on_demand",
            name="Oracle CRM On Demand",
            workflows=HERE / "oracle_on_demand",
            newcomers=HERE / "oracle_on_demand" / "newcomers.sql",
            contact="Contact",
            objects=("Contact", "Account", "Lead"),
            account=oracle_account,
            newsletter=lambda info: len(
                oracle_asked(info, "ContactEmail", "[ContactEmail] LIKE '*@newsletter.invalid'")
            ),
            scores=lambda info: {(key, float(score) if score else None) for key, score in oracle_asked(info, "nScore")},
            updates=lambda counted: counted["requests"].get("update", 0),
        ),
    )
}

if __name__ == "__main__":
    sys.exit(main())
