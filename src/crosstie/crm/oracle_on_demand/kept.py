"""The sessions of an account that are open, kept sealed between runs: a company has ten of them, and one that its
program left behind takes a place until it has been idle for ten minutes.

Each entry says which process has opened it. What a dead one has left is logged off by the next run; what a living one
of this machine still uses is left to it. Of other machines nothing is known: there a session that was ended by mistake
costs a sign-in, and one that was left costs its place."""

from __future__ import annotations

import hashlib
import os
import socket
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from crosstie.crm.oracle_on_demand.settings import OracleOnDemandSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A session, and the process that has opened it."""

    cookie: str = field(repr=False)
    machine: str
    process: int
    begun: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept between runs. `owner` is a digest of who signs in where."""

    owner: str
    org_id: str = ""
    sessions: tuple[OpenSession, ...] = field(default=(), repr=False)

    def text(self) -> str:
        """All of it as text, to be kept sealed; '' when there is no session to remember."""
        return msgspec.json.encode(self).decode() if self.sessions else ""

    @staticmethod
    def parse(text: str, settings: OracleOnDemandSettings) -> Kept:
        """What `text` holds; nothing of what was kept for other settings."""
        owner = owner_of(settings)
        try:
            kept = msgspec.json.decode(text.encode(), type=Kept) if text else Kept(owner=owner)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return Kept(owner=owner)
        return kept if kept.owner == owner else Kept(owner=owner)


def owner_of(settings: OracleOnDemandSettings) -> str:
    """A digest of who signs in where; no secret goes into it."""
    return hashlib.sha256(f"{settings.host}\n{settings.user}".encode()).hexdigest()[:16]


class Uses:
    """The sessions that connectors of this process use; one whose connector is gone is used by nobody."""

    def __init__(self) -> None:
        self._holders: weakref.WeakValueDictionary[str, object] = weakref.WeakValueDictionary()

    def begin(self, cookie: str, holder: object) -> None:
        """`holder` uses the session from now on."""
        self._holders[cookie] = holder

    def end(self, cookie: str) -> None:
        """Nobody uses it any more."""
        self._holders.pop(cookie, None)

    def has(self, cookie: str) -> bool:
        """Whether somebody does."""
        return cookie in self._holders


USES = Uses()


def opened_here(cookie: str) -> OpenSession:
    """A session that this process has just opened."""
    return OpenSession(cookie=cookie, machine=socket.gethostname(), process=os.getpid(), begun=_begun(os.getpid()))


def is_left(session: OpenSession) -> bool:
    """Whether whoever opened it can't be using it, as far as can be known here."""
    if session.machine != socket.gethostname():
        return True
    if session.process == os.getpid() and session.begun == _begun(session.process):
        return not USES.has(session.cookie)
    try:
        os.kill(session.process, 0)
    except ProcessLookupError:
        return True
    except OSError:  # a living process of another user
        return False
    return session.begun != _begun(session.process)


def _begun(process: int) -> str:
    """When a process began, where the system says so: numbers of processes come again."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        state, *rest = stat.rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "dead" if state == "Z" else rest[18]
