"""An environment and its authority that answer what a test wants: for what no honest service would say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx2
from tests.unit.crm.answers import answer

from crosstie.crm.dynamics.session import Session
from crosstie.crm.dynamics.settings import DynamicsSettings
from crosstie.crm.http import Retries

HOST = "https://acme.crm4.dynamics.com"
AUTHORITY = "https://login.microsoftonline.com"
TENANT = "11111111-2222-3333-4444-555555555555"
ORG = "0fa1b2c3-0000-4000-8000-00000000000a"
USER = "0fa1b2c3-0000-4000-8000-00000000000b"
DATE = "Mon, 23 Nov 2026 08:00:00 GMT"
Handler = Callable[[httpx2.Request], httpx2.Response]

SETTINGS: dict[str, Any] = {
    "host": HOST,
    "tenant": TENANT,
    "client_id": "app",
    "flow": "client_secret",
    "client_secret": "s3cret",
}
QUICK = Retries(attempts=3, first_wait=timedelta(), longest_wait=timedelta())


@dataclass(slots=True)
class Environment:
    """Answers by what follows the Web API's root; a request that was not foreseen is an error of the test."""

    answers: dict[str, Handler] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    token: Handler | None = None
    org: str = ORG

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Answers one request."""
        url = f"{request.url.scheme}://{request.url.netloc.decode()}"
        path = request.url.raw_path.decode()
        if url == AUTHORITY:
            return self._authority(request, path)
        path = path.partition("/api/data/v9.2/")[2]
        self.seen.append(f"{request.method} {path}")
        if path == "WhoAmI" and path not in self.answers:
            return answer(200, {"UserId": USER, "OrganizationId": self.org}, Date=DATE, x_ms_dop_hint="8")
        return self.answers[path](request)

    def _authority(self, request: httpx2.Request, path: str) -> httpx2.Response:
        self.seen.append(f"{request.method} {path}")
        if path == f"/{TENANT}/v2.0/.well-known/openid-configuration":
            place = f"{AUTHORITY}/{TENANT}/oauth2/v2.0"
            known = {"issuer": f"{AUTHORITY}/{TENANT}/v2.0", "token_endpoint": f"{place}/token"}
            return answer(200, {**known, "authorization_endpoint": f"{place}/authorize"})
        assert path == f"/{TENANT}/oauth2/v2.0/token", path
        self.forms.append({name: values[0] for name, values in parse_qs(request.content.decode()).items()})
        return (self.token or granted())(request)

    def session(self, *, org_id: str = "", token: str = "", kept: list[str] | None = None, **settings: Any) -> Session:
        """A session with it."""
        return Session(
            DynamicsSettings.model_validate({**SETTINGS, **settings}),
            account="acme",
            org_id=org_id,
            token=token,
            on_token=(kept if kept is not None else []).append,
            retries=QUICK,
            transport=httpx2.MockTransport(self.handle),
        )


def granted(text: str = "t0ken", *, life: int = 3_600) -> Handler:
    """An access token."""
    return always(200, {"token_type": "Bearer", "expires_in": life, "access_token": text})


def always(status: int, body: bytes | object = b"", **headers: str) -> Handler:
    """The same answer each time."""
    return lambda request: answer(status, body, Date=DATE, **headers)


def in_turn(*responses: Handler) -> Handler:
    """One answer after the other."""
    turn = iter(responses)
    return lambda request: next(turn)(request)


def refused(status: int, code: str, message: str = "No.") -> Handler:
    """Dataverse's error envelope."""
    return always(status, {"error": {"code": code, "message": message}})
