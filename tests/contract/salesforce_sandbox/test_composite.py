"""Composite, composite batch, composite graph and sObject tree: what clients see of several requests in one."""

from typing import Any

import pytest

from tests.sandboxes import Client, Sandbox

BASE = "/services/data/v68.0"
ROLLED_BACK = {
    "errorCode": "PROCESSING_HALTED",
    "message": "The transaction was rolled back since another operation in the same transaction failed.",
}


def part(name: str, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
    """A subrequest of a composite request."""
    given: dict[str, Any] = {"method": method, "url": BASE + path, "referenceId": name}
    if body is not None:
        given["body"] = body
    if headers:
        given["httpHeaders"] = {key.replace("_", "-"): text for key, text in headers.items()}
    return given


def composite(client: Client, *parts: dict[str, Any], all_or_none: bool = False) -> list[dict[str, Any]]:
    """The answers to the parts, in order."""
    answer = client.send("POST", "/composite", json={"allOrNone": all_or_none, "compositeRequest": list(parts)})
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.json()["compositeResponse"]
    return entries


def statuses(entries: list[dict[str, Any]]) -> list[int]:
    return [entry["httpStatusCode"] for entry in entries]


def named(client: Client, name: str) -> int:
    """How many accounts have that name."""
    total: int = client.query(f"SELECT COUNT() FROM Account WHERE Name = '{name}'")["totalSize"]
    return total


def test_later_parts_use_earlier_answers(sandbox: Sandbox, client: Client) -> None:
    sandbox.counters(reset=True)
    entries = composite(
        client,
        part("account", "POST", "/sobjects/Account", {"Name": "Chained"}),
        part("read", "GET", "/sobjects/Account/@{account.id}?fields=Name,CreatedDate"),
        part("contact", "POST", "/sobjects/Contact", {"LastName": "Of @{read.Name}", "AccountId": "@{account.id}"}),
        part("found", "GET", "/query?q=SELECT Id, LastName FROM Contact WHERE AccountId = '@{account.id}'"),
        part("title", "PATCH", "/sobjects/Contact/@{found.records[0].Id}", {"Title": "T"}),
    )
    assert statuses(entries) == [201, 200, 201, 200, 204]
    assert [entry["referenceId"] for entry in entries] == ["account", "read", "contact", "found", "title"]
    account = entries[0]["body"]["id"]
    assert entries[0]["httpHeaders"] == {"Location": f"{BASE}/sobjects/Account/{account}"}
    assert entries[3]["body"]["records"][0]["LastName"] == "Of Chained"
    assert entries[4]["body"] is None
    counted = sandbox.counters()
    assert counted["metered"] == {"composite": 1}
    assert counted["parts"] == {"record_create": 2, "record_read": 1, "query": 1, "record_update": 1}


def test_a_number_stays_a_number_when_it_is_referred_to(client: Client) -> None:
    entries = composite(
        client,
        part("first", "POST", "/sobjects/Contact", {"LastName": "Seven", "Score__c": 7.5}),
        part("read", "GET", "/sobjects/Contact/@{first.id}?fields=Score__c"),
        part("second", "POST", "/sobjects/Contact", {"LastName": "@{read.Score__c}", "Score__c": "@{read.Score__c}"}),
    )
    # A text field does not take a number, whether it was written or referred to.
    assert statuses(entries) == [201, 200, 400]
    entries = composite(
        client,
        part("read", "GET", f"/sobjects/Contact/{entries[0]['body']['id']}?fields=Score__c"),
        part("second", "POST", "/sobjects/Contact", {"LastName": "S @{read.Score__c}", "Score__c": "@{read.Score__c}"}),
        part("again", "GET", "/sobjects/Contact/@{second.id}?fields=Score__c,LastName"),
    )
    assert (entries[2]["body"]["Score__c"], entries[2]["body"]["LastName"]) == (7.5, "S 7.5")


def test_a_failure_halts_what_needs_it_and_nothing_else(client: Client) -> None:
    entries = composite(
        client,
        part("bad", "POST", "/sobjects/Contact", {"FirstName": "No last name"}),
        part("needs", "PATCH", "/sobjects/Contact/@{bad.id}", {"Title": "T"}),
        part("free", "POST", "/sobjects/Account", {"Name": "Independent"}),
    )
    assert statuses(entries) == [400, 400, 201]
    assert entries[0]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    (error,) = entries[1]["body"]
    assert error["errorCode"] == "PROCESSING_HALTED"
    assert error["message"].startswith("Invalid reference specified. No value for bad.id found in bad")
    assert named(client, "Independent") == 1


def test_all_or_none_undoes_every_part(client: Client) -> None:
    entries = composite(
        client,
        part("one", "POST", "/sobjects/Account", {"Name": "Undone"}),
        part("seen", "GET", "/query?q=SELECT Id FROM Account WHERE Name = 'Undone'"),
        part("bad", "POST", "/sobjects/Contact", {"AccountId": "@{seen.records[0].Id}"}),
        part("never", "POST", "/sobjects/Account", {"Name": "Undone"}),
        all_or_none=True,
    )
    # That the third is about the last name shows that the query saw the account within the transaction.
    assert entries[2]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert [entry["body"] for entry in entries if entry["referenceId"] != "bad"] == [[ROLLED_BACK]] * 3
    assert statuses(entries) == [400] * 4
    assert named(client, "Undone") == 0


@pytest.mark.parametrize(("outer", "inner", "accounts"), [(False, False, 1), (False, True, 0), (True, False, 0)])
def test_the_outer_flag_rules_collections_inside(client: Client, outer: bool, inner: bool, accounts: int) -> None:
    name = f"Flags {outer} {inner}"
    records = [{"attributes": {"type": "Account"}, "Name": name}, {"attributes": {"type": "Account"}}]
    entries = composite(
        client,
        part("rows", "POST", "/composite/sobjects", {"allOrNone": inner, "records": records}),
        part("contact", "POST", "/sobjects/Contact", {"LastName": name}),
        all_or_none=outer,
    )
    assert statuses(entries) == [200, 400 if outer else 201]
    assert named(client, name) == accounts
    contacts = client.query(f"SELECT COUNT() FROM Contact WHERE LastName = '{name}'")["totalSize"]
    assert contacts == (0 if outer else 1)


def test_a_collection_of_deletions_obeys_the_outer_flag(client: Client) -> None:
    account = client.send("POST", "/sobjects/Account", json={"Name": "Kept"}).json()["id"]
    path = f"/composite/sobjects?ids={account},0015g0000zzzzzzAAA"
    composite(client, part("gone", "DELETE", path), all_or_none=True)
    assert client.get(f"/sobjects/Account/{account}").status_code == 200


def test_conditions_of_parts(sandbox: Sandbox, client: Client) -> None:
    account = client.send("POST", "/sobjects/Account", json={"Name": "Tagged"}).json()["id"]
    change = part("change", "PATCH", f"/sobjects/Account/{account}", {"Name": "New"}, If_Match='"other"')
    assert statuses(composite(client, change)) == [412]
    sandbox.switches(composite_conditions=False)
    assert statuses(composite(client, change)) == [204]


def test_limits_of_a_composite_request(client: Client) -> None:
    many = [part(f"r{number}", "GET", "/limits") for number in range(26)]
    assert composite(client, *many) == [
        {
            "body": [{"errorCode": "LIMIT_EXCEEDED", "message": "The request can’t contain more than 25 operations."}],
            "httpHeaders": {},
            "httpStatusCode": 400,
            "referenceId": None,
        }
    ]
    assert statuses(composite(client, *many[:25])) == [200] * 25
    queries = [part(f"q{number}", "GET", "/query?q=SELECT Id FROM User") for number in range(6)]
    assert composite(client, *queries)[0]["body"][0]["errorCode"] == "LIMIT_EXCEEDED"
    assert statuses(composite(client, *queries[:5])) == [200] * 5


@pytest.mark.parametrize(
    "listed",
    [
        None,
        [],
        ["text"],
        [{"method": "GET", "url": f"{BASE}/limits"}],
        [{"method": "FETCH", "url": f"{BASE}/limits", "referenceId": "a"}],
        [{"method": "GET", "referenceId": "a"}],
        [part("same", "GET", "/limits"), part("Same", "GET", "/limits")],
        [part("with-hyphen", "GET", "/limits")],
        [part("a", "GET", "/limits") | {"httpHeaders": ["x"]}],
    ],
)
def test_a_malformed_part_refuses_the_whole(client: Client, listed: Any) -> None:
    answer = client.send("POST", "/composite", json={"compositeRequest": listed})
    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] in ("JSON_PARSER_ERROR", "INVALID_INPUT")


def test_parts_that_can_not_be_parts(client: Client) -> None:
    entries = composite(
        client,
        part("nested", "POST", "/composite", {"compositeRequest": []}),
        part("job", "POST", "/jobs/query", {"operation": "query", "query": "SELECT Id FROM User"}),
        part("unknown", "GET", "/nowhere"),
        {"method": "GET", "url": "/elsewhere", "referenceId": "elsewhere"},
        {"method": "GET", "url": "/services/data/v20.0/limits", "referenceId": "retired"},
    )
    assert statuses(entries) == [400, 400, 404, 404, 410]


def test_batches_go_one_by_one(sandbox: Sandbox, client: Client) -> None:
    sandbox.counters(reset=True)
    requests = [
        {"method": "POST", "url": "v68.0/sobjects/Account", "richInput": {"Name": "Batched"}},
        {"method": "GET", "url": "v68.0/sobjects/Account/0015g0000zzzzzzAAA"},
        {"method": "GET", "url": "v68.0/query?q=SELECT Name FROM Account WHERE Name = 'Batched'"},
    ]
    answer = client.send("POST", "/composite/batch", json={"batchRequests": requests}).json()
    assert answer["hasErrors"] is True
    assert [one["statusCode"] for one in answer["results"]] == [201, 404, 200]
    assert answer["results"][1]["result"][0]["errorCode"] == "NOT_FOUND"
    assert answer["results"][2]["result"]["totalSize"] == 1
    assert sandbox.counters()["metered"] == {"composite_batch": 3}

    answer = client.send("POST", "/composite/batch", json={"haltOnError": True, "batchRequests": requests[1:]}).json()
    assert [one["statusCode"] for one in answer["results"]] == [404, 412]
    assert answer["results"][1]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"
    assert client.send("POST", "/composite/batch", json={"batchRequests": requests * 9}).status_code == 400


def test_the_quota_can_end_within_a_batch(sandbox: Sandbox, client: Client) -> None:
    used = sandbox.counters(reset=True) and client.get("/limits").json()["DailyApiRequests"]
    sandbox.switches(daily_requests=used["Max"] - used["Remaining"] + 2)
    requests = [{"method": "GET", "url": "v68.0/limits"}] * 3
    answer = client.send("POST", "/composite/batch", json={"batchRequests": requests}).json()
    assert [one["statusCode"] for one in answer["results"]] == [200, 200, 403]
    assert answer["results"][2]["result"][0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"


def graph(name: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"graphId": name, "compositeRequest": list(parts)}


def graphs(client: Client, *listed: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.send("POST", "/composite/graph", json={"graphs": list(listed)})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["graphs"]
    return found


@pytest.mark.parametrize("repeats", [False, True])
def test_each_graph_is_all_or_nothing(sandbox: Sandbox, client: Client, repeats: bool) -> None:
    sandbox.switches(graph_repeats_error=repeats)
    good = part("account", "POST", "/sobjects/Account", {"Name": f"Node {repeats}"})
    bad = part("contact", "POST", "/sobjects/Contact", {"AccountId": "@{account.id}"})
    link = part("contact", "POST", "/sobjects/Contact", {"AccountId": "@{account.id}", "LastName": "Node"})
    first, second = graphs(client, graph("1", good, bad), graph("2", good, link))
    assert (first["graphId"], first["isSuccessful"]) == ("1", False)
    assert (second["graphId"], second["isSuccessful"]) == ("2", True)
    entries = first["graphResponse"]["compositeResponse"]
    assert entries[1]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert entries[0]["body"] == (entries[1]["body"] if repeats else [ROLLED_BACK])
    assert statuses(second["graphResponse"]["compositeResponse"]) == [201, 201]
    assert named(client, f"Node {repeats}") == 1


def test_limits_of_graphs(sandbox: Sandbox, client: Client) -> None:
    many = [part(f"n{number}", "POST", "/sobjects/Account", {"Name": "Too many"}) for number in range(501)]
    (answer,) = graphs(client, graph("1", *many))
    assert answer["isSuccessful"] is False
    assert answer["graphResponse"]["compositeResponse"] == [
        {
            "body": [
                {"errorCode": "LIMIT_EXCEEDED", "message": "Limit of 500 reached for number of Nodes in the Graph"}
            ],
            "httpHeaders": {},
            "httpStatusCode": 400,
            "referenceId": None,
        }
    ]
    chain = [part("n0", "POST", "/sobjects/Account", {"Name": "Chain"})]
    chain += [
        part(f"n{number}", "POST", "/sobjects/Account", {"Name": "Chain", "ParentId": f"@{{n{number - 1}.id}}"})
        for number in range(1, 16)
    ]
    assert [one["isSuccessful"] for one in graphs(client, graph("1", *chain), graph("2", *chain[:15]))] == [False, True]
    assert named(client, "Chain") == 15
    wrong = graph("x", part("q", "GET", "/query?q=SELECT Id FROM User"))
    assert graphs(client, wrong)[0]["isSuccessful"] is False
    failing = [graph(str(number), part("bad", "POST", "/sobjects/Contact", {})) for number in range(14)]
    answers = graphs(client, *failing, graph("last", chain[0]))
    assert answers[-1]["graphResponse"]["compositeResponse"][0]["body"] == [ROLLED_BACK]
    assert named(client, "Chain") == 15
    sandbox.counters(reset=True)
    sandbox.switches(composite_counts_parts=True)
    graphs(client, graph("1", *chain[:3]))
    assert sandbox.counters()["metered"] == {"composite_graph": 3}


def test_graphs_of_the_wrong_form(client: Client) -> None:
    node = part("n", "POST", "/sobjects/Account", {"Name": "x"})
    for listed in ([], ["x"], [graph("1", node), graph("1", node)], [graph(str(n), node) for n in range(76)]):
        assert client.send("POST", "/composite/graph", json={"graphs": listed}).status_code == 400


def leaf(name: str, kind: str, **values: Any) -> dict[str, Any]:
    """A record of a tree; lists are its children."""
    below = {key: {"records": value} if isinstance(value, list) else value for key, value in values.items()}
    return {"attributes": {"type": kind, "referenceId": name}, **below}


def test_trees_are_made_with_their_children(client: Client) -> None:
    gadgets = [leaf("gadget", "Gadget__c", Name="G", Required__c="r")]
    contacts = [leaf("mother", "Contact", LastName="Tree", Gadgets__r=gadgets), leaf("son", "Contact", LastName="Tree")]
    body = {"records": [leaf("account", "Account", Name="Tree", Contacts=contacts), leaf("b", "Account", Name="Bush")]}
    answer = client.send("POST", "/composite/tree/Account", json=body)
    assert answer.status_code == 201
    assert answer.json()["hasErrors"] is False
    ids = {one["referenceId"]: one["id"] for one in answer.json()["results"]}
    assert list(ids) == ["account", "mother", "gadget", "son", "b"]
    found = client.query(f"SELECT Id, AccountId FROM Contact WHERE AccountId = '{ids['account']}'")
    assert {one["Id"] for one in found["records"]} == {ids["mother"], ids["son"]}
    gadget = client.query(f"SELECT Contact__c FROM Gadget__c WHERE Id = '{ids['gadget']}'")["records"][0]
    assert gadget["Contact__c"] == ids["mother"]


def test_one_bad_leaf_fells_the_tree(client: Client) -> None:
    contacts = [leaf("bad", "Contact", LastName="x", Email="none"), leaf("good", "Contact", LastName="x")]
    body = {"records": [leaf("account", "Account", Name="Felled", Contacts=contacts)]}
    answer = client.send("POST", "/composite/tree/Account", json=body)
    assert answer.status_code == 400
    assert answer.json() == {
        "hasErrors": True,
        "results": [
            {
                "referenceId": "bad",
                "errors": [
                    {
                        "statusCode": "INVALID_EMAIL_ADDRESS",
                        "message": "Email: invalid email address: none",
                        "fields": ["Email"],
                    }
                ],
            }
        ],
    }
    assert named(client, "Felled") == 0


@pytest.mark.parametrize(
    "records",
    [
        [leaf("same", "Account", Name="x"), leaf("same", "Account", Name="x")],
        [{"attributes": {"type": "Account"}, "Name": "x"}],
        [leaf("a", "Contact", LastName="x")],
        [leaf("a", "Account", Name="x", Nobody=[leaf("b", "Contact", LastName="x")])],
        [leaf(f"r{number}", "Account", Name="x") for number in range(201)],
    ],
)
def test_trees_of_the_wrong_form(client: Client, records: list[Any]) -> None:
    before = client.query("SELECT COUNT() FROM Account")["totalSize"]
    answer = client.send("POST", "/composite/tree/Account", json={"records": records})
    assert (answer.status_code, answer.json()["hasErrors"]) == (400, True)
    assert client.query("SELECT COUNT() FROM Account")["totalSize"] == before
