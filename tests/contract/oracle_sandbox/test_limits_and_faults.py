"""What is refused before any work, what the fault plan spoils, and what is counted."""

from typing import Any

import pytest
import requests

from tests.contract.oracle_sandbox.messages import ANY_CONTACT, contacts, fault, person, written
from tests.sandboxes import Sandbox, SoapWire


def plan(soap: SoapWire, kind: str = "insert", **given: Any) -> None:
    soap.sandbox.faults([{"match": {"kind": kind}, "fault": given}])


def insert(soap: SoapWire, key: str) -> requests.Response:
    record = person("Fault", f"<ExternalSystemId>{key}</ExternalSystemId>")
    return soap.send("Contact", contacts(record), method="Insert")


def there(oracle: Sandbox, key: str) -> bool:
    return any(row["ExternalSystemId"] == key for row in oracle.control("rows")["rows"])


def test_requests_that_are_no_messages_are_refused(soap: SoapWire, oracle: Sandbox) -> None:
    headers = {"SOAPAction": '"document/urn:crmondemand/ws/ecbs/contact/:ContactQueryPage"'}
    secret = oracle.ca_file.as_uri()
    for body in (
        "<broken",
        "<a/>",
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret}">]><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">'
        "<e:Body><a>&x;</a></e:Body></e:Envelope>",
    ):
        answer = soap.session.post(soap.endpoint, data=body, headers=headers)
        assert fault(answer)[:2] == ("B", "SBL-ODU-01008") and "BEGIN" not in answer.text
    assert fault(soap.session.post(soap.endpoint, data="<a/>"))[:2] == ("B", "SBL-ODU-01008")
    oracle.switches(request_kilobytes=1)
    answer = insert(soap, "x" * 2000)
    assert fault(answer) == ("B", "SBL-ODU-01006", "Request exceeded the size limit of 1 KB.")


def test_the_namespace_of_the_body_is_that_of_the_action(soap: SoapWire) -> None:
    generic, custom = (f"urn:crmondemand/ws/ecbs/contact/{tail}" for tail in ("", "10/2004"))
    body = f'<ContactQueryPage_Input xmlns="{custom}">{ANY_CONTACT}</ContactQueryPage_Input>'
    assert soap.post(custom, "ContactQueryPage", body).status_code == 200
    assert fault(soap.post(generic, "ContactQueryPage", body))[1] == "SBL-EAI-04313"


def test_faults_come_under_either_status(soap: SoapWire, oracle: Sandbox) -> None:
    nameless = soap.send("Contact", contacts("<JobTitle>x</JobTitle>"), method="Update")
    assert nameless.status_code == 500 and "<siebelf:errorcode>(SBL-EAI-04397)<" in nameless.text
    assert "<siebelf:errorsymbol>IDS_ERR_EAI_SA_NO_USERKEY<" in nameless.text
    oracle.switches(fault_status=200, codes_in_parentheses=False)
    nameless = soap.send("Contact", contacts("<JobTitle>x</JobTitle>"), method="Update")
    assert nameless.status_code == 200 and "<siebelf:errorcode>SBL-EAI-04397<" in nameless.text
    oracle.control("expire_sessions")
    answer = insert(soap, "any")
    assert answer.status_code == 200 and fault(answer)[:2] == ("B", "SBL-ODU-01006")


@pytest.mark.parametrize("executed", [False, True])
def test_the_back_end_times_out_before_or_after_the_work(soap: SoapWire, oracle: Sandbox, executed: bool) -> None:
    key = f"timeout-{executed}"
    plan(soap, type="status", status=500, after_work=executed)
    shape, code, message = fault(insert(soap, key))
    assert (shape, code) == ("B", "SBL-ODU-01006") and message.endswith("RIP_WAIT_ERROR_TIMEOUT")
    assert there(oracle, key) is executed


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_reply_is_lost_before_or_after_the_work(soap: SoapWire, oracle: Sandbox, kind: str) -> None:
    plan(soap, type=kind)
    with pytest.raises(requests.ConnectionError):
        insert(soap, kind)
    assert there(oracle, kind) is (kind == "drop_after")


def test_pages_statuses_and_cuts_come_on_demand(soap: SoapWire) -> None:
    plan(soap, type="status", status=503, html=True)
    answer = insert(soap, "page")
    assert answer.status_code == 503 and "<h1>" in answer.text
    plan(soap, type="status", status=200, code="SBL-DAT-00542", message="Access denied.(SBL-DAT-00542)")
    answer = insert(soap, "denied")
    assert (answer.status_code, fault(answer)[:2]) == (200, ("A", "SBL-DAT-00542"))
    plan(soap, type="status", status=500, code="SBL-ODU-01005")
    assert "<RequestWait>120</RequestWait>" in insert(soap, "fast").text
    plan(soap, kind="query", type="truncate", bytes=20)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        soap.send("Contact", ANY_CONTACT, method="QueryPage")
    plan(soap, kind="login", type="status", status=502)
    assert soap.login().status_code == 502


def test_large_answers_are_compressed_and_counted(soap: SoapWire, oracle: Sandbox) -> None:
    oracle.counters(reset=True)
    page = '<ListOfContact pagesize="50"><Contact><Id/><ContactLastName/></Contact></ListOfContact>'
    answer = soap.send("Contact", page, method="QueryPage")
    assert answer.headers["Content-Encoding"] == "gzip" and len(written(answer)) == 50
    counted = oracle.counters()
    assert (counted["requests"], counted["rows"]) == ({"query": 1}, {"query": 50})


def test_pages_are_rewritten_on_demand(soap: SoapWire) -> None:
    page = '<ListOfContact pagesize="5"><Contact><Id/><ContactLastName/></Contact></ListOfContact>'

    def spoiled(trick: str, **given: Any) -> requests.Response:
        plan(soap, kind="query", type="rewrite", trick=trick, field="ContactLastName", **given)
        return soap.send("Contact", page, method="QueryPage")

    assert len(written(spoiled("big_field", bytes=500))[0]["ContactLastName"]) == 500
    assert len(written(spoiled("short_page"))) == 4
    rows = written(spoiled("same_row"))
    assert len(rows) == 5 and rows[0] == rows[4]
    assert set(written(spoiled("missing_member"))[0]) == {"Id"}
    assert b"\xff" in spoiled("invalid_utf8").content and b"&#0;" in spoiled("nul").content
    assert spoiled("entities").text.count("<!ENTITY") == 12
    there = spoiled("external_entity", location="file:///nowhere").text
    assert '<!ENTITY there SYSTEM "file:///nowhere">' in there and "&there;" in there
    assert spoiled("deep").text.startswith("<a><a>")


def test_faults_choose_their_requests_by_action_and_content(soap: SoapWire) -> None:
    match = {"action": "/contact/.*ContactInsert", "body": "unlucky"}
    soap.sandbox.faults([{"match": match, "fault": {"type": "status", "status": 500, "code": "SBL-DAT-00542"}}])
    assert written(insert(soap, "lucky-1"))
    assert fault(insert(soap, "unlucky-1"))[1] == "SBL-DAT-00542"
