"""The part of the Tooling API that command lines ask: its resources and queries of what an org without code has.

Source: "REST Resources", Tooling API guide. Apex, metadata containers and debug logs are not there: such objects are
unknown, and executeAnonymous and runTests are 404.
"""

from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce import soql
from crosstie.sandbox.salesforce.catalog import Catalog
from crosstie.sandbox.salesforce.describes import global_entry
from crosstie.sandbox.salesforce.errors import ApiError, json_response
from crosstie.sandbox.salesforce.org import Call, Org

OBJECTS = ("organization", "recordtype", "user")
"""What both APIs know."""


class Tooling:
    """The tooling resources of one org."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def resources(self, call: Call) -> Response:
        """GET BASE/tooling."""
        root = f"{call.base}/tooling"
        return json_response({name: f"{root}/{name}" for name in ("query", "queryAll", "sobjects")})

    def describe_global(self, call: Call) -> Response:
        """GET BASE/tooling/sobjects."""
        listed = [global_entry(dict(one.raw)) for one in self._catalog().objects.values()]
        return json_response({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})

    def query(self, call: Call) -> Response:
        """GET BASE/tooling/query?q=: everything in one page, as these objects have few rows."""
        text = call.request.query.get("q")
        if not text:
            raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
        with self._org.database.reading() as connection:
            result = soql.run(
                connection, self._catalog(), text, now=self._org.clock.now(), user_zone=self._org.user_zone
            )
            records = result.records_json(list(result.rows()), f"{call.version}/tooling")
            total = result.total_size if result.counting else len(records)
        self._org.counters.rows("tooling_query", len(records))
        return json_response(
            {
                "size": total,
                "totalSize": total,
                "done": True,
                "queryLocator": None,
                "entityTypeName": result.object_name,
                "records": records,
            }
        )

    def _catalog(self) -> Catalog:
        known = self._org.catalog.objects
        return Catalog(objects={name: known[name] for name in OBJECTS if name in known})
