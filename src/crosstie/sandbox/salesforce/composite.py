"""Several requests in one: composite, composite batch and composite graph.

Sources: "Composite", "allOrNone Parameters in Composite and Collections Requests", "Composite Batch", "Composite
Graph", REST API guide; the wording of refusals as public clients recorded it from real orgs.
"""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce.errors import ApiError, json_response
from crosstie.sandbox.salesforce.org import Call, Org
from crosstie.sandbox.salesforce.rest import given_record
from crosstie.sandbox.salesforce.routing import Routes
from crosstie.sandbox.salesforce.subrequests import (
    COLLECTIONS,
    Part,
    Subrequest,
    Subrequests,
    checked_target,
    entry_of,
    halted,
    limit_entry,
    subrequests_of,
    undone,
)

MAX_PARTS = 25
MAX_QUERIES = 5
MAX_GRAPHS = 75
MAX_NODES = 500
MAX_DEPTH = 15
MAX_NODE_KINDS = 15
MAX_FAILED_GRAPHS = 14
QUERIES = frozenset({"query", "query_all", "query_more"})
ROWS = frozenset({"record_create", "record_read", "record_update", "record_upsert", "record_delete"})
DESCRIBES = frozenset({"describe_global", "describe", "describe_basic", "describe_layouts"})
COMPOSITE_KINDS = COLLECTIONS | QUERIES | ROWS | DESCRIBES | {"limits", "updated", "deleted"}
BATCH_KINDS = COMPOSITE_KINDS | {"resources", "record_count", "search", "parameterized_search", "recent"}
ROLLED_BACK = "The transaction was rolled back since another operation in the same transaction failed."
_TOO_MANY_PARTS = f"The request can’t contain more than {MAX_PARTS} operations."
_TOO_MANY_QUERIES = f"The request can’t contain more than {MAX_QUERIES} query and sObject collection operations."
Entry = dict[str, Any]


class Composites:
    """The composite resources of one org; `routes` tells where their parts go."""

    def __init__(self, org: Org, routes: Callable[[], Routes]) -> None:
        self._org = org
        self._parts = Subrequests(org, routes)

    def composite(self, call: Call) -> Response:
        """POST BASE/composite: up to 25 requests that may refer to earlier answers; one API call.

        `collateSubrequests` only lets the platform work faster, so that nothing is to be seen of it.
        """
        body = given_record(call)
        subrequests = subrequests_of(call, body.get("compositeRequest"))
        if len(subrequests) > MAX_PARTS:
            return json_response({"compositeResponse": [limit_entry(_TOO_MANY_PARTS)]})
        queries = [one for one in subrequests if self._parts.find(one).kind in QUERIES | COLLECTIONS]
        if len(queries) > MAX_QUERIES:
            return json_response({"compositeResponse": [limit_entry(_TOO_MANY_QUERIES)]})
        entries, _ = self._run_all(
            call, subrequests, all_or_none=bool(body.get("allOrNone")), kinds=COMPOSITE_KINDS, repeats=False
        )
        return json_response({"compositeResponse": entries})

    def batch(self, call: Call) -> Response:
        """POST BASE/composite/batch: up to 25 requests on their own, each committed alone and each an API call."""
        body = given_record(call)
        listed = body.get("batchRequests")
        if not isinstance(listed, list) or not listed:
            raise ApiError(400, "JSON_PARSER_ERROR", "The request body must have a list of batchRequests")
        if len(listed) > MAX_PARTS:
            raise ApiError(400, "LIMIT_EXCEEDED", _TOO_MANY_PARTS)
        results: list[Entry] = []
        stopped = False
        for number, subrequest in enumerate([_batched(entry) for entry in listed]):
            part = (
                _halted_batch() if stopped
                else self._parts.run(call, subrequest, kinds=BATCH_KINDS, metered=number > 0)
            )  # fmt: skip
            stopped |= bool(body.get("haltOnError")) and part.status >= 400
            results.append({"statusCode": part.status, "result": part.body})
        return json_response({"hasErrors": any(one["statusCode"] >= 400 for one in results), "results": results})

    def graph(self, call: Call) -> Response:
        """POST BASE/composite/graph: graphs of rows, each all or nothing; one API call."""
        graphs = _graphs(call)
        whole = sum(len(parts) for _, parts in graphs)
        self._org.count_parts(call.request, call.session, whole)
        answers: list[Entry] = []
        failed = 0
        for graph_id, parts in graphs:
            limit = _graph_limit(parts, whole)
            if limit is not None:
                entries, successful = [limit_entry(limit)], False
            elif failed >= MAX_FAILED_GRAPHS:
                entries, successful = [entry_of(part, halted(ROLLED_BACK)) for part in parts], False
            else:
                entries, successful = self._run_all(
                    call, parts, all_or_none=True, kinds=ROWS, repeats=self._org.switches.graph_repeats_error
                )
            failed += not successful
            answers.append(
                {"graphId": graph_id, "graphResponse": {"compositeResponse": entries}, "isSuccessful": successful}
            )
        return json_response({"graphs": answers})

    def _run_all(
        self, call: Call, subrequests: list[Subrequest], *, all_or_none: bool, kinds: Collection[str], repeats: bool
    ) -> tuple[list[Entry], bool]:
        """The answers in order, and whether nothing failed."""
        parts: list[Part] = []
        bodies: dict[str, Any] = {}
        with self._transaction(wanted=all_or_none) as undo:
            for subrequest in subrequests:
                part = self._parts.run(call, subrequest, kinds=kinds, earlier=bodies, all_or_none=all_or_none)
                parts.append(part)
                if part.failed and all_or_none:
                    undo()
                    parts = undone(len(subrequests), parts, ROLLED_BACK, repeats=repeats)
                    break
                if part.status < 300:
                    bodies[subrequest.reference_id] = part.body
        entries = [entry_of(subrequest, part) for subrequest, part in zip(subrequests, parts, strict=True)]
        return entries, not any(part.failed for part in parts)

    @contextmanager
    def _transaction(self, *, wanted: bool) -> Iterator[Callable[[], object]]:
        """One transaction if `wanted`; calling what is given undoes it."""
        if not wanted:
            yield lambda: None
            return
        with self._org.database.writing() as connection:
            connection.execute("SAVEPOINT composite")
            yield lambda: connection.execute("ROLLBACK TO composite")
            connection.execute("RELEASE composite")


def _batched(entry: Any) -> Subrequest:
    """A batch's subrequest: its URL begins with the version."""
    method, url = checked_target(entry)
    path = url.lstrip("/")
    if not path.startswith("services/data/"):
        path = f"services/data/{path}"
    return Subrequest(method=method, url=f"/{path}", body=entry.get("richInput"))


def _halted_batch() -> Part:
    message = "Batch processing halted per request. Check previous results for errors."
    return Part(status=412, body=[{"errorCode": "BATCH_PROCESSING_HALTED", "message": message}])


def _graphs(call: Call) -> list[tuple[str, list[Subrequest]]]:
    listed = given_record(call).get("graphs")
    if not isinstance(listed, list) or not listed or not all(isinstance(one, dict) for one in listed):
        raise ApiError(400, "JSON_PARSER_ERROR", "The request body must have a list of graphs")
    if len(listed) > MAX_GRAPHS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"Limit of {MAX_GRAPHS} reached for number of Graphs in the Request")
    graphs = [(str(one.get("graphId")), subrequests_of(call, one.get("compositeRequest"))) for one in listed]
    if len({graph_id for graph_id, _ in graphs}) < len(graphs):
        raise ApiError(400, "INVALID_INPUT", "Duplicate graphId provided in the request.")
    return graphs


def _graph_limit(parts: list[Subrequest], whole: int) -> str | None:
    """The limit that a graph breaks, in the platform's words."""
    if whole > MAX_NODES:
        return f"Limit of {MAX_NODES} reached for number of Nodes in the Graph"
    depths: dict[str, int] = {}
    for part in parts:
        depths[part.reference_id] = 1 + max((depths.get(name, 0) for name in part.references()), default=0)
    if max(depths.values()) > MAX_DEPTH:
        return f"Limit of {MAX_DEPTH} reached for depth of the Graph"
    kinds = {match[1].lower() for part in parts if (match := re.search(r"/sobjects/([^/?]+)", part.url))}
    if len(kinds) > MAX_NODE_KINDS:
        return f"Limit of {MAX_NODE_KINDS} reached for number of distinct Nodes in the Graph"
    return None
