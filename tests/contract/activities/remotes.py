"""The kinds of CRM that examples in the documentation are about: how their records are read without a connector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tests.sandboxes import Sandbox, Witness

Records = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A kind of CRM. `word` is what people call it, `settings` those of an account that leads to its sandbox, `records`
    reads the living records of an object, with some fields."""

    kind: str
    word: str
    settings: Callable[[Sandbox], dict[str, Any]]
    records: Callable[[Sandbox, str, Sequence[str]], Records]


def _by_client_credentials(sandbox: Sandbox) -> dict[str, Any]:
    flow = sandbox.sign_in("client_credentials")
    return {
        "flow": "client_credentials",
        "host": sandbox.salesforce["login_url"],
        "ca_file": str(sandbox.ca_file),
        "client_id": flow["client_id"],
        "client_secret": flow["client_secret"],
    }


def _by_soql(sandbox: Sandbox, name: str, fields: Sequence[str]) -> Records:
    with closing(Witness(sandbox)) as client:
        return client.all(f"SELECT {', '.join(fields)} FROM {name}")


SALESFORCE = Remote(kind="salesforce", word="Salesforce", settings=_by_client_credentials, records=_by_soql)


def _by_a_session(sandbox: Sandbox) -> dict[str, Any]:
    told = sandbox.told
    known = {name: told[name] for name in ("user", "password", "time_zone")}
    return {"flow": "session", "host": told["url"], "ca_file": str(sandbox.ca_file), **known}


def _stored(sandbox: Sandbox, name: str, fields: Sequence[str]) -> Records:
    rows = sandbox.control("rows", object=name)["rows"]
    return [{field: one[field] for field in fields} for one in rows]


ORACLE_ON_DEMAND = Remote(kind="oracle_on_demand", word="Oracle CRM On Demand", settings=_by_a_session, records=_stored)
