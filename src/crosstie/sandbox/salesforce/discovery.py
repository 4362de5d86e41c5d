"""What a client asks first: versions, resources, limits, record counts, describes.

Sources: "Versions", "Resources by Version", "Limits", "Record Count", "Describe Global", "sObject Describe",
REST API guide.
"""

import json
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from crosstie.sandbox.http import Request, Response
from crosstie.sandbox.salesforce.describes import global_entry, with_version
from crosstie.sandbox.salesforce.errors import JSON_TYPE, ApiError, json_response
from crosstie.sandbox.salesforce.generate import ORG_ID
from crosstie.sandbox.salesforce.org import NEWEST_VERSION, OLDEST_VERSION, Call, Org
from crosstie.sandbox.salesforce.recent import Recent
from crosstie.sandbox.salesforce.schema import quoted

_SEASONS = ("Spring", "Summer", "Winter")
RESOURCES = (
    "appMenu", "composite", "jobs", "limits", "parameterizedSearch", "query", "queryAll", "quickActions", "recent",
    "search", "sobjects", "tabs", "theme", "tooling",
)  # fmt: skip
"""What this sandbox serves; a client that looks for a resource here and misses it must do without."""


class Discovery:
    """The describing resources of one org; describes are rendered once for a version."""

    def __init__(self, org: Org, recent: Recent) -> None:
        self._org = org
        self._recent = recent
        self._rendered: dict[tuple[object, ...], bytes] = {}

    def versions(self, request: Request) -> Response:
        """GET /services/data, open to all."""
        listed = [
            {"label": _label(number), "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
            for number in range(OLDEST_VERSION, NEWEST_VERSION + 1)
        ]
        return json_response(listed)

    def resources(self, call: Call) -> Response:
        """GET BASE: resource name to path."""
        listed = {name: f"{call.base}/{name}" for name in RESOURCES}
        listed["identity"] = f"{self._org.instance_url}/id/{ORG_ID}/{call.session.user_id}"
        return json_response(listed)

    def limits(self, call: Call) -> Response:
        """GET BASE/limits."""
        switches = self._org.switches
        used = self._org.api_usage.used(self._org.clock.now())
        return json_response(
            {
                "ConcurrentAsyncGetReportInstances": {"Max": 200, "Remaining": 200},
                "DailyApiRequests": {
                    "Max": switches.daily_requests,
                    "Remaining": max(switches.daily_requests - used, 0),
                },
                "DailyAsyncApexExecutions": {"Max": 250000, "Remaining": 250000},
                "DailyBulkApiBatches": {"Max": 15000, "Remaining": 15000},
                "DailyBulkV2QueryFileStorageMB": {"Max": 976562, "Remaining": 976562},
                "DailyBulkV2QueryJobs": {"Max": 10000, "Remaining": 10000},
                "DataStorageMB": {"Max": 10240, "Remaining": 9216},
                "FileStorageMB": {"Max": 10240, "Remaining": 10240},
                "HourlyTimeBasedWorkflow": {"Max": 1000, "Remaining": 1000},
            }
        )

    def record_count(self, call: Call) -> Response:
        """GET BASE/limits/recordCount?sObjects=A,B; every object when none is named."""
        asked = call.request.query.get("sObjects", "")
        names = [name for name in asked.split(",") if name] or [one.name for one in self._org.catalog.objects.values()]
        counts = []
        with self._org.database.reading() as connection:
            for name in names:
                found = self._org.catalog.object(name)
                if found is not None:
                    alive = " WHERE IsDeleted = 0" if found.field("IsDeleted") else ""
                    row = connection.execute(f"SELECT count(*) FROM {quoted(found.table)}{alive}").fetchone()
                    share = self._org.switches.record_count_share
                    counts.append({"count": int(row[0] * share), "name": found.name})
        return json_response({"sObjects": counts})

    def describe_global(self, call: Call) -> Response:
        """GET BASE/sobjects."""
        org = self._org

        def build() -> Any:
            return {
                "encoding": "UTF-8",
                "maxBatchSize": 200,
                "sobjects": [global_entry(entry) for entry in sorted(org.described, key=lambda one: str(one["name"]))],
            }

        return self._conditional(call, ("global",), build)

    def describe(self, call: Call) -> Response:
        """GET BASE/sobjects/X/describe."""
        sobject = self._org.sobject(call.args["object"])
        return self._conditional(call, ("describe", sobject.name), lambda: sobject.raw)

    def describe_layouts(self, call: Call) -> Response:
        """GET BASE/sobjects/X/describe/layouts[/{recordTypeId}]: objects here have no page layout."""
        self._org.sobject(call.args["object"])
        return json_response({"layouts": [], "recordTypeMappings": [], "recordTypeSelectorRequired": [False]})

    def basic(self, call: Call) -> Response:
        """GET BASE/sobjects/X: the object in short."""
        sobject = self._org.sobject(call.args["object"])
        items = self._recent.items(call, sobject=sobject)
        shown = {"objectDescribe": global_entry(dict(sobject.raw)), "recentItems": items}
        return self._conditional(call, ("basic", sobject.name, str(items)), lambda: shown)

    def _conditional(self, call: Call, key: tuple[str, ...], build: Any) -> Response:
        """304 when nothing changed since If-Modified-Since; whole seconds."""
        changed = self._org.metadata_changed.replace(microsecond=0)
        since = call.request.headers.get("if-modified-since")
        if since is not None and changed <= _http_date(since):
            return Response(status=304)
        cached = (*key, call.version, self._org.instance_url, self._org.edition)
        if cached not in self._rendered:
            text = json.dumps(build(), ensure_ascii=False, separators=(",", ":"))
            self._rendered[cached] = with_version(text, call.version, self._org.instance_url).encode()
        headers = {"Content-Type": JSON_TYPE, "Last-Modified": format_datetime(changed, usegmt=True)}
        return Response(headers=headers, parts=(self._rendered[cached],))


def _http_date(text: str) -> datetime:
    try:
        return parsedate_to_datetime(text)
    except (TypeError, ValueError) as error:
        raise ApiError(400, "BAD_REQUEST", f"Malformed date in a conditional header: {text}") from error


def _label(number: int) -> str:
    """The release that brought an API version: 68.0 is Winter '27, and three releases make a year."""
    season = _SEASONS[(number - 66) % 3]
    year = 26 + (number - 66) // 3 + (season == "Winter")
    return f"{season} '{year:02d}"
