"""What clients ask besides records: search, recent items, pages, plans, tooling, Apex, and what is counted for it."""

from typing import Any

import pytest

from tests.sandboxes import Client, Sandbox


def found(client: Client, text: str) -> list[dict[str, Any]]:
    answer = client.get("/search", params={"q": text})
    assert answer.status_code == 200, answer.text
    records: list[dict[str, Any]] = answer.json()["searchRecords"]
    return records


@pytest.fixture(scope="module", autouse=True)
def needles(sandbox: Sandbox) -> None:
    """Records with words that no other has."""
    sandbox.insert("Account", [{"Name": "Haystack Needles Ltd", "Phone": "+49 171 5550199"}])
    sandbox.insert(
        "Contact",
        [
            {"LastName": "Needle", "FirstName": "Ñandú", "Email": "sharp.needle@example.com"},
            {"LastName": "Needleman", "FirstName": "Otto", "Title": "needle and thread"},
            {"LastName": "Thread", "FirstName": "Needle", "Department": "Sewing 'fine' (x)"},
        ],
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("FIND {needle} RETURNING Contact(LastName)", {"Needle", "Needleman", "Thread"}),
        ("FIND {NEEDLE} IN NAME FIELDS RETURNING Contact(LastName)", {"Needle", "Thread"}),
        ("FIND {needle*} IN NAME FIELDS RETURNING Contact(LastName)", {"Needle", "Needleman", "Thread"}),
        ("FIND {needle?an} RETURNING Contact(LastName)", {"Needleman"}),
        ("FIND {ñandú} RETURNING Contact(LastName)", {"Needle"}),
        ("FIND {sharp.needle@example.com} IN EMAIL FIELDS RETURNING Contact(LastName)", {"Needle"}),
        ("FIND {needle AND NOT thread} RETURNING Contact(LastName)", {"Needle"}),
        ("FIND {needle thread} RETURNING Contact(LastName)", {"Needleman", "Thread"}),
        ('FIND {"thread needle" OR otto} RETURNING Contact(LastName)', {"Needleman"}),
        ("FIND {(needle OR otto) AND sewing} RETURNING Contact(LastName)", {"Thread"}),
        ("FIND {needle} RETURNING Contact(LastName WHERE FirstName = 'Otto' ORDER BY LastName LIMIT 5)", {"Needleman"}),
        ("FIND {needle} RETURNING Contact(LastName WHERE Department = 'Sewing \\'fine\\' (x)')", {"Thread"}),
        ("FIND {needle} RETURNING Contact(LastName ORDER BY LastName LIMIT 1 OFFSET 1)", {"Needleman"}),
        ("FIND {needles} RETURNING Account(Name), Contact(LastName) LIMIT 1", {"Haystack Needles Ltd"}),
    ],
)
def test_sosl_finds_words(client: Client, text: str, names: set[str]) -> None:
    assert {one.get("LastName", one.get("Name")) for one in found(client, text)} == names


def test_a_search_of_everything_gives_ids_of_all_objects(client: Client) -> None:
    records = found(client, "FIND {needle* }")
    assert [one["attributes"]["type"] for one in records] == ["Account", "Contact", "Contact", "Contact"]
    assert all(set(one) == {"attributes", "Id"} for one in records)
    older = Client(client.sandbox, "v36.0")
    assert older.get("/search", params={"q": "FIND {needles}"}).json()[0]["attributes"]["type"] == "Account"
    older.close()


@pytest.mark.parametrize(
    "text",
    [
        "needle", "FIND {}", "FIND {a}", "FIND {needle", "FIND {needle OR}", "FIND {(needle}", "FIND {needle)}",
        "FIND {needle} WITH DIVISION = 'x'", "FIND {needle} RETURNING Contact()", "FIND {AND needle}",
        'FIND {"needle}',
    ],
)  # fmt: skip
def test_malformed_searches(client: Client, text: str) -> None:
    answer = client.get("/search", params={"q": text})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "MALFORMED_SEARCH")


def test_searches_of_what_is_not_there(client: Client) -> None:
    answer = client.get("/search", params={"q": "FIND {needle} RETURNING Nobody"})
    assert answer.json()[0]["errorCode"] == "INVALID_TYPE"
    answer = client.get("/search", params={"q": "FIND {nothingatall} RETURNING Contact(Nope)"})
    assert answer.json()[0]["errorCode"] == "INVALID_FIELD"


def test_search_by_parameters(client: Client) -> None:
    path = "/parameterizedSearch?q=needle*&sobject=Contact&sobject=Account&Contact.fields=id,LastName&Contact.limit=2"
    records = client.get(path).json()["searchRecords"]
    assert [one["attributes"]["type"] for one in records] == ["Contact", "Contact", "Account"]
    assert set(records[0]) == {"attributes", "Id", "LastName"}
    body = {
        "q": "needle",
        "in": "NAME",
        "fields": ["Id"],
        "overallLimit": 1,
        "sobjects": [{"name": "Contact", "fields": ["LastName"], "where": "FirstName = 'Needle'"}],
    }
    posted = client.send("POST", "/parameterizedSearch", json=body).json()["searchRecords"]
    assert [one["LastName"] for one in posted] == ["Thread"]
    for wrong in ({"in": "NAME"}, {"q": "needle", "in": "LEFT"}, {"q": "needle", "overallLimit": "x"}):
        answer = client.send("POST", "/parameterizedSearch", json=wrong)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "MALFORMED_SEARCH")


def test_recent_items_are_those_of_calls_that_say_so(client: Client) -> None:
    use = {"Sforce-Mru": "updateMru=true"}
    account = client.send("POST", "/sobjects/Account", json={"Name": "Used"}, headers=use).json()["id"]
    contact = client.send("POST", "/sobjects/Contact", json={"LastName": "Used"}, headers=use).json()["id"]
    client.send("POST", "/sobjects/Contact", json={"LastName": "Not used"})
    client.send("PATCH", f"/sobjects/Account/{account}", json={"Name": "Used again"}, headers=use)
    assert [one["Name"] for one in client.get("/recent").json()] == ["Used again", "Used"]
    assert [one["Id"] for one in client.get("/recent?limit=1").json()] == [account]
    assert [one["Id"] for one in client.get("/sobjects/Contact").json()["recentItems"]] == [contact]
    client.send("DELETE", f"/sobjects/Account/{account}")
    assert [one["Id"] for one in client.get("/recent").json()] == [contact]
    assert client.get("/recent?limit=x").status_code == 400


def test_every_listed_resource_answers(client: Client) -> None:
    arguments = {
        "query": "?q=SELECT Id FROM User", "queryAll": "?q=SELECT Id FROM User", "search": "?q=FIND {needle}",
        "parameterizedSearch": "?q=needle", "jobs": "/query",
    }  # fmt: skip
    listed = client.get("").json()
    assert {"identity", "limits", "sobjects", "tooling", "search", "recent"} <= set(listed)
    for name, path in listed.items():
        target = path.removeprefix(client.sandbox.salesforce["instance_url"]) + arguments.get(name, "")
        # composite is there for POST only.
        assert client.get(target).status_code == (405 if name == "composite" else 200), name


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/sobjects/Contact/describe/layouts", "layouts"),
        ("/sobjects/Contact/describe/compactLayouts", "compactLayouts"),
        ("/sobjects/Contact/describe/approvalLayouts", "approvalLayouts"),
        ("/sobjects/Contact/listviews", "listviews"),
        ("/theme", "themeItems"),
        ("/appMenu/AppSwitcher", "appMenuItems"),
    ],
)
def test_pages_of_an_org_without_any(client: Client, path: str, key: str) -> None:
    assert key in client.get(path).json()


def test_tabs_and_actions(client: Client) -> None:
    assert "Account" in {one["sobjectName"] for one in client.get("/tabs").json()}
    assert client.get("/quickActions").json() == client.get("/sobjects/Contact/quickActions").json() == []
    assert client.get("/sobjects/Nobody/listviews").status_code == 404


def test_plans_of_queries(client: Client) -> None:
    text = "SELECT Id FROM Contact WHERE LastName = 'Needle'"
    answer = client.get("/query", params={"explain": text}).json()
    assert answer["sourceQuery"] == text
    assert (answer["plans"][0]["sobjectType"], answer["plans"][0]["cardinality"]) == ("Contact", 1)
    assert client.get("/query", params={"explain": "SELECT"}).json()[0]["errorCode"] == "MALFORMED_QUERY"


def test_tooling_knows_what_an_org_without_code_has(client: Client) -> None:
    answer = client.get("/tooling/query", params={"q": "SELECT Id, Name FROM Organization"}).json()
    assert (answer["size"], answer["totalSize"], answer["done"]) == (1, 1, True)
    assert (answer["queryLocator"], answer["entityTypeName"]) == (None, "Organization")
    assert "/tooling/sobjects/Organization/" in answer["records"][0]["attributes"]["url"]
    assert client.get("/tooling/query?q=SELECT COUNT() FROM User").json()["totalSize"] == 5
    assert {one["name"] for one in client.get("/tooling/sobjects").json()["sobjects"]} == {
        "Organization", "RecordType", "User",
    }  # fmt: skip
    answer = client.get("/tooling/query?q=SELECT Id FROM ApexClass")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_TYPE")
    assert client.get("/tooling/query").status_code == 400


def test_apex_resources_are_not_there(sandbox: Sandbox, client: Client) -> None:
    sandbox.counters(reset=True)
    answer = client.get("/services/apexrest/Anything/x")
    assert (answer.status_code, answer.json()) == (
        404,
        [{"message": "Could not find a match for URL", "errorCode": "NOT_FOUND"}],
    )
    assert answer.headers["Sforce-Limit-Info"].startswith("api-usage=")
    assert client.get("/services/apexrest/x", signed_in=False).status_code == 401
    assert sandbox.counters()["metered"] == {"apex_rest": 1}


@pytest.mark.parametrize("api", ["m", "T"])
def test_soap_apis_without_operations_say_so(client: Client, api: str) -> None:
    body = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
        '<describeMetadata xmlns="http://soap.sforce.com/2006/04/metadata"/></e:Body></e:Envelope>'
    )
    headers = {"SOAPAction": '""', "Content-Type": "text/xml"}
    answer = client.send("POST", f"/services/Soap/{api}/60.0", data=body, headers=headers)
    assert answer.status_code == 500
    assert "No operation available for request" in answer.text


def test_counters_tell_endpoints_and_calls(sandbox: Sandbox, client: Client) -> None:
    sandbox.counters(reset=True)
    client.get("/limits")
    client.get("/limits/")
    client.get("/sobjects/Nobody/describe")
    client.send("GET", "/services/data", signed_in=False)
    sandbox.faults([{"match": {"kind": "limits"}, "fault": {"type": "status", "status": 503}}])
    client.get("/limits")
    counted = sandbox.counters()
    assert counted["endpoints"] == [
        {"kind": "describe", "method": "GET", "status": 404, "count": 1},
        {"kind": "limits", "method": "GET", "status": 200, "count": 2},
        {"kind": "limits", "method": "GET", "status": 503, "count": 1},
        {"kind": "versions", "method": "GET", "status": 200, "count": 1},
    ]
    # What was refused at the door, and what needs no session, is on no meter.
    assert (counted["metered"], counted["metered_total"]) == ({"limits": 2, "describe": 1}, 3)
    assert sandbox.counters(reset=True)["requests_total"] == 5
    assert sandbox.counters()["endpoints"] == []
