"""Faults at the requests of an import from Dynamics, and what each must come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from crosstie.crm.connector import Connector
from crosstie.crm.dynamics.connector import DynamicsConnector
from crosstie.crm.dynamics.settings import DynamicsSettings
from tests.contract.faults.outcomes import FAULTS, PAGE_ROWS, RETRIED, Expected
from tests.contract.imports.world import ACCOUNT, QUICK, DescribedSite, World
from tests.sandboxes import Sandbox
from tests.scale import SOAK

_SIGNING_IN = ("openid_configuration", "token", "who_am_i")
KINDS = (*_SIGNING_IN, "metadata_changes", "query", "query_more")
"""Each kind of request that an import makes."""

_NEVER = {"cut-csv", "count-up", "count-down", "locators-end", "no-next", "quota", "busy"}
"""What there is only in Salesforce. A page without a link is the last one: nothing tells that there was more."""

_ONLY = {
    "foreign-next": {"query", "query_more"},
    "session-ends": {"metadata_changes", "query", "query_more"},
}
_SOME = {
    *("slow", "500-after-work", "502-html", "503-wait-an-hour", "429", "401", "session-ends", "drop-after", "truncate"),
    *("cut-gzip", "empty", "html", "redirect", "foreign-next"),
}
"""Those that `make test` plays."""

_HTML = {
    "query": "not a page of records",
    "query_more": "not a page of records",
    "who_am_i": "does not say who signed in",
    "openid_configuration": "not one of Microsoft Entra's",
    "token": "not one of Microsoft Entra's",
}


class DynamicsWorld(World):
    """A world whose connector leads to Dynamics."""

    def connect(self) -> Connector:
        return open_dynamics(self.sandbox, **self.options)


class DynamicsSite(DescribedSite):
    """What was described of Dynamics."""

    def account_kind(self, name: str) -> str:
        return "dynamics"


def open_dynamics(sandbox: Sandbox, **options: Any) -> Connector:
    """A connector that signs in by a client secret and is impatient enough for tests."""
    known, told = sandbox.sign_in("client_secret"), sandbox.told
    settings = DynamicsSettings.model_validate(
        {
            "host": told["url"],
            "authority": told["authority"],
            "tenant": told["tenant"],
            "ca_file": str(sandbox.ca_file),
            "flow": "client_secret",
            "client_id": known["client_id"],
            "client_secret": known["client_secret"],
        }
    )
    return DynamicsConnector(settings, account=ACCOUNT, retries=QUICK, page_rows=PAGE_ROWS, **options)


def cells() -> list[tuple[str, str]]:
    """Every kind with every fault that can befall it; in `make test` with some of them."""
    return [
        (kind, fault)
        for kind in KINDS
        for fault in FAULTS
        if fault not in _NEVER and kind in _ONLY.get(fault, set(KINDS)) and (SOAK or fault in _SOME)
    ]


def _definition(kind: str, ids: Sequence[str]) -> str:
    fields = ["lastname", "emailaddress1", "new_score"]
    read = {"type": "crm_import", "account": ACCOUNT, "object": "contact", "index": True, "fields": fields}
    return json.dumps({"workflow": "contacts", "activities": {"read": read}})


def _passing(kind: str, fault: str) -> str:
    match fault:
        case "503-wait-an-hour" | "503-wait-till-date":
            return "cannot sign in .* now" if kind in {"openid_configuration", "token"} else "cannot answer .* now"
        case "401" if kind in {"openid_configuration", "token"}:
            return "refused to sign in"
        case "401" if kind == "who_am_i":
            return "does not take the token"
        case "redirect" | "foreign-next":
            return "elsewhere.example, a host that this account does not allow"
        case "redirect-circle":
            return "a write is not sent there" if kind == "token" else "redirected more than 3 times"
        case "html":
            return _HTML.get(kind, "not the description expected")
        case "forbidden":
            return "refuse"
        case _:
            return RETRIED


def _lasting(kind: str, fault: str) -> str:
    once = _passing(kind, fault)
    if once:
        return once
    match fault:
        case "slow":
            return "took too long"
        case "drop-before" | "drop-after" | "truncate" | "cut-chunked":
            return "broke off|was cut"
        case "cut-gzip" | "cut-plain" | "empty":
            return "was cut|ended after"
        case "401":
            return "straight after signing in"
        case "429" if kind not in {"openid_configuration", "token"}:
            return "has to wait|was not sent"
        case _:
            return "cannot (answer|sign in) .* now"


EXPECTED = Expected(
    passing=_passing,
    lasting=_lasting,
    definition=_definition,
    several=frozenset({"query_more"}),
    writes=frozenset({"token"}),
    secret=lambda sandbox: sandbox.sign_in("client_secret")["client_secret"],
    token="eyJ",
)
