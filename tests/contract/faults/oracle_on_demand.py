"""Faults at the requests of an import from Oracle CRM On Demand, and what each must come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from crosstie.crm.connector import Connector
from crosstie.crm.oracle_on_demand.connector import OracleOnDemandConnector
from crosstie.crm.oracle_on_demand.settings import OracleOnDemandSettings
from tests.contract.faults.outcomes import FAULTS, PAGE_ROWS, RETRIED, Expected
from tests.contract.imports.world import ACCOUNT, QUICK, DescribedSite, World
from tests.sandboxes import Sandbox
from tests.scale import SOAK

KINDS = ("login", "current_user_query_page", "get_mapping", "field_management_read", "picklist_read", "query")
"""Each kind of request that an import makes."""

_SHORT = ("login", "get_mapping", "query")
_SOME = {"502-html", "401", "drop-after", "truncate", "html", "redirect"}
"""What `make test` plays."""

_NEVER = {
    *("cut-csv", "count-up", "count-down", "locators-end", "no-next", "foreign-next", "quota", "busy"),
    *("forbidden", "redirect-circle"),
}
"""What there is only in Salesforce; what is no fault of a SOAP service."""

_WITHOUT_BODY = {"truncate", "cut-gzip", "cut-plain", "cut-chunked", "empty", "html", "session-ends", "500-after-work"}
"""What can't befall an answer that is only a cookie."""


class OracleWorld(World):
    """A world whose connector leads to Oracle CRM On Demand."""

    def connect(self) -> Connector:
        self.sandbox.control("expire_sessions")  # what lost sign-ins have left
        return open_oracle(self.sandbox, **self.options)


class OracleSite(DescribedSite):
    """What was described of it."""

    def account_kind(self, name: str) -> str:
        return "oracle_on_demand"


def open_oracle(sandbox: Sandbox, **options: Any) -> Connector:
    """A connector that is impatient enough for tests."""
    told = sandbox.told
    names = {"host": "url", "user": "user", "password": "password", "time_zone": "time_zone"}
    given = {name: told[said] for name, said in names.items()}
    settings = OracleOnDemandSettings.model_validate({**given, "ca_file": str(sandbox.ca_file)})
    return OracleOnDemandConnector(
        settings, account=ACCOUNT, retries=QUICK, page_rows=PAGE_ROWS, between=timedelta(0), **options
    )


def cells() -> list[tuple[str, str]]:
    """Every kind with every fault that can befall it; in `make test` some of them."""
    return [
        (kind, fault)
        for kind in (KINDS if SOAK else _SHORT)
        for fault in FAULTS
        if fault not in _NEVER and (SOAK or fault in _SOME) and (kind != "login" or fault not in _WITHOUT_BODY)
    ]


def _definition(kind: str, ids: Sequence[str]) -> str:
    fields = ["ContactLastName", "ContactEmail", "nScore"]
    read = {"type": "crm_import", "account": ACCOUNT, "object": "Contact", "index": True, "fields": fields}
    return json.dumps({"workflow": "contacts", "activities": {"read": read}})


def _passing(kind: str, fault: str) -> str:
    match fault:
        case "503-wait-an-hour" | "503-wait-till-date":
            return "cannot answer .* now"
        case "401" if kind in {"login", "current_user_query_page"}:
            return "refused to sign in"
        case "redirect":
            return "elsewhere.example, a host that this account does not allow"
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
        case "cut-gzip" | "cut-plain" | "empty" | "html":
            return "was cut|ended after|is no XML|no SOAP envelope"
        case "401" if kind not in {"field_management_read", "picklist_read"}:
            return "straight after signing in"
        case _:
            return "cannot answer .* now"


EXPECTED = Expected(
    passing=_passing,
    lasting=_lasting,
    definition=_definition,
    several=frozenset({"query"}),
    writes=frozenset(KINDS) - {"login"},
    secret=lambda sandbox: str(sandbox.told["password"]),
    token="JSESSIONID=",
)
