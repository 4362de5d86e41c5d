"""Batches and bulk messages: framing as different clients write it, what goes together, and what stops what."""

import json
import re
from typing import Any

import pytest
import requests

from tests.sandboxes import WebApi

GOES_ON = "odata.continue-on-error"


def operation(method: str, url: str, body: Any = None, content_id: int | None = None, line_end: str = "\r\n") -> str:
    head = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    head += [f"Content-ID: {content_id}"] if content_id is not None else []
    lines = [*head, "", f"{method} {url} HTTP/1.1"]
    if body is not None:
        lines += ["Content-Type: application/json; type=entry", "", json.dumps(body, ensure_ascii=False)]
    else:
        lines += ["", ""]
    return line_end.join(lines) + line_end


def change_set(*operations: str) -> str:
    inner = "".join(f"--changeset_1\r\n{one}" for one in operations)
    return f"Content-Type: multipart/mixed; boundary=changeset_1\r\n\r\n{inner}--changeset_1--\r\n"


def send(api: WebApi, *parts: str, line_end: str = "\r\n", quoted: bool = True, prefer: str = "") -> requests.Response:
    text = "".join(f"--batch_x{line_end}{one}" for one in parts) + f"--batch_x--{line_end}"
    boundary = '"batch_x"' if quoted else "batch_x"
    headers = {"Content-Type": f"multipart/mixed; boundary={boundary}", "Prefer": prefer}
    return api.send("POST", "$batch", data=text.encode(), headers=headers)


def answers(response: requests.Response) -> list[tuple[int, dict[str, Any]]]:
    """Status and JSON of every operation, in order."""
    assert re.fullmatch(r"multipart/mixed; boundary=batchresponse_[-0-9a-f]+", response.headers["Content-Type"])
    text = response.content.decode()
    assert text.startswith("--batchresponse_") and text.rstrip().endswith("--")
    found = re.findall(r"HTTP/1\.1 (\d{3}) \w[\w ]*\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)\r\n", text)
    return [(int(status), json.loads(body) if body else {}) for status, body in found]


def contacts(api: WebApi) -> int:
    return int(api.get("contacts/$count").text)


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_parts_are_answered_in_order_whatever_their_addresses_and_line_ends(api: WebApi, line_end: str) -> None:
    parts = [
        operation("GET", f"{api.base}contacts?$select=fullname&$filter=lastname ne 'a b'&$top=1", line_end=line_end),
        operation("POST", "contacts", {"lastname": "Größe"}, line_end=line_end),
        operation("GET", "/api/data/v9.2/WhoAmI", line_end=line_end),
    ]
    response = send(api, *parts, line_end=line_end, quoted=line_end == "\n")
    assert response.status_code == 200
    (first, rows), (second, _), (third, me) = answers(response)
    assert (first, second, third) == (200, 204, 200)
    assert len(rows["value"]) == 1 and me["UserId"]
    found = re.search(r"OData-EntityId: (\S+)", response.text)
    assert found and api.one(found[1])["lastname"] == "Größe"
    api.send("DELETE", found[1])


def test_a_part_may_have_a_longer_address_than_a_request_of_its_own(api: WebApi) -> None:
    def listed(characters: int) -> str:
        function = "Microsoft.Dynamics.CRM.In(PropertyName='lastname',PropertyValues=[\"" + "x" * characters + '"])'
        return f"contacts?$select=contactid&$filter={function}"

    assert api.get(listed(40_000)).status_code == 414
    ((status, body),) = answers(send(api, operation("GET", listed(40_000))))
    assert (status, body["value"]) == (200, [])
    assert send(api, operation("GET", listed(66_000))).status_code == 400


def test_a_refused_part_stops_what_follows_unless_told_to_go_on(api: WebApi) -> None:
    parts = [
        operation("POST", "contacts", {"lastname": "x" * 60}),
        operation("DELETE", "contacts(00000000-0000-0000-0000-000000000001)"),
    ]
    stopped = send(api, *parts)
    assert stopped.status_code == 400
    assert [status for status, _ in answers(stopped)] == [400]
    went_on = send(api, *parts, prefer=GOES_ON)
    assert went_on.status_code == 200
    codes = [(status, body["error"]["code"]) for status, body in answers(went_on)]
    assert codes == [(400, "0x80044331"), (404, "0x80040217")]


def test_a_change_set_is_all_or_nothing(api: WebApi) -> None:
    before = contacts(api)
    account = operation("POST", "accounts", {"name": "Parent"}, content_id=1)
    child = {"lastname": "Child", "parentcustomerid_account@odata.bind": "$1"}
    both = send(api, change_set(account, operation("POST", "contacts", child, content_id=2)))
    assert [status for status, _ in answers(both)] == [204, 204]
    assert "Content-ID: 2" in both.text and "Content-Type: multipart/mixed; boundary=changesetresponse_" in both.text
    row = api.one("contacts?$filter=lastname eq 'Child'&$expand=parentcustomerid_account($select=name)")["value"][0]
    assert row["parentcustomerid_account"]["name"] == "Parent"
    api.send("DELETE", f"contacts({row['contactid']})")
    wrong = change_set(
        operation("POST", "contacts", {"lastname": "Gone"}, content_id=1),
        operation("POST", "contacts", {"lastname": "x" * 60}, content_id=2),
    )
    failed = send(api, wrong, operation("GET", "WhoAmI"), prefer=GOES_ON)
    statuses = [status for status, _ in answers(failed)]
    assert (failed.status_code, statuses) == (200, [400, 200])
    assert "Content-ID: 2" in failed.text and "Content-ID: 1" not in failed.text
    assert contacts(api) == before


def test_what_a_change_set_refuses(api: WebApi) -> None:
    child = {"lastname": "C", "parentcustomerid_account@odata.bind": "$2"}
    forward = send(api, change_set(operation("POST", "contacts", child, content_id=1)))
    ((status, body),) = answers(forward)
    assert status == 400 and "Content-ID Reference: '$2' does not exist" in body["error"]["message"]
    reading = send(api, change_set(operation("GET", "WhoAmI", content_id=1)))
    assert [status for status, _ in answers(reading)] == [400]


def test_a_batch_that_is_none_is_refused_in_plain_json(api: WebApi) -> None:
    kind = {"Content-Type": "multipart/mixed; boundary=batch_x"}
    cut = "--batch_x\r\n" + operation("POST", "contacts", {"lastname": "Cut"})
    before = contacts(api)
    for body in (cut.encode(), b"", b"--batch_x\r\nContent-Type: text/plain\r\n\r\nx\r\n--batch_x--\r\n"):
        answer = api.send("POST", "$batch", data=body, headers=kind)
        assert answer.status_code == 400 and answer.json()["error"]["message"]
    assert send(api, operation("POST", "$batch")).status_code == 400
    many = send(api, *[operation("GET", "WhoAmI")] * 1001)
    assert many.status_code == 400 and "1000" in many.json()["error"]["message"]
    assert contacts(api) == before


def test_a_part_alone_can_be_throttled(api: WebApi) -> None:
    fault = {"type": "status", "status": 429, "code": "0x80072321", "retry_after": 4}
    api.sandbox.faults([{"match": {"kind": "part_record_create"}, "after": 1, "fault": fault}])
    parts = [operation("POST", "contacts", {"lastname": name}) for name in ("one", "two", "three")]
    response = send(api, *parts, prefer=GOES_ON)
    assert [status for status, _ in answers(response)] == [204, 429, 204]
    assert "Retry-After: 4" in response.text
    for address in re.findall(r"OData-EntityId: (\S+)", response.text):
        api.send("DELETE", address)


def bulk(api: WebApi, message: str, *targets: dict[str, Any], table: str = "contact") -> requests.Response:
    typed = [{"@odata.type": f"Microsoft.Dynamics.CRM.{table}", **one} for one in targets]
    return api.send("POST", f"{table}s/Microsoft.Dynamics.CRM.{message}", json={"Targets": typed})


def test_bulk_messages_do_all_or_nothing(api: WebApi) -> None:
    before = contacts(api)
    made = bulk(api, "CreateMultiple", {"lastname": "B1"}, {"lastname": "B2", "new_externalid": "bulk-2"})
    first, second = made.json()["Ids"]
    assert [api.one(f"contacts({one})")["lastname"] for one in (first, second)] == ["B1", "B2"]
    update = bulk(
        api, "UpdateMultiple", {"contactid": first, "lastname": "B1a"}, {"contactid": second, "lastname": "B2a"}
    )
    assert (update.status_code, update.content) == (204, b"")
    by_key = {"@odata.id": "contacts(new_externalid='bulk-2')", "lastname": "B2b"}
    new = {"@odata.id": "contacts(new_externalid='bulk-3')", "lastname": "B3"}
    assert bulk(api, "UpsertMultiple", by_key, new).status_code == 204
    third = api.one("contacts(new_externalid='bulk-3')")["contactid"]
    assert [api.one(f"contacts({one})")["lastname"] for one in (first, second, third)] == ["B1a", "B2b", "B3"]
    wrong = bulk(api, "CreateMultiple", {"lastname": "ok"}, {"lastname": "x" * 60})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "0x80044331")
    gone = bulk(api, "UpdateMultiple", {"contactid": first, "lastname": "no"}, {"contactid": "0" * 8 + first[8:]})
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "0x80040217")
    assert api.one(f"contacts({first})")["lastname"] == "B1a"
    condition = {"AttributeName": "contactid", "Operator": "In"}
    values = [{"Value": one, "Type": "System.Guid"} for one in (first, second, third)]
    query = {"EntityName": "contact", "Criteria": {"Conditions": [condition | {"Values": values}]}}
    job = api.send("POST", "BulkDelete", json={"JobName": "clean", "QuerySet": [query]}).json()["JobId"]
    assert api.one(f"asyncoperations({job})?$select=statecode,statuscode")["statuscode"] == 30
    assert contacts(api) == before


def test_bulk_messages_that_there_are_not(api: WebApi) -> None:
    unsupported = bulk(api, "CreateMultiple", {"new_name": "v"}, table="new_visit")
    assert (unsupported.status_code, unsupported.json()["error"]["code"]) == (400, "0x80040800")
    asked = (
        "sdkmessagefilters?$select=sdkmessagefilterid&$filter=sdkmessageid/name eq @m and primaryobjecttypecode eq @t"
    )
    found = {name: api.one(f"{asked}&@m='CreateMultiple'&@t='{name}'")["value"] for name in ("contact", "new_visit")}
    assert len(found["contact"]) == 1 and found["new_visit"] == []
    deletion = bulk(api, "DeleteMultiple", {"contactid": "0"})
    assert "DeleteMultiple has not yet been implemented." in deletion.text
    untyped = api.send("POST", "contacts/Microsoft.Dynamics.CRM.CreateMultiple", json={"Targets": [{"lastname": "x"}]})
    assert untyped.status_code == 400 and "@odata.type" in untyped.text
