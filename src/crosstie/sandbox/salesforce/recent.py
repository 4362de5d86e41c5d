"""What a user used last, and the resources by which a client draws its start page.

Sources: "Recently Viewed Items", "Tabs", "Themes", "Quick Actions", "App Menu", REST API guide; jsforce calls them.
"""

import threading
from collections import OrderedDict
from typing import Any

from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce import soql
from crosstie.sandbox.salesforce.catalog import SObject
from crosstie.sandbox.salesforce.errors import ApiError, json_response
from crosstie.sandbox.salesforce.org import Call, Org

KEPT = 200


class Recent:
    """The list of a process: created and changed records of calls with `Sforce-Mru: updateMru=true`."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._lock = threading.Lock()
        self._used: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def use(self, call: Call, sobject: SObject, record_id: str) -> None:
        """Puts a record in front if the call wants it."""
        if "updatemru=true" not in call.request.headers.get("sforce-mru", "").lower().replace(" ", ""):
            return
        key = (call.session.user_id, sobject.name, record_id)
        with self._lock:
            self._used[key] = None
            self._used.move_to_end(key)
            while len(self._used) > KEPT:
                self._used.popitem(last=False)

    def items(self, call: Call, most: int = KEPT, sobject: SObject | None = None) -> list[dict[str, Any]]:
        """Id and name of what the call's user used, the last one first; deleted records are left out."""
        with self._lock:
            used = [key for key in reversed(self._used) if key[0] == call.session.user_id]
        shown: list[dict[str, Any]] = []
        for _, name, record_id in used:
            found = self._org.catalog.object(name)
            if found is not None and (sobject is None or sobject.name == name) and len(shown) < most:
                shown += self._shown(call, found, record_id)
        return shown

    def recent(self, call: Call) -> Response:
        """GET BASE/recent?limit=."""
        asked = call.request.query.get("limit", str(KEPT))
        if not asked.isdigit():
            raise ApiError(400, "INVALID_QUERY_FILTER_OPERATOR", f"limit must be a number: {asked}")
        return json_response(self.items(call, int(asked)))

    def tabs(self, call: Call) -> Response:
        """GET BASE/tabs: one for each object that has a page."""
        shown = [one for one in self._org.catalog.objects.values() if one.raw.get("layoutable")]
        return json_response([_tab(call, self._org.instance_url, one) for one in shown])

    def theme(self, call: Call) -> Response:
        """GET BASE/theme: no icons of its own."""
        return json_response({"themeItems": [{"colors": [], "icons": [], "name": one.name} for one in self._objects()]})

    def quick_actions(self, call: Call) -> Response:
        """GET BASE/quickActions: the org has none."""
        return json_response([])

    def object_quick_actions(self, call: Call) -> Response:
        """GET BASE/sobjects/X/quickActions."""
        self._org.sobject(call.args["object"])
        return json_response([])

    def compact_layouts(self, call: Call) -> Response:
        """GET BASE/sobjects/X/describe/compactLayouts."""
        self._org.sobject(call.args["object"])
        return json_response(
            {"compactLayouts": [], "defaultCompactLayoutId": None, "recordTypeCompactLayoutMappings": [], "urls": {}}
        )

    def approval_layouts(self, call: Call) -> Response:
        """GET BASE/sobjects/X/describe/approvalLayouts."""
        self._org.sobject(call.args["object"])
        return json_response({"approvalLayouts": []})

    def list_views(self, call: Call) -> Response:
        """GET BASE/sobjects/X/listviews."""
        sobject = self._org.sobject(call.args["object"])
        return json_response(
            {"done": True, "listviews": [], "nextRecordsUrl": None, "size": 0, "sobjectType": sobject.name}
        )

    def app_menu(self, call: Call) -> Response:
        """GET BASE/appMenu/{AppSwitcher|Salesforce1|NetworkTabs}: the org has no apps."""
        return json_response({"appMenuItems": []})

    def _objects(self) -> list[SObject]:
        return [one for one in self._org.catalog.objects.values() if one.queryable]

    def _shown(self, call: Call, sobject: SObject, record_id: str) -> list[dict[str, Any]]:
        name = next((item.name for item in sobject.fields.values() if item.name_field), "Id")
        text = f"SELECT Id, {name} FROM {sobject.name} WHERE Id = '{record_id}'"
        if name == "Id":
            text = text.replace("Id, Id", "Id")
        with self._org.database.reading() as connection:
            result = soql.run(
                connection, self._org.catalog, text, now=self._org.clock.now(), user_zone=self._org.user_zone
            )
            return result.records_json(list(result.rows()), call.version)


def _tab(call: Call, instance_url: str, sobject: SObject) -> dict[str, Any]:
    return {
        "colors": [],
        "custom": sobject.custom,
        "iconUrl": f"{instance_url}/img/icon/{sobject.name.lower()}32.png",
        "icons": [],
        "label": sobject.raw.get("labelPlural") or sobject.label,
        "miniIconUrl": f"{instance_url}/img/icon/{sobject.name.lower()}16.png",
        "name": f"standard-{sobject.name}" if not sobject.custom else sobject.name,
        "sobjectName": sobject.name,
        "url": f"{instance_url}/{sobject.key_prefix}/o",
    }
