"""Records that are deleted, merged, brought back or gone: what is shown of them, and what a write to them answers."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from lxml import etree

from tests.contract.salesforce_sandbox.ingesting import ingested
from tests.sandboxes import Client, ControlRefused, Sandbox

STAMP = "%Y-%m-%dT%H:%M:%S.000+0000"
NEVER = "0035g00000zzzzz"
DELETED = "ENTITY_IS_DELETED:entity is deleted:--"
NOWHERE = "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"


@pytest.fixture
def now(sandbox: Sandbox) -> datetime:
    """The sandbox clock, which stands still on a minute of the next hour."""
    at = (sandbox.now() + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    sandbox.control("clock", at=at.isoformat(), frozen=True)
    return at


def seen(client: Client, record_id: str, name: str = "Contact") -> dict[str, Any] | None:
    """What queryAll has of a record."""
    text = f"SELECT Id, IsDeleted, MasterRecordId, SystemModstamp FROM {name} WHERE Id = '{record_id}'"
    found: list[dict[str, Any]] = client.get("/queryAll", params={"q": text}).json()["records"]
    return found[0] if found else None


def deleted(client: Client, start: datetime, end: datetime, name: str = "Contact") -> list[str]:
    """The ids of getDeleted."""
    answer = client.get(f"/sobjects/{name}/deleted", params={"start": start.isoformat(), "end": end.isoformat()})
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["deletedRecords"]]


def codes(client: Client, record_id: str) -> dict[str, Any]:
    """What each road answers to a change and a deletion of one contact."""
    row = {"attributes": {"type": "Contact"}, "id": record_id, "Title": "x"}
    path = f"/sobjects/Contact/{record_id}"
    single = [client.get(path), client.send("PATCH", path, json={"Title": "x"}), client.send("DELETE", path)]
    rows = [
        client.send("PATCH", "/composite/sobjects", json={"records": [row]}),
        client.send("DELETE", f"/composite/sobjects?ids={record_id}"),
    ]
    jobs = [ingested(client, f"Id,Title\n{record_id},x\n", "update")]
    jobs += [ingested(client, f"Id\n{record_id}\n", operation) for operation in ("delete", "hardDelete")]
    return {
        "single": [(one.status_code, one.json()[0]["errorCode"]) for one in single],
        "rows": [one.json()[0]["errors"][0]["statusCode"] for one in rows],
        "jobs": [error for job in jobs for error in job.errors],
    }


IN_THE_BIN = {
    "single": [(404, "ENTITY_IS_DELETED")] * 3,
    "rows": ["ENTITY_IS_DELETED"] * 2,
    "jobs": [DELETED] * 3,
}
GONE = {
    "single": [(404, "NOT_FOUND")] * 3,
    "rows": ["INVALID_CROSS_REFERENCE_KEY"] * 2,
    "jobs": [NOWHERE] * 3,
}


def test_what_writes_to_absent_records_answer(sandbox: Sandbox, client: Client) -> None:
    binned, purged = sandbox.insert("Contact", [{"LastName": "Binned"}, {"LastName": "Purged"}])
    sandbox.control("delete", ids=[binned])
    sandbox.control("purge", ids=[purged])
    assert codes(client, binned) == IN_THE_BIN
    assert codes(client, purged) == codes(client, NEVER) == GONE
    sandbox.switches(missing_id_code="INVALID_CROSS_REFERENCE_KEY")
    invalid = (404, "INVALID_CROSS_REFERENCE_KEY")
    assert codes(client, NEVER) == GONE | {"single": [(404, "NOT_FOUND"), invalid, invalid]}
    sandbox.switches(missing_id_code="NOT_FOUND", purged_as_deleted=True)
    assert codes(client, purged) == IN_THE_BIN
    assert codes(client, NEVER) == GONE


def test_deleting_one_record_twice_in_a_job(sandbox: Sandbox, client: Client) -> None:
    for switched, error in ((False, NOWHERE), (True, DELETED)):
        sandbox.switches(purged_as_deleted=switched)
        (made,) = sandbox.insert("Contact", [{"LastName": "Twice"}])
        done = ingested(client, f"Id\n{made}\n{made}\n", "hardDelete")
        assert (len(done.successful), done.errors) == (1, [error])


def test_the_bin_is_emptied_after_fifteen_days(sandbox: Sandbox, client: Client, now: datetime) -> None:
    first, second, living = sandbox.insert("Contact", [{"LastName": name} for name in ("First", "Second", "Living")])
    sandbox.control("delete", ids=[first])
    sandbox.advance(timedelta(days=1))
    sandbox.control("delete", ids=[second])
    sandbox.advance(timedelta(days=14))
    assert seen(client, first) is not None
    end = sandbox.advance(timedelta(minutes=1))
    assert seen(client, first) is None
    assert codes(client, first) == GONE
    assert codes(client, second) == IN_THE_BIN
    start = end - timedelta(days=15)
    assert deleted(client, start, end) == [second]
    with pytest.raises(ControlRefused, match="not in the recycle bin"):
        sandbox.control("undelete", ids=[first])
    sandbox.control("undelete", ids=[second])
    end = sandbox.advance(timedelta(days=30))
    for one in (second, living):
        assert client.get(f"/sobjects/Contact/{one}").status_code == 200
    sandbox.switches(recycle_bin_days=2)
    answer = client.get(
        "/sobjects/Contact/deleted",
        params={"start": (end - timedelta(days=1)).isoformat(), "end": end.isoformat()},
    ).json()
    assert answer["earliestDateAvailable"] == (end - timedelta(days=2)).strftime(STAMP)


def test_a_clock_that_was_set_back_does_not_save_what_is_due(sandbox: Sandbox, client: Client, now: datetime) -> None:
    sandbox.advance(timedelta(days=40))
    client.get("/limits")
    sandbox.control("clock", at=now.isoformat())
    (made,) = sandbox.insert("Contact", [{"LastName": "Earlier"}])
    sandbox.control("delete", ids=[made])
    sandbox.advance(timedelta(days=15, minutes=1))
    assert seen(client, made) is None


@pytest.mark.parametrize("name", ["Account", "Contact"])
def test_a_merge(sandbox: Sandbox, client: Client, now: datetime, name: str) -> None:
    own = {"Account": {"Name": "Firm"}, "Contact": {"LastName": "Person"}}[name]
    master, one, two = sandbox.insert(name, [own] * 3)
    sandbox.insert(name, [own])
    children = sandbox.insert(
        "Case", [{"Subject": f"Theirs, {name}", f"{name}Id": parent} for parent in (one, two, master)]
    )
    gadgets = sandbox.insert("Gadget__c", [{"Required__c": "x", f"{name}__c": two}])
    then = sandbox.advance(timedelta(minutes=5))
    moved = sandbox.control("merge", object=name, master=master, losers=[one, two])["moved"]
    assert sorted(moved) == sorted([*children[:2], *gadgets])
    for loser in (one, two):
        shown = seen(client, loser, name)
        assert shown is not None
        assert (shown["IsDeleted"], shown["MasterRecordId"]) == (True, master)
        assert shown["SystemModstamp"] == then.strftime(STAMP)
    cases = client.query(f"SELECT {name}Id, SystemModstamp FROM Case WHERE Subject = 'Theirs, {name}' ORDER BY Id")[
        "records"
    ]
    assert [case[f"{name}Id"] for case in cases] == [master] * 3
    assert [case["SystemModstamp"] for case in cases] == [then.strftime(STAMP)] * 2 + [now.strftime(STAMP)]
    assert client.get(f"/sobjects/{name}/{master}").json()["SystemModstamp"] == then.strftime(STAMP)
    assert client.get(f"/sobjects/{name}/{one}").json()[0]["errorCode"] == "ENTITY_IS_DELETED"
    end = sandbox.advance(timedelta(minutes=2))
    assert sorted(deleted(client, then, end, name)) == sorted([one, two])
    sandbox.control("undelete", object=name, ids=[one])
    back = client.get(f"/sobjects/{name}/{one}").json()
    assert (back["MasterRecordId"], back["SystemModstamp"]) == (None, end.strftime(STAMP))
    assert deleted(client, then, sandbox.advance(timedelta(minutes=2)), name) == [two]


def soap(client: Client, body: str, token: str | None = None) -> Any:
    """The answer of the partner API to an operation."""
    session = client.sandbox.salesforce["access_token"] if token is None else token
    text = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com"'
        ' xmlns:o="urn:sobject.partner.soap.sforce.com">'
        f"<e:Header><SessionHeader><sessionId>{session}</sessionId></SessionHeader></e:Header>"
        f"<e:Body>{body}</e:Body></e:Envelope>"
    )
    headers = {"SOAPAction": '""', "Content-Type": "text/xml"}
    return client.send("POST", "/services/Soap/u/64.0", headers=headers, data=text.encode(), signed_in=False)


def results_of(answer: Any) -> list[list[tuple[str, str]]]:
    """The members of each result, in order."""
    assert answer.status_code == 200, answer.text
    found = etree.fromstring(answer.content).findall(".//{*}result")
    return [[(etree.QName(member).localname, "".join(map(str, member.itertext()))) for member in one] for one in found]


def test_merge_undelete_and_emptying_by_soap(sandbox: Sandbox, client: Client) -> None:
    master, one, two = sandbox.insert("Contact", [{"LastName": name} for name in ("Stays", "One", "Two")])
    (case,) = sandbox.insert("Case", [{"Subject": "Mine", "ContactId": one}])
    request = (
        f"<merge><request><masterRecord><o:type>Contact</o:type><o:Id>{master[:15]}</o:Id><o:Title>Kept</o:Title>"
        f"</masterRecord><recordToMergeIds>{one}</recordToMergeIds><recordToMergeIds>{two}</recordToMergeIds>"
        "</request></merge>"
    )
    assert results_of(soap(client, request)) == [
        [("id", master), ("mergedRecordIds", one), ("mergedRecordIds", two), ("success", "true"),
         ("updatedRelatedIds", case)]
    ]  # fmt: skip
    assert client.get(f"/sobjects/Contact/{master}").json()["Title"] == "Kept"
    again = results_of(soap(client, request))
    assert again == [[("errors", "entity is deletedENTITY_IS_DELETED"), ("success", "false")]]
    taken_out = results_of(soap(client, f"<undelete><ids>{one}</ids><ids>{master}</ids></undelete>"))
    assert taken_out[0] == [("id", one), ("success", "true")]
    assert taken_out[1][-1] == ("success", "false") and "UNDELETE_FAILED" in taken_out[1][0][1]
    emptied = results_of(soap(client, f"<emptyRecycleBin><ids>{two}</ids><ids>{one}</ids></emptyRecycleBin>"))
    assert [dict(result)["success"] for result in emptied] == ["true", "false"]
    assert seen(client, two) is None
    assert client.get(f"/sobjects/Contact/{one}").status_code == 200
    refused = soap(client, request, token="nobody")
    assert refused.status_code == 500 and "<sf:exceptionCode>INVALID_SESSION_ID<" in refused.text


def test_merges_that_can_not_be(sandbox: Sandbox) -> None:
    a, b, c, d = sandbox.insert("Contact", [{"LastName": name} for name in "ABCD"])
    gadgets = sandbox.insert("Gadget__c", [{"Required__c": "x"}] * 2)
    sandbox.control("delete", ids=[d])
    for given in (
        {"master": a, "losers": []},
        {"master": a, "losers": [a]},
        {"master": a, "losers": [b, b]},
        {"master": a, "losers": [b, c, gadgets[0]]},
        {"master": a, "losers": [d]},
        {"master": gadgets[0], "losers": gadgets[1:], "object": "Gadget__c"},
    ):
        with pytest.raises(ControlRefused):
            sandbox.control("merge", **given)


def family(sandbox: Sandbox) -> tuple[str, str, str]:
    (account,) = sandbox.insert("Account", [{"Name": "Parent"}])
    (contact,) = sandbox.insert("Contact", [{"LastName": "Child", "AccountId": account}])
    stage = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-12-31"}
    (deal,) = sandbox.insert("Opportunity", [stage | {"AccountId": account}])
    return account, contact, deal


@pytest.mark.parametrize("road", ["row", "job"])
def test_children_that_go_along_and_come_back(sandbox: Sandbox, client: Client, now: datetime, road: str) -> None:
    account, contact, deal = family(sandbox)
    (before,) = sandbox.insert("Contact", [{"LastName": "Before", "AccountId": account}])
    sandbox.control("delete", ids=[before])
    sandbox.advance(timedelta(minutes=1))
    sandbox.switches(children_bound=True)
    if road == "row":
        assert client.send("DELETE", f"/sobjects/Account/{account}").status_code == 204
    else:
        assert ingested(client, f"Id\n{account}\n", "delete", "Account").errors == []
    for name, record_id in (("Account", account), ("Contact", contact), ("Opportunity", deal)):
        assert client.get(f"/sobjects/{name}/{record_id}").json()[0]["errorCode"] == "ENTITY_IS_DELETED"
    end = sandbox.advance(timedelta(minutes=1))
    assert contact in deleted(client, now, end)
    sandbox.control("undelete", object="Account", ids=[account])
    for name, record_id in (("Account", account), ("Contact", contact), ("Opportunity", deal)):
        assert client.get(f"/sobjects/{name}/{record_id}").status_code == 200
    assert client.get(f"/sobjects/Contact/{before}").status_code == 404


def test_children_that_keep_their_parent(sandbox: Sandbox, client: Client) -> None:
    account, contact, _ = family(sandbox)
    (case,) = sandbox.insert("Case", [{"Subject": "Open", "ContactId": contact}])
    number = client.get(f"/sobjects/Case/{case}").json()["CaseNumber"]
    sandbox.switches(children_bound=True)
    for name, record_id in (("Contact", contact), ("Account", account)):
        answer = client.send("DELETE", f"/sobjects/{name}/{record_id}")
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "DELETE_FAILED")
        assert f"associated with the following cases.: {number}" in answer.json()[0]["message"]
    assert ingested(client, f"Id\n{contact}\n", "delete").errors[0].startswith("DELETE_FAILED:Your attempt to delete")
    assert client.get(f"/sobjects/Contact/{contact}").status_code == 200
    sandbox.switches(children_bound=False)
    assert client.send("DELETE", f"/sobjects/Contact/{contact}").status_code == 204
