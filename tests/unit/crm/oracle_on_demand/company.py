"""A company that answers what a test wants: for what no honest service would say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import httpx2
from tests.unit.crm.answers import answer

from crosstie.crm.http import Retries
from crosstie.crm.oracle_on_demand.connector import OracleOnDemandConnector
from crosstie.crm.oracle_on_demand.settings import OracleOnDemandSettings
from crosstie.model import FieldType, RemoteField, RemoteObject

HOST = "https://secure-ausomxabc.crmondemand.com"
SETTINGS = OracleOnDemandSettings.model_validate(
    {"host": HOST, "user": "ACME/user", "password": "pa ß", "page_rows": 3, "time_zone": "Europe/Paris"}
)
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
DATA = "urn:/crmondemand/xml/Contact/Data"
Handler = Callable[[httpx2.Request], httpx2.Response]

CONTACT = RemoteObject(
    name="Contact",
    label="Contact",
    label_plural="Contacts",
    key="Id",
    fields=tuple(
        RemoteField(name=name, label=name, type=kind, wire_type=kind.value)
        for name, kind in (("Id", FieldType.ID), ("Name", FieldType.TEXT), ("AccountId", FieldType.REFERENCE))
    ),
)


def enveloped(body: str, before: str = "") -> bytes:
    """A whole answer."""
    return f'{before}<s:Envelope xmlns:s="{SOAP}"><s:Body>{body}</s:Body></s:Envelope>'.encode()


def page(*records: str, last: str = "true") -> bytes:
    """A page of contacts."""
    listed = "".join(f"<Contact>{record}</Contact>" for record in records)
    told = f' lastpage="{last}"' if last else ""
    return enveloped(f'<o><ListOfContact xmlns="{DATA}"{told}>{listed}</ListOfContact></o>')


def front_end_fault(code: str, message: str, wait: str = "") -> bytes:
    """A fault of the servlet."""
    detail = f"<ErrorCode>{code}</ErrorCode><ErrorMessage>{message}</ErrorMessage>{wait}"
    return enveloped(
        f"<s:Fault><faultcode>soap:Server</faultcode><faultstring>Server</faultstring><detail>{detail}</detail></s:Fault>"
    )


def application_fault(*errors: tuple[str, str, str]) -> bytes:
    """A fault of the application: code, symbol and message of each error."""
    listed = "".join(
        f"<f:error><f:errorcode>{code}</f:errorcode><f:errorsymbol>{symbol}</f:errorsymbol>"
        f"<f:errormsg>{message}</f:errormsg></f:error>"
        for code, symbol, message in errors
    )
    return enveloped(
        "<s:Fault><faultcode>SOAP-ENV:Server</faultcode><faultstring>it failed</faultstring><detail>"
        '<f:siebdetail xmlns:f="http://www.siebel.com/ws/fault"><f:logfilename>a.log</f:logfilename>'
        f"<f:errorstack>{listed}</f:errorstack></f:siebdetail></detail></s:Fault>"
    )


@dataclass(slots=True)
class Company:
    """Signs anybody in, and gives these answers to what is asked, the last one ever again."""

    answers: list[httpx2.Response | bytes]
    seen: list[str] = field(default_factory=list)
    headers: list[httpx2.Headers] = field(default_factory=list)
    login: Handler | None = None

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Answers one request."""
        command = request.url.params.get("command", "")
        action = request.headers.get("soapaction", "")
        self.headers.append(request.headers)
        self.seen.append(command or action.rpartition(":")[2].strip('"'))
        if command == "login" and self.login is not None:
            return self.login(request)
        if command:
            return answer(200, b"", Set_Cookie="JSESSIONID=abc!1; path=/; secure")
        if "CurrentUser" in action:
            user = "<CurrentUser><UserSignInId>ACME/user</UserSignInId></CurrentUser>"
            return answer(200, enveloped(f"<o><ListOfCurrentUser>{user}</ListOfCurrentUser></o>"))
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return given if isinstance(given, httpx2.Response) else answer(200, given)

    def connector(self, settings: OracleOnDemandSettings = SETTINGS) -> OracleOnDemandConnector:
        """A connector to it."""
        return OracleOnDemandConnector(
            settings,
            account="acme",
            retries=Retries(attempts=3, first_wait=timedelta(), longest_wait=timedelta()),
            transport=httpx2.MockTransport(self.handle),
            between=timedelta(0),
        )
