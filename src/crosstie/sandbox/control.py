"""The control endpoint: `POST /control/{action}` with a JSON object of arguments, `GET` for what only reads.

It is no part of any CRM. Without sign-in, as the server listens on loopback only.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from crosstie.sandbox.faults import Rule
from crosstie.sandbox.http import Request, Response
from crosstie.sandbox.salesforce.changes import OTHER_USER_ID, Changes
from crosstie.sandbox.salesforce.dispatch import Salesforce
from crosstie.sandbox.salesforce.errors import ApiError, json_response
from crosstie.sandbox.salesforce.rules import AssignmentRule, DuplicateRule

PREFIX = "/control/"


class LateChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Arguments of what changes records: late by `late` seconds of sandbox time if not 0."""

    object: str = "Contact"
    late: float = 0.0
    holds_back: bool = True


class Touch(LateChange, kw_only=True):
    """change: the records `ids`, or `count` records of `object`."""

    count: int = 0
    ids: list[str] | None = None
    fields: list[str] | None = None


class Insert(LateChange, kw_only=True):
    """insert: `records` into `object`."""

    records: list[dict[str, Any]]


class Update(LateChange, kw_only=True):
    """update: `values` of the record `id`."""

    id: str
    values: dict[str, Any]


class Ids(LateChange, kw_only=True):
    """delete, undelete, purge: the records `ids`."""

    ids: list[str]


class Merge(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """merge: the records `losers` into `master`."""

    object: str = "Contact"
    master: str
    losers: list[str]


class Assignment(msgspec.Struct, forbid_unknown_fields=True):
    """assignment_rules: every one that there is from now on."""

    rules: list[AssignmentRule] = []


class Duplicates(msgspec.Struct, forbid_unknown_fields=True):
    """duplicate_rules: every one that there is from now on."""

    rules: list[DuplicateRule] = []


class Lock(msgspec.Struct, forbid_unknown_fields=True):
    """lock: every record that another transaction holds from now on."""

    ids: list[str]


class Stamps(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """set_stamp: audit fields of `ids`, in wire form or null."""

    object: str = "Contact"
    ids: list[str]
    values: dict[str, str | None]


class Advance(msgspec.Struct, forbid_unknown_fields=True):
    """advance: the clock by `seconds`."""

    seconds: float


class SetClock(msgspec.Struct, forbid_unknown_fields=True):
    """clock: `at` (ISO with zone), `frozen`; what is left out stays."""

    at: datetime | None = None
    frozen: bool | None = None


class Faults(msgspec.Struct, forbid_unknown_fields=True):
    """faults: the whole plan."""

    rules: list[Rule] = []


class Hide(msgspec.Struct, forbid_unknown_fields=True):
    """hide: every object and field (`Contact.Email`) that the user may not see from now on."""

    names: list[str]


class Latency(msgspec.Struct, forbid_unknown_fields=True):
    """latency: of every request from now on; a new connection takes it twice more."""

    milliseconds: float


class Reset(msgspec.Struct, forbid_unknown_fields=True):
    """counters: read them, and begin anew if `reset`."""

    reset: bool = False


class NoArguments(msgspec.Struct, forbid_unknown_fields=True):
    """Actions without arguments."""


class Control:
    """Every action of the control endpoint."""

    def __init__(self, salesforce: Salesforce, set_latency: Callable[[float], None]) -> None:
        org = salesforce.org
        changes = Changes(org, salesforce.records)
        self._org = org
        self._actions: dict[str, tuple[type[msgspec.Struct], Callable[[Any], Any]]] = {
            "clock": (SetClock, lambda given: self._clock(given.at, given.frozen)),
            "advance": (Advance, lambda given: self._moment(org.clock.advance(timedelta(seconds=given.seconds)))),
            "counters": (Reset, lambda given: org.counters.read(reset=given.reset)),
            "faults": (Faults, lambda given: org.plan.replace(given.rules)),
            "hide": (Hide, lambda given: org.hide(given.names)),
            "latency": (Latency, lambda given: set_latency(given.milliseconds / 1000)),
            "change": (
                Touch,
                lambda given: {
                    "ids": changes.touch(
                        given.object,
                        given.count if given.ids is None else given.ids,
                        given.fields,
                        late=given.late,
                        holds_back=given.holds_back,
                    )
                },
            ),
            "insert": (
                Insert,
                lambda given: {
                    "ids": changes.insert(given.object, given.records, late=given.late, holds_back=given.holds_back)
                },
            ),
            "update": (Update, lambda given: changes.update(given.object, given.id, given.values, late=given.late)),
            "delete": (Ids, lambda given: changes.delete(given.object, given.ids, late=given.late)),
            "undelete": (Ids, lambda given: changes.undelete(given.object, given.ids)),
            "purge": (Ids, lambda given: changes.purge(given.object, given.ids)),
            "merge": (Merge, lambda given: {"moved": changes.merge(given.object, given.master, given.losers)}),
            "assignment_rules": (Assignment, lambda given: {"ids": self._assign(given.rules)}),
            "duplicate_rules": (
                Duplicates,
                lambda given: org.rules.forbid_duplicates(given.rules, org.full_catalog),
            ),
            "set_stamp": (Stamps, lambda given: changes.set_stamp(given.object, given.ids, given.values)),
            "purge_delete_log": (NoArguments, lambda given: self._purge_delete_log()),
            "expire_sessions": (NoArguments, lambda given: salesforce.sessions.expire_all()),
            "expire_locators": (NoArguments, lambda given: salesforce.queries.expire_all()),
            "expire_jobs": (NoArguments, lambda given: self._expire_jobs(salesforce)),
            "resume_jobs": (NoArguments, lambda given: salesforce.ingest.resume()),
            "lock": (Lock, lambda given: org.lock(given.ids)),
        }

    def handle(self, request: Request) -> Response:
        """Serves one action; 400 with a message for arguments it does not know, 404 for an unknown action."""
        name = request.path.removeprefix(PREFIX).strip("/")
        try:
            if name == "switches":
                return json_response(self._switches(request))
            if name not in self._actions:
                return _refusal(404, f"There is no action {name}. There are: switches, {', '.join(self._actions)}.")
            kind, action = self._actions[name]
            given = msgspec.json.decode(request.body or b"{}", type=kind)
            self._org.settle()
            return json_response(action(given) or {})
        except (msgspec.MsgspecError, re.error) as error:
            return _refusal(400, str(error))
        except ApiError as error:
            return _refusal(400, str(error))

    def _switches(self, request: Request) -> Any:
        """Changes the switches that are given; shows them all."""
        changed = msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
        if changed:
            self._org.switch(changed)
        return msgspec.to_builtins(self._org.switches)

    def _clock(self, at: datetime | None, frozen: bool | None) -> dict[str, Any]:
        if at is not None and at.tzinfo is None:
            raise ApiError(400, "INVALID_INPUT", "the instant needs a time zone")
        if at is None and frozen is None:
            return self._moment(self._org.clock.now())
        return self._moment(self._org.clock.set(at, frozen=frozen))

    def _moment(self, now: datetime) -> dict[str, Any]:
        return {"now": now.isoformat(), "frozen": self._org.clock.frozen}

    def _assign(self, rules: list[AssignmentRule]) -> list[str]:
        return self._org.rules.assign(rules, self._org.now_stamp(), OTHER_USER_ID)

    def _expire_jobs(self, salesforce: Salesforce) -> None:
        salesforce.bulk.expire_all()
        salesforce.ingest.expire_all()

    def _purge_delete_log(self) -> None:
        """What a purge of the log does: earlier deletions can't be asked any more.

        The sandbox itself still knows of them, for the life of its bin.
        """
        self._org.database.keep_setting("delete_log_purged", self._org.clock.now().isoformat())


def _refusal(status: int, message: str) -> Response:
    return json_response({"error": message}, status=status)
