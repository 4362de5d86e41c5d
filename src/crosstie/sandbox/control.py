"""The control endpoint: `POST /control/{action}` with a JSON object of arguments, `GET` for what only reads.

It is no part of any CRM. Without sign-in, as the server listens on loopback only. Each CRM has its own, with the
actions that all have and those that only it knows.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from crosstie.sandbox.clock import SandboxClock
from crosstie.sandbox.counters import Counters
from crosstie.sandbox.faults import FaultPlan, Rule
from crosstie.sandbox.http import Request, Response

PREFIX = "/control/"

Actions = Mapping[str, tuple[type[msgspec.Struct], Callable[[Any], Any]]]
"""By name: what its arguments are read into, and what it does with them."""


class ControlRefused(Exception):
    """Arguments that an action can't take; the message says why."""


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


class Latency(msgspec.Struct, forbid_unknown_fields=True):
    """latency: of every request from now on; a new connection takes it twice more."""

    milliseconds: float


class Reset(msgspec.Struct, forbid_unknown_fields=True):
    """counters: read them, and begin anew if `reset`."""

    reset: bool = False


class ListedValue(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One value of a picklist; `labels` are those of further languages, by their number, as far as the CRM has them."""

    value: str
    label: str = ""
    active: bool = True
    default: bool = False
    labels: dict[int, str] = {}
    valid_for: list[str] = []
    """The values of the controlling field with which it may be chosen."""


class SetValues(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """set_values: all the values that a picklist has from now on, in their order. What records hold stays as it is.
    `controller` is the field that they depend on, where the CRM has such a thing."""

    object: str
    field: str
    values: list[ListedValue]
    controller: str = ""


class SetField(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """set_field: what has become of a field that the CRM was made with, under its first name: it has another `name`,
    `type` (the CRM's own word) and `length` now, or is `gone`. With none of these it is as it was made."""

    object: str
    field: str
    name: str = ""
    type: str = ""
    length: int = 0
    gone: bool = False


class NoArguments(msgspec.Struct, forbid_unknown_fields=True):
    """Actions without arguments."""


class Steered(Protocol):
    """What of a CRM the common actions steer."""

    clock: SandboxClock
    counters: Counters
    plan: FaultPlan

    @property
    def switches(self) -> msgspec.Struct:
        """All switches."""

    def switch(self, changed: dict[str, object]) -> None:
        """Changes switches. Raises msgspec.ValidationError for an unknown or malformed one."""

    def settle(self) -> None:
        """Does what time does, before anything is looked at."""


class Control:
    """Every action of the control endpoint of one CRM. `refusals` are what its actions raise for odd arguments."""

    def __init__(
        self,
        org: Steered,
        set_latency: Callable[[float], None],
        actions: Actions,
        refusals: tuple[type[Exception], ...],
    ) -> None:
        self._org = org
        self._refusals: tuple[type[Exception], ...] = (msgspec.MsgspecError, re.error, ControlRefused, *refusals)
        self._actions: dict[str, tuple[type[msgspec.Struct], Callable[[Any], Any]]] = {
            "clock": (SetClock, lambda given: self._clock(given.at, given.frozen)),
            "advance": (Advance, lambda given: self._moment(org.clock.advance(timedelta(seconds=given.seconds)))),
            "counters": (Reset, lambda given: org.counters.read(reset=given.reset)),
            "faults": (Faults, lambda given: org.plan.replace(given.rules)),
            "latency": (Latency, lambda given: set_latency(given.milliseconds / 1000)),
            **actions,
        }

    def handle(self, request: Request) -> Response:
        """Serves one action; 400 with a message for arguments it does not know, 404 for an unknown action."""
        name = request.path.removeprefix(PREFIX).strip("/")
        try:
            if name == "switches":
                return _json(self._switches(request))
            if name not in self._actions:
                return _refusal(404, f"There is no action {name}. There are: switches, {', '.join(self._actions)}.")
            kind, action = self._actions[name]
            given = msgspec.json.decode(request.body or b"{}", type=kind)
            self._org.settle()
            return _json(action(given) or {})
        except self._refusals as error:
            return _refusal(400, str(error))

    def _switches(self, request: Request) -> Any:
        """Changes the switches that are given; shows them all."""
        changed = msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
        if changed:
            self._org.switch(changed)
        return msgspec.to_builtins(self._org.switches)

    def _clock(self, at: datetime | None, frozen: bool | None) -> dict[str, Any]:
        if at is not None and at.tzinfo is None:
            raise ControlRefused("the instant needs a time zone")
        if at is None and frozen is None:
            return self._moment(self._org.clock.now())
        return self._moment(self._org.clock.set(at, frozen=frozen))

    def _moment(self, now: datetime) -> dict[str, Any]:
        return {"now": now.isoformat(), "frozen": self._org.clock.frozen}


def _refusal(status: int, message: str) -> Response:
    return _json({"error": message}, status=status)


def _json(value: Any, *, status: int = 200) -> Response:
    return Response(
        status=status, headers={"Content-Type": "application/json;charset=UTF-8"}, parts=(msgspec.json.encode(value),)
    )
