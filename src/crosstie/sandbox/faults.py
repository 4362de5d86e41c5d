"""The fault plan: what a sandbox does wrong on demand, and when.

A rule says which requests it concerns, how many of them it leaves alone first (`after`) and how many it spoils
(`times`, null for all that follow). Every rule that concerns a request counts it; all that are due play their fault.
"""

import re
import threading
from typing import Literal

import msgspec

from crosstie.sandbox.http import Request


class Match(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which requests; what is not given concerns all. `path`, `action` and `body` are
    regular expressions, searched in path and query, in SOAPAction, and in the request's text."""

    kind: str | None = None
    method: str | None = None
    path: str | None = None
    action: str | None = None
    body: str | None = None


FaultType = Literal[
    "latency",
    "status",
    "drop_before",
    "drop_after",
    "truncate",
    "cut_gzip",
    "cut_plain",
    "cut_chunked",
    "cut_csv",
    "wrong_count",
    "expire_session",
    "expire_locators",
    "redirect",
    "foreign_next",
    "no_next",
    "late",
    "job_fails",
    "job_queued",
    "job_waits",
    "rewrite",
]

Trick = Literal[
    "",
    "html",
    "empty",
    "bomb",
    "deep",
    "entities",
    "external_entity",
    "big_header",
    "wrong_type",
    "short_length",
    "foreign_instance",
    "odd_token",
    "big_field",
    "invalid_utf8",
    "nul",
    "bad_id",
    "big_number",
    "nan",
    "extra_member",
    "missing_member",
    "reordered",
    "other_object",
    "same_row",
    "short_page",
    "total",
    "own_next",
    "next_row",
    "blank_lines",
    "open_quote",
]


class Fault(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What goes wrong.

    latency: `seconds` before the work. status: an error answer (`status`, and if wanted `code`, `message`, `html`,
    `retry_after`, as a date when `retry_date`), without the work, or with it when `after_work`. drop_before,
    drop_after: the connection is cut before the work, or after its commit. truncate: `bytes` fewer than Content-
    Length says. cut_gzip: the gzip stream ends `bytes` early, in correct framing. cut_plain: the same of an
    uncompressed body. cut_chunked: a chunked body breaks off so early. cut_csv: `rows` fewer than announced.
    wrong_count: `rows` more announced than there are. expire_session: every session ends. expire_locators: every
    query locator ends. redirect: 302 to `location`. foreign_next: the next-page link names the host in `location`.
    no_next: there is no next-page link, although more follows. late: what this request writes becomes visible
    `seconds` of sandbox time later; `holds_back` says whether latestDateCovered waits for it. job_fails, job_waits:
    the ingest job that this request starts fails (saying `message`) after `rows` rows, or stays in progress there
    until it is aborted or resumed. job_queued: it stays UploadComplete until then.
    rewrite: the answer is changed by `trick`, which may need `bytes`, `rows`, `field` or `location`.
    """

    type: FaultType
    seconds: float = 0.0
    status: int = 503
    code: str | None = None
    message: str | None = None
    html: bool = False
    retry_after: int | None = None
    retry_date: bool = False
    after_work: bool = False
    bytes: int = 10
    rows: int = 1
    location: str = "https://elsewhere.example"
    holds_back: bool = True
    trick: Trick = ""
    field: str = "LastName"


class Rule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One line of the plan."""

    fault: Fault
    match: Match = Match()
    after: int = 0
    times: int | None = 1


class FaultPlan:
    """The rules in force, with their counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._seen: list[int] = []

    def replace(self, rules: list[Rule]) -> None:
        """Sets the whole plan; an empty list ends all faults. Raises re.error for a malformed path."""
        for rule in rules:
            for pattern in (rule.match.path, rule.match.action, rule.match.body):
                re.compile(pattern or "")
        with self._lock:
            self._rules = list(rules)
            self._seen = [0] * len(rules)

    def due(self, kind: str, request: Request) -> list[Fault]:
        """The faults of this request; counts it."""
        due = []
        with self._lock:
            for index, rule in enumerate(self._rules):
                if not _concerns(rule.match, kind, request):
                    continue
                turn = self._seen[index] - rule.after
                self._seen[index] += 1
                if turn >= 0 and (rule.times is None or turn < rule.times):
                    due.append(rule.fault)
        return due


def _concerns(match: Match, kind: str, request: Request) -> bool:
    return (
        (match.kind is None or match.kind == kind)
        and (match.method is None or match.method.upper() == request.method)
        and (match.path is None or re.search(match.path, request.target) is not None)
        and (match.action is None or re.search(match.action, request.headers.get("soapaction", "")) is not None)
        and (match.body is None or re.search(match.body, request.body.decode("utf-8", "replace")) is not None)
    )
