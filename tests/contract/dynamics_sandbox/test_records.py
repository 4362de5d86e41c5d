"""Single records: created, read, changed and deleted as the Web API guide says, refused with the service's codes."""

from datetime import timedelta
from typing import Any

import pytest

from tests.sandboxes import WebApi

REPRESENTATION = {"Prefer": "return=representation"}
OWN_ID = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9"


def code(answer: Any) -> tuple[int, str]:
    """The status and the code of a refusal, which every answer's headers can be asked about."""
    assert answer.headers["x-ms-service-request-id"]
    return answer.status_code, answer.json()["error"]["code"]


def test_a_record_keeps_every_type_as_the_wire_has_it(api: WebApi) -> None:
    account = api.one("accounts?$select=accountid&$top=1")["value"][0]["accountid"]
    given = {
        "new_name": "Größe 😀",
        "new_notes": "one\r\ntwo\n",
        "new_count": -7,
        "new_ticks": 9_007_199_254_740_993,
        "new_share": 0.1234567891,
        "new_weight": 2.5,
        "new_price": 10.25,
        "new_active": True,
        "new_colour": 100_000_001,
        "new_tags": "9, 2,3",
        "new_token": "{0F1E2D3C-4B5A-4978-8695-A4B3C2D1E0FA}",
        "new_tablename": "contact",
        "new_seen": "2024-01-15T13:45:07.9+02:00",
        "new_built": "2024-01-15",
        "new_opens": "2024-01-15T13:45:07Z",
        "new_mail": "",
    }
    binds = {"new_AccountId": "", "new_CustomerId_account": "/", "new_AboutId_account": f"{api.base}"}
    bound = {f"{name}@odata.bind": f"{before}accounts({account})" for name, before in binds.items()}
    record_id = api.create("new_everythings", given | bound)
    answer = api.get(f"new_everythings({record_id})")
    shown = answer.json()
    changed = {
        "new_tags": "2,3,9",
        "new_token": "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0fa",
        "new_seen": "2024-01-15T11:45:07Z",
        "new_mail": None,
    }
    assert {name: shown[name] for name in given} == given | changed
    assert '"new_share":0.1234567891,' in answer.text and '"new_price":10.2500,' in answer.text
    assert shown["new_price_base"] == 10.25 and shown["statuscode"] == 1
    lookups = ("_new_accountid_value", "_new_customerid_value", "_new_aboutid_value")
    assert [shown[name] for name in lookups] == [account] * 3
    assert shown["createdon"] == shown["modifiedon"] == api.sandbox.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert shown["_createdby_value"] == api.one("WhoAmI")["UserId"]
    api.send("DELETE", f"new_everythings({record_id})")


def test_a_primary_key_of_our_own_is_taken_once(api: WebApi) -> None:
    body = {"contactid": OWN_ID.upper(), "lastname": "Own"}
    answer = api.send("POST", "contacts?$select=fullname", json=body, headers=REPRESENTATION)
    assert answer.status_code == 201 and "OData-EntityId" not in answer.headers
    assert answer.headers["Preference-Applied"] == "return=representation"
    assert (answer.json()["contactid"], answer.json()["fullname"]) == (OWN_ID, "Own")
    assert code(api.send("POST", "contacts", json=body)) == (412, "0x80040237")
    none_match = api.send("PATCH", f"contacts({OWN_ID})", json={"lastname": "x"}, headers={"If-None-Match": "*"})
    assert code(none_match) == (412, "0x80040237")
    assert api.send("DELETE", f"contacts({OWN_ID})").status_code == 204
    assert code(api.send("DELETE", f"contacts({OWN_ID})")) == (404, "0x80040217")


def test_versions_guard_updates_and_spare_reads(api: WebApi) -> None:
    record_id = api.create("contacts", {"lastname": "Versioned"})
    path = f"contacts({record_id})"
    first = api.get(path + "?$select=lastname")
    etag = first.headers["ETag"]
    assert etag == first.json()["@odata.etag"]
    assert api.get(path, headers={"If-None-Match": etag}).status_code == 304
    assert api.get(path, headers={"If-None-Match": "null"}).status_code == 200
    assert api.send("PATCH", path, json={"lastname": "B"}, headers={"If-Match": etag}).status_code == 204
    stale = api.send("PATCH", path, json={"lastname": "C"}, headers={"If-Match": etag})
    assert code(stale) == (412, "0x80060882")
    assert api.get(path, headers={"If-None-Match": etag}).json()["lastname"] == "B"
    visit = api.create("new_visits", {"new_name": "v"})
    untracked = api.send("PATCH", f"new_visits({visit})", json={}, headers={"If-Match": 'W/"1"'})
    assert code(untracked) == (400, "0x80060883")
    api.send("DELETE", path)
    gone = api.send("PATCH", path, json={"lastname": "D"}, headers={"If-Match": "*"})
    assert code(gone) == (404, "0x80040217")


def test_an_upsert_by_alternate_key_echoes_the_key(api: WebApi) -> None:
    path = "new_everythings(new_serial='O''Key 1')"
    made = api.send("PATCH", path, json={"new_name": "n", "new_serial": "O'Key 1"})
    assert made.status_code == 204 and made.headers["OData-EntityId"] == api.base + path
    body = {"new_name": "again", "new_serial": "dropped"}
    again = api.send("PATCH", path.replace("Key", "KEY"), json=body, headers=REPRESENTATION)
    assert (again.status_code, again.json()["new_serial"], again.json()["new_name"]) == (200, "O'Key 1", "again")
    record_id = again.json()["new_everythingid"]
    taken = api.send("POST", "new_everythings", json={"new_name": "n", "new_serial": "o'key 1"})
    assert code(taken) == (412, "0x80060892") and "new_serial_key" in taken.json()["error"]["message"]
    by_two = "new_everythings(new_code='k',new_season=100000001)"
    assert code(api.send("PATCH", by_two, json={}, headers={"If-Match": "*"})) == (404, "0x80060891")
    assert code(api.get("new_everythings(new_code='k')")) == (400, "0x80060888")
    assert api.get("new_everythings(new_serial='a&b')").status_code == 400
    account = api.one("accounts?$select=accountid&$top=1")["value"][0]["accountid"]
    by_lookup = f"new_everythings(_new_accountid_value={account},new_code='by lookup')"
    upserted = api.send("PATCH", by_lookup, json={"new_name": "l"}, headers=REPRESENTATION)
    assert (upserted.status_code, upserted.json()["_new_accountid_value"]) == (201, account)
    for one in (record_id, upserted.json()["new_everythingid"]):
        api.send("DELETE", f"new_everythings({one})")


def test_lookups_are_bound_by_exact_names_and_cleared(api: WebApi) -> None:
    number = "A-0000001"
    bound = {"parentcustomerid_account@odata.bind": f"accounts(accountnumber='{number}')"}
    record_id = api.create("contacts", {"lastname": "L", **bound})
    path = f"contacts({record_id})"
    assert api.one(f"{path}/parentcustomerid_account?$select=accountnumber")["accountnumber"] == number
    assert api.get(f"{path}/parentcustomerid_contact").status_code == 204
    for body, expected in (
        ({"ParentCustomerId_account@odata.bind": "/accounts(x)"}, (400, "0x80048d19")),
        ({"_parentcustomerid_value": OWN_ID}, (400, "0x0")),
        ({"parentcustomerid_account@odata.bind": f"/accounts({OWN_ID})"}, (404, "0x80040217")),
        ({"parentcustomerid_account@odata.bind": "/accounts(accountnumber='none')"}, (404, "0x80060891")),
        ({"parentcustomerid_account@odata.bind": f"/{path}"}, (400, "0x80060888")),
        ({"parentcustomerid_account@odata.bind": "/Accounts(x)"}, (404, "0x8006088a")),
    ):
        assert code(api.send("PATCH", path, json=body)) == expected, body
    assert api.send("PATCH", path, json={"parentcustomerid_account@odata.bind": None}).status_code == 204
    assert api.one(path)["_parentcustomerid_value"] is None
    reference = {"@odata.id": f"{api.base}accounts(accountnumber='{number}')"}
    assert api.send("PUT", f"{path}/parentcustomerid_account/$ref", json=reference).status_code == 204
    assert api.one(path)["_accountid_value"]
    assert api.send("DELETE", f"{path}/parentcustomerid_account/$ref").status_code == 204
    assert api.one(path)["_accountid_value"] is None
    api.send("DELETE", path)


def test_parents_and_parties_can_be_made_at_once(api: WebApi) -> None:
    body = {"lastname": "Deep", "parentcustomerid_account": {"name": "Deep & Co"}}
    contact = api.create("contacts", body)
    parent = api.one(f"contacts({contact})/parentcustomerid_account")
    assert parent["name"] == "Deep & Co"
    parties = [{"participationtypemask": 2, "partyid_contact@odata.bind": f"/contacts({contact})"}]
    email = api.create("emails", {"subject": "s", "email_activity_parties": parties})
    path = f"emails({email})/email_activity_parties?$select=participationtypemask,_partyid_value"
    assert [row["_partyid_value"] for row in api.one(path)["value"]] == [contact]
    assert api.send("PATCH", f"emails({email})", json={"email_activity_parties": []}).status_code == 204
    assert api.one(path)["value"] == []
    assert code(api.send("POST", "activityparties", json={})) == (400, "0x80040800")
    api.send("DELETE", f"accounts({parent['accountid']})")
    assert api.one(f"contacts({contact})")["_parentcustomerid_value"] is None


@pytest.mark.parametrize(
    ("set_name", "body", "expected"),
    [
        ("contacts", {"lastname": "x" * 51}, (400, "0x80044331")),
        ("contacts", {"gendercode": 9}, (400, "0x8004431A")),
        ("contacts", {"new_interests": "100000000,5"}, (400, "0x8004431A")),
        ("contacts", {"LastName": "x"}, (400, "0x80048d19")),
        ("contacts", {"numberofchildren": "3"}, (400, "0x80048d19")),
        ("contacts", {"numberofchildren": -1}, (400, "0x80044330")),
        ("contacts", {"donotemail": 1}, (400, "0x80048d19")),
        ("contacts", {"birthdate": "1990-01-02T00:00:00Z"}, (400, "0x80048d19")),
        ("contacts", {"birthdate": "1752-12-31"}, (400, "0x80040239")),
        ("contacts", {"statecode": 0, "statuscode": 2}, (400, "0x80048408")),
        ("contacts", [], (400, "0x80048d19")),
        ("opportunities", {"name": "nobody's"}, (400, "0x80040203")),
        ("new_visits", {"new_name": None}, (400, "0x80040203")),
        ("Contacts", {"lastname": "x"}, (404, "0x8006088a")),
    ],
)
def test_a_refused_record_has_the_code_of_its_mistake(
    api: WebApi, set_name: str, body: Any, expected: tuple[int, str]
) -> None:
    before = api.get("contacts/$count").text
    assert code(api.send("POST", set_name, json=body)) == expected
    assert api.get("contacts/$count").text == before


def test_states_bring_their_status(api: WebApi) -> None:
    record_id = api.create("contacts", {"lastname": "S"})
    path = f"contacts({record_id})"
    assert api.send("PATCH", path, json={"statecode": 1}).status_code == 204
    assert api.one(path)["statuscode"] == 2
    assert code(api.send("PATCH", path, json={"statuscode": 1})) == (400, "0x80048408")
    api.send("DELETE", path)


def test_a_single_property_is_read_and_written(api: WebApi) -> None:
    record_id = api.create("contacts", {"lastname": "P", "firstname": "Q"})
    path = f"contacts({record_id})"
    assert api.send("PUT", f"{path}/firstname", json={"value": "R"}).status_code == 204
    assert api.one(f"{path}/fullname")["value"] == "R P"
    assert api.send("DELETE", f"{path}/firstname").status_code == 204
    assert api.get(f"{path}/firstname").status_code == 204
    assert api.send("PUT", f"{path}/parentcustomerid", json={"value": None}).status_code == 404
    api.send("DELETE", path)


def test_duplicates_are_found_on_request_only(api: WebApi) -> None:
    api.sandbox.control("duplicate_rules", rules=[{"table": "contact", "columns": ["emailaddress1"]}])
    first = api.create("contacts", {"lastname": "D", "emailaddress1": "twice@example.com"})
    body = {"lastname": "E", "emailaddress1": "TWICE@example.com"}
    detecting = {"MSCRM.SuppressDuplicateDetection": "false"}
    assert code(api.send("POST", "contacts", json=body, headers=detecting)) == (412, "0x80040333")
    second = api.create("contacts", body)
    for one in (first, second):
        api.send("DELETE", f"contacts({one})")


def test_plugins_refuse_in_their_own_words_unless_bypassed(api: WebApi) -> None:
    plugin = {"table": "contact", "column": "lastname", "value": "No", "message": "Nein."}
    api.sandbox.control("plugins", plugins=[plugin])
    refused = api.send("POST", "contacts", json={"lastname": "No"})
    assert code(refused) == (400, "0x80040265") and refused.json()["error"]["message"] == "Nein."
    record_id = api.create("contacts", {"lastname": "No"}, headers={"MSCRM.BypassCustomPluginExecution": "true"})
    api.send("DELETE", f"contacts({record_id})")


@pytest.mark.parametrize(
    ("switches", "set_name", "body", "expected"),
    [
        ({"empty_text_null": False}, "contacts", {"lastname": "t", "firstname": ""}, {"firstname": ""}),
        (
            {"date_only_time_refused": False},
            "contacts",
            {"birthdate": "1990-01-02T01:00:00Z"},
            {"birthdate": "1990-01-02"},
        ),
    ],
)
def test_unsure_facts_have_another_position(
    api: WebApi, switches: dict[str, Any], set_name: str, body: dict[str, Any], expected: dict[str, Any]
) -> None:
    api.sandbox.switches(**switches)
    record_id = api.create(set_name, body)
    shown = api.one(f"{set_name}({record_id})")
    assert {name: shown[name] for name in expected} == expected
    api.send("DELETE", f"{set_name}({record_id})")


def test_others_change_records_too(api: WebApi) -> None:
    """What the control endpoint does in the name of another user, with stamps and versions of now."""
    api.sandbox.advance(timedelta(minutes=5))
    ids = api.sandbox.change_contacts(3)
    shown = [api.one(f"contacts({one})?$select=modifiedon,_modifiedby_value,jobtitle") for one in ids]
    assert len({row["@odata.etag"] for row in shown}) == 3
    assert {row["_modifiedby_value"] for row in shown} != {api.one("WhoAmI")["UserId"]}
    since = shown[0]["modifiedon"]
    path = f"contacts?$select=contactid&$filter=modifiedon ge {since}"
    assert {row["contactid"] for row in api.one(path)["value"]} == set(ids)
    (late,) = api.sandbox.insert("contact", [{"lastname": "Late"}], late=600)
    assert api.get(f"contacts({late})").status_code == 404
    before = api.one("contacts?$select=versionnumber&$orderby=versionnumber desc&$top=1")["value"][0]["versionnumber"]
    api.sandbox.advance(timedelta(minutes=11))
    appeared = api.one(f"contacts({late})?$select=modifiedon,versionnumber")
    assert appeared["modifiedon"] >= since and appeared["versionnumber"] > before
    assert appeared["modifiedon"] < api.sandbox.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    master = ids[0]
    api.sandbox.control("merge", master=master, loser=late)
    loser = api.one(f"contacts({late})")
    assert (loser["merged"], loser["_masterid_value"], loser["statecode"]) == (True, master, 1)
    api.sandbox.control("set_stamp", ids=[late], values={"modifiedon": None})
    assert api.one(f"contacts({late})")["modifiedon"] is None
    api.sandbox.control("delete", ids=[late])
    deletions = "audits?$filter=operation eq 3 and objecttypecode eq 'contact'&$select=_objectid_value"
    assert late in {row["_objectid_value"] for row in api.one(deletions)["value"]}


def test_files_go_in_and_out(api: WebApi) -> None:
    record_id = api.create("new_everythings", {"new_name": "f", "new_picture": "UE5H"})
    path = f"new_everythings({record_id})/new_document"
    headers = {"Content-Type": "application/octet-stream", "x-ms-file-name": "a.bin"}
    assert api.send("PATCH", path, data=b"\x00\x01", headers=headers).status_code == 204
    assert api.get(f"{path}/$value").content == b"\x00\x01"
    shown = api.one(f"new_everythings({record_id})")
    assert shown["new_document_name"] == "a.bin" and shown["new_document"] and shown["new_picture_timestamp"]
    assert api.send("DELETE", path).status_code == 204
    assert api.get(f"{path}/$value").status_code == 204
