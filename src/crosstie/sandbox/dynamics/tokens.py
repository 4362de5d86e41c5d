"""Access tokens: issued by the authority, shown to the organization. They outlive a restart."""

import base64
import secrets
import time

import msgspec

from crosstie.sandbox.database import Database
from crosstie.sandbox.dynamics.credentials import TENANT_ID
from crosstie.sandbox.dynamics.org import User


class Tokens:
    """Which tokens are good. They run out on the machine's clock, as clients reckon it: a test that moves the sandbox
    clock by a day means its data and not its sign-in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def issue(self, user_id: str, client_id: str, resource: str, seconds: int) -> str:
        """A new token for a resource. It looks like the real ones, but nobody can read anything true from it."""
        now = time.time()
        claims = {"aud": resource, "tid": TENANT_ID, "appid": client_id, "oid": user_id, "exp": int(now) + seconds}
        pieces = (b'{"typ":"JWT","alg":"RS256"}', msgspec.json.encode(claims), secrets.token_bytes(48))
        token = ".".join(base64.urlsafe_b64encode(piece).decode().rstrip("=") for piece in pieces)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO sandbox_token VALUES (?, ?, ?, ?)", (token, user_id, resource, now + seconds)
            )
        return token

    def user(self, token: str, resource: str) -> User | None:
        """Whose a token for this resource is; None when there is none, it has run out, or it is for another."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT user_id FROM sandbox_token WHERE token = ? AND resource = ? AND expires > ?",
                (token, resource, time.time()),
            ).fetchone()
        return User(id=row[0]) if row else None

    def expire_all(self) -> None:
        """Ends every token."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM sandbox_token")
