"""An answer cut at every byte, in every framing: noticed, asked for again, and right; never taken as whole."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from tests.scale import examples
from tests.unit.crm.answers import Body
from tests.unit.crm.salesforce.objects import CONTACT
from tests.unit.crm.salesforce.org import DATE, INSTANCE, SETTINGS, page, rows

from crosstie.crm.connector import RemoteQuery, Road
from crosstie.crm.http import HttpSession, Retries
from crosstie.crm.salesforce.auth import sign_in
from crosstie.crm.salesforce.bulk import Patience
from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.crm.salesforce.settings import SalesforceSettings

FAST = Retries(attempts=3, first_wait=timedelta(), longest_wait=timedelta())
AT_ONCE = Patience(first=timedelta(), longest=timedelta(), total=timedelta(seconds=1))
JOB_ID = "750000000000001AAA"
TOKEN = {
    "access_token": "00D000000000001!abc",
    "instance_url": INSTANCE,
    "id": "https://login.salesforce.com/id/00D000000000001EAA/005000000000001AAA",
}
SOAP = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns="urn:partner.soap.sforce.com"><soapenv:Body><loginResponse><result><passwordExpired>false</passwordExpired>'
    f"<serverUrl>{INSTANCE}/services/Soap/u/64.0/00D000000000001</serverUrl><sessionId>00D000000000001!abc</sessionId>"
    "<userId>005000000000001AAA</userId><userInfo><organizationId>00D000000000001EAA</organizationId></userInfo>"
    "</result></loginResponse></soapenv:Body></soapenv:Envelope>"
).encode()
DESCRIBED = {
    "name": "Contact",
    "queryable": True,
    "fields": [
        {"name": "Id", "type": "id", "length": 18},
        {"name": "Email", "type": "email", "label": "E-mail “écrit”", "filterable": True},
        {"name": "Level", "type": "picklist", "picklistValues": [{"value": "a", "label": "A", "active": True}]},
    ],
}
JOB = {"id": JOB_ID, "state": "JobComplete", "apiVersion": 68.0, "numberRecordsProcessed": 3, "object": "Contact"}
RECORDS = [
    {"Id": f"00300000000000{number}AAA", "Email": email, "Score__c": score}
    for number, (email, score) in enumerate([('say "hi"\n', 1.25), (None, None), ("ж@b.example", 12.0)])
]
CSV = (
    '"Id","Email","Score__c"\n"003000000000000AAA","say ""hi""\n","1.25"\n"003000000000001AAA","",""\n'
    '"003000000000002AAA","ж@b.example","12"" """\n'
).encode()


@dataclass(slots=True)
class Wire:
    """A network that cuts the next answer of one resource, and answers the rest whole. `asked` counts that one's."""

    whole: dict[str, bytes]
    spoilt: str
    cut: Callable[[bytes, dict[str, str]], httpx2.Response] | None = None
    asked: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Answers one request."""
        path = request.url.path.removeprefix("/services/data/v68.0/").rstrip("/")
        body = self.whole[path]
        headers = {"Date": DATE, **(self.headers if path.endswith("results") else {})}
        if (request.method, path) == ("GET", "jobs/query"):  # the list of jobs
            body = b'{"done": true, "records": []}'
        elif path == self.spoilt:
            self.asked += 1
            if self.cut is not None:
                cut, self.cut = self.cut, None
                return cut(body, headers)
        return httpx2.Response(200, headers={**headers, "Content-Length": str(len(body))}, stream=Body(body))


def closed(body: bytes, headers: dict[str, str], at: int) -> httpx2.Response:
    """The connection is lost after so many bytes."""
    return httpx2.Response(
        200, headers={**headers, "Content-Length": str(len(body))}, stream=Body(body[:at], broken=True)
    )


def short(body: bytes, headers: dict[str, str], at: int) -> httpx2.Response:
    """Fewer bytes than Content-Length says, and nobody minds."""
    return httpx2.Response(200, headers={**headers, "Content-Length": str(len(body))}, stream=Body(body[:at]))


def chunked(body: bytes, headers: dict[str, str], at: int) -> httpx2.Response:
    """No length is announced, and the last chunk never comes."""
    return httpx2.Response(
        200, headers={**headers, "Transfer-Encoding": "chunked"}, stream=Body(body[:at], broken=True)
    )


def framed(body: bytes, headers: dict[str, str], at: int) -> httpx2.Response:
    """A proxy cut the body and framed what was left correctly."""
    return httpx2.Response(200, headers={**headers, "Content-Length": str(at)}, stream=Body(body[:at]))


def packed(body: bytes, headers: dict[str, str], at: int) -> httpx2.Response:
    """The same, of a compressed body."""
    told = {**headers, "Content-Encoding": "gzip", "Content-Length": str(at)}
    return httpx2.Response(200, headers=told, stream=Body(gzip.compress(body, mtime=0)[:at]))


def repacked(body: bytes, headers: dict[str, str], at: int) -> httpx2.Response:
    """A proxy cut the body and compressed what was left, stream and framing whole."""
    data = gzip.compress(body[:at], 1, mtime=0)
    told = {**headers, "Content-Encoding": "gzip", "Content-Length": str(len(data))}
    return httpx2.Response(200, headers=told, stream=Body(data))


FRAMINGS = [closed, short, chunked, framed, packed, repacked]
KINDS = ["token", "soap", "versions", "describe", "query", "bulk_create", "bulk_status", "bulk_results"]


def wire_of(kind: str, *, csv: bytes = CSV, records: list[dict[str, Any]] | None = None) -> Wire:
    """A network whose answers of that kind can be cut."""
    paths = {
        "token": "/services/oauth2/token",
        "soap": "/services/Soap/u/64.0",
        "versions": "/services/data",
        "describe": "sobjects/Contact/describe",
        "query": "query",
        "bulk_create": "jobs/query",
        "bulk_status": f"jobs/query/{JOB_ID}",
        "bulk_results": f"jobs/query/{JOB_ID}/results",
    }
    count = csv.count(b"AAA")
    job = {**JOB, "numberRecordsProcessed": count}
    whole = {
        "token": json.dumps(TOKEN).encode(),
        "soap": SOAP,
        "versions": json.dumps([{"version": "64.0"}, {"version": "68.0", "url": "/x"}]).encode(),
        "describe": json.dumps(DESCRIBED, ensure_ascii=False).encode(),
        "query": page(RECORDS if records is None else records).replace(b"\\u0436", "ж".encode()),
        "bulk_create": json.dumps({**job, "state": "UploadComplete"}).encode(),
        "bulk_status": json.dumps(job).encode(),
        "bulk_results": csv,
    }
    wire = Wire({paths[name]: body for name, body in whole.items()}, spoilt=paths[kind])
    wire.headers = {"Sforce-NumberOfRecords": str(count), "Sforce-Locator": "null"}
    return wire


class Reading:
    """Asks for one kind of answer, again and again over the same connection."""

    def __init__(self, kind: str, wire: Wire) -> None:
        self.kind = kind
        self.wire = wire
        transport = httpx2.MockTransport(wire.handle)
        known = {**SETTINGS, "flow": "soap", "username": "u", "password": "p", "api_version": "64.0"}
        plain = known if kind == "soap" else {**SETTINGS, "api_version": "" if kind == "versions" else "68.0"}
        if kind == "soap":
            plain = {name: plain[name] for name in ("host", "flow", "username", "password", "api_version")}
        self.settings = SalesforceSettings.model_validate(plain)
        self.connector = SalesforceConnector(
            self.settings, account="acme", retries=FAST, patience=AT_ONCE, transport=transport
        )
        self.http = HttpSession(self.settings.hosts(), retries=FAST, transport=transport)

    def result(self) -> object:
        """What is made of the answer."""
        if self.kind in {"token", "soap", "versions"}:
            session = sign_in(self.http, self.settings, "acme", earlier=None)
            return (session.access_token, session.instance_url, session.version, session.org_id, session.user_id)
        if self.kind == "describe":
            return self.connector.describe("Contact")
        fields = ("Id", "Email", "Score__c")
        if self.kind == "query":
            return rows(self.connector, RemoteQuery(object=CONTACT, fields=fields, expected_rows=3))
        return rows(self.connector, RemoteQuery(object=CONTACT, fields=fields, road=Road.BULK))

    def close(self) -> None:
        """Closes the connections."""
        self.connector.close()
        self.http.close()


def try_cuts(kind: str, wire: Wire, framing: Callable[..., httpx2.Response], places: Iterator[int]) -> int:
    """Cuts at these places; returns how many cuts there were. Each must cost exactly one more request."""
    reading = Reading(kind, wire)
    right = reading.result()
    tried = 0
    for at in places:
        wire.asked, wire.cut = 0, lambda body, headers, at=at: framing(body, headers, at)
        assert reading.result() == right, at
        assert wire.asked == 2, at
        tried += 1
    reading.close()
    return tried


def size(body: bytes, framing: Callable[..., httpx2.Response]) -> int:
    """How many places there are to cut."""
    return len(gzip.compress(body, mtime=0)) if framing is packed else len(body)


@pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: framing.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_at_every_byte_is_noticed(kind: str, framing: Callable[..., httpx2.Response]) -> None:
    wire = wire_of(kind)
    body = wire.whole[wire.spoilt]
    places = size(body, framing)
    assert 0 < places <= 8_192
    assert try_cuts(kind, wire, framing, iter(range(places))) == places


LARGE = [{"Id": f"003{number:012}AAA", "Email": f"{number} «x» " * 9, "Score__c": number} for number in range(5_000)]
LARGE_CSV = b'"Id","Email","Score__c"\n' + b"".join(
    f'"{one["Id"]}","{str(one["Email"]) * 3}, ""q"" \n","{number}"\n'.encode() for number, one in enumerate(LARGE)
)


@pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: framing.__name__)
@pytest.mark.parametrize("kind", ["query", "bulk_results"])
def test_a_cut_anywhere_in_a_large_answer_is_noticed(kind: str, framing: Callable[..., httpx2.Response]) -> None:
    wire = wire_of(kind, csv=LARGE_CSV, records=LARGE)
    places = size(wire.whole[wire.spoilt], framing)
    assert places > 8_192
    chosen = random.Random(20_261_124).sample(range(places), examples(4, 200))
    assert try_cuts(kind, wire, framing, iter(chosen)) == len(chosen)
