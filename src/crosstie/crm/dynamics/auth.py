"""Signing in to Microsoft Entra through msal, whose HTTP goes through our own session: its hosts, limits and trust."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from crosstie.crm.dynamics.settings import DynamicsSettings, Flow, thumbprint_of
from crosstie.crm.http import REPORT, Answer, Call, HttpSession
from crosstie.errors import AuthError, CrosstieError, ProtocolError, UnavailableError

_TOKEN = re.compile(r"[!-~]{1,16000}")
_AADSTS = re.compile(r"AADSTS(\d+)")
_USUAL_LIFE = timedelta(hours=1)
_BEFORE_END = timedelta(minutes=5)
_ASSERTION_LIFE = timedelta(minutes=10)
_TRY_LATER = frozenset({"50196", "90033", "90024", "90055"})
_USER_REALM = "/common/userrealm/"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session: the token, until when it may be used (seconds since 1970, our clock), and the environment that it
    leads to. `owner` is a digest of who signs in where, so that a session kept for other settings is not used."""

    access_token: str = field(repr=False)
    until: float
    org_id: str
    user_id: str
    owner: str

    def text(self) -> str:
        """All of it as text, to be kept sealed."""
        return msgspec.json.encode(self).decode()

    def ends_soon(self) -> bool:
        """Whether it is time for another token."""
        return time.time() >= self.until

    @staticmethod
    def parse(text: str, settings: DynamicsSettings) -> SignedIn | None:
        """The session of `text`, or None when it is empty, of another make, over, or made for other settings."""
        if not text:
            return None
        try:
            session = msgspec.json.decode(text.encode(), type=SignedIn)
        except msgspec.DecodeError:
            return None
        return session if session.owner == owner_of(settings) and not session.ends_soon() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token, and until when it may be used (seconds since 1970, our clock)."""

    text: str = field(repr=False)
    until: float


def owner_of(settings: DynamicsSettings) -> str:
    """A digest of who signs in where; no secret goes into it."""
    names = (settings.host, settings.authority, settings.tenant, settings.resource_url(), settings.flow)
    identity = "\n".join((*names, settings.client_id, settings.username))
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def acquire(http: HttpSession, settings: DynamicsSettings, account: str) -> Token:
    """A token for the environment. `http` leads to the authority only.

    Raises AuthError when the authority refuses, saying what is mostly wrong then, and UnavailableError."""
    # msal shows answers, tokens included, in its log.
    logging.getLogger("msal").setLevel(logging.CRITICAL + 1)
    wire = _Wire(http, settings, account)
    try:
        said = _ask(wire, settings)
    except ValueError as error:
        raise _odd(wire, settings, account, error) from error
    token = said.get("access_token")
    if not token and said.get("error"):
        raise _refusal(said, wire, settings, account)
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ProtocolError(
            f"Signing in to account {account} gave no access token that can travel in a header.",
            hint=REPORT,
            request_id=wire.request_id,
        )
    try:
        life = timedelta(seconds=int(said["expires_in"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        life = _USUAL_LIFE  # a 401 says when it is over
    # A token of a very short life is renewed in its last tenth.
    return Token(text=token, until=time.time() + max(life - _BEFORE_END, life * 0.9).total_seconds())


def _ask(wire: _Wire, settings: DynamicsSettings) -> Mapping[str, Any]:
    import msal

    scopes = [f"{settings.resource_url()}/.default"]
    given: dict[str, Any] = {
        "authority": f"{settings.authority}/{settings.tenant}",
        "instance_discovery": False,
        "http_client": wire,
    }
    if settings.flow is Flow.PASSWORD:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # our own documentation warns of this flow
            public = msal.PublicClientApplication(settings.client_id, **given)
            password = settings.password.get_secret_value()
            return _mapping(public.acquire_token_by_username_password(settings.username, password, scopes))
    credential = settings.client_secret.get_secret_value()
    confidential = msal.ConfidentialClientApplication(
        settings.client_id,
        client_credential=credential if settings.flow is Flow.CLIENT_SECRET else _certificate(settings),
        **given,
    )
    return _mapping(confidential.acquire_token_for_client(scopes))


def _mapping(said: object) -> Mapping[str, Any]:
    return said if isinstance(said, dict) else {}


def _certificate(settings: DynamicsSettings) -> dict[str, Any]:
    """msal's credential. With a keyId the assertion is made here: msal has no place for it."""
    key, certificate = settings.key_text(), settings.certificate_text()
    _refuse_bad_key(key, certificate)
    if settings.key_id:
        return {"client_assertion": _asserting(settings, key, certificate)}
    if certificate:
        return {"private_key": key, "public_certificate": certificate}
    return {"private_key": key, "thumbprint": thumbprint_of(settings.custom_key_identifier)}


def _asserting(settings: DynamicsSettings, key: str, certificate: str) -> Callable[[], str]:
    """Makes client assertions as Entra wants them ("Certificate credentials", Microsoft identity platform)."""
    import jwt

    headers = {"kid": settings.key_id, **_thumbprints(settings, certificate)}
    claims = {
        "aud": f"{settings.authority}/{settings.tenant}/oauth2/v2.0/token",
        "iss": settings.client_id,
        "sub": settings.client_id,
    }

    def assertion() -> str:
        now = datetime.now(UTC)
        times = {"nbf": now, "iat": now, "exp": now + _ASSERTION_LIFE, "jti": str(uuid.uuid4())}
        algorithm = "PS256" if certificate else "RS256"
        return jwt.encode({**claims, **times}, key, algorithm=algorithm, headers=headers)

    return assertion


def _thumbprints(settings: DynamicsSettings, certificate: str) -> dict[str, str]:
    if not certificate:
        sha1 = bytes.fromhex(thumbprint_of(settings.custom_key_identifier) or "")
        return {"x5t": base64.urlsafe_b64encode(sha1).decode().rstrip("=")}
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    digest = x509.load_pem_x509_certificate(certificate.encode()).fingerprint(SHA256())
    return {"x5t#S256": base64.urlsafe_b64encode(digest).decode().rstrip("=")}


def _refuse_bad_key(key: str, certificate: str) -> None:
    """Raises AuthError for a key that is encrypted or not RSA, a certificate that is over, and one of another key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(key.encode(), password=None)
        found = x509.load_pem_x509_certificate(certificate.encode()) if certificate else None
    except (ValueError, TypeError) as error:
        raise AuthError(
            "The private key or its certificate cannot be read: it is not an unencrypted PEM file.",
            hint="Take a passphrase off with: openssl pkey -in key.pem -out plain.pem.",
        ) from error
    if not isinstance(private, RSAPrivateKey):
        raise AuthError("The private key is not an RSA key.", hint="Entra takes RSA keys: make one.")
    if found is not None and found.public_key() != private.public_key():
        raise AuthError(
            "The certificate does not belong to the private key.",
            hint="Give the certificate that was made of this key.",
        )
    if found is not None and found.not_valid_after_utc < datetime.now(UTC):
        raise AuthError(
            f"The certificate expired on {found.not_valid_after_utc:%Y-%m-%d}.",
            hint="Make a new key and certificate, and upload the certificate to the app registration.",
        )


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer as msal wants it."""

    status_code: int
    text: str
    headers: Mapping[str, str]

    def raise_for_status(self) -> None:
        """Nothing: what is no answer was raised before."""


class _Wire:
    """msal's HTTP client. Unavailability is waited for and raised as ours."""

    def __init__(self, http: HttpSession, settings: DynamicsSettings, account: str) -> None:
        self._http = http
        self._settings = settings
        self._account = account
        self.request_id = ""

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> _Reply:
        """Reads. Of a user's realm nothing is asked: passwords are not carried to other sign-in services."""
        if _USER_REALM in url:
            return _Reply(404, "{}", {})
        reply = self._send("GET", url, "find the sign-in service", headers)
        if reply.status_code != 200:
            raise _refusal(_said(reply.text), self, self._settings, self._account)
        return reply

    def post(
        self, url: str, *, data: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None, **more: Any
    ) -> _Reply:
        """Sends a form."""
        sent = {**(headers or {}), "Content-Type": "application/x-www-form-urlencoded"}
        return self._send("POST", url, "sign in", sent, urlencode(data or {}).encode())

    def close(self) -> None:
        """Nothing: the session is closed by who made it."""

    def _send(self, method: str, url: str, what: str, headers: Mapping[str, str] | None, body: bytes = b"") -> _Reply:
        sent = {"Accept": "application/json", **(headers or {})}
        call = Call(method=method, url=url, what=what, headers=sent, body=body, limit_bytes=1024 * 1024)

        def attempt() -> Answer:
            answer = self._http.send(call)
            self.request_id = answer.headers.get("x-ms-request-id", answer.request_id)
            if answer.status == 429 or answer.status >= 500 or _TRY_LATER & set(_codes(_said(_text(answer)))):
                raise UnavailableError(
                    f"Microsoft Entra cannot sign in account {self._account} now (HTTP {answer.status}).",
                    hint="Run it again later.",
                    request_id=self.request_id,
                    retry_after=answer.retry_after(),
                )
            return answer.refuse_cut()

        answer = self._http.repeat(attempt)
        return _Reply(answer.status, _text(answer), answer.headers)


def _text(answer: Answer) -> str:
    return answer.body.decode(errors="replace")


def _said(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _codes(said: Mapping[str, Any]) -> list[str]:
    listed = said.get("error_codes")
    codes = [str(one) for one in listed] if isinstance(listed, list) else []
    return codes + _AADSTS.findall(str(said.get("error_description", "")))


def _odd(wire: _Wire, settings: DynamicsSettings, account: str, error: Exception) -> CrosstieError:
    return ProtocolError(
        f"Signing in account {account} at {settings.authority} gave an answer that is not one of Microsoft Entra's "
        f"({type(error).__name__}).",
        hint="Check authority and tenant of the account; a proxy may have changed the answer.",
        request_id=wire.request_id,
    )


def _refusal(said: Mapping[str, Any], wire: _Wire, settings: DynamicsSettings, account: str) -> CrosstieError:
    codes = _codes(said)
    word = str(said.get("error") or "")
    if not codes and not word:
        return _odd(wire, settings, account, ValueError())
    description = re.split(r"\s*Trace ID:|[\r\n]", str(said.get("error_description", "")))[0].strip()
    hint = next((_HINTS[code] for code in codes if code in _HINTS), "")
    return AuthError(
        f"Microsoft Entra refused to sign in account {account} ({settings.flow}): {_shown(description) or word}.",
        hint=(hint or "Check tenant, application id and credentials of the account.").format(
            resource=settings.resource_url(), tenant=quote(settings.tenant), account=account
        ),
        code=f"AADSTS{codes[0]}" if codes else word,
        request_id=wire.request_id,
    )


def _shown(text: str) -> str:
    return " ".join(text.split())[:400].rstrip(".")


_RENEW = "Make a new client secret (App registration → Certificates & secrets) and give its value"
_HINTS = {
    "7000215": f"{_RENEW}, not its id: crosstie account edit {{account}} --secret client_secret.",
    "7000222": f"It has expired. {_RENEW}: crosstie account edit {{account}} --secret client_secret.",
    "700016": "The tenant {tenant} has no application of that id: check the application id and the tenant.",
    "90002": "There is no tenant {tenant}: check the tenant; it is the directory id of the app registration.",
    "900023": "{tenant} is not a tenant: give the directory id of the app registration.",
    "700027": "The key, or customKeyIdentifier, is not that of a certificate of the app registration: upload the "
    "certificate, and copy customKeyIdentifier from the manifest's keyCredentials.",
    "50126": "Check user name and password.",
    "50034": "The tenant {tenant} has no user of that name.",
    "50076": "The user needs multi-factor sign-in, which a program can't do: sign in by client_secret or certificate.",
    "50079": "The user needs multi-factor sign-in, which a program can't do: sign in by client_secret or certificate.",
    "50055": "The user's password has expired: set a new one.",
    "65001": "Give the application consent: App registration → API permissions → Dynamics CRM user_impersonation → "
    "Grant admin consent.",
    "7000218": "Sign-in by password needs a public client: App registration → Authentication → Allow public client "
    "flows → Yes.",
    "500011": "{resource} is not an environment of the tenant {tenant}: check the environment URL (and resource).",
    "50001": "{resource} is not an environment of the tenant {tenant}: check the environment URL (and resource).",
    "53003": "A conditional access policy forbids it: let the application's policy allow this, or sign in otherwise.",
}
