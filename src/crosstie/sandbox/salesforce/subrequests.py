"""One request inside a composite request: what it refers to, who serves it, and its answer.

Sources: "Composite", "Composite Subrequest", "Composite Batch", REST API guide.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from crosstie.sandbox.http import make_request
from crosstie.sandbox.salesforce.errors import ApiError, not_found
from crosstie.sandbox.salesforce.org import Call, Org
from crosstie.sandbox.salesforce.routing import UNKNOWN, Found, Routes, answered

COLLECTIONS = frozenset(
    {"collection_create", "collection_update", "collection_upsert", "collection_delete", "retrieve"}
)
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD")
NAMED_SINCE = 54.0
"""From this version on a reference id may hold only letters, digits and underscores (support-service-lambdas#1512)."""
_REFERENCE = re.compile(r"@\{(\w+)((?:\.\w+|\[\d+\])*)\}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_CONDITIONS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})
_BAD_NAME = (
    "Provided referenceId ('{name}') must start with a letter or a number, and it can contain only letters, numbers"
    " and underscores ('_')."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subrequest:
    """A request inside a composite one, as it was sent. `headers` have lower-case names."""

    method: str
    url: str
    reference_id: str = ""
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def references(self) -> set[str]:
        """The reference ids that it needs the answers of."""
        text = self.url + msgspec.json.encode([self.body, self.headers]).decode()
        return {match[1] for match in _REFERENCE.finditer(text)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The answer to a subrequest. `spoilt` says that rows of a collection were refused, whatever the status."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    spoilt: bool = False

    @property
    def failed(self) -> bool:
        """Whether an all-or-nothing request must be undone for it."""
        return self.spoilt or (self.status >= 300 and self.status != 304)


class Unresolved(Exception):
    """A reference to what no earlier answer has."""


def halted(message: str) -> Part:
    """What a subrequest shows that was not done, or undone."""
    return Part(status=400, body=[{"errorCode": "PROCESSING_HALTED", "message": message}])


def subrequests_of(call: Call, listed: Any) -> list[Subrequest]:
    """Reads `compositeRequest`. A mistake in the form of any is a 400 for all, before anything is done."""
    if not isinstance(listed, list) or not listed:
        raise ApiError(400, "JSON_PARSER_ERROR", "The request body must have a list of compositeRequest")
    read = [_subrequest(call, entry) for entry in listed]
    names = [one.reference_id.lower() for one in read]
    for one in read:
        if names.count(one.reference_id.lower()) > 1:
            raise ApiError(400, "INVALID_INPUT", f"Duplicate referenceId provided in the request: {one.reference_id}")
    return read


def _subrequest(call: Call, entry: Any) -> Subrequest:
    method, url = checked_target(entry)
    name = entry.get("referenceId")
    if not isinstance(name, str) or not name:
        raise ApiError(400, "JSON_PARSER_ERROR", "Missing required field referenceId in a composite subrequest")
    if call.version_number >= NAMED_SINCE and not re.fullmatch(r"[A-Za-z0-9]\w*", name, re.ASCII):
        raise ApiError(400, "INVALID_INPUT", _BAD_NAME.format(name=name))
    headers = entry.get("httpHeaders") or {}
    if not isinstance(headers, dict):
        raise ApiError(400, "JSON_PARSER_ERROR", "httpHeaders of a composite subrequest must be an object")
    return Subrequest(
        method=method,
        url=url,
        reference_id=name,
        body=entry.get("body"),
        headers={str(key).lower(): str(value) for key, value in headers.items()},
    )


def checked_target(entry: Any) -> tuple[str, str]:
    """Method and URL of an entry; 400 when they are none."""
    if not isinstance(entry, dict):
        raise ApiError(400, "JSON_PARSER_ERROR", "A subrequest must be a JSON object")
    method, url = entry.get("method"), entry.get("url")
    if not isinstance(method, str) or method.upper() not in METHODS:
        raise ApiError(400, "JSON_PARSER_ERROR", f"Invalid method in a subrequest: {method}")
    if not isinstance(url, str) or not url:
        raise ApiError(400, "JSON_PARSER_ERROR", "Missing required field url in a subrequest")
    return method.upper(), url


class Subrequests:
    """Serves subrequests by the same road as requests, without signing in again."""

    def __init__(self, org: Org, routes: Callable[[], Routes]) -> None:
        self._org = org
        self._routes = routes

    def find(self, subrequest: Subrequest) -> Found:
        """Who serves it; the unknown resource's refusal for what is no data URL."""
        _, found = self._target(subrequest)
        return found

    def run(
        self,
        call: Call,
        subrequest: Subrequest,
        *,
        kinds: Collection[str],
        earlier: Mapping[str, Any] | None = None,
        all_or_none: bool = False,
        metered: bool = False,
    ) -> Part:
        """Serves one. `earlier` has the answers that it may refer to, None where references are no feature;
        `all_or_none` is that of the whole request, which collections in it obey; `metered` puts it onto the meter.
        """
        if earlier is not None:
            try:
                subrequest = _resolved(subrequest, earlier, call)
            except Unresolved as error:
                return halted(str(error))
        version, found = self._target(subrequest)
        self._org.counters.part(found.kind)
        if all_or_none and found.kind in COLLECTIONS:
            subrequest = _forced(subrequest)
        headers = {name: text for name, text in call.request.headers.items() if name.startswith("sforce-")}
        headers |= subrequest.headers
        if not self._org.switches.composite_conditions:
            headers = {name: text for name, text in headers.items() if name not in _CONDITIONS}
        body = b"" if subrequest.body is None else msgspec.json.encode(subrequest.body)
        request = make_request(subrequest.method, subrequest.url, headers, body)
        request.late, request.faults = call.request.late, call.request.faults
        inner = Call(request=request, version=version, session=call.session, args=found.args)

        def serve() -> Any:
            if metered:
                self._org.count_call(call.request, call.session)
            if found.kind != UNKNOWN and found.kind not in kinds:
                raise ApiError(400, "BAD_REQUEST", f"The resource {subrequest.url} can't be part of this request")
            if version:
                self._org.check_version(version)
            return found.serve(inner)

        response = answered(f"{subrequest.method} {subrequest.url} in a composite request", serve)
        shown = _json_of(response.body(), response.headers.get("Content-Type", ""))
        spoilt = (
            found.kind in COLLECTIONS
            and isinstance(shown, list)
            and any(isinstance(row, dict) and row.get("success") is False for row in shown)
        )
        kept = {name: text for name, text in response.headers.items() if name != "Content-Type"}
        return Part(status=response.status, body=shown, headers=kept, spoilt=spoilt)

    def _target(self, subrequest: Subrequest) -> tuple[str, Found]:
        request = make_request(subrequest.method, subrequest.url, {}, b"")
        data = re.fullmatch(r"/services/data/(v\d+\.\d)(/.*)?", request.raw_path.rstrip("/"))
        if data is None:
            return "", Found(kind=UNKNOWN, serve=_no_data)
        return data[1], self._routes().find(subrequest.method, data[2] or "")


def _no_data(call: Call) -> Any:
    raise not_found()


def _json_of(body: bytes, content_type: str) -> Any:
    if not body:
        return None
    return msgspec.json.decode(body) if content_type.startswith("application/json") else body.decode("latin-1")


def _forced(subrequest: Subrequest) -> Subrequest:
    """The same with allOrNone: the outer flag overrides that of a collection."""
    if isinstance(subrequest.body, dict):
        return replace(subrequest, body=subrequest.body | {"allOrNone": True})
    if subrequest.method == "DELETE":
        joint = "&" if "?" in subrequest.url else "?"
        return replace(subrequest, url=f"{subrequest.url}{joint}allOrNone=true")
    return subrequest


def _resolved(subrequest: Subrequest, earlier: Mapping[str, Any], call: Call) -> Subrequest:
    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill(each) for key, each in value.items()}
        if isinstance(value, list):
            return [fill(each) for each in value]
        if not isinstance(value, str):
            return value
        whole = _REFERENCE.fullmatch(value)
        if whole:
            # A number stays a number when the reference is the whole value.
            return _value(whole, earlier, call)
        return _REFERENCE.sub(lambda match: str(_value(match, earlier, call)), value)

    return replace(
        subrequest,
        url=str(fill(subrequest.url)),
        body=fill(subrequest.body),
        headers={name: str(fill(text)) for name, text in subrequest.headers.items()},
    )


def _value(match: re.Match[str], earlier: Mapping[str, Any], call: Call) -> Any:
    name, path = match.groups()
    found: Any = earlier.get(name)
    for step in _STEP.finditer(path):
        key, index = step.groups()
        if key is not None:
            found = found.get(key) if isinstance(found, dict) else None
        else:
            found = found[int(index)] if isinstance(found, list) and int(index) < len(found) else None
    if found is None:
        message = f"Invalid reference specified. No value for {name}{path} found in {name}"
        if call.version_number >= NAMED_SINCE:
            message += ". " + _BAD_NAME.format(name=f"{name}{path}")
        raise Unresolved(message)
    return found


def undone(subrequest_count: int, parts: list[Part], message: str, *, repeats: bool) -> list[Part]:
    """The answers after everything was undone because of the last part: it keeps its own, the others show that
    they were undone, or its error once more (`repeats`), as composite graphs of version 50.0 did.
    """
    culprit = parts[-1]
    other = Part(status=culprit.status, body=culprit.body) if repeats else halted(message)
    at = len(parts) - 1
    return [culprit if number == at else other for number in range(subrequest_count)]


def entry_of(subrequest: Subrequest, part: Part) -> dict[str, Any]:
    """A part's place in compositeResponse."""
    return {
        "body": part.body,
        "httpHeaders": dict(part.headers),
        "httpStatusCode": part.status,
        "referenceId": subrequest.reference_id,
    }


def limit_entry(message: str) -> dict[str, Any]:
    """What stands in compositeResponse, alone, when the whole was too much (recorded from real orgs)."""
    return {
        "body": [{"errorCode": "LIMIT_EXCEEDED", "message": message}],
        "httpHeaders": {},
        "httpStatusCode": 400,
        "referenceId": None,
    }
