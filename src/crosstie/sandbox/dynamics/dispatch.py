"""The front door of the Dynamics sandbox: routes, sign-in, service protection, and the headers of every answer."""

import logging
import re
import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from crosstie.sandbox.dynamics import metadata, metadata_changes
from crosstie.sandbox.dynamics.addresses import read_key, required
from crosstie.sandbox.dynamics.batch import Batches
from crosstie.sandbox.dynamics.bulk_messages import BulkMessages
from crosstie.sandbox.dynamics.credentials import TENANT_ID
from crosstie.sandbox.dynamics.discovery import Discovery
from crosstie.sandbox.dynamics.errors import STATUS_ERRORS, ApiError, no_segment
from crosstie.sandbox.dynamics.files import Files
from crosstie.sandbox.dynamics.org import BASE, Call, Org, User
from crosstie.sandbox.dynamics.queries import Queries
from crosstie.sandbox.dynamics.records import Records
from crosstie.sandbox.dynamics.rest import Rest, addressed_by_id, table_in
from crosstie.sandbox.dynamics.rules import Rules
from crosstie.sandbox.dynamics.tables import collection_behind, table_of_set
from crosstie.sandbox.dynamics.throttling import Throttle
from crosstie.sandbox.dynamics.tokens import Tokens
from crosstie.sandbox.faults import Fault
from crosstie.sandbox.front import FrontDoor, Serve
from crosstie.sandbox.http import Request, Response

log = logging.getLogger(__name__)

Handler = Callable[[Call], Response]
MAX_URL = 32_768
"""Characters of a URL in a request of its own; inside a batch there may be more."""
_BASE = re.compile(r"/api/data/v9\.[0-2](?P<rest>/.*)?", re.DOTALL)
_SET = r"/(?P<set>\w+)"
_ROW = rf"{_SET}\((?P<key>[^/]*)\)"
_UNAUTHORIZED = b"<html><head><title>401 - Unauthorized</title></head><body><h1>Unauthorized</h1></body></html>"


class Dynamics:
    """All of one organization, by HTTP request."""

    def __init__(self, org: Org, tokens: Tokens) -> None:
        self.org = org
        self.tokens = tokens
        self.rules = Rules(org.database)
        self.records = Records(org, self.rules)
        self.throttle = Throttle(org)
        self.authority_url = ""
        self._routes = self._table()
        self._door = FrontDoor(
            clock=org.clock,
            counters=org.counters,
            plan=org.plan,
            route=self._route,
            answer=self._answer,
            refuse=_refused,
            finish=self._finish,
            ends={"expire_session": tokens.expire_all},
            alter=_alter,
        )

    def handle(self, request: Request) -> Response:
        """Answers a request, with the faults that the plan has for it."""
        return self._door.handle(request)

    def part(self, request: Request, outer: Call) -> Response:
        """Answers one request inside a batch, in the name of who sent it. Its refusals are answers like the others;
        the plan may have a refusal for it, by its kind with `part_` before it."""
        kind, serve = self._found(request)
        self.org.counters.part(kind)
        request.late = outer.request.late
        for fault in self.org.plan.due(f"part_{kind}", request):
            if fault.type == "status" and not fault.after_work:
                refusal = _refused(fault.status, fault.code, fault.message)
                if fault.retry_after is not None:
                    refusal.headers["Retry-After"] = str(fault.retry_after)
                return refusal
        return self._served(request, lambda: serve(self._call(request, outer.user)))

    def _table(self) -> list[tuple[str, str, re.Pattern[str], Handler]]:
        """Every resource below the service's root: kind, method, path, and who serves it."""
        org = self.org
        discovery, queries = Discovery(org), Queries(org)
        rest, files = Rest(org, self.records), Files(org, self.records)
        batches, bulk = Batches(org, self.part), BulkMessages(org, self.records)
        table: list[tuple[str, str, str, Handler]] = [
            ("service_document", "GET", "/?", discovery.service_document),
            ("metadata_document", "GET", r"/\$metadata", discovery.metadata_document),
            ("who_am_i", "GET", r"/WhoAmI(?:\(\))?", discovery.who_am_i),
            ("version", "GET", r"/RetrieveVersion(?:\(\))?", discovery.version),
            ("batch", "POST", r"/\$batch", batches.serve),
            ("bulk_delete", "POST", "/BulkDelete", bulk.bulk_delete),
            ("bulk_message", "POST", rf"{_SET}/Microsoft\.Dynamics\.CRM\.(?P<message>\w+Multiple)", bulk.serve),
            (
                "metadata_changes",
                "GET",
                r"/RetrieveMetadataChanges\((?P<arguments>.*)\)",
                partial(metadata_changes.serve, org),
            ),
            ("total_count", "GET", r"/RetrieveTotalRecordCount\(EntityNames=(?P<names>.*)\)", queries.total_counts),
            (
                "metadata",
                "*",
                r"/(?P<path>(?:EntityDefinitions|RelationshipDefinitions|GlobalOptionSetDefinitions)(?:[(/].*)?)",
                partial(metadata.serve, org),
            ),
            ("query", "GET", _SET, queries.collection),
            ("record_create", "POST", _SET, rest.create),
            ("record_count", "GET", rf"{_SET}/\$count", queries.count),
            ("record_read", "GET", _ROW, rest.read),
            ("record_update", "PATCH", _ROW, rest.change),
            ("record_delete", "DELETE", _ROW, rest.delete),
            ("reference", "POST", rf"{_ROW}/(?P<name>\w+)/\$ref", rest.write_reference),
            ("reference", "PUT", rf"{_ROW}/(?P<name>\w+)/\$ref", rest.write_reference),
            ("reference", "DELETE", rf"{_ROW}/(?P<name>\w+)(?:\((?P<child>[^/]*)\))?/\$ref", rest.write_reference),
            ("file", "GET", rf"{_ROW}/(?P<name>\w+)/\$value", files.read),
            ("file", "PATCH", rf"{_ROW}/(?P<name>\w+)", files.write),
            ("property", "GET", rf"{_ROW}/(?P<name>\w+)", partial(self._behind, rest, queries)),
            ("property", "PUT", rf"{_ROW}/(?P<name>\w+)", rest.write_property),
            ("property", "DELETE", rf"{_ROW}/(?P<name>\w+)", partial(self._clear, rest, files)),
        ]
        return [(kind, method, re.compile(path, re.DOTALL), serve) for kind, method, path, serve in table]

    def _behind(self, rest: Rest, queries: Queries, call: Call) -> Response:
        """GET {set}({key})/{name}: the records behind a collection, else a property or a single record."""
        table = table_in(call)
        if collection_behind(table, call.args["name"]) is None:
            return rest.read_property(call)
        with self.org.read() as connection:
            record_id = required(connection, table, read_key(table, call.args["key"]))
        return queries.related(addressed_by_id(call, record_id))

    def _clear(self, rest: Rest, files: Files, call: Call) -> Response:
        return files.delete(call) if files.has(call) else rest.write_property(call)

    def _route(self, request: Request) -> tuple[str, Serve]:
        kind, serve = self._found(request)
        return kind, lambda asked: self._signed_in(asked, serve)

    def _found(self, request: Request) -> tuple[str, Handler]:
        """What kind of request this is, and who serves it."""
        below = _BASE.fullmatch(request.path)
        if below is None:
            return "unknown", _nothing_here
        rest, others = below["rest"] or "/", False
        for kind, method, pattern, serve in self._routes:
            match = pattern.fullmatch(rest)
            if match is None:
                continue
            if method in ("*", request.method):
                args = {name: value for name, value in match.groupdict().items() if value is not None}
                return _finer(kind, request), partial(self._privileged, serve, args)
            others = True
        return "unknown", _wrong_method if others else _nothing_here

    def _privileged(self, serve: Handler, args: dict[str, str], call: Call) -> Response:
        """Serves a call with the parts of its path, unless it is about a table that the user has no privilege for."""
        table = table_of_set(args.get("set", ""))
        if table is not None and table.logical_name in self.org.hidden:
            who = f"Principal user (Id={call.user.id}, type=8)"
            what = f"prvRead{table.schema_name} privilege on OTC={table.object_type_code}"
            raise ApiError(403, "0x80040220", f"{who} is missing {what} for entity '{table.logical_name}'.")
        return serve(replace(call, args=args))

    def _signed_in(self, request: Request, serve: Handler) -> Response:
        """Who asks must have a token for this organization, a user in it, and a role."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        user = self.tokens.user(token.strip(), self.org.url) if scheme.lower() == "bearer" else None
        if user is None:
            return self._unauthorized()
        switches = self.org.switches
        if not switches.application_user:
            message = f"The user is not a member of the organization. UserId: {user.id}"
            raise ApiError(403, "0x80072560", message)
        if not switches.role and not request.path.endswith(("/WhoAmI", "/WhoAmI()")):
            message = f"Principal user (Id={user.id}, type=8) is missing prvRead privilege."
            raise ApiError(403, "0x80040220", message)
        length = len(self.org.url) + len(request.target)
        if length > MAX_URL:
            raise ApiError(414, "0x80060888", f"The URL has {length} characters, but at most {MAX_URL} are allowed.")
        with self.throttle.admitted():
            return serve(self._call(request, self._acting(request, user)))

    def _unauthorized(self) -> Response:
        """401 tells where to sign in, and for what."""
        where = f"authorization_uri={self.authority_url}/{TENANT_ID}/oauth2/authorize"
        headers = {"WWW-Authenticate": f"Bearer {where}, resource_id={self.org.url}/"}
        if self.org.switches.unauthorized_html:
            return Response(status=401, headers={**headers, "Content-Type": "text/html"}, parts=(_UNAUTHORIZED,))
        return Response(status=401, headers=headers)

    def _acting(self, request: Request, user: User) -> User:
        """Whom the user acts for, by either of the headers for it."""
        named = request.headers.get("mscrmcallerid"), request.headers.get("callerobjectid")
        if not any(named):
            return user
        with self.org.read() as connection:
            row = connection.execute(
                "SELECT systemuserid FROM systemuser WHERE systemuserid = ? OR azureactivedirectoryobjectid = ?", named
            ).fetchone()
        if row is None:
            raise ApiError(403, "0x80072560", "The user to act for is not a member of the organization.")
        return User(id=row[0])

    def _call(self, request: Request, user: User) -> Call:
        host = request.headers.get("host", "") or self.org.url.removeprefix("https://")
        version = "/".join(request.path.split("/")[:4])
        return Call(request=request, user=user, base=f"https://{host}{version}")

    def _answer(self, request: Request, serve: Serve) -> Response:
        def settled() -> Response:
            self.org.settle()
            return serve(request)

        return self._served(request, settled)

    def _served(self, request: Request, serve: Callable[[], Response]) -> Response:
        """The answer, or the refusal in the service's form."""
        annotated = 'include-annotations="*"' in request.headers.get("prefer", "")
        try:
            return serve()
        except ApiError as error:
            return error.response(annotated=annotated)
        except sqlite3.Error:
            log.exception("the sandbox failed on %s %s", request.method, request.path)
            return ApiError(500, *STATUS_ERRORS[500]).response(annotated=annotated)

    def _finish(self, request: Request, response: Response) -> None:
        """The headers that every answer has."""
        response.headers["x-ms-service-request-id"] = str(uuid.uuid4())
        response.headers["REQ_ID"] = str(uuid.uuid4())
        if request.path.startswith(BASE):
            response.headers |= self.throttle.headers()


def _finer(kind: str, request: Request) -> str:
    """Queries are told apart by what they go on with."""
    if kind == "query" and "$skiptoken" in request.query:
        return "query_more"
    return "changes" if kind == "query" and "$deltatoken" in request.query else kind


def _nothing_here(call: Call) -> Response:
    raise no_segment(call.request.path.rpartition("/")[2])


def _wrong_method(call: Call) -> Response:
    message = f"The requested resource does not support http method '{call.request.method}'."
    raise ApiError(405, "0x8006088a", message)


def _refused(status: int, code: str | None, message: str | None) -> Response:
    usual_code, usual_message = STATUS_ERRORS.get(status, STATUS_ERRORS[500])
    return ApiError(status, usual_code if code is None else code, message or usual_message).response()


def _alter(fault: Fault, request: Request, response: Response) -> None:
    """Plays the faults of an answer's content."""
    if fault.type == "foreign_next":
        link = re.compile(rb'("@odata\.(?:nextLink|deltaLink)":")https://[^/]+')
        response.parts = (link.sub(rb"\1" + fault.location.encode(), response.body()),)
    elif fault.type == "no_next":
        response.parts = (re.sub(rb',"@odata\.nextLink":"[^"]*"', b"", response.body()),)
