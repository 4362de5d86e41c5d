"""What every fault at every kind of request must come to, cell by cell; and how a cell is judged."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from crosstie.crm.http import Timeouts
from crosstie.errors import CrosstieError, TaskError
from crosstie.workflow.runner import RunReport
from crosstie.workflow.state import RunStatus
from tests.contract.imports.world import World, flow, indexed
from tests.sandboxes import Sandbox

RECORDS = 240
PAGE_ROWS = 100
NOBODYS = tuple(f"0035g00000zz{number:03}" for number in range(400))
"""So many more ids than there are records that no list of a query takes them: they are read by collections."""
FIELDS: list[object] = ["LastName", "Email", "Score__c"]
SHORT = Timeouts(read=timedelta(milliseconds=250))
"""Shorter than the fault `slow`."""

RETRIED = ""
"""The expected outcome “tried again, said so, and right in the end”; any other is a pattern of the refusal."""

Fault = dict[str, Any]
_names = itertools.count(1)

FAULTS: Mapping[str, Fault] = {
    "slow": {"type": "latency", "seconds": 0.6},
    "500": {"type": "status", "status": 500},
    "500-after-work": {"type": "status", "status": 500, "after_work": True},
    "502-html": {"type": "status", "status": 502, "html": True},
    "503": {"type": "status", "status": 503},
    "503-wait-seconds": {"type": "status", "status": 503, "retry_after": 0},
    "503-wait-date": {"type": "status", "status": 503, "retry_after": 0, "retry_date": True},
    "503-wait-an-hour": {"type": "status", "status": 503, "retry_after": 3_600},
    "503-wait-till-date": {"type": "status", "status": 503, "retry_after": 3_600, "retry_date": True},
    "429": {"type": "status", "status": 429},
    "busy": {
        "type": "status",
        "status": 403,
        "code": "REQUEST_LIMIT_EXCEEDED",
        "message": "ConcurrentRequests Limit exceeded.",
    },
    "quota": {
        "type": "status",
        "status": 403,
        "code": "REQUEST_LIMIT_EXCEEDED",
        "message": "TotalRequests Limit exceeded.",
    },
    "401": {"type": "status", "status": 401, "code": "INVALID_SESSION_ID", "message": "Session expired or invalid"},
    "forbidden": {"type": "status", "status": 403, "code": "API_DISABLED_FOR_ORG", "message": "Not enabled"},
    "session-ends": {"type": "expire_session"},
    "drop-before": {"type": "drop_before"},
    "drop-after": {"type": "drop_after"},
    "truncate": {"type": "truncate", "bytes": 7},
    "cut-gzip": {"type": "cut_gzip", "bytes": 9},
    "cut-plain": {"type": "cut_plain", "bytes": 5},
    "cut-chunked": {"type": "cut_chunked", "bytes": 5},
    "empty": {"type": "rewrite", "trick": "empty"},
    "html": {"type": "rewrite", "trick": "html"},
    "redirect": {"type": "redirect", "location": "https://elsewhere.example/x"},
    "redirect-circle": {"type": "redirect", "location": "?"},
    "cut-csv": {"type": "cut_csv", "rows": 1},
    "count-up": {"type": "wrong_count", "rows": 1},
    "count-down": {"type": "wrong_count", "rows": -1},
    "foreign-next": {"type": "foreign_next"},
    "no-next": {"type": "no_next"},
    "locators-end": {"type": "expire_locators"},
}

ROADS = {
    "token": "pages",
    "versions": "pages",
    "describe": "pages",
    "updated": "pages",
    "query": "pages",
    "query_more": "pages",
    "record_count": "auto",
    "bulk_create": "bulk",
    "bulk_status": "bulk",
    "bulk_results": "bulk",
    "soap": "pages",
    "retrieve": "pages",
}
"""Each kind of request that an import makes, and by which road."""

_SOME = {
    *("slow", "502-html", "503", "429", "quota", "401", "session-ends", "drop-after", "truncate", "cut-gzip", "empty"),
    *("html", "redirect"),
}
"""The faults of kinds that share their road through our code with others."""

_ONLY = {
    "cut-csv": {"bulk_results"},
    "count-up": {"bulk_results"},
    "count-down": {"bulk_results"},
    "foreign-next": {"query", "query_more"},
    "no-next": {"query", "query_more"},
    "locators-end": {"query_more"},
    "session-ends": set(ROADS) - {"token", "versions", "soap"},
}
NEVER_LASTING = {"session-ends", "locators-end"}
_WRITES = {"token", "bulk_create", "soap", "retrieve"}
_HTML = {
    "bulk_results": "lacks the headers|no column|has a column|was cut",
    "bulk_create": "does not describe a bulk job",
    "bulk_status": "does not describe a bulk job",
    "soap": "not a SOAP envelope",
    "retrieve": "is not a list of records",
    "query": "not a page of records",
    "query_more": "not a page of records",
    "describe": "not the description expected",
}


def cells() -> list[tuple[str, str]]:
    """Every kind with every fault that can befall it."""
    return [
        (kind, fault)
        for kind in ROADS
        for fault in FAULTS
        if kind in _ONLY.get(fault, set(ROADS)) and (kind not in {"soap", "retrieve"} or fault in _SOME)
    ]


def passing(kind: str, fault: str) -> str:
    """What a fault comes to that befalls one request of that kind (or all that belong to one, in a circle)."""
    match fault:
        case "503-wait-an-hour" | "503-wait-till-date":
            return "cannot answer .* now"
        case "quota":
            return "used its API calls of the last 24 hours"
        case "forbidden":
            return "refuse"
        case "401" if kind == "token":
            return "refused to sign in"
        case "401" if kind == "soap":
            return "refuses “sign in”"
        case "401" if kind == "versions":
            return "refuses “list API versions”"
        case "redirect":
            return "elsewhere.example, a host that this account does not allow"
        case "redirect-circle":
            return "a write is not sent there" if kind in _WRITES else "redirected more than 3 times"
        case "html":
            return _HTML.get(kind, "not valid JSON")
        case "foreign-next":
            return "elsewhere.example, a host that this account does not allow"
        case "no-next":
            return "names no next page"
        case "count-up" | "count-down":
            return "records"
        case _:
            return RETRIED


def lasting(kind: str, fault: str) -> str:
    """What it comes to when it befalls every request of that kind."""
    once = passing(kind, fault)
    if once:
        return once
    match fault:
        case "slow":
            return "took too long"
        case "drop-before" | "drop-after" | "truncate" | "cut-chunked":
            return "broke off|was cut"
        case "cut-gzip" | "cut-plain" | "empty":
            return "was cut|ended after|lacks the headers"
        case "401":
            return "straight after signing in"
        case "busy":
            return "has to wait"
        case "429":  # the sandbox gives it the code of the concurrency limit
            return "has to wait"
        case "cut-csv":
            return r"ended after \d+ of \d+ records"
        case _:
            return "cannot answer .* now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a matrix of faults is of one kind of CRM. `definition` makes an import that makes such requests, for the
    records with these ids where it asks for ids. `several`: the kinds of which a run makes more than one; `writes` are
    not redirected anywhere. `secret` is what nobody may see, `token` what one looks like."""

    passing: Callable[[str, str], str]
    lasting: Callable[[str, str], str]
    definition: Callable[[str, Sequence[str]], str]
    several: frozenset[str]
    writes: frozenset[str]
    secret: Callable[[Sandbox], str]
    token: str


def _definition(kind: str, ids: Sequence[str]) -> str:
    """An import of the records with these ids has no index that moves."""
    if kind != "retrieve":
        return indexed(FIELDS, road=ROADS[kind])
    source = {"type": "given", "columns": ["id"], "rows": [[one] for one in (*ids, *NOBODYS)]}
    fields = ["SystemModstamp", *FIELDS]
    return flow({"fields": fields, "population": {"ids": "id"}, "road": "pages"}, before={"source": source})


SALESFORCE = Expected(
    passing=passing,
    lasting=lasting,
    definition=_definition,
    several=frozenset({"query_more", "bulk_results"}),
    writes=frozenset(_WRITES),
    secret=lambda sandbox: sandbox.sign_in("client_credentials")["client_secret"],
    token=r"00D\w{12,15}!",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A fault at a kind of request, in a world."""

    world: World
    kind: str
    fault: str
    text: str
    expected: Expected = SALESFORCE

    @classmethod
    def of(cls, world: World, kind: str, fault: str, ids: Sequence[str] = (), expected: Expected = SALESFORCE) -> Cell:
        """A cell with a workflow of its own."""
        text = expected.definition(kind, ids).replace("contacts", f"flow-{next(_names)}")
        return cls(world, kind, fault, text, expected)

    def spoil(self, times: int | None) -> None:
        """Sets the fault plan. Of the kinds that come several times, a later one than the first is spoilt."""
        several = self.kind in self.expected.several and self.fault not in {"no-next", "foreign-next"}
        later = 1 if several and times is not None else 0
        circle = self.fault == "redirect-circle" and self.kind not in self.expected.writes
        round_and_round = 4 if circle and times == 1 else times
        rule = {"match": {"kind": self.kind}, "fault": FAULTS[self.fault], "times": round_and_round, "after": later}
        self.world.sandbox.faults([rule])

    def run(self) -> RunReport:
        """Runs the import, or goes on with it. It is impatient where an answer is slow, and nowhere else, for a busy
        machine is slow too."""
        self.world.options["timeouts"] = SHORT if self.fault == "slow" else None
        if self.kind == "soap":
            self.world.options["flow"] = "soap"
        return self.world.run(self.text)

    def refused(self, pattern: str) -> TaskError:
        """Runs it to the one clear message that is expected."""
        with pytest.raises(TaskError) as caught:
            self.run()
        error = caught.value
        assert isinstance(error.cause, CrosstieError)
        assert re.search(pattern, error.message), error.message
        assert error.hint, error.message
        log = "\n".join(self.messages(error.run))
        assert error.message in log
        self.keeps_secrets(f"{error}\n{error.cause!r}\n{log}")
        assert self.published() == 0
        return error

    def messages(self, run: int) -> list[str]:
        """The log of a run."""
        return [str(row[0]) for row in self.world.query("select text from crosstie.log where run = :run", run=run)]

    def said(self, run: int, beginning: str) -> bool:
        """Whether a line of the log begins so."""
        return any(text.startswith(beginning) for text in self.messages(run))

    def published(self) -> int:
        """How many populations of this workflow were published."""
        sql = "select count(*) from crosstie.event e join crosstie.run r on r.id = e.run where r.workflow = :name"
        return int(self.world.query(f"{sql} and e.source = 'read'", name=self.name)[0][0])

    @property
    def name(self) -> str:
        """The workflow's name."""
        found = re.search(r"flow-\d+", self.text)
        assert found is not None
        return found.group()

    def option(self) -> str | None:
        """What the index option holds."""
        return self.world.option(f"LASTIMPORT_{self.name}_read")

    def right(self, report: RunReport, right: list[tuple[Any, ...]]) -> None:
        """Everything is there once, as it should be, and the index has moved."""
        assert report.status is RunStatus.DONE
        assert rows(self.world, report) == right
        assert (self.option() is not None) is (self.kind != "retrieve")
        self.keeps_secrets("\n".join(self.messages(report.run)))

    def keeps_secrets(self, shown: str) -> None:
        """Nothing that a person sees holds a secret or a token."""
        assert self.expected.secret(self.world.sandbox) not in shown
        assert not re.search(self.expected.token, shown)


def rows(world: World, report: RunReport) -> list[tuple[Any, ...]]:
    """What an import put out, in the order of the ids."""
    return sorted(tuple(row.values()) for row in world.rows(report))
