"""Sessions by login and by credentials, their number, their end and their pace."""

from datetime import timedelta
from urllib.parse import quote

import pytest

from tests.contract.oracle_sandbox.messages import ANY_CONTACT, DRAFT, FINAL, credentials, fault
from tests.sandboxes import Sandbox, SoapWire

LOST = ("B", "SBL-ODU-01006", "Internal Error: Session is not available. Aborting.")


def query(soap: SoapWire, header: str = "") -> int:
    return soap.send("Contact", ANY_CONTACT, method="QueryPage", header=header).status_code


def sessions(oracle: Sandbox) -> dict[str, int]:
    found: dict[str, int] = oracle.counters()["sessions"]["open_by_origin"]
    return found


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_login_opens_a_session_and_a_logoff_ends_it(wire: SoapWire, oracle: Sandbox, method: str) -> None:
    assert wire.login(method).cookies["JSESSIONID"]
    assert (query(wire), sessions(oracle)) == (200, {"login": 1})
    assert wire.logoff().status_code == 200
    assert sessions(oracle) == {}
    assert fault(wire.send("Contact", ANY_CONTACT, method="QueryPage")) == LOST
    assert wire.logoff().status_code == 200


def test_credentials_of_headers_may_be_encoded(wire: SoapWire, oracle: Sandbox) -> None:
    told = oracle.told
    encoded = {"UserName": quote(told["user"], safe=""), "Password": quote(told["password"], safe="")}
    assert wire.session.get(f"{wire.endpoint}?command=login", headers=encoded).status_code == 403
    answer = wire.session.get(f"{wire.endpoint}?command=login&isEncoded=Y", headers=encoded)
    assert (answer.status_code, query(wire)) == (200, 200)


def test_wrong_logins_open_nothing(wire: SoapWire, oracle: Sandbox) -> None:
    answer = wire.login(Password="wrong")
    assert (answer.status_code, answer.cookies.get("JSESSIONID")) == (403, None)
    oracle.switches(login_refused_status=500)
    assert wire.login(UserName="NOBODY/ELSE").status_code == 500
    assert wire.session.get(f"{wire.endpoint}?command=Login").status_code == 404
    oracle.switches(web_services=False)
    assert wire.login().status_code == 500
    assert sessions(oracle) == {}


def test_a_company_has_few_sessions_and_idle_ones_end(wire: SoapWire, oracle: Sandbox) -> None:
    for _ in range(10):
        wire.session.cookies.clear()
        assert wire.login().status_code == 200
    assert wire.login().status_code == 200, "the session of the cookie gives its slot"
    wire.session.cookies.clear()
    answer = wire.login()
    assert answer.status_code == 500 and fault(answer)[:2] == ("B", "SBL-ODU-01006")
    oracle.advance(timedelta(seconds=601))
    assert oracle.counters()["sessions"]["open"] == 0
    assert wire.login().status_code == 200
    oracle.advance(timedelta(seconds=599))
    assert query(wire) == 200
    oracle.advance(timedelta(seconds=601))
    assert fault(wire.send("Contact", ANY_CONTACT, method="QueryPage")) == LOST


def test_the_slot_of_a_session_may_be_free_only_a_while_after_its_end(wire: SoapWire, oracle: Sandbox) -> None:
    oracle.switches(session_quota=1, logoff_lag_seconds=20)
    wire.login()
    wire.logoff()
    wire.session.cookies.clear()
    assert (wire.login().status_code, oracle.counters()["sessions"]["open"]) == (500, 0)
    oracle.advance(timedelta(seconds=20))
    assert wire.login().status_code == 200


def test_the_namespace_of_credentials_decides_about_a_session(wire: SoapWire, oracle: Sandbox) -> None:
    assert query(wire, credentials(wire, FINAL)) == 200
    assert wire.session.cookies["JSESSIONID"] and sessions(oracle) == {}
    assert query(wire) == 500, "the cookie only leads back to the server"
    wire.session.cookies.clear()
    assert query(wire, credentials(wire, DRAFT)) == 200
    assert (sessions(oracle), query(wire)) == ({"credentials": 1}, 200)
    wire.logoff()
    wire.session.cookies.clear()
    kept = credentials(wire) + "<SessionKeepAlive>true</SessionKeepAlive>"
    assert (query(wire, kept), query(wire), sessions(oracle)) == (200, 200, {"keep_alive": 1})
    oracle.switches(r16_compatibility=True)
    for _ in range(2):
        wire.session.cookies.clear()
        assert query(wire, credentials(wire)) == 200
    assert sessions(oracle) == {"keep_alive": 1, "credentials": 2}


def test_wrong_credentials_and_none_at_all_are_refused(wire: SoapWire) -> None:
    answer = wire.send("Contact", ANY_CONTACT, method="QueryPage", header=credentials(wire, password="wrong"))
    assert fault(answer)[:2] == ("A", "SBL-DAT-00446")
    assert fault(wire.send("Contact", ANY_CONTACT, method="QueryPage")) == LOST


def test_administrative_services_want_credentials_each_time(soap: SoapWire) -> None:
    namespace = "urn:crmondemand/ws/odesabs/fieldmanagement/"
    body = f'<FieldManagementReadAll_Input xmlns="{namespace}"/>'
    assert fault(soap.post(namespace, "FieldManagementReadAll", body)) == LOST
    answer = soap.post(namespace, "FieldManagementReadAll", body, credentials(soap))
    assert answer.status_code == 200 and "stCampaign_Code" in answer.text


def test_requests_of_a_session_that_follow_too_soon_are_refused(soap: SoapWire, oracle: Sandbox) -> None:
    oracle.counters(reset=True)
    oracle.switches(request_gap=60_000)
    assert query(soap) == 200
    answer = soap.send("Contact", ANY_CONTACT, method="QueryPage")
    shape, code, message = fault(answer)
    assert (shape, code) == ("B", "SBL-ODU-01005")
    wait = int(answer.text.partition("<RequestWait>")[2].partition("<")[0])
    assert 0 < wait <= 60_000 and message.endswith(f"Please try again in {wait} ms.")
    soap.session.cookies.clear()
    soap.login()
    assert query(soap) == 200, "another session has its own pace"
    counted = oracle.counters()
    assert counted["operations"] == {"v2 ContactQueryPage": 2}
    assert 1 <= counted["sessions"]["most_calls_in_a_second"] <= 2
