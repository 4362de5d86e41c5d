"""The token authority: discovery, and the token endpoints of both versions.

Sources: "OAuth 2.0 client credentials flow", "Certificate credentials", "Resource Owner Password Credentials" and
"Authentication error codes" (Microsoft identity platform), and what msal and azure-identity send and read.
"""

import base64
import hashlib
import re
import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import msgspec

from crosstie.sandbox.dynamics.credentials import TENANT_DOMAIN, TENANT_ID, Certificate, Credentials
from crosstie.sandbox.dynamics.generate import USER_ID
from crosstie.sandbox.dynamics.org import Org
from crosstie.sandbox.dynamics.tokens import Tokens
from crosstie.sandbox.front import FrontDoor, Serve
from crosstie.sandbox.http import Request, Response

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_TENANTS = frozenset({TENANT_ID, TENANT_DOMAIN, "organizations", "common"})
_STATUS = {"invalid_client": 401}


class SignInError(Exception):
    """A refused sign-in: OAuth's `error`, the number of Microsoft's own code, and its words."""

    def __init__(self, error: str, number: int, message: str) -> None:
        super().__init__(f"AADSTS{number}: {message}")
        self.error = error
        self.number = number

    def response(self) -> Response:
        """The answer's JSON."""
        now, trace, correlation = datetime.now(UTC), str(uuid.uuid4()), str(uuid.uuid4())
        stamp = now.strftime("%Y-%m-%d %H:%M:%SZ")
        body = {
            "error": self.error,
            "error_description": f"{self} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
            "error_codes": [self.number],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
        }
        return _json(body, _STATUS.get(self.error, 400))


class Authority:
    """Signs in the application and the user of one organization."""

    def __init__(self, org: Org, tokens: Tokens, credentials: Credentials, certificate: Certificate) -> None:
        self._org = org
        self._tokens = tokens
        self._credentials = credentials
        self._thumbprints = {
            _encoded(certificate.thumbprint),
            _encoded(hashlib.sha256(certificate.der).digest()),
        }
        self._public_key = certificate.public_key()
        self.url = ""
        """`https://localhost:PORT`, where it is reached."""
        self.door = FrontDoor(
            clock=org.clock,
            counters=org.counters,
            plan=org.plan,
            route=self._route,
            answer=_answered,
            refuse=_refused,
            finish=lambda request, response: None,
            ends={"expire_session": tokens.expire_all},
        )

    def handle(self, request: Request) -> Response:
        """Answers one request to the authority."""
        return self.door.handle(request)

    def _route(self, request: Request) -> tuple[str, Serve]:
        path = request.path
        if re.fullmatch(r"/[^/]+(?:/v2\.0)?/\.well-known/openid-configuration", path):
            return "openid_configuration", self._discovery
        if re.fullmatch(r"/[^/]+/oauth2(?:/v2\.0)?/token", path):
            return "token", self._token
        if re.fullmatch(r"/common/userrealm/[^/]+", path):
            return "user_realm", self._user_realm
        return "unknown", lambda asked: Response(status=404)

    def _discovery(self, request: Request) -> Response:
        tenant = self._tenant(request)
        second = "/v2.0" if "/v2.0/" in request.path else ""
        base = f"https://{request.headers.get('host', urlsplit(self.url).netloc)}/{tenant}"
        return _json(
            {
                "issuer": f"{base}{second}",
                "authorization_endpoint": f"{base}/oauth2{second}/authorize",
                "token_endpoint": f"{base}/oauth2{second}/token",
                "device_authorization_endpoint": f"{base}/oauth2{second}/devicecode",
                "jwks_uri": f"{base}/discovery{second}/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "response_types_supported": ["code", "id_token", "token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "tenant_region_scope": "EU",
            }
        )

    def _user_realm(self, request: Request) -> Response:
        login = request.path.rpartition("/")[2]
        domain = login.rpartition("@")[2]
        kind = "Managed" if domain == TENANT_DOMAIN else "Unknown"
        return _json({"ver": "1.0", "account_type": kind, "domain_name": domain, "cloud_instance_name": "local"})

    def _token(self, request: Request) -> Response:
        if request.method != "POST":
            raise SignInError("invalid_request", 900561, "The endpoint only accepts POST requests.")
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        self._tenant(request)
        second = request.path.endswith("/v2.0/token")
        if form.get("client_id") != self._credentials.client_id:
            raise SignInError(
                "unauthorized_client",
                700016,
                f"Application with identifier '{form.get('client_id')}' was not found in the directory 'Acme'.",
            )
        flows = {"client_credentials": self._application, "password": self._user}
        grant = form.get("grant_type", "")
        if grant not in flows:
            raise SignInError(
                "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{grant}'."
            )
        resource = self._resource(form, second=second)
        flows[grant](request, form)
        return self._granted(form, resource, second=second)

    def _tenant(self, request: Request) -> str:
        tenant = request.path.split("/")[1]
        if tenant.lower() not in _TENANTS and tenant != "adfs":
            raise SignInError("invalid_request", 90002, f"Tenant '{tenant}' not found.")
        return tenant

    def _resource(self, form: dict[str, str], *, second: bool) -> str:
        """The address of the organization that the token is for, as it is known here."""
        if second:
            named = [one for one in form.get("scope", "").split() if one.endswith("/.default")]
            given = named[0].removesuffix("/.default") if named else ""
        else:
            given = form.get("resource", "")
        if not given:
            raise SignInError("invalid_request", 900144, "The request body must contain the parameter: 'scope'.")
        asked, own = urlsplit(given), urlsplit(self._org.url)
        if (asked.scheme, asked.port) != (own.scheme, own.port) or asked.hostname not in ("localhost", "127.0.0.1"):
            raise SignInError(
                "invalid_resource",
                500011,
                f"The resource principal named {given} was not found in the tenant named Acme.",
            )
        return self._org.url

    def _application(self, request: Request, form: dict[str, str]) -> None:
        switches = self._org.switches
        if "client_assertion" in form:
            self._check_assertion(request, form)
        elif "client_secret" not in form:
            raise SignInError(
                "invalid_client",
                7000218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            )
        elif not secrets.compare_digest(form["client_secret"].encode(), self._credentials.client_secret.encode()):
            raise SignInError("invalid_client", 7000215, "Invalid client secret provided.")
        elif switches.secret_expired:
            client = self._credentials.client_id
            raise SignInError(
                "invalid_client", 7000222, f"The provided client secret keys for app '{client}' are expired."
            )
        if not switches.consent:
            raise SignInError(
                "invalid_grant", 65001, "The user or administrator has not consented to use the application."
            )

    def _user(self, request: Request, form: dict[str, str]) -> None:
        known = self._credentials
        if (form.get("username"), form.get("password")) != (known.username, known.password):
            raise SignInError(
                "invalid_grant", 50126, "Error validating credentials due to invalid username or password."
            )
        if self._org.switches.second_factor:
            raise SignInError("interaction_required", 50076, "You must use multi-factor authentication to access.")

    def _check_assertion(self, request: Request, form: dict[str, str]) -> None:
        """An assertion by the registered certificate. Thumbprints come with padding and without, `exp` as a float."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise SignInError("invalid_request", 90023, "The client_assertion_type is not supported.")
        assertion = form["client_assertion"]
        try:
            header = jwt.get_unverified_header(assertion)
            named = header.get("x5t#S256") or header.get("x5t") or ""
            if str(named).rstrip("=") not in self._thumbprints:
                raise SignInError(
                    "invalid_client",
                    700027,
                    "The certificate used to sign the client assertion is not registered on application.",
                )
            options: Any = {f"verify_{name}": False for name in ("exp", "aud", "iat", "nbf", "sub", "iss", "jti")}
            claims = jwt.decode(assertion, self._public_key, algorithms=["RS256", "PS256"], options=options)
            expires = float(claims.get("exp", ""))
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise SignInError("invalid_client", 700027, "Client assertion failed signature validation.") from error
        self._check_claims(request, claims, expires)

    def _check_claims(self, request: Request, claims: dict[str, Any], expires: float) -> None:
        if claims.get("iss") != self._credentials.client_id or claims.get("sub") != self._credentials.client_id:
            raise SignInError("invalid_client", 700021, "Client assertion application identifier doesn't match.")
        audience, own = urlsplit(str(claims.get("aud"))), request.headers.get("host", "").lower()
        if audience.netloc.lower() != own or not audience.path.endswith("/token"):
            raise SignInError("invalid_client", 50027, "JWT token is invalid or malformed: the audience is wrong.")
        if expires < time.time():
            raise SignInError("invalid_client", 700024, "Client assertion is not within its valid time range.")

    def _granted(self, form: dict[str, str], resource: str, *, second: bool) -> Response:
        seconds = self._org.switches.token_seconds
        token = self._tokens.issue(USER_ID, self._credentials.client_id, resource, seconds)
        now = int(time.time())
        numbers: dict[str, Any] = {"expires_in": seconds, "ext_expires_in": seconds}
        if not second:
            numbers |= {"expires_on": now + seconds, "not_before": now - 300}
            if self._org.switches.v1_numbers_text:
                numbers = {name: str(value) for name, value in numbers.items()}
            numbers["resource"] = form["resource"]
        body: dict[str, Any] = {"token_type": "Bearer", **numbers, "access_token": token}
        if form.get("grant_type") == "password":
            body |= {"scope": f"{resource}/.default", **self._identity(now + seconds)}
        return _json(body)

    def _identity(self, expires: int) -> dict[str, str]:
        """Who the user is: an unsigned id token, and the ids by which clients keep what they got."""
        known = self._credentials
        claims = {
            "iss": f"{self.url}/{TENANT_ID}/v2.0",
            "aud": known.client_id,
            "sub": USER_ID,
            "oid": USER_ID,
            "tid": TENANT_ID,
            "exp": expires,
            "iat": int(time.time()),
            "preferred_username": known.username,
        }
        header = _encoded(b'{"alg":"none","typ":"JWT"}')
        client_info = _encoded(msgspec.json.encode({"uid": USER_ID, "utid": TENANT_ID}))
        return {"id_token": f"{header}.{_encoded(msgspec.json.encode(claims))}.", "client_info": client_info}


def _answered(request: Request, serve: Serve) -> Response:
    try:
        return serve(request)
    except SignInError as error:
        return error.response()


def _refused(status: int, code: str | None, message: str | None) -> Response:
    body = {"error": code or "temporarily_unavailable", "error_description": message or "Try again later."}
    return _json(body, status)


def _json(value: Any, status: int = 200) -> Response:
    headers = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store, no-cache"}
    return Response(status=status, headers=headers, parts=(msgspec.json.encode(value),))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
