"""Signing in to Salesforce: OAuth flows at the token endpoint, SOAP login for API versions up to 64.0."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.sax.saxutils import escape

import msgspec

from crosstie.crm.hosts import shown_host
from crosstie.crm.http import REPORT, Answer, Call, HttpSession, http_date
from crosstie.crm.salesforce.faults import QUOTA, code_and_message, error_of
from crosstie.crm.salesforce.settings import LAST_SOAP_LOGIN_VERSION, NEWEST_VERSION, Flow, SalesforceSettings
from crosstie.errors import AuthError, CrosstieError, ProtocolError, RequestError, UnavailableError

_KEY_BLOCK = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_TOKEN = re.compile(r"[!-~]{1,8000}")
_JWT_LIFE = timedelta(minutes=3)
_ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:urn="urn:partner.soap.sforce.com"><soapenv:Header><urn:CallOptions><urn:client>crosstie</urn:client>'
    "</urn:CallOptions></soapenv:Header><soapenv:Body><urn:login><urn:username>{username}</urn:username>"
    "<urn:password>{password}</urn:password></urn:login></soapenv:Body></soapenv:Envelope>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session: where data calls go, with which token. `owner` is a digest of host and credentials' names, so that
    a session kept for other settings is not used."""

    access_token: str = field(repr=False)
    instance_url: str
    org_id: str
    user_id: str
    version: str
    owner: str
    refresh_token: str = field(default="", repr=False)

    def text(self) -> str:
        """All of it as text, to be kept sealed."""
        return msgspec.json.encode(self).decode()

    @staticmethod
    def parse(text: str, settings: SalesforceSettings) -> SignedIn | None:
        """The session of `text`, or None when it is empty, of another make, or was made for other settings."""
        if not text:
            return None
        try:
            session = msgspec.json.decode(text.encode(), type=SignedIn)
        except msgspec.DecodeError:
            return None
        wanted_version = settings.api_version in {"", session.version}
        if session.owner != owner_of(settings) or not wanted_version:
            return None
        return session if settings.hosts().allows(session.instance_url) else None


def owner_of(settings: SalesforceSettings) -> str:
    """A digest of who signs in where; no secret goes into it."""
    identity = "\n".join((settings.login_url(), settings.flow, settings.username, settings.client_id))
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def long_id(short: str) -> str:
    """The 18-character form of a 15-character id; other lengths are returned as they are."""
    if len(short) != 15:
        return short
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    groups = (short[start : start + 5] for start in (0, 5, 10))
    return short + "".join(
        alphabet[sum(1 << bit for bit, character in enumerate(group) if "A" <= character <= "Z")] for group in groups
    )


def sign_in(http: HttpSession, settings: SalesforceSettings, account: str, *, earlier: SignedIn | None) -> SignedIn:
    """Signs in. `earlier` is the last session, whose refresh token may be newer than that of the settings.

    Raises AuthError when refused, UnavailableError, ProtocolError when the answer leads to a host not allowed.
    """
    if settings.flow is Flow.SOAP:
        session = _soap(http, settings, account)
    else:
        session = _oauth(http, settings, account, earlier)
    _refuse_odd_token(session.access_token, account)
    if not http.hosts.allows(session.instance_url):
        raise ProtocolError(
            f"Signing in to account {account} answered with the instance "
            f"{shown_host(session.instance_url)}, a host that this account does not "
            "allow. No token was sent there.",
            hint="If the org has really moved there, add that host to the account's allowed hosts.",
        )
    if session.version:
        return session
    return replace(session, version=_newest_version(http, session.instance_url, account))


def _refuse_odd_token(token: str, account: str) -> None:
    if not _TOKEN.fullmatch(token):
        raise ProtocolError(
            f"Signing in to account {account} gave an access token that cannot travel in a header.",
            hint="Something between here and Salesforce changes answers. Run it again; if it stays so, report it.",
        )


def _origin(url: str) -> str:
    """Scheme, host and port of an instance's URL; '' when it is broken."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def _oauth(http: HttpSession, settings: SalesforceSettings, account: str, earlier: SignedIn | None) -> SignedIn:
    if settings.flow is Flow.JWT_BEARER:
        answer = _jwt_bearer(http, settings, account)
    else:
        answer = _token_call(http, settings, account, _form(settings, earlier))
    if answer.status != 200:
        raise _refusal(answer, settings, account)
    body = answer.json()
    token = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token or not isinstance(body.get("instance_url"), str):
        raise ProtocolError(
            f"Signing in to account {account} gave no access token or instance.",
            hint=REPORT,
            request_id=answer.request_id,
        )
    path = str(body.get("id", "")).partition("?")[0].rsplit("/", 2)  # {login}/id/{org}/{user}
    org_id, user_id = (path[-2], path[-1]) if len(path) == 3 else (token.partition("!")[0], "")
    kept = earlier.refresh_token if earlier else ""
    return SignedIn(
        access_token=token,
        instance_url=_origin(body["instance_url"]),
        org_id=long_id(org_id),
        user_id=long_id(user_id),
        version=settings.api_version,
        owner=owner_of(settings),
        refresh_token=str(body.get("refresh_token") or kept) if settings.flow is Flow.REFRESH_TOKEN else "",
    )


def _form(settings: SalesforceSettings, earlier: SignedIn | None) -> dict[str, str]:
    secret = settings.client_secret.get_secret_value()
    form = {"client_id": settings.client_id, "client_secret": secret}
    if settings.flow is Flow.PASSWORD:
        password = settings.password.get_secret_value() + settings.security_token.get_secret_value()
        return {"grant_type": "password", **form, "username": settings.username, "password": password}
    if settings.flow is Flow.CLIENT_CREDENTIALS:
        return {"grant_type": "client_credentials", **form}
    token = (earlier.refresh_token if earlier else "") or settings.refresh_token.get_secret_value()
    if not secret:
        del form["client_secret"]
    return {"grant_type": "refresh_token", **form, "refresh_token": token}


def _token_call(http: HttpSession, settings: SalesforceSettings, account: str, form: dict[str, str]) -> Answer:
    call = Call(
        method="POST",
        url=f"{settings.login_url()}/services/oauth2/token",
        what="sign in",
        headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
        body=urlencode({**form, "format": "json"}).encode(),
        limit_bytes=1024 * 1024,
    )

    def attempt() -> Answer:
        answer = http.send(call)
        if answer.status == 429 or answer.status >= 500 or code_and_message(answer)[0] == QUOTA:
            raise error_of(answer, account)
        return answer.refuse_cut()

    return http.repeat(attempt)


def _jwt_bearer(http: HttpSession, settings: SalesforceSettings, account: str) -> Answer:
    """Tries the audiences in turn, and the server's clock when ours makes the assertion look expired."""
    key = _private_key(settings)
    now = datetime.now(UTC)
    answer: Answer | None = None
    for audience in settings.audiences():
        answer = _assert(http, settings, account, key, audience, now)
        if answer.status == 200:
            return answer
        server_now = http_date(answer.headers.get("date"))
        if server_now and abs(server_now - now) > timedelta(minutes=2):
            answer = _assert(http, settings, account, key, audience, server_now)
        if answer.status == 200 or "audience" not in code_and_message(answer)[1].lower():
            return answer
    assert answer is not None
    return answer


def _assert(
    http: HttpSession, settings: SalesforceSettings, account: str, key: Any, audience: str, now: datetime
) -> Answer:
    import jwt

    claims = {
        "iss": settings.client_id,
        "sub": settings.username,
        "aud": audience,
        "exp": int((now + _JWT_LIFE).timestamp()),
    }
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    return _token_call(
        http, settings, account, {"grant_type": grant, "assertion": jwt.encode(claims, key, algorithm="RS256")}
    )


def _private_key(settings: SalesforceSettings) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = settings.key_text().encode()
    try:
        if b"BEGIN CERTIFICATE" in pem:
            expiry = x509.load_pem_x509_certificate(pem).not_valid_after_utc
            if expiry < datetime.now(UTC):
                raise AuthError(
                    f"The certificate beside the private key expired on {expiry:%Y-%m-%d}.",
                    hint="Make a new key and certificate and upload the certificate to the connected app.",
                )
        found = _KEY_BLOCK.search(pem)
        key = load_pem_private_key(found.group() if found else pem, password=None)
    except (ValueError, TypeError) as error:
        raise AuthError(
            "The private key cannot be read: it is not an unencrypted PEM private key.",
            hint="It begins with -----BEGIN PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY-----. "
            "Take a passphrase off with: openssl pkey -in key.pem -out plain.pem.",
        ) from error
    if not isinstance(key, RSAPrivateKey):
        raise AuthError("The private key is not an RSA key.", hint="Salesforce signs in with RS256: make an RSA key.")
    return key


def _refusal(answer: Answer, settings: SalesforceSettings, account: str) -> CrosstieError:
    code, message = code_and_message(answer)
    if not code or code == QUOTA:
        return error_of(answer, account)
    said = message.lower()
    if "hasn't approved" in said or "not admin approved" in said:
        hint = "Approve the user: Setup → Connected Apps → Manage → Permitted Users, and a permission set."
    elif "audience" in said or "not supported on this domain" in said:
        hint = f"Check the login host ({settings.login_url()}): production, test, or your My Domain."
    elif "expired" in said and settings.flow is Flow.REFRESH_TOKEN:
        hint = f"Sign in again to get a new refresh token: crosstie account edit {account}."
    elif "client" in code or "client" in said:
        hint = "Check consumer key and secret: Setup → App Manager → View → Manage Consumer Details."
    elif code == "rate_limit_exceeded":
        return UnavailableError(
            f"Too many sign-ins to account {account}.", hint="Wait an hour.", code=code, retry_after=timedelta(hours=1)
        )
    elif settings.flow is Flow.JWT_BEARER:
        hint = "Check user name, consumer key, and that the key's certificate is the one uploaded, and not expired."
    else:
        hint = "Check user name, password and security token (a new password changes the token), and the login host."
    return AuthError(
        f"Salesforce refused to sign in account {account} ({settings.flow}): {message or code}.",
        hint=hint,
        code=code,
        request_id=answer.request_id,
    )


def _soap(http: HttpSession, settings: SalesforceSettings, account: str) -> SignedIn:
    wanted = settings.api_version or LAST_SOAP_LOGIN_VERSION
    version = min(wanted, LAST_SOAP_LOGIN_VERSION, key=float)
    password = settings.password.get_secret_value() + settings.security_token.get_secret_value()
    call = Call(
        method="POST",
        url=f"{settings.login_url()}/services/Soap/u/{version}",
        what="sign in",
        headers={"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": "login"},
        body=_ENVELOPE.format(username=escape(settings.username), password=escape(password)).encode(),
        limit_bytes=1024 * 1024,
    )

    def attempt() -> tuple[Answer, dict[str, str]]:
        answer = http.send(call)
        if answer.status in {429, 502, 503, 504}:
            raise error_of(answer, account)
        return answer, _leaves(answer, account)

    answer, values = http.repeat(attempt)
    if answer.status != 200 or "sessionId" not in values:
        raise _soap_fault(answer, values, account)
    if values.get("passwordExpired") == "true":
        raise AuthError(
            f"The password of account {account} has expired.",
            hint="Set a new one in Salesforce, then edit the account.",
        )
    return SignedIn(
        access_token=values["sessionId"],
        instance_url=_origin(values.get("serverUrl", "")).replace("-api.", "."),
        org_id=long_id(values.get("organizationId", "")),
        user_id=long_id(values.get("userId", "")),
        version=settings.api_version,
        owner=owner_of(settings),
    )


def _leaves(answer: Answer, account: str) -> dict[str, str]:
    """Local name → text of every leaf of a SOAP answer; entities and DTDs are not expanded."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(answer.body, parser)
    except etree.XMLSyntaxError as error:
        if answer.status >= 400:
            raise error_of(answer, account) from error
        page = answer.body.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))
        if not page and not answer.body.rstrip().endswith(b"Envelope>"):
            raise UnavailableError(
                "The answer to the SOAP login was cut: its XML has no end.",
                hint="The connection is bad, or a proxy shortens answers.",
                request_id=answer.request_id,
            ) from error
        raise _no_envelope(answer) from error
    if answer.status == 200 and etree.QName(root).localname != "Envelope":
        raise _no_envelope(answer)
    return {
        etree.QName(node).localname: (node.text or "").strip() for node in root.iter(etree.Element) if len(node) == 0
    }


def _no_envelope(answer: Answer) -> ProtocolError:
    return ProtocolError(
        "The answer to the SOAP login is not a SOAP envelope.",
        hint="A proxy may have changed it. Run it again; if it stays so, report it.",
        request_id=answer.request_id,
    )


def _soap_fault(answer: Answer, values: dict[str, str], account: str) -> CrosstieError:
    code = values.get("exceptionCode") or re.sub(r"^\w+:", "", values.get("faultcode", ""))
    message = values.get("exceptionMessage") or values.get("faultstring", "")
    if not code:
        return error_of(answer, account)
    if code in {"SERVER_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}:
        return UnavailableError(
            f"Salesforce cannot sign in account {account} now: {message}", hint="Run it again later.", code=code
        )
    if code == "UNSUPPORTED_API_VERSION":
        return RequestError(f"Salesforce no longer serves that API version: {message}", code=code)
    hint = {
        "LOGIN_MUST_USE_SECURITY_TOKEN": "Give the security token: the user's Settings → Reset My Security Token.",
        "INVALID_OPERATION": "SOAP login is switched off in this org: sign in by jwt_bearer or client_credentials.",
        "INSUFFICIENT_ACCESS": "The user needs the permission “Use Any API Auth”, or sign in by jwt_bearer.",
    }.get(code, "Check user name, password and security token (a new password changes the token), and the login host.")
    return AuthError(
        f"Salesforce refused to sign in account {account} (soap): {message or code}",
        hint=hint,
        code=code,
        request_id=answer.request_id,
    )


def _newest_version(http: HttpSession, instance_url: str, account: str) -> str:
    """The newest API version that both sides know (REST API guide, Versions; needs no token)."""

    def attempt() -> Answer:
        answer = http.send(Call(method="GET", url=f"{instance_url}/services/data/", what="list API versions"))
        if answer.status != 200:
            raise error_of(answer, account)
        return answer.refuse_cut()

    answer = http.repeat(attempt)
    try:
        known = [float(entry["version"]) for entry in answer.json()]
    except (TypeError, KeyError, ValueError) as error:
        raise ProtocolError(
            "The list of API versions cannot be read.", hint=REPORT, request_id=answer.request_id
        ) from error
    fit = [version for version in known if version <= float(NEWEST_VERSION)]
    if not fit:
        raise ProtocolError(
            f"The org of account {account} serves no API version up to {NEWEST_VERSION}.",
            hint="A newer Crosstie is needed.",
            request_id=answer.request_id,
        )
    return f"{max(fit):.1f}"
