"""The front door of a sandbox: every request is routed, counted, spoiled as the fault plan says, answered, and its
answer given the headers that all have."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime

from isal import igzip

from crosstie.sandbox.clock import SandboxClock
from crosstie.sandbox.counters import Counters
from crosstie.sandbox.faults import Fault, FaultPlan
from crosstie.sandbox.http import Request, Response
from crosstie.sandbox.tricks import cut, rewrite

COMPRESSED_FROM = 2048
"""Bytes from which a body is compressed when the client takes gzip."""

Serve = Callable[[Request], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontDoor:
    """What differs between CRMs is given to it.

    `route` says what kind a request is and who serves it; `answer` serves it and puts refusals into the CRM's form;
    `refuse` makes an error answer of a status, and of a code and a message where the plan gives them; `finish` adds
    the CRM's own headers. Bodies of the `compressed` types are compressed when the client takes gzip. `ends` are faults
    that end something (sessions, locators) before the work, `prepare` notes on the request those that its handler
    plays, `alter` changes an answer by those that concern its content.
    """

    clock: SandboxClock
    counters: Counters
    plan: FaultPlan
    route: Callable[[Request], tuple[str, Serve]]
    answer: Callable[[Request, Serve], Response]
    refuse: Callable[[int, str | None, str | None], Response]
    finish: Callable[[Request, Response], None]
    busy_page: str = "<html><head><title>Service Unavailable</title></head><body><h1>{message}</h1></body></html>"
    compressed: tuple[str, ...] = ("application/json",)
    ends: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    prepare: Callable[[Fault, Request], None] = lambda fault, request: None
    alter: Callable[[Fault, Request, Response], None] = lambda fault, request, response: None

    def handle(self, request: Request) -> Response:
        """Answers a request, with the faults that the plan has for it."""
        kind, serve = self.route(request)
        self.counters.request(kind)
        faults = self.plan.due(kind, request)
        response = self._before(faults, request)
        if response is None:
            response = self.answer(request, serve)
            response = self._after(faults, request, response)
        self._finish(request, response, faults)
        self.counters.answer(kind, request.method, 0 if response.drop else response.status, request.metered)
        return response

    def _before(self, faults: list[Fault], request: Request) -> Response | None:
        """Plays what happens before the work; an answer here means that the work is not done."""
        for fault in faults:
            if fault.type == "latency":
                time.sleep(fault.seconds)
            elif fault.type in self.ends:
                self.ends[fault.type]()
            elif fault.type == "late":
                request.late = fault.seconds
                if not fault.holds_back:
                    request.faults |= {"late_unheld"}
            elif fault.type == "drop_before":
                return Response(drop=True)
            elif fault.type == "redirect":
                return Response(status=302, headers={"Location": fault.location})
            elif fault.type == "status" and not fault.after_work:
                return self._injected(fault)
            else:
                self.prepare(fault, request)
        return None

    def _injected(self, fault: Fault) -> Response:
        if fault.html:
            body = self.busy_page.format(message=fault.message or "Service Unavailable").encode()
            response = Response(status=fault.status, headers={"Content-Type": "text/html;charset=UTF-8"}, parts=(body,))
        else:
            response = self.refuse(fault.status, fault.code, fault.message)
        if fault.retry_after is not None:
            until = self.clock.now() + timedelta(seconds=fault.retry_after)
            response.headers["Retry-After"] = (
                format_datetime(until, usegmt=True) if fault.retry_date else str(fault.retry_after)
            )
        return response

    def _after(self, faults: list[Fault], request: Request, response: Response) -> Response:
        """Plays what happens after the work and its commit."""
        for fault in faults:
            if fault.type == "drop_after":
                return Response(drop=True)
            if fault.type == "status" and fault.after_work:
                return self._injected(fault)
            if fault.type == "rewrite":
                rewrite(response, fault, request)
            else:
                self.alter(fault, request, response)
        return response

    def _finish(self, request: Request, response: Response, faults: list[Fault]) -> None:
        """Compresses, counts, and adds the headers that every answer has."""
        headers = response.headers
        headers["Date"] = self.clock.http_date()
        self.finish(request, response)
        fits = headers.get("Content-Type", "").startswith(self.compressed)
        if fits and request.accepts_gzip and response.length() >= COMPRESSED_FROM:
            response.parts = (igzip.compress(response.body(), compresslevel=1),)
            headers["Content-Encoding"] = "gzip"
            headers["Vary"] = "Accept-Encoding"
        for fault in faults:
            cut(response, fault)
        self.counters.sent(response.length())
