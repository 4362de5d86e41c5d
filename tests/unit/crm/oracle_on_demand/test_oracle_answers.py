"""Answers that no honest service gives, and faults in both shapes under both statuses."""

from __future__ import annotations

from datetime import timedelta

import httpx2
import pytest
from tests.unit.crm.answers import answer
from tests.unit.crm.oracle_on_demand.company import (
    CONTACT,
    SETTINGS,
    Company,
    application_fault,
    enveloped,
    front_end_fault,
    page,
)

from crosstie.crm.connector import RemoteQuery
from crosstie.crm.http import Answer
from crosstie.crm.oracle_on_demand.envelope import body_of
from crosstie.crm.oracle_on_demand.faults import Fault, FaultKind, error_of, fault_of
from crosstie.crm.oracle_on_demand.session import Message, Refused, Session
from crosstie.errors import AuthError, CrosstieError, ProtocolError, RequestError, UnavailableError

QUERY = RemoteQuery(object=CONTACT, fields=("Id", "Name", "AccountId"))
BOMB = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>'
FILE = '<!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def rows(company: Company) -> list[tuple[str | None, ...]]:
    """Everything that the company gives."""
    connector = company.connector()
    todo = list(connector.open(QUERY, lambda token: None).partitions)
    found: list[tuple[str | None, ...]] = []
    while todo:
        fetched = connector.fetch(QUERY, todo.pop(0))
        todo.extend(fetched.partitions)
        for batch in fetched.batches:
            found += zip(*(column.to_pylist() for column in batch.columns), strict=True)
    connector.close()
    return found


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (enveloped("<o>&c;</o>", BOMB), ProtocolError, "has a document type"),
        (enveloped("<o>&a;</o>", FILE), ProtocolError, "has a document type"),
        (enveloped("<o>&nothing;</o>"), ProtocolError, "not well-formed"),
        (enveloped(""), ProtocolError, "empty envelope"),
        (enveloped("<o/>"), ProtocolError, "has no ListOfContact"),
        (page("<Name>x</Name>"), ProtocolError, "which is not an id"),
        (page("<Id>A-1'</Id>"), ProtocolError, "which is not an id"),
        (page("<Id>A-1</Id>", "<Id>A-1</Id>"), ProtocolError, "come twice"),
        (page("<Id>A-1</Id>", "<Id>A-2</Id>", "<Id>A-3</Id>", "<Id>A-4</Id>"), ProtocolError, "asked for at most"),
        (page(last="false"), ProtocolError, "empty page"),
        (page("<Id>A-1</Id>", last="false"), ProtocolError, "no further record"),
        (page("<Id>A-1</Id>")[:-20], UnavailableError, "was cut: its XML has no end"),
        (b"<html><body>Maintenance</body></html>", UnavailableError, "no SOAP envelope"),
        (b"", UnavailableError, "is no XML"),
    ],
)
def test_a_hostile_answer_is_an_error_and_never_rows(body: bytes, error: type[CrosstieError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        rows(Company([body]))
    assert caught.value.hint


def test_a_page_ends_the_read_when_it_says_so_or_is_not_full() -> None:
    full = ("<Id>A-1</Id>", "<Id>A-2</Id>", "<Id>A-3</Id>")
    for answers, queries in (
        ([page(*full)], 1),
        ([page(*full, last=""), page(last="")], 2),
        ([page(*full, last=""), page("<Id>A-4</Id>", last="")], 2),
        ([page("<Id>A-1</Id>", last="false"), page("<Id>A-4</Id>")], 2),
    ):
        company = Company([*answers])
        rows(company)
        assert company.seen.count("ContactQueryPage") == queries


def test_ids_in_an_order_of_their_own_are_read_by_row_numbers() -> None:
    first = page("<Id>A-2</Id>", "<Id>A-10</Id>", "<Id>A-30</Id>", last="false")
    second = page("<Id>A-30</Id>", "<Id>A-4</Id>")
    company = Company([first, first, second])
    assert [row[0] for row in rows(company)] == ["A-2", "A-10", "A-30", "A-4"]


def test_what_has_no_value_is_null_and_namespaces_do_not_matter() -> None:
    found = rows(
        Company([page('<Id>A-1</Id><Name/><AccountId>No Match Row Id</AccountId><x:More xmlns:x="urn:x">1</x:More>')])
    )
    assert found == [("A-1", None, None)]


def parsed(body: bytes, status: int = 500) -> tuple[Fault, CrosstieError]:
    """The fault in an answer, and what it means."""
    given = Answer(status=status, headers={}, body=body, request_id="r", what="query Contact")
    fault = fault_of(body_of(given))
    assert fault is not None
    return fault, error_of(fault, given, "acme")


NESTED = 'Method X returned: "Value not in picklist(SBL-DAT-00225)"(SBL-EAI-04376)'


@pytest.mark.parametrize(
    ("body", "kind", "error", "code"),
    [
        (application_fault(("(SBL-EAI-04376)", "", NESTED)), FaultKind.BAD_VALUE, RequestError, "SBL-DAT-00225"),
        (application_fault(("SBL-DAT-00381", "", "")), FaultKind.DUPLICATE, RequestError, "SBL-DAT-00381"),
        (application_fault(("(SBL-DAT-00523)", "", "changed")), FaultKind.CONFLICT, RequestError, "SBL-DAT-00523"),
        (application_fault(("", "", "(SBL-EAI-04378)")), FaultKind.MISSING, RequestError, "SBL-EAI-04378"),
        (application_fault(("(SBL-DAT-00446)", "", "logon")), FaultKind.CREDENTIALS, AuthError, "SBL-DAT-00446"),
        (front_end_fault("SBL-ODU-01011", "no"), FaultKind.NO_SERVICE, AuthError, "SBL-ODU-01011"),
        (front_end_fault("SBL-ODU-01006", "RIP_WAIT_ERROR_TIMEOUT"), FaultKind.TIMED_OUT, UnavailableError, ""),
        (front_end_fault("SBL-ODU-01006", "Session is not available."), FaultKind.SESSION, UnavailableError, ""),
        (front_end_fault("SBL-ODU-01006", "Session limit quota"), FaultKind.QUOTA, UnavailableError, ""),
        (front_end_fault("SBL-ODU-01006", "no idea"), FaultKind.UNAVAILABLE, UnavailableError, ""),
        (front_end_fault("SBL-ODU-01007", ""), FaultKind.SESSION, UnavailableError, ""),
    ],
)
def test_a_fault_means_the_same_in_every_form(
    body: bytes, kind: FaultKind, error: type[CrosstieError], code: str
) -> None:
    for status in (200, 500):
        fault, raised = parsed(body, status)
        assert fault.kind is kind
        assert type(raised) is error
        assert raised.hint
        assert not code or fault.code == code


def test_the_columns_of_rejects_come_from_the_fault() -> None:
    fault, _ = parsed(application_fault(("(SBL-DAT-00498)", "IDS_X", "First name"), ("(SBL-A)", "", "Second")))
    assert (fault.log_file, fault.code, fault.symbol, fault.message) == (
        "a.log",
        "SBL-DAT-00498",
        "IDS_X",
        "First name | Second",
    )
    fault, error = parsed(front_end_fault("SBL-ODU-01005", "too fast", "<RequestWait>70</RequestWait>"))
    assert (fault.log_file, fault.code, fault.symbol) == ("", "SBL-ODU-01005", "")
    assert error.retry_after == timedelta(milliseconds=70)
    fault, error = parsed(front_end_fault("SBL-ODU-01005", "too fast", "<RequestWait>-9e99</RequestWait>"))
    assert error.retry_after == timedelta(milliseconds=50)


MESSAGE = Message(action="document/x:ContactUpdate", body="<x/>", what="update Contact")


@pytest.mark.parametrize(
    ("body", "proved"),
    [
        (application_fault(("(SBL-DAT-00498)", "", "required")), True),
        (application_fault(("(SBL-XXX-99999)", "", "never heard of")), True),
        (front_end_fault("SBL-ODU-01005", "too fast"), True),
        (front_end_fault("SBL-ODU-01006", "RIP_WAIT_ERROR_TIMEOUT"), False),
        (front_end_fault("SBL-ODU-01006", "no idea"), False),
        (front_end_fault("SBL-XXX-99999", "never heard of"), False),
    ],
)
def test_only_what_proves_that_nothing_was_executed_says_so(body: bytes, proved: bool) -> None:
    for status in (200, 500):
        company = Company([answer(status, body)])
        session = Session(
            SETTINGS, account="acme", transport=httpx2.MockTransport(company.handle), between=timedelta(0)
        )
        found = session.write(MESSAGE)
        assert isinstance(found, Refused)
        assert found.proved is proved
        assert company.seen.count("ContactUpdate") == 1


def test_credentials_that_are_no_ascii_travel_encoded_and_the_session_is_the_cookie() -> None:
    company = Company([page()])
    rows(company)
    assert company.seen == ["login", "CurrentUserQueryPage", "ContactQueryPage", "logoff"]
    login, *others = company.headers
    assert (login["username"], login["password"]) == ("ACME/user", "pa%20%C3%9F")
    assert all(one["cookie"] == "JSESSIONID=abc!1" for one in others)
    assert not any("password" in one for one in others)
