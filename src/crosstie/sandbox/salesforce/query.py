"""The query resources: first pages, locators, column metadata.

Sources: "Query", "QueryAll", "Query Options Header", REST API guide; locators as in the fact sheet, section 2.4.
"""

import re
import threading
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce import soql
from crosstie.sandbox.salesforce.catalog import Field
from crosstie.sandbox.salesforce.errors import ApiError, json_response
from crosstie.sandbox.salesforce.ids import make_id
from crosstie.sandbox.salesforce.org import Call, Org
from crosstie.sandbox.salesforce.schema import quoted

ID_BYTES = 18
SMALLEST_PAGE = 200


@dataclass(slots=True, kw_only=True)
class Locator:
    """What a query left behind: a snapshot of ids. Values are read when a page is fetched, or are in `records`."""

    query: str
    include_deleted: bool
    ids: bytes
    page_rows: int
    user_id: str
    last_used: float
    records: list[dict[str, Any]] | None = None

    @property
    def total(self) -> int:
        """Rows of the whole query."""
        return len(self.ids) // ID_BYTES

    def page_ids(self, start: int, rows: int) -> list[str]:
        """The ids of one page."""
        piece = self.ids[start * ID_BYTES : (start + rows) * ID_BYTES].decode()
        return [piece[at : at + ID_BYTES] for at in range(0, len(piece), ID_BYTES)]


class Queries:
    """The query resources of one org. Locators do not outlive the process, as they do not outlive a real pod."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._lock = threading.Lock()
        self._locators: dict[str, Locator] = {}
        self._last_number = 0

    def query(self, call: Call) -> Response:
        """GET BASE/query?q=: the first page; ?explain=: how the query would be run."""
        if "explain" in call.request.query:
            return self._explain(call.request.query["explain"])
        return self._first_page(call, include_deleted=False)

    def query_all(self, call: Call) -> Response:
        """GET BASE/queryAll?q=: the recycle bin's rows too."""
        return self._first_page(call, include_deleted=True)

    def more(self, call: Call) -> Response:
        """GET BASE/query/{locator}-{start}: a further page; any page of a living locator can be asked again."""
        match = re.fullmatch(r"(\w+)-(\d+)", call.args["locator"])
        locator = self._find(match[1]) if match else None
        if (
            match is None
            or locator is None
            or int(match[2]) >= locator.total
            or locator.user_id != call.session.user_id
        ):
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        start = int(match[2])
        ids = locator.page_ids(start, locator.page_rows)
        if locator.records is not None:
            kept = locator.records[start : start + locator.page_rows]
            return self._page(call, match[1], locator.total, start + len(kept), kept)
        with self._org.database.reading() as connection:
            result = soql.run(
                connection,
                self._org.catalog,
                locator.query,
                now=self._org.clock.now(),
                user_zone=self._org.user_zone,
                include_deleted=locator.include_deleted,
            )
            records = result.records_json(result.rows_by_id(ids), call.version)
        return self._page(call, match[1], locator.total, start + len(ids), records)

    def expire_all(self) -> None:
        """Forgets every locator."""
        with self._lock:
            self._locators.clear()

    def _first_page(self, call: Call, *, include_deleted: bool) -> Response:
        text = call.request.query.get("q")
        if not text:
            raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
        page_rows = self._page_rows(call)
        with self._org.database.reading() as connection:
            # One read transaction: the ids of the locator are those of the snapshot that the first page shows.
            inside = connection.in_transaction
            if not inside:
                connection.execute("BEGIN")
            try:
                result = soql.run(
                    connection,
                    self._org.catalog,
                    text,
                    now=self._org.clock.now(),
                    user_zone=self._org.user_zone,
                    include_deleted=include_deleted,
                )
                if call.request.query.get("columns", "").lower() == "true":
                    return json_response({"columnMetadata": self._column_metadata(result)})
                if result.counting:
                    return json_response({"totalSize": result.total_size, "done": True, "records": []})
                rows = list(islice(result.rows(), page_rows + 1))
                if result.grouped or len(rows) <= page_rows:
                    records = result.records_json(rows, call.version)
                    return self._page(call, None, len(rows), len(rows), records)
                ids = "".join(result.ids()).encode()
                kept = self._org.switches.query_values_at_start
                whole = result.records_json(list(result.rows()), call.version) if kept else None
                records = whole[:page_rows] if whole else result.records_json(rows[:page_rows], call.version)
            finally:
                if not inside:
                    connection.execute("COMMIT")
        locator = Locator(
            query=text,
            include_deleted=include_deleted,
            ids=ids,
            page_rows=page_rows,
            user_id=call.session.user_id,
            last_used=self._org.clock.now().timestamp(),
            records=whole,
        )
        return self._page(call, self._keep(locator), locator.total, page_rows, records)

    def _explain(self, text: str) -> Response:
        """One plan: all rows are looked at."""
        with self._org.database.reading() as connection:
            result = soql.run(
                connection, self._org.catalog, text, now=self._org.clock.now(), user_zone=self._org.user_zone
            )
            sobject = self._org.sobject(result.object_name)
            (rows,) = connection.execute(f"SELECT count(*) FROM {quoted(sobject.table)}").fetchone()
            found = result.total_size
        plan = {
            "cardinality": found,
            "fields": [],
            "leadingOperationType": "TableScan",
            "notes": [],
            "relativeCost": 1.0,
            "sobjectCardinality": rows,
            "sobjectType": sobject.name,
        }
        return json_response({"plans": [plan], "sourceQuery": text})

    def _page_rows(self, call: Call) -> int:
        """The batch size asked for is a hint between 200 and what the org gives at most."""
        most = self._org.switches.query_page_rows
        match = re.search(r"batchSize\s*=\s*(\d+)", call.request.headers.get("sforce-query-options", ""))
        return min(max(int(match[1]), min(SMALLEST_PAGE, most)), most) if match else most

    def _page(
        self, call: Call, locator_id: str | None, total: int, end: int, records: list[dict[str, Any]]
    ) -> Response:
        body: dict[str, Any] = {"totalSize": total, "done": locator_id is None or end >= total}
        if not body["done"]:
            body["nextRecordsUrl"] = f"{call.base}/query/{locator_id}-{end}"
        body["records"] = _java_doubles(records) if self._org.switches.double_exponents else records
        self._org.counters.rows("query", len(records))
        return json_response(body)

    def _keep(self, locator: Locator) -> str:
        """Keeps a locator; the user's oldest one goes when there are too many."""
        with self._lock:
            self._last_number += 1
            locator_id = make_id("01g", self._last_number)
            self._locators[locator_id] = locator
            own = [key for key, one in self._locators.items() if one.user_id == locator.user_id]
            for key in own[: max(len(own) - self._org.switches.locators_kept, 0)]:
                del self._locators[key]
        return locator_id

    def _find(self, locator_id: str) -> Locator | None:
        now = self._org.clock.now().timestamp()
        with self._lock:
            found = self._locators.get(locator_id)
            if found is not None and now - found.last_used > self._org.switches.locator_idle_seconds:
                del self._locators[locator_id]
                return None
            if found is not None:
                found.last_used = now
        return found

    def _column_metadata(self, result: soql.Result) -> list[dict[str, Any]]:
        """What sf asks after a query that was not empty (undocumented)."""
        sobject = self._org.catalog.object(result.object_name)
        columns = []
        for item in result.items:
            path = item.name.split(".")
            described = sobject.field(path[0]) if sobject is not None and len(path) == 1 else None
            columns.append(_column(item.name, item.type, described, aggregate=result.grouped))
        return columns


def _java_doubles(value: Any) -> Any:
    """The same with every double as Java writes it."""
    if isinstance(value, float):
        return msgspec.Raw((soql.double_text(value) or "null").encode())
    if isinstance(value, dict):
        return {key: _java_doubles(each) for key, each in value.items()}
    return [_java_doubles(each) for each in value] if isinstance(value, list) else value


def _column(name: str, kind: str, described: Field | None, *, aggregate: bool) -> dict[str, Any]:
    return {
        "aggregate": aggregate,
        "apexType": kind.capitalize(),
        "booleanType": kind == "boolean",
        "columnName": name,
        "custom": described.custom if described is not None else False,
        "displayName": name,
        "foreignKeyName": described.relationship_name if described is not None else None,
        "insertable": described.createable if described is not None else False,
        "joinColumns": [],
        "numberType": kind in ("int", "double", "currency", "percent"),
        "textType": kind in ("string", "textarea", "phone", "url", "email", "picklist", "multipicklist"),
        "updatable": described.updateable if described is not None else False,
    }
