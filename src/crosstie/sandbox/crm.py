"""What a sandbox of one CRM is to the service that runs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from crosstie.sandbox.control import Control
from crosstie.sandbox.database import Database
from crosstie.sandbox.http import MAX_HEAD_BYTES, Request, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Something that listens on a port of its own. `head_bytes` is how long a request's head may be."""

    handle: Callable[[Request], Response]
    head_bytes: int = MAX_HEAD_BYTES


class Crm(Protocol):
    """A CRM whose state is open. Ports are remembered in `database`."""

    @property
    def database(self) -> Database:
        """Where its state is."""

    @property
    def fronts(self) -> Mapping[str, Front]:
        """Who listens, by a name under which the port is remembered. The first is the CRM itself, and has control."""

    def control(self, set_latency: Callable[[float], None]) -> Control:
        """Its control endpoint."""

    def failure(self) -> Response:
        """What a client sees of a bug of the sandbox: a broken server, not a silent connection."""

    def served(self, urls: Mapping[str, str]) -> dict[str, Any]:
        """Told at which addresses its fronts are reached, it says what sandbox.json tells of it, secrets included."""

    def close(self) -> None:
        """Closes the state, which stays."""


Opener = Callable[[Path, int], Crm]
"""Opens a CRM in a state directory, made with so many contacts when it is new."""
