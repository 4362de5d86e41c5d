"""The org that a path writes to: what it holds of ours, and its state as it was prepared."""

from __future__ import annotations

import re
import sqlite3
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path as File
from typing import Any, ClassVar

from tests.crash.paths.path import OURS, RECORD, Record
from tests.sandboxes import Client, Sandbox, WebApi

_ID = re.compile(r"\b(?:003[0-9A-Za-z]{15}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Z]{4}-[0-9A-Z]{6,})\b")
_CHOSEN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Org(ABC):
    """A sandbox with its state directory. Close it. `objects` are those that paths are about."""

    kind: ClassVar[str]
    objects: ClassVar[tuple[str, ...]]

    def __init__(self, sandbox: Sandbox, state: File) -> None:
        self.sandbox = sandbox
        self._state = state / f"{self.kind}.sqlite"
        self._kept = state / "kept.sqlite"

    def keep(self) -> None:
        """Keeps the state as it is now."""
        _copy(self._state, self._kept)

    def restore(self) -> None:
        """Sets the state back to what was kept."""
        _copy(self._kept, self._state)

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """Those of an account that leads to it."""

    @abstractmethod
    def ours(self) -> dict[str, Record]:
        """Every record of ours that there is, deleted ones among them where the org keeps them, by id."""

    @abstractmethod
    def contacts(self) -> int:
        """How many contacts there are altogether."""

    def left_open(self, lost: str) -> list[str]:
        """What runs that are over have left open there; `lost` is the request whose answer a kill has kept from being
        read, '' for none."""
        return []

    @abstractmethod
    def close(self) -> None:
        """Hangs up."""


class Salesforce(Org):
    """An org of Salesforce."""

    kind = "salesforce"
    objects = ("Contact",)

    def __init__(self, sandbox: Sandbox, state: File) -> None:
        super().__init__(sandbox, state)
        self._client = Client(sandbox)

    def settings(self) -> dict[str, str]:
        """By client credentials."""
        return {"host": self.sandbox.told["login_url"], **_signing_in(self.sandbox, "client_credentials")}

    def ours(self) -> dict[str, Record]:
        """Those of the department, the recycle bin included."""
        asked = f"SELECT Id, {', '.join(RECORD)} FROM Contact WHERE Department = '{OURS}'"
        answer = self._client.get("/queryAll", params={"q": asked})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["done"], "the records of ours fill more than a page"
        return {one["Id"]: tuple(one[name] for name in RECORD) for one in found["records"]}

    def contacts(self) -> int:
        """By a count."""
        return int(self._client.query("SELECT count() FROM Contact")["totalSize"])

    def close(self) -> None:
        """Hangs up."""
        self._client.close()


class Dynamics(Org):
    """An environment of Dynamics, which keeps nothing of what was deleted."""

    kind = "dynamics"
    objects = ("contact",)
    _COLUMNS = ("lastname", "jobtitle", "new_externalid", "emailaddress1", "new_score")

    def __init__(self, sandbox: Sandbox, state: File) -> None:
        super().__init__(sandbox, state)
        self._api = WebApi(sandbox)

    def settings(self) -> dict[str, str]:
        """By client secret."""
        told = self.sandbox.told
        where = {"host": told["url"], "authority": told["authority"], "tenant": told["tenant"]}
        return {**where, **_signing_in(self.sandbox, "client_secret")}

    def ours(self) -> dict[str, Record]:
        """Those of the department."""
        found = self._api.one(f"contacts?$select={','.join(self._COLUMNS)}&$filter=department eq '{OURS}'")
        assert "@odata.nextLink" not in found, "the records of ours fill more than a page"
        return {one["contactid"]: (*(one[name] for name in self._COLUMNS), False) for one in found["value"]}

    def contacts(self) -> int:
        """By a count."""
        return int(self._api.get("contacts/$count").text.lstrip("\ufeff"))

    def close(self) -> None:
        """Hangs up."""
        self._api.close()


class OracleOnDemand(Org):
    """A company of Oracle CRM On Demand. Keys that the plan chose are another in every run."""

    kind = "oracle_on_demand"
    objects = ("Contact",)
    _TAGS = ("ContactLastName", "JobTitle", "ExternalSystemId", "ContactEmail")

    def settings(self) -> dict[str, str]:
        """By a session."""
        told = self.sandbox.told
        known = {name: told[name] for name in ("user", "password", "time_zone")}
        return {"host": told["url"], "flow": "session", "ca_file": str(self.sandbox.ca_file), **known}

    def ours(self) -> dict[str, Record]:
        """Those of the department."""
        found = (one for one in self._rows() if one["Department"] == OURS)
        return {one["Id"]: (*(_unless_chosen(one[tag]) for tag in self._TAGS), _number(one), False) for one in found}

    def contacts(self) -> int:
        """By reading them."""
        return len(self._rows())

    def left_open(self, lost: str) -> list[str]:
        """Sessions. One whose cookie nobody has read can't be logged off by anybody."""
        open_now = self.sandbox.counters()["sessions"]["open"]
        self.sandbox.control("expire_sessions")
        allowed = int(lost.endswith(" login"))
        return [f"{open_now} sessions are open"] if open_now > allowed else []

    def close(self) -> None:
        """Nothing is open."""

    def _rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.sandbox.control("rows", object="Contact")["rows"]
        return found


ORGS: Mapping[str, type[Org]] = {one.kind: one for one in (Salesforce, Dynamics, OracleOnDemand)}
"""The kinds of org that a path may be about."""


def _unless_chosen(text: str | None) -> str | None:
    return None if text is not None and _CHOSEN.fullmatch(text) else text


def _number(row: Mapping[str, str | None]) -> float | None:
    score = row["nScore"]
    return None if score is None else float(score)


def _signing_in(sandbox: Sandbox, flow: str) -> dict[str, str]:
    known = sandbox.sign_in(flow)
    secret = {"client_id": known["client_id"], "client_secret": known["client_secret"]}
    return {"flow": flow, "ca_file": str(sandbox.ca_file), **secret}


def _copy(source: File, target: File) -> None:
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


def named(value: Any, records: Mapping[str, Record]) -> Any:
    """A fact in which ids, which differ from run to run, are replaced by what their records say."""
    if isinstance(value, str):
        return _ID.sub(lambda found: repr(records[found[0]][:3]) if found[0] in records else found[0], value)
    if isinstance(value, Mapping):
        return {key: named(one, records) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(named(one, records) for one in value)
    if isinstance(value, list):
        return sorted((named(one, records) for one in value), key=repr)
    return value


def doubled(records: Mapping[str, Record], expected: tuple[Record, ...]) -> list[str]:
    """What is there more often, or less often, than it should be."""
    found, wanted = Counter(records.values()), Counter(expected)
    return [f"the org holds too much: {one}" for one in (found - wanted).elements()] + [
        f"the org does not hold {one}" for one in (wanted - found).elements()
    ]
