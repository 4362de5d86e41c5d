"""Who may sign in, and who is signed in.

Credentials are made once for a state directory and written to sandbox.json; sessions outlive a restart.
"""

import secrets
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from crosstie.sandbox.database import Database
from crosstie.sandbox.salesforce.generate import ORG_ID, USER_ID, USERNAME
from crosstie.sandbox.salesforce.org import Session
from crosstie.sandbox.tls import write_private


class Credentials(msgspec.Struct, frozen=True):
    """What the integration user and its connected app sign in with."""

    username: str
    password: str
    security_token: str
    client_id: str
    client_secret: str
    refresh_token: str
    file_token: str

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


def load_credentials(database: Database, key_file: Path) -> Credentials:
    """The credentials of this state directory, made on the first start together with the JWT key pair."""
    if not key_file.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(key_file, pem)
    kept = database.setting("credentials")
    if kept is not None:
        return msgspec.convert(kept, Credentials)
    made = Credentials(
        username=USERNAME,
        # A password with what breaks careless XML and form encoding.
        password=f"p&ss<w>ö+{secrets.token_hex(4)}%",
        security_token=secrets.token_urlsafe(18).replace("-", "A").replace("_", "B"),
        client_id=f"3MVG9{secrets.token_hex(40)}",
        client_secret=secrets.token_hex(32).upper(),
        refresh_token=f"5Aep861{secrets.token_urlsafe(40)}",
        file_token=new_token(),
    )
    database.keep_setting("credentials", msgspec.to_builtins(made))
    return made


def public_key_pem(key_file: Path) -> bytes:
    """The public half of the key that JWT assertions are signed with."""
    private = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def new_token() -> str:
    """An opaque access token: `{orgId15}!{characters}`, as clients check it."""
    return f"{ORG_ID[:15]}!AQ4A{secrets.token_urlsafe(60).replace('-', '.')}"


class Sessions:
    """The open sessions. They slide: each use starts the idle time anew, on the machine's clock.

    The machine's, because a test that moves the sandbox clock by a day means its data and not its sign-in;
    `expire_all` is there to end sessions.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._open: dict[str, Session] = {}
        with database.reading() as connection:
            rows = connection.execute("SELECT token, kind, user_id, client_id, refresh_token FROM sandbox_session")
            for token, kind, user_id, client_id, refresh_token in rows:
                self._open[token] = Session(
                    token=token,
                    kind=kind,
                    user_id=user_id,
                    client_id=client_id,
                    refresh_token=refresh_token,
                    last_used=time.monotonic(),
                )

    def open(
        self,
        kind: str,
        *,
        token: str | None = None,
        client_id: str | None = None,
        refresh_token: str | None = None,
        shared: bool = False,
    ) -> Session:
        """A new session; with `shared` the one of that kind that is open (SOAP logins of one user share theirs)."""
        with self._lock:
            for opened in self._open.values():
                if shared and opened.kind == kind:
                    opened.last_used = time.monotonic()
                    return opened
            session = Session(
                token=token or new_token(),
                kind=kind,
                user_id=USER_ID,
                client_id=client_id,
                refresh_token=refresh_token,
                last_used=time.monotonic(),
            )
            self._open[session.token] = session
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO sandbox_session VALUES (?, ?, ?, ?, ?)",
                (session.token, session.kind, session.user_id, session.client_id, session.refresh_token),
            )
        return session

    def find(self, token: str | None, idle_seconds: float) -> Session | None:
        """The open session of a token, used now; None when there is none or it was idle too long."""
        if token is None:
            return None
        with self._lock:
            session = self._open.get(token)
            if session is None:
                return None
            now = time.monotonic()
            if now - session.last_used <= idle_seconds:
                session.last_used = now
                return session
        self.close(token)
        return None

    def close(self, token: str) -> bool:
        """Ends the session of an access token, or all that came from a refresh token. False when there was none."""
        with self._lock:
            gone = [s.token for s in self._open.values() if token in (s.token, s.refresh_token)]
            for each in gone:
                del self._open[each]
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM sandbox_session WHERE token = ?", [(each,) for each in gone])
        return bool(gone)

    def expire_all(self) -> None:
        """Ends every session; refresh tokens stay good."""
        with self._lock:
            self._open.clear()
        with self._database.writing() as connection:
            connection.execute("DELETE FROM sandbox_session")


def user_row(connection: sqlite3.Connection, user_id: str) -> dict[str, Any]:
    """A user's record."""
    cursor = connection.execute('SELECT * FROM "User" WHERE Id = ?', (user_id,))
    return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
