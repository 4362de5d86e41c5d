"""The front door of the Salesforce sandbox: routes, sign-in, quota, faults, and the headers of every answer."""

import re
from collections.abc import Callable
from functools import partial

from crosstie.sandbox.faults import Fault
from crosstie.sandbox.front import FrontDoor
from crosstie.sandbox.http import Request, Response
from crosstie.sandbox.salesforce.bulk import BulkQueries
from crosstie.sandbox.salesforce.bulk_ingest import BulkIngest
from crosstie.sandbox.salesforce.collections import Collections
from crosstie.sandbox.salesforce.composite import Composites
from crosstie.sandbox.salesforce.discovery import Discovery
from crosstie.sandbox.salesforce.errors import STATUS_ERRORS, ApiError, invalid_session, not_found
from crosstie.sandbox.salesforce.oauth import OAuth
from crosstie.sandbox.salesforce.org import Call, Org, Session
from crosstie.sandbox.salesforce.query import Queries
from crosstie.sandbox.salesforce.recent import Recent
from crosstie.sandbox.salesforce.records import Records
from crosstie.sandbox.salesforce.replication import Replication
from crosstie.sandbox.salesforce.rest import Rest
from crosstie.sandbox.salesforce.routing import Found, Handler, Routes, answered
from crosstie.sandbox.salesforce.search import Searches
from crosstie.sandbox.salesforce.sessions import Credentials, Sessions
from crosstie.sandbox.salesforce.soap import Soap
from crosstie.sandbox.salesforce.soap_rows import SoapRows
from crosstie.sandbox.salesforce.tooling import Tooling
from crosstie.sandbox.salesforce.trees import Trees

_BUSY_HTML = "<html><head><title>Salesforce - Maintenance</title></head><body><h1>{message}</h1></body></html>"


class Salesforce:
    """All of one org, by HTTP request."""

    def __init__(self, org: Org, sessions: Sessions, credentials: Credentials, public_key: bytes) -> None:
        self.org = org
        self.sessions = sessions
        self.records = Records(org)
        self.queries = Queries(org)
        self.bulk = BulkQueries(org)
        self.ingest = BulkIngest(org, self.records)
        recent = Recent(org)
        self._discovery = Discovery(org, recent)
        self._oauth = OAuth(org, sessions, credentials, public_key)
        self._soap = Soap(org, sessions, credentials, SoapRows(org, self.records))
        rest = Rest(org, self.records, recent)
        replication = Replication(org)
        collections = Collections(org, self.records)
        composites = Composites(org, lambda: self._routes)
        self._routes = Routes(
            [
                *_further_table(composites, Trees(org, self.records), Searches(org), recent, Tooling(org)),
                *self.ingest.routes(),
                *_table(self._discovery, rest, replication, collections, self.queries, self.bulk),
            ]
        )
        self._door = FrontDoor(
            clock=org.clock,
            counters=org.counters,
            plan=org.plan,
            route=self._route,
            answer=self._answer,
            refuse=_refused,
            finish=self._finish,
            busy_page=_BUSY_HTML,
            ends={"expire_session": sessions.expire_all, "expire_locators": self.queries.expire_all},
            prepare=_prepare,
            alter=_alter,
        )

    def handle(self, request: Request) -> Response:
        """Answers a request, with the faults that the plan has for it."""
        return self._door.handle(request)

    def _answer(self, request: Request, serve: Callable[[Request], Response]) -> Response:
        def settled() -> Response:
            self.org.settle()
            return serve(request)

        return answered(f"{request.method} {request.path}", settled)

    def _route(self, request: Request) -> tuple[str, Callable[[Request], Response]]:
        """What kind of request this is, and who serves it."""
        path = request.raw_path.rstrip("/") or "/"
        open_routes: dict[str, tuple[str, Callable[[Request], Response]]] = {
            "/services/data": ("versions", self._discovery.versions),
            "/services/oauth2/token": ("token", self._oauth.token),
            "/services/oauth2/revoke": ("revoke", self._oauth.revoke),
            "/services/oauth2/introspect": ("introspect", self._oauth.introspect),
            "/services/oauth2/userinfo": ("userinfo", self._user_info),
        }
        if path in open_routes:
            return open_routes[path]
        soap = re.fullmatch(r"/services/Soap/([ucmT])/(\d+\.\d)(?:/\w+)?", path)
        if soap:
            api, version = soap.groups()
            return "soap", lambda asked: self._soap.serve(asked, api, version)
        identity = re.fullmatch(r"/id/(\w+)/(\w+)", path)
        if identity:
            org_id, user_id = identity.groups()
            return "identity", lambda asked: self._oauth.identity(org_id, user_id, self._signed_in(asked))
        if path.startswith("/services/apexrest/"):
            return "apex_rest", self._apex
        data = re.fullmatch(r"/services/data/(v\d+\.\d)(/.*)?", path)
        if data:
            return self._data_route(request, data[1], data[2] or "")
        return "unknown", _nothing_here

    def _data_route(self, request: Request, version: str, rest: str) -> tuple[str, Callable[[Request], Response]]:
        method = (
            request.query.get("_HttpMethod", request.method).upper() if request.method == "POST" else request.method
        )
        found = self._routes.find(method, rest)
        return found.kind, partial(self._data, version=version, found=found)

    def _data(self, request: Request, *, version: str, found: Found) -> Response:
        self.org.check_version(version)
        session = self._signed_in(request)
        self.org.count_call(request, session)
        response = found.serve(Call(request=request, version=version, session=session, args=found.args))
        if response.status == 304 and not self.org.switches.not_modified_counted:
            self.org.give_back_call(request)
        return response

    def _apex(self, request: Request) -> Response:
        """/services/apexrest/…: there is no Apex in this org."""
        self.org.count_call(request, self._signed_in(request))
        raise not_found("Could not find a match for URL")

    def _signed_in(self, request: Request) -> Session:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "oauth"):
            token = request.query.get("oauth_token", "")
        session = self.sessions.find(token.strip(), self.org.switches.session_idle_seconds)
        if session is None:
            raise invalid_session()
        return session

    def _user_info(self, request: Request) -> Response:
        return self._oauth.user_info(self._signed_in(request))

    def _finish(self, request: Request, response: Response) -> None:
        """The headers that only Salesforce has."""
        if response.status == 401:
            response.headers["WWW-Authenticate"] = "Token"
        if request.path.startswith(("/services/data/v", "/services/apexrest/")):
            response.headers["Sforce-Limit-Info"] = self.org.usage_header()


def _refused(status: int, code: str | None, message: str | None) -> Response:
    usual_code, usual_message = STATUS_ERRORS.get(status, STATUS_ERRORS[500])
    return ApiError(status, code or usual_code, message or usual_message).response()


def _prepare(fault: Fault, request: Request) -> None:
    """Notes the faults that the handler of a request plays."""
    if fault.type == "cut_csv":
        request.faults |= {f"cut_csv:{fault.rows}"}
    elif fault.type in ("job_fails", "job_queued", "job_waits"):
        request.faults |= {f"{fault.type}:{fault.rows}:{fault.message or ''}"}


def _alter(fault: Fault, request: Request, response: Response) -> None:
    """Plays the faults of an answer's content."""
    if fault.type == "wrong_count" and "Sforce-NumberOfRecords" in response.headers:
        announced = int(response.headers["Sforce-NumberOfRecords"]) + fault.rows
        response.headers["Sforce-NumberOfRecords"] = str(announced)
    elif fault.type == "foreign_next":
        body = response.body().replace(b'"nextRecordsUrl":"/', f'"nextRecordsUrl":"{fault.location}/'.encode())
        response.parts = (body,)
    elif fault.type == "no_next":
        response.parts = (re.sub(rb'"nextRecordsUrl":"[^"]*",', b"", response.body()),)


def _nothing_here(request: Request) -> Response:
    raise not_found()


def _table(
    discovery: Discovery,
    rest: Rest,
    replication: Replication,
    collections: Collections,
    queries: Queries,
    bulk: BulkQueries,
) -> list[tuple[str, str, str, Handler]]:
    """Every resource below BASE, as Routes takes them."""
    row = "/sobjects/(?P<object>[^/]+)"
    job = "/jobs/query/(?P<job>[^/]+)"
    table: list[tuple[str, str, str, Handler]] = [
        ("resources", "GET", "", discovery.resources),
        ("limits", "GET", "/limits", discovery.limits),
        ("record_count", "GET", "/limits/recordCount", discovery.record_count),
        ("query", "GET", "/query", queries.query),
        ("query_all", "GET", "/queryAll", queries.query_all),
        ("query_more", "GET", "/query(?:All)?/(?P<locator>[^/]+)", queries.more),
        ("describe_global", "GET", "/sobjects", discovery.describe_global),
        ("describe_basic", "GET", row, discovery.basic),
        ("describe", "GET", f"{row}/describe", discovery.describe),
        ("describe_layouts", "GET", f"{row}/describe/layouts(?:/[^/]+)?", discovery.describe_layouts),
        ("updated", "GET", f"{row}/updated", replication.updated),
        ("deleted", "GET", f"{row}/deleted", replication.deleted),
        ("record_create", "POST", row, rest.create),
        ("record_read", "GET", f"{row}/(?P<id>[^/]+)", rest.read),
        ("record_update", "PATCH", f"{row}/(?P<id>[^/]+)", rest.update),
        ("record_delete", "DELETE", f"{row}/(?P<id>[^/]+)", rest.delete),
        ("record_read", "GET", f"{row}/(?P<key>[^/]+)/(?P<value>[^/]+)", rest.read_by_key),
        ("record_upsert", "PATCH", f"{row}/(?P<key>[^/]+)/(?P<value>[^/]+)", rest.upsert),
        ("record_delete", "DELETE", f"{row}/(?P<key>[^/]+)/(?P<value>[^/]+)", rest.delete_by_key),
        ("collection_create", "POST", "/composite/sobjects", collections.create),
        ("collection_update", "PATCH", "/composite/sobjects", collections.update),
        ("collection_delete", "DELETE", "/composite/sobjects", collections.delete),
        ("retrieve", "GET", "/composite/sobjects/(?P<object>[^/]+)", collections.retrieve),
        ("retrieve", "POST", "/composite/sobjects/(?P<object>[^/]+)", collections.retrieve),
        ("collection_upsert", "PATCH", "/composite/sobjects/(?P<object>[^/]+)/(?P<key>[^/]+)", collections.upsert),
        ("bulk_create", "POST", "/jobs/query", bulk.create),
        ("bulk_list", "GET", "/jobs/query", bulk.list_jobs),
        ("bulk_status", "GET", job, bulk.status),
        ("bulk_abort", "PATCH", job, bulk.change_state),
        ("bulk_delete", "DELETE", job, bulk.delete),
        ("bulk_results", "GET", f"{job}/results", bulk.results),
        ("bulk_pages", "GET", f"{job}/resultPages", bulk.result_pages),
    ]
    return table


def _further_table(
    composites: Composites, trees: Trees, searches: Searches, recent: Recent, tooling: Tooling
) -> list[tuple[str, str, str, Handler]]:
    """The resources that combine others, search, and draw pages; before the others, for some are named like keys."""
    row = "/sobjects/(?P<object>[^/]+)"
    return [
        ("composite", "POST", "/composite", composites.composite),
        ("composite_batch", "POST", "/composite/batch", composites.batch),
        ("composite_graph", "POST", "/composite/graph", composites.graph),
        ("composite_tree", "POST", "/composite/tree/(?P<object>[^/]+)", trees.create),
        ("search", "GET", "/search", searches.search),
        ("parameterized_search", "GET", "/parameterizedSearch", searches.parameterized),
        ("parameterized_search", "POST", "/parameterizedSearch", searches.parameterized),
        ("recent", "GET", "/recent", recent.recent),
        ("tabs", "GET", "/tabs", recent.tabs),
        ("theme", "GET", "/theme", recent.theme),
        ("quick_actions", "GET", "/quickActions", recent.quick_actions),
        ("quick_actions", "GET", f"{row}/quickActions", recent.object_quick_actions),
        ("describe_layouts", "GET", f"{row}/describe/compactLayouts", recent.compact_layouts),
        ("describe_layouts", "GET", f"{row}/describe/approvalLayouts", recent.approval_layouts),
        ("list_views", "GET", f"{row}/listviews", recent.list_views),
        ("app_menu", "GET", "/appMenu(?:/[^/]+)?", recent.app_menu),
        ("tooling", "GET", "/tooling", tooling.resources),
        ("tooling_describe", "GET", "/tooling/sobjects", tooling.describe_global),
        ("tooling_query", "GET", "/tooling/query(?:All)?", tooling.query),
    ]
