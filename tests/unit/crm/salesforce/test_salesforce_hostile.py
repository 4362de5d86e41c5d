"""Answers that must not be trusted: refused by name, and nothing sent elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.crm.answers import answer
from tests.unit.crm.salesforce.objects import CONTACT
from tests.unit.crm.salesforce.org import DATE, Handler, Org, always, in_turn, page, rows

from crosstie.crm.connector import RemoteQuery, Road
from crosstie.errors import AuthError, ProtocolError, RequestError, UnavailableError

QUERY = RemoteQuery(object=CONTACT, fields=("Id", "Email", "Score__c"), expected_rows=5)
BULK = RemoteQuery(object=CONTACT, fields=("Id", "Email", "Score__c"), road=Road.BULK)
ONE = {"Id": "003000000000001AAA", "Email": "a@b.example", "Score__c": 1.0}
TWO = {**ONE, "Id": "003000000000002AAA"}
NEXT = "/services/data/v68.0/query/01g-2000"
MORE = "query/01g-2000"
HEADER = b'"Id","Email","Score__c"\n'
LINE = b'"003000000000001AAA","a@b.example","1.0"\n'


def asked(*first: bytes, more: bytes = b"") -> Org:
    """An org whose query gives these pages in turn, and `more` behind the locator."""
    answers: dict[str, Handler] = {"query": in_turn(*(always(200, body) for body in first))}
    return Org(answers={**answers, MORE: always(200, more)})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Please sign in to the proxy</html>", "not a page of records"),
        (b'{"done":true,"records":[]}', "missing required field `totalSize`"),
        (page([{"Id": ONE["Id"], "Email": None}]), "missing required field `Score__c`"),
        (page([{**ONE, "Phone": "1"}]), "unknown field `Phone`"),
        (page([{**ONE, "Email": 7}]), "Expected `str | null`, got `int`"),
        (page([ONE]).replace(b"a@b", b"\xff\xfe"), "are not what was asked for|not a page"),
        (page([ONE], total=2), "ended after 1 rows, 2 were announced"),
        (page([ONE, TWO], total=1), "ended after 2 rows, 1 were announced"),
        (page([ONE], total=9, following="https://evil.example/services/data/v68.0/query/x"), "evil.example"),
        (page([ONE], total=9, following="//evil.example/x"), "evil.example"),
        (page([ONE], total=9, following="http://acme.my.salesforce.com/x"), "does not allow"),
        (page([ONE], total=9, following="https://other.salesforce.com/services/data/v68.0/query/x"), "outside the org"),
        (page([ONE], total=9, following="/elsewhere/logout.jsp"), "outside the org's data API"),
        (page([ONE], total=9, following="/services/data/../../elsewhere/logout.jsp"), "outside the org's data API"),
        (page([ONE], total=9, following=" ").replace(b'" "', b'""'), "names no next page"),
        (page([], total=9, following=NEXT), "names no next page"),
    ],
)
def test_a_page_that_is_not_what_was_asked_is_refused(body: bytes, message: str) -> None:
    org = asked(body)
    with pytest.raises(ProtocolError, match=message):
        rows(org.connector(), QUERY)
    assert {entry.split()[1] for entry in org.seen} == {"acme.my.salesforce.com"}
    assert not [entry for entry in org.seen if "logout" in entry]


def test_the_same_page_twice_is_refused() -> None:
    with pytest.raises(ProtocolError, match="same page twice"):
        rows(asked(page([ONE], total=4, following=NEXT), more=page([ONE], total=4)).connector(), QUERY)
    with pytest.raises(ProtocolError, match="its own next page"):
        rows(asked(page([ONE], total=4, following=NEXT), more=page([TWO], total=4, following=NEXT)).connector(), QUERY)


def test_values_are_the_characters_that_travelled() -> None:
    raw = (
        b'{"totalSize":3,"done":true,"records":['
        b'{"Id":"003000000000001","Email":"","Score__c":3.5E8,"HasOptedOutOfEmail":true,"Extra__c":{"a": 1},'
        b'"Account":{"NAME":"A\\u0000B"}},'
        b'{"Id":"003000000000002","Email":"a\\nb","Score__c":12.0,"HasOptedOutOfEmail":false,"Extra__c":"x","Account":null},'
        b'{"Id":"003000000000003","Email":null,"Score__c":null,"HasOptedOutOfEmail":null,"Extra__c":null,"Account":{"Name":7}}]}'
    )
    query = RemoteQuery(
        object=CONTACT,
        fields=("Id", "Email", "Score__c", "HasOptedOutOfEmail", "Extra__c", "Account.Name"),
        expected_rows=3,
    )
    assert rows(asked(raw).connector(), query) == [
        ("003000000000001", None, "3.5E8", "true", '{"a": 1}', "AB"),
        ("003000000000002", "a\nb", "12.0", "false", "x", None),
        ("003000000000003", None, None, None, None, "7"),
    ]


@pytest.mark.parametrize(
    "url", ["https://evil.example", "http://acme.my.salesforce.com", "https://acme.my.salesforce.com.evil.example"]
)
def test_a_foreign_instance_never_gets_the_token(url: str) -> None:
    org = Org(token={"instance_url": url})
    with pytest.raises(ProtocolError, match="a host that this account does not allow"):
        org.connector().objects()
    assert [entry.split()[1] for entry in org.seen] == ["acme.my.salesforce.com"]


@pytest.mark.parametrize("broken", [{"access_token": None}, {"instance_url": None}, {"access_token": ""}])
def test_a_sign_in_without_a_session_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match="no access token or instance"):
        Org(token=broken).connector().objects()


def bulk(*results: Handler, state: str = "JobComplete", total: int = 1) -> Org:
    """An org with one finished job whose results are these in turn."""
    job = {"id": "750000000000001AAA", "state": state, "apiVersion": 68.0, "numberRecordsProcessed": total}
    return Org(
        answers={
            "jobs/query": always(200, {**job, "state": "UploadComplete"}),
            "jobs/query/750000000000001AAA": always(200, job),
            "jobs/query/750000000000001AAA/results": in_turn(*results),
        }
    )


def csv_page(body: bytes, count: int, locator: str = "null") -> Handler:
    """A result page."""
    return always(200, body, **{"Sforce_NumberOfRecords": str(count), "Sforce_Locator": locator})


def test_a_bulk_result_is_read() -> None:
    assert rows(bulk(csv_page(HEADER + LINE, 1)).connector(), BULK) == [("003000000000001AAA", "a@b.example", "1.0")]


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (csv_page(b'"Id","Email"\n"1","a"\n', 1), "no column Score__c"),
        (csv_page(b'"Id","Score__c","Email"\n"1","1.0","a"\n', 1), "another order"),
        (csv_page(b'"Id","Email","Score__c","Phone"\n"1","a","1.0","2"\n', 1), "not asked for: Phone"),
        (csv_page(HEADER + b'"1","\xff","1.0"\n', 1), "column Email holds bytes that are not UTF-8"),
        (csv_page(b"<html>proxy</html>\n", 1), "no column Id, Email, Score__c"),
        (csv_page(HEADER + LINE + LINE, 1), "more than the 1 records"),
        (csv_page(HEADER + LINE, 2), "has 2 records in all its pages, its job says 1"),
        (csv_page(HEADER + LINE, 1, locator="MQ"), "differs|same|own next|more than"),
        (csv_page(HEADER, 0, locator="MQ"), "its own next page"),
        (always(200, HEADER + LINE), "lacks the headers"),
        (always(200, HEADER + LINE, Sforce_NumberOfRecords="many", Sforce_Locator="null"), "lacks the headers"),
        (always(204, b""), "not ready"),
    ],
)
def test_a_result_that_is_not_what_was_asked_is_refused(first: Handler, message: str) -> None:
    second = csv_page(HEADER + LINE, 1, locator="MQ")
    with pytest.raises(ProtocolError, match=message):
        rows(bulk(first, second, second).connector(), BULK)


def test_a_result_page_served_twice_is_refused() -> None:
    org = bulk(csv_page(HEADER + LINE, 1, locator="MQ"), csv_page(HEADER + LINE, 1), total=2)
    with pytest.raises(ProtocolError, match="same page twice"):
        rows(org.connector(), BULK)


def test_a_result_that_differs_when_fetched_again_is_refused() -> None:
    line = b'"%015dAAA","' + b"x" * 500_000 + b'","1.0"\n'
    whole = HEADER + b"".join(line % number for number in range(6))
    other = whole.replace(b"x", b"y", 1)
    headers = {"Sforce_NumberOfRecords": "6", "Sforce_Locator": "null"}
    cut = always(200, whole[: len(whole) // 2], **headers, Content_Length=str(len(whole)))
    assert len(rows(bulk(cut, always(200, whole, **headers), total=6).connector(), BULK)) == 6
    with pytest.raises(ProtocolError, match="differs from what was read before"):
        rows(bulk(cut, always(200, other, **headers), total=6).connector(), BULK)
    with pytest.raises(ProtocolError, match="another number of records"):
        rows(bulk(cut, csv_page(whole, 5), total=6).connector(), BULK)


@pytest.mark.parametrize("id_", ["750000000000009AAA", "../../limits", ""])
def test_another_job_than_the_one_asked_for_is_refused(id_: str) -> None:
    org = bulk()
    org.answers["jobs/query/750000000000001AAA"] = always(200, {"id": id_, "state": "JobComplete"})
    with pytest.raises(ProtocolError, match="describes the job"):
        rows(org.connector(), BULK)


def test_a_page_of_a_chain_that_comes_again_later_is_refused() -> None:
    """The third page is the first one again: the count is right, and the rows of one page are not there."""
    last = "query/01g-4000"
    org = asked(
        page([ONE], total=3, following=NEXT), more=page([TWO], total=3, following="/services/data/v68.0/" + last)
    )
    org.answers[last] = always(200, page([ONE], total=3))
    with pytest.raises(ProtocolError, match="same page twice"):
        rows(org.connector(), QUERY)


def test_pages_without_end_are_refused() -> None:
    """Always a new page with new rows, and another number announced each time, or the same one."""
    for grows in (0, 1):
        org = asked(page([ONE], total=3, following=NEXT))
        for number in range(10):
            path = MORE if not number else f"query/01g-{number}"
            row = {**ONE, "Id": f"0030000000001{number:02}AAA"}
            body = page([row], total=3 + grows * number, following=f"/services/data/v68.0/query/01g-{number + 1}")
            org.answers[path] = always(200, body)
        with pytest.raises(ProtocolError, match=r"goes on after 3 rows, 3 were announced|at first and 4 now"):
            rows(org.connector(), QUERY)


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_job_that_failed_is_an_error_with_its_reason(state: str) -> None:
    org = bulk(state=state)
    with pytest.raises(RequestError, match=f"ended as {state}"):
        rows(org.connector(), BULK)


def test_a_job_is_not_awaited_for_ever() -> None:
    with pytest.raises(UnavailableError, match="It goes on at Salesforce"):
        connector = bulk(state="InProgress").connector()
        connector._patience = connector._patience.__class__(
            first=connector._patience.first, longest=connector._patience.longest, total=connector._patience.first
        )
        rows(connector, BULK)


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (403, [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}], UnavailableError,
         "used its API calls"),
        (403, [{"message": "The REST API is not enabled", "errorCode": "API_DISABLED_FOR_ORG"}], AuthError, "refuses"),
        (410, [{"message": "retired", "errorCode": "GONE"}], RequestError, "no longer serves the API version"),
        (414, b"<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>", RequestError, "too long for a URL"),
        (503, b"<html>Down for maintenance</html>", UnavailableError, "cannot answer"),
        (400, b"", RequestError, "refused"),
        (300, b"[]", ProtocolError, "not valid JSON|description"),
    ],
)  # fmt: skip
def test_what_an_error_means(status: int, body: bytes | object, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Org(answers={"sobjects": always(status, body)}).connector().objects()


def test_the_filter_is_not_in_the_error() -> None:
    said = (
        "\nSELECT Id FROM Contact WHERE Email = 'jane@example.com'\n   ^\nERROR at Row:1:Column:12\nNo such column 'X'"
    )
    refused = always(400, [{"message": said, "errorCode": "INVALID_FIELD"}])
    with pytest.raises(RequestError) as caught:
        rows(Org(answers={"query": refused}).connector(), QUERY)
    assert "No such column 'X'" in str(caught.value)
    assert "jane" not in str(caught.value)
    assert caught.value.code == "INVALID_FIELD"


@pytest.mark.parametrize(
    ("header", "used"),
    [
        ("api-usage=18/5000", (18, 5000)),
        ("api-usage=18/5000; per-app-api-usage=17/250(appName=x)", (18, 5000)),
        ("per-app-api-usage=17/250(appName=x), api-usage=18/5000", (18, 5000)),
        ("per-app-api-usage=17/250(appName=x)", (0, 0)),
        ("", (0, 0)),
        (f"api-usage={'9' * 5_000}/5000", (0, 0)),
    ],
)
def test_the_meter_is_the_org_s_and_not_the_app_s(header: str, used: tuple[int, int]) -> None:
    connector = Org(answers={"sobjects": always(200, {"sobjects": []}, Sforce_Limit_Info=header)}).connector()
    connector.objects()
    assert (connector.usage.org_used, connector.usage.org_limit) == used


def test_an_object_that_never_changed_is_not_described_twice_in_memory() -> None:
    body = {
        "name": "X",
        "queryable": True,
        "fields": [{"name": "Id", "type": "id"}, {"name": "Old", "type": "string", "deprecatedAndHidden": True}],
    }
    org = Org(
        answers={
            "sobjects/X/describe": in_turn(
                always(200, body, Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT"),
                lambda request: answer(304, b"", Date=DATE) if request.headers["If-Modified-Since"] else answer(500),
                always(200, body, Last_Modified="Tue, 02 Jan 2024 00:00:00 GMT"),
            )
        }
    )
    connector = org.connector()
    first = connector.describe("X")
    assert [field.name for field in first.fields] == ["Id"]
    assert first.fingerprint.endswith("@Mon, 01 Jan 2024 00:00:00 GMT")
    assert connector.describe("X", known=first) is first
    assert connector.describe("X", known=first) is first
