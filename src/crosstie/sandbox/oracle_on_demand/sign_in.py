"""Who makes a request: login and logoff by URL, cookies, and credentials in the SOAP header.

Source: Web Services On Demand Guide, "Establishing and managing Web services sessions"; fact sheet, section 1.
"""

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import unquote

from crosstie.sandbox.http import Request, Response
from crosstie.sandbox.oracle_on_demand.envelopes import Credentials, Envelope
from crosstie.sandbox.oracle_on_demand.faults import no_session, not_available, wrong_logon
from crosstie.sandbox.oracle_on_demand.generate import USER_ID, USER_SIGN_IN
from crosstie.sandbox.oracle_on_demand.org import Org, User
from crosstie.sandbox.oracle_on_demand.rows import find_row, write_row
from crosstie.sandbox.oracle_on_demand.sessions import Sessions, affinity_cookie

COOKIE = "JSESSIONID"
_REFUSED = b"<html><head><title>Login failed</title></head><body><h1>Login failed</h1></body></html>"


class SignIn:
    """The user of the company who signs in, by a password that is made once for a state directory."""

    def __init__(self, org: Org, sessions: Sessions) -> None:
        self._org = org
        self._sessions = sessions
        kept = org.database.setting("password")
        if kept is None:
            # With characters that must be encoded in XML and in a header under isEncoded.
            kept = f"{secrets.token_urlsafe(15)}&<%41"
            org.database.keep_setting("password", kept)
        self._password: str = kept

    def told(self) -> dict[str, str]:
        """User and password, for sandbox.json."""
        return {"user": USER_SIGN_IN, "password": self._password}

    def login(self, request: Request) -> Response:
        """GET or POST ?command=login, with the credentials in the headers UserName and Password."""
        user, password = request.headers.get("username", ""), request.headers.get("password", "")
        if request.query.get("isEncoded", "N") == "Y":
            user, password = unquote(user), unquote(password)
        found = self._user(Credentials(user, password, True))
        if found is None or not self._org.switches.web_services:
            status = self._org.switches.login_refused_status
            return Response(status=status, headers={"Content-Type": "text/html"}, parts=(_REFUSED,))
        session = self._sessions.open(found, "login", instead_of=cookie(request))
        return Response(headers={"Content-Type": "text/html", "Set-Cookie": _set_cookie(session.id)})

    def logoff(self, request: Request) -> Response:
        """GET or POST ?command=logoff: always 200."""
        self._sessions.close(cookie(request))
        return Response(headers={"Content-Type": "text/html"})

    def admit(self, request: Request, envelope: Envelope, *, each_time: bool) -> tuple[User, str]:
        """Who makes a SOAP request, and the Set-Cookie of its answer, empty for none. `each_time` is for services that
        want credentials in every request. Raises SoapFault for nobody, and for one too soon after another."""
        known = cookie(request)
        given = envelope.credentials
        if given is None:
            if not known or each_time:
                raise no_session(self._org.switches)
            session = self._sessions.use(known)
            self._sessions.paced(session.id)
            return session.user, ""
        user = self._user(given)
        if user is None:
            raise wrong_logon()
        if not self._org.switches.web_services:
            raise not_available("Web Services")
        self._sessions.paced(user.sign_in)
        if given.stateful or self._org.switches.r16_compatibility:
            return user, _set_cookie(self._sessions.open(user, "credentials", instead_of=known).id)
        if envelope.keep_alive:
            return user, _set_cookie(self._sessions.open(user, "keep_alive", instead_of=known).id)
        return user, "" if known else _set_cookie(affinity_cookie())

    def _user(self, given: Credentials) -> User | None:
        right = hmac.compare_digest(given.password.encode(), self._password.encode())
        if given.user != USER_SIGN_IN or not right:
            return None
        now = self._org.now_stamp()
        with self._org.write() as connection:
            row: dict[str, Any] = find_row(connection, "user", USER_ID) or {}
            if row["Status"] != "Active":
                return None
            if row["LastLoggedIn"] != now:
                write_row(connection, "user", USER_ID, {"LastLoggedIn": now})
        return User(id=USER_ID, sign_in=USER_SIGN_IN, name=row["FullName"])


def cookie(request: Request) -> str:
    """The session's cookie, empty for none."""
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _set_cookie(value: str) -> str:
    return f"{COOKIE}={value}; path=/; secure; HttpOnly"
