"""An org that answers what a test wants: for what no honest CRM would say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
from tests.unit.crm.answers import answer

from crosstie.crm.connector import RemoteQuery
from crosstie.crm.http import Retries
from crosstie.crm.salesforce.bulk import Patience
from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.crm.salesforce.settings import SalesforceSettings

INSTANCE = "https://acme.my.salesforce.com"
DATE = "Mon, 23 Nov 2026 08:00:00 GMT"
Handler = Callable[[httpx2.Request], httpx2.Response]

SETTINGS: dict[str, Any] = {
    "host": INSTANCE,
    "flow": "client_credentials",
    "client_id": "key",
    "client_secret": "s3cret",
    "api_version": "68.0",
}


@dataclass(slots=True)
class Org:
    """Answers by path without version; a path that was not foreseen is an error of the test."""

    answers: dict[str, Handler] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    token: dict[str, Any] = field(default_factory=dict)

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Answers one request."""
        path = request.url.path.removeprefix("/services/data/v68.0/").rstrip("/")
        self.seen.append(f"{request.method} {request.url.host} {path}")
        if path == "/services/oauth2/token":
            granted = {
                "access_token": "00D000000000001!abc",
                "instance_url": INSTANCE,
                "id": "https://login.salesforce.com/id/00D000000000001EAA/005000000000001AAA",
                **self.token,
            }
            return answer(200, granted, Date=DATE)
        return self.answers[path](request)

    def connector(self, **settings: Any) -> SalesforceConnector:
        """A connector to it."""
        return SalesforceConnector(
            SalesforceSettings.model_validate({**SETTINGS, **settings}),
            account="acme",
            retries=Retries(attempts=3, first_wait=timedelta(), longest_wait=timedelta()),
            patience=Patience(first=timedelta(), longest=timedelta(), total=timedelta(seconds=1)),
            transport=httpx2.MockTransport(self.handle),
        )


def always(status: int, body: bytes | object, **headers: str) -> Handler:
    """The same answer each time."""
    return lambda request: answer(status, body, Date=DATE, **headers)


def in_turn(*responses: Handler) -> Handler:
    """One answer after the other."""
    turn = iter(responses)
    return lambda request: next(turn)(request)


def page(records: list[dict[str, Any]], *, total: int | None = None, following: str = "") -> bytes:
    """A page of a query."""
    body: dict[str, Any] = {
        "totalSize": len(records) if total is None else total,
        "done": not following,
        "records": [{"attributes": {"type": "Contact", "url": "/x"}, **record} for record in records],
    }
    return json.dumps({**body, "nextRecordsUrl": following} if following else body).encode()


def rows(connector: SalesforceConnector, query: RemoteQuery) -> list[tuple[str | None, ...]]:
    """Reads a query to its end."""
    todo = list(connector.open(query, lambda token: None).partitions)
    found: list[tuple[str | None, ...]] = []
    while todo:
        fetched = connector.fetch(query, todo.pop(0))
        todo.extend(fetched.partitions)
        for batch in fetched.batches:
            found.extend(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    return found
