"""The front door of the Oracle sandbox: one endpoint for every operation, routed by SOAPAction and body.

Source: Web Services On Demand Guide; fact sheet, 2.1.
"""

import logging
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from lxml import etree

from crosstie.sandbox.front import FrontDoor, Serve
from crosstie.sandbox.http import Request, Response
from crosstie.sandbox.oracle_on_demand.administration import PATHS
from crosstie.sandbox.oracle_on_demand.envelopes import enveloped, read_envelope
from crosstie.sandbox.oracle_on_demand.faults import (
    XML_TYPE,
    SoapFault,
    no_operation,
    not_available,
    refused,
    too_large,
    unreadable,
)
from crosstie.sandbox.oracle_on_demand.namespaces import (
    ENDPOINT,
    WS,
    Action,
    message_name,
    methods,
    read_action,
    service_namespace,
)
from crosstie.sandbox.oracle_on_demand.objects import DELETED_ITEM, FLAVOURS, OBJECTS, Object
from crosstie.sandbox.oracle_on_demand.org import Call, Org
from crosstie.sandbox.oracle_on_demand.queries import query_page
from crosstie.sandbox.oracle_on_demand.records import Records
from crosstie.sandbox.oracle_on_demand.services import SERVICES
from crosstie.sandbox.oracle_on_demand.sessions import Sessions
from crosstie.sandbox.oracle_on_demand.sign_in import SignIn
from crosstie.sandbox.oracle_on_demand.writes import Writes
from crosstie.sandbox.oracle_on_demand.wsdl import Wsdl

log = logging.getLogger(__name__)

_WSDL = re.compile(r"/wsdl/(?P<version>v[12])/(?P<flavour>custom|generic)/(?P<name>\w+)\.wsdl")
_SHORT_WSDL = re.compile(rf"{ENDPOINT}/(?P<name>\w+)")
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_NOT_FOUND = b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>"

Operation = tuple[Object | None, str, str, str, Callable[[Org, Call], etree._Element | bytes], str, bool]
"""Object, version, flavour, method, who serves it, the body's element, and whether it wants credentials each time."""


class OnDemand:
    """All of one company, by HTTP request."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self.sessions = Sessions(org)
        self.sign_in = SignIn(org, self.sessions)
        self.records = Records(org)
        self._asked: Counter[str] = Counter()
        self._asked_lock = threading.Lock()
        self._writes = Writes(org, self.records)
        self._operations = self._table()
        self._door = FrontDoor(
            clock=org.clock,
            counters=org.counters,
            plan=org.plan,
            route=self._route,
            answer=self._answer,
            refuse=lambda status, code, message: refused(status, code, message).response(org.switches),
            finish=lambda request, response: None,
            compressed=("text/xml",),
            ends={"expire_session": self.sessions.end_all},
        )

    def handle(self, request: Request) -> Response:
        """Answers a request, with the faults that the plan has for it."""
        return self._door.handle(request)

    def counted(self, *, reset: bool = False) -> dict[str, Any]:
        """The counters, with those of sessions and the operations by version and name."""
        with self._asked_lock:
            operations = dict(self._asked)
            if reset:
                self._asked.clear()
        sessions = self.sessions.shown(reset=reset)
        return {**self.org.counters.read(reset=reset), "sessions": sessions, "operations": operations}

    def _table(self) -> dict[tuple[str, str], Operation]:
        """Every operation by its service's namespace and its name."""
        found: dict[tuple[str, str], Operation] = {}
        for record in (*OBJECTS.values(), DELETED_ITEM):
            for version in record.versions:
                for flavour in FLAVOURS if record is not DELETED_ITEM else FLAVOURS[1:]:
                    namespace = service_namespace(record, version, flavour)
                    for method in methods(record, version):
                        serve = query_page if method == "QueryPage" else self._writes.serve
                        body = message_name(record, version, method, "Input")
                        found[namespace, record.name + method] = (record, version, flavour, method, serve, body, False)
        for (path, name), service in SERVICES.items():
            found[WS + path, name] = (None, "v1", "generic", name, service.answer, service.body, service.administrative)
        return found

    def _route(self, request: Request) -> tuple[str, Serve]:
        command = request.query.get("command")
        if request.path == ENDPOINT and command == "login" and request.method in ("GET", "POST"):
            return "login", self.sign_in.login
        if request.path == ENDPOINT and command == "logoff" and request.method in ("GET", "POST"):
            return "logoff", self.sign_in.logoff
        if request.method == "POST" and command is None and request.path in (ENDPOINT, *PATHS):
            return self._routed(request)
        if request.method == "GET":
            wsdl = _WSDL.fullmatch(request.path)
            if wsdl is not None:
                return "wsdl", partial(self._wsdl, wsdl["name"], wsdl["version"], wsdl["flavour"])
            short = _SHORT_WSDL.fullmatch(request.path)
            if short is not None and "wsdl" in request.query:
                return "wsdl", partial(self._wsdl, short["name"], "v2", "custom")
        return "unknown", _nothing_here

    def _routed(self, request: Request) -> tuple[str, Serve]:
        action = read_action(request.headers.get("soapaction", ""))
        if action is None:
            return "unknown", _no_action
        operation = self._operations.get((WS + action.path.lower(), action.operation))
        if operation is None:
            return "unknown", partial(_no_operation, action)
        record, method = operation[0], operation[3]
        kind = _CAPITAL.sub("_", "DeletedItems" if record is DELETED_ITEM else method).lower()
        return ("query" if kind == "query_page" else kind), partial(self._soap, action, operation)

    def _soap(self, action: Action, operation: Operation, request: Request) -> Response:
        """Serves one operation. Raises SoapFault."""
        record, version, flavour, method, serve, body, each_time = operation
        limit = self.org.switches.request_kilobytes
        if len(request.body) > limit * 1024:
            raise too_large(limit)
        envelope = read_envelope(request.body)
        user, set_cookie = self.sign_in.admit(request, envelope, each_time=each_time)
        with self._asked_lock:
            self._asked[f"{version} {action.operation}"] += 1
        name = etree.QName(envelope.body)
        if name.localname != body or (name.namespace or "").lower() != action.service.lower():
            raise no_operation(f"{name.namespace}:{name.localname}")
        if record is not None and record is not DELETED_ITEM:
            if record.name not in self.org.objects:
                raise not_available(record.name)
            record = self.org.objects[record.name]
        call = Call(
            object=record,
            service=action.service,
            version=version,
            flavour=flavour,
            method=method,
            input=envelope.body,
            user=user,
            request=request,
        )
        content = enveloped(serve(self.org, call))
        if method == "QueryPage" and record is not None:
            count = len(re.findall(rb"</(?:\w+:)?%s>" % record.name.encode(), content))
            self.org.counters.rows("deleted_items" if record is DELETED_ITEM else "query", count)
        headers = {"Content-Type": XML_TYPE} | ({"Set-Cookie": set_cookie} if set_cookie else {})
        return Response(headers=headers, parts=(content,))

    def _wsdl(self, name: str, version: str, flavour: str, request: Request) -> Response:
        record = DELETED_ITEM if name == DELETED_ITEM.name else self.org.objects.get(name)
        if record is None or version not in record.versions:
            return _nothing_here(request)
        host = request.headers.get("host", "") or self.org.url.removeprefix("https://")
        document = Wsdl(record, version, flavour).document(f"https://{host}{ENDPOINT}")
        return Response(headers={"Content-Type": XML_TYPE}, parts=(document,))

    def _answer(self, request: Request, serve: Serve) -> Response:
        try:
            self.org.settle()
            return serve(request)
        except SoapFault as fault:
            return fault.response(self.org.switches)
        except sqlite3.Error:
            log.exception("the sandbox failed on %s %s", request.method, request.path)
            return refused(500, None, None).response(self.org.switches)


def _nothing_here(request: Request) -> Response:
    return Response(status=404, headers={"Content-Type": "text/html"}, parts=(_NOT_FOUND,))


def _no_action(request: Request) -> Response:
    raise unreadable("the SOAPAction is missing or malformed")


def _no_operation(action: Action, request: Request) -> Response:
    raise no_operation(f"{action.service}:{action.operation}")
