"""OAuth: the token endpoint with its flows, revoke, user info, introspection and the identity URL.

Sources: "Authorize Apps with OAuth" (Salesforce help), and what stock clients parse (fact sheet 1.2).
"""

import base64
import binascii
import hashlib
import hmac
import time
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jwt

from crosstie.sandbox.http import Request, Response
from crosstie.sandbox.salesforce.errors import ApiError, json_response
from crosstie.sandbox.salesforce.generate import ORG_ID
from crosstie.sandbox.salesforce.org import Org, Session
from crosstie.sandbox.salesforce.sessions import Credentials, Sessions, user_row

SCOPE = "refresh_token web api id"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_MILLISECONDS = 100_000_000_000
"""An `exp` beyond this is in milliseconds: sf CLI sends those, and production takes them (fact sheet 0.14)."""


class OAuthError(Exception):
    """An error of the token endpoint: `error`, `error_description` and the HTTP status."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status

    def response(self) -> Response:
        """The answer's JSON."""
        body = {"error": self.error, "error_description": self.description}
        return json_response(body, status=self.status)


class OAuth:
    """The OAuth resources of one org."""

    def __init__(self, org: Org, sessions: Sessions, credentials: Credentials, public_key: bytes) -> None:
        self._org = org
        self._sessions = sessions
        self._credentials = credentials
        self._public_key = public_key

    def token(self, request: Request) -> Response:
        """POST /services/oauth2/token."""
        form = _form(request)
        flows = {
            "password": self._password,
            "client_credentials": self._client_credentials,
            JWT_BEARER: self._jwt_bearer,
            "refresh_token": self._refresh,
        }
        flow = flows.get(form.get("grant_type", ""))
        try:
            if flow is None:
                raise OAuthError("unsupported_grant_type", "grant type not supported")
            if not self._org.count_login():
                raise OAuthError("rate_limit_exceeded", "login rate exceeded")
            return json_response(flow(request, form), headers={"Cache-Control": "no-store"})
        except OAuthError as error:
            return error.response()

    def _password(self, request: Request, form: dict[str, str]) -> dict[str, Any]:
        if not self._org.switches.password_flow:
            raise OAuthError("invalid_grant", "authentication failure")
        self._check_client(request, form)
        known = self._credentials
        given = (form.get("username"), form.get("password"))
        if given != (known.username, known.password + known.security_token):
            raise OAuthError("invalid_grant", "authentication failure")
        return self._answer(self._sessions.open("password", client_id=known.client_id), signed=True)

    def _client_credentials(self, request: Request, form: dict[str, str]) -> dict[str, Any]:
        if _host(request).startswith(("login.", "test.")):
            raise OAuthError("invalid_grant", "request not supported on this domain")
        self._check_client(request, form)
        session = self._sessions.open("client_credentials", client_id=self._credentials.client_id)
        return self._answer(session, signed=True)

    def _refresh(self, request: Request, form: dict[str, str]) -> dict[str, Any]:
        known = self._credentials
        self._check_client(request, form, secret_needed=False)
        revoked = self._org.database.setting("refresh_token_revoked", False)
        if form.get("refresh_token") != known.refresh_token or revoked:
            raise OAuthError("invalid_grant", "expired access/refresh token")
        session = self._sessions.open("refresh_token", client_id=known.client_id, refresh_token=known.refresh_token)
        return self._answer(session, signed=True)

    def _jwt_bearer(self, request: Request, form: dict[str, str]) -> dict[str, Any]:
        claims = self._claims(form.get("assertion", ""))
        if claims.get("iss") != self._credentials.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if not self._known_audience(claims.get("aud"), request):
            raise OAuthError("invalid_grant", "audience is invalid")
        if claims.get("sub", claims.get("prn")) != self._credentials.username:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")
        session = self._sessions.open("jwt_bearer", client_id=self._credentials.client_id)
        return self._answer(session, signed=False)

    def _claims(self, assertion: str) -> dict[str, Any]:
        """The verified claims. `exp` may be a string or milliseconds; it is compared with the machine's clock,
        as the client took it from there.
        """
        options: Any = {"verify_exp": False, "verify_aud": False, "verify_iat": False, "verify_nbf": False,
                        "verify_sub": False, "verify_iss": False}  # fmt: skip
        try:
            claims: dict[str, Any] = jwt.decode(assertion, self._public_key, algorithms=["RS256"], options=options)
            expires = float(claims.get("exp", ""))
        except (jwt.InvalidTokenError, ValueError) as error:
            raise OAuthError("invalid_grant", "invalid assertion") from error
        if expires > _MILLISECONDS:
            expires /= 1000
        if expires < time.time():
            raise OAuthError("invalid_grant", "assertion is expired")
        return claims

    def _known_audience(self, audience: object, request: Request) -> bool:
        """Production, test, and every name of this org."""
        named = audience if isinstance(audience, list) else [audience]
        own = urlsplit(self._org.instance_url)
        hosts = {"login.salesforce.com", "test.salesforce.com", own.netloc, own.hostname, _host(request)}
        return any(
            isinstance(each, str)
            and (urlsplit(each).netloc in hosts or urlsplit(each).netloc.endswith(".my.salesforce.com"))
            for each in named
        )

    def _check_client(self, request: Request, form: dict[str, str], *, secret_needed: bool = True) -> None:
        client_id, client_secret = form.get("client_id"), form.get("client_secret")
        basic = request.headers.get("authorization", "")
        if basic.lower().startswith("basic "):
            try:
                pair = base64.b64decode(basic[6:], validate=True).decode()
            except (binascii.Error, UnicodeDecodeError) as error:
                raise OAuthError("invalid_client", "invalid client credentials", 401) from error
            client_id, _, client_secret = (unquote(part) for part in pair.partition(":"))
        if client_id != self._credentials.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if client_secret is None and not secret_needed:
            return
        if client_secret != self._credentials.client_secret:
            raise OAuthError("invalid_client", "invalid client credentials", 401)

    def _answer(self, session: Session, *, signed: bool) -> dict[str, Any]:
        identity = self.identity_url(session)
        answer: dict[str, Any] = {
            "access_token": session.token,
            "scope": SCOPE,
            "instance_url": self._org.instance_url,
            "id": identity,
            "token_type": "Bearer",
        }
        if signed:
            issued = str(int(self._org.clock.now().timestamp() * 1000))
            digest = hmac.new(self._credentials.client_secret.encode(), (identity + issued).encode(), hashlib.sha256)
            answer |= {"issued_at": issued, "signature": base64.b64encode(digest.digest()).decode()}
        return answer

    def identity_url(self, session: Session) -> str:
        """`{login}/id/{org}/{user}`; clients read the last two parts of it."""
        return f"{self._org.instance_url}/id/{self._org.switches.org_id or ORG_ID}/{session.user_id}"

    def revoke(self, request: Request) -> Response:
        """GET or POST /services/oauth2/revoke: ends an access token, or a refresh token and all that came from it."""
        token = request.query.get("token") or _form(request).get("token", "")
        found = self._sessions.close(token)
        if token == self._credentials.refresh_token:
            self._org.database.keep_setting("refresh_token_revoked", True)
            found = True
        if not found:
            return OAuthError("unsupported_token_type", "this token type is not supported").response()
        return Response(headers={"Content-Type": "text/html;charset=UTF-8"})

    def introspect(self, request: Request) -> Response:
        """POST /services/oauth2/introspect (RFC 7662)."""
        form = _form(request)
        try:
            self._check_client(request, form)
        except OAuthError as error:
            return error.response()
        session = self._sessions.find(form.get("token"), self._org.switches.session_idle_seconds)
        if session is None:
            return json_response({"active": False})
        issued = int(time.time())
        return json_response(
            {
                "active": True,
                "scope": SCOPE,
                "client_id": session.client_id,
                "username": self._credentials.username,
                "sub": self.identity_url(session),
                "token_type": "access_token",
                "exp": issued + int(self._org.switches.session_idle_seconds),
                "iat": issued,
                "nbf": issued,
            }
        )

    def user_info(self, session: Session) -> Response:
        """GET /services/oauth2/userinfo (OpenID Connect)."""
        with self._org.database.reading() as connection:
            user = user_row(connection, session.user_id)
        return json_response(
            {
                "sub": self.identity_url(session),
                "user_id": session.user_id,
                "organization_id": ORG_ID,
                "preferred_username": user["Username"],
                "nickname": user["Alias"],
                "name": user["Name"],
                "email": user["Email"],
                "email_verified": True,
                "given_name": user["FirstName"],
                "family_name": user["LastName"],
                "zoneinfo": user["TimeZoneSidKey"],
                "active": True,
                "user_type": "STANDARD",
                "language": user["LanguageLocaleKey"],
                "locale": user["LocaleSidKey"],
                "utcOffset": 3600000,
                "urls": self._urls(session),
            }
        )

    def identity(self, org_id: str, user_id: str, session: Session) -> Response:
        """GET /id/{org}/{user}."""
        if org_id[:15] != ORG_ID[:15] or user_id[:15] != session.user_id[:15]:
            raise ApiError(403, "Wrong_Org", "Wrong_Org")
        with self._org.database.reading() as connection:
            user = user_row(connection, session.user_id)
        return json_response(
            {
                "id": self.identity_url(session),
                "asserted_user": True,
                "user_id": session.user_id,
                "organization_id": ORG_ID,
                "username": user["Username"],
                "nick_name": user["Alias"],
                "display_name": user["Name"],
                "email": user["Email"],
                "first_name": user["FirstName"],
                "last_name": user["LastName"],
                "timezone": user["TimeZoneSidKey"],
                "active": True,
                "user_type": "STANDARD",
                "language": user["LanguageLocaleKey"],
                "locale": user["LocaleSidKey"],
                "utcOffset": 3600000,
                "last_modified_date": user["LastModifiedDate"],
                "urls": self._urls(session),
            }
        )

    def _urls(self, session: Session) -> dict[str, str]:
        url = self._org.instance_url
        return {
            "enterprise": f"{url}/services/Soap/c/{{version}}/{ORG_ID[:15]}",
            "metadata": f"{url}/services/Soap/m/{{version}}/{ORG_ID[:15]}",
            "partner": f"{url}/services/Soap/u/{{version}}/{ORG_ID[:15]}",
            "rest": f"{url}/services/data/v{{version}}/",
            "sobjects": f"{url}/services/data/v{{version}}/sobjects/",
            "search": f"{url}/services/data/v{{version}}/search/",
            "query": f"{url}/services/data/v{{version}}/query/",
            "recent": f"{url}/services/data/v{{version}}/recent/",
            "profile": f"{url}/{session.user_id}",
            "custom_domain": url,
        }


def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))


def _host(request: Request) -> str:
    return request.headers.get("host", "").lower()
