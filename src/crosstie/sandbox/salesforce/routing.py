"""Which resource below BASE a request means, and what its refusal looks like."""

import logging
import re
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce.conditions import PreconditionFailed
from crosstie.sandbox.salesforce.errors import STATUS_ERRORS, ApiError, not_found
from crosstie.sandbox.salesforce.org import Call
from crosstie.sandbox.salesforce.soql import SoqlError

log = logging.getLogger(__name__)

Handler = Callable[[Call], Response]
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Route:
    """A resource: its kind (what counters and fault plans call it), method, path below BASE, and who serves it."""

    kind: str
    method: str
    pattern: re.Pattern[str]
    serve: Handler


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a method and a path mean. `args` are the named parts of the path, decoded."""

    kind: str
    serve: Handler
    args: dict[str, str] = field(default_factory=dict)


class Routes:
    """Every resource below BASE. Order matters: named sub-resources stand before ids and keys."""

    def __init__(self, table: Iterable[tuple[str, str, str, Handler]]) -> None:
        self._routes = tuple(
            # Clients disagree on the case of job sub-resources; the names of other resources are exact.
            Route(kind, method, re.compile(path, re.IGNORECASE if "/jobs/" in path else 0), serve)
            for kind, method, path, serve in table
        )

    def find(self, method: str, path: str) -> Found:
        """Who serves a path below BASE (without the slash at its end); who refuses it when nobody does."""
        allowed = []
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match is None:
                continue
            if route.method == method or (method == "HEAD" and route.method == "GET"):
                args = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                return Found(kind=route.kind, serve=route.serve, args=args)
            allowed.append(route.method)
        return Found(kind=UNKNOWN, serve=_wrong_method(allowed) if allowed else _no_resource)


def answered(what: str, serve: Callable[[], Response]) -> Response:
    """The answer, or the refusal in Salesforce's form. `what` names the request in the sandbox's own log."""
    try:
        return serve()
    except ApiError as error:
        return error.response()
    except SoqlError as error:
        return ApiError(400, error.code, error.message).response()
    except PreconditionFailed:
        return Response(status=412)
    except sqlite3.Error:
        log.exception("the sandbox failed on %s", what)
        return ApiError(500, *STATUS_ERRORS[500]).response()


def _wrong_method(allowed: list[str]) -> Handler:
    def refuse(call: Call) -> Response:
        names = ",".join(sorted({*allowed, *(["HEAD"] if "GET" in allowed else [])}))
        raise ApiError(
            405, "METHOD_NOT_ALLOWED", f"HTTP Method '{call.request.method}' not allowed. Allowed are {names}"
        )

    return refuse


def _no_resource(call: Call) -> Response:
    raise not_found()
