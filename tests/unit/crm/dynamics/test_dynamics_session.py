"""Signing in through msal, and calls to an environment: nothing leaks, nothing goes elsewhere, waits are kept."""

from __future__ import annotations

import base64
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from pydantic import ValidationError
from tests.unit.crm.dynamics.environment import (
    AUTHORITY,
    HOST,
    ORG,
    TENANT,
    Environment,
    always,
    granted,
    in_turn,
    refused,
)

from crosstie.crm.dynamics.settings import DynamicsSettings, thumbprint_of
from crosstie.crm.http import NOT_SENT, Unwritten
from crosstie.errors import AuthError, ConfigError, ProtocolError, RequestError, UnavailableError


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """A key of the smallest size that Entra takes."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    """A certificate of it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crosstie")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256())


def pem(key: rsa.RSAPrivateKey) -> bytes:
    """The key as PEM."""
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def header(form: dict[str, str]) -> dict[str, str]:
    """The header of a client assertion."""
    text = form["client_assertion"].partition(".")[0]
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def test_a_client_secret_signs_in_once_and_the_token_is_kept() -> None:
    environment, kept = Environment(), list[str]()
    environment.answers["accounts"] = always(200, {"value": []})
    session = environment.session(kept=kept)
    session.get("accounts", "read")
    session.get("accounts", "read")
    form = environment.forms[0]
    assert (form["grant_type"], form["scope"]) == ("client_credentials", f"{HOST}/.default")
    assert form["client_secret"] == "s3cret"
    assert session.signed_in().org_id == ORG
    assert session.parallel == 8
    assert session.meter.usage.calls == 2
    again = environment.session(token=kept[0])
    again.get("accounts", "read")
    assert len(environment.forms) == len(kept) == 1
    assert environment.session(token=kept[0], client_id="other").signed_in()
    assert len(environment.forms) == 2


def test_campaigns_base64_key_and_identifier_make_the_assertion(
    key: rsa.RSAPrivateKey, certificate: x509.Certificate
) -> None:
    environment = Environment()
    sha1 = certificate.fingerprint(hashes.SHA1())
    given: dict[str, Any] = {"flow": "certificate", "private_key": base64.b64encode(pem(key)).decode()}
    given["custom_key_identifier"] = base64.b64encode(sha1).decode()
    environment.session(**given).signed_in()
    environment.session(**given, key_id="AAAAAAAA-0000-4000-8000-00000000000B").signed_in()
    x5t = base64.urlsafe_b64encode(sha1).decode().rstrip("=")
    by_msal, by_us = (header(form) for form in environment.forms)
    assert (by_msal["alg"], by_msal["x5t"].rstrip("=")) == ("RS256", x5t)
    assert (by_us["alg"], by_us["x5t"]) == ("RS256", x5t)
    assert "kid" not in by_msal
    assert by_us["kid"] == "aaaaaaaa-0000-4000-8000-00000000000b"


def test_a_certificate_file_signs_in_without_an_identifier(
    key: rsa.RSAPrivateKey, certificate: x509.Certificate, tmp_path: Path
) -> None:
    environment = Environment()
    file = tmp_path / "both.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + pem(key))
    environment.session(flow="certificate", certificate_file=str(file)).signed_in()
    digest = base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).decode()
    assert header(environment.forms[0])["alg"] == "PS256"
    assert header(environment.forms[0])["x5t#S256"].rstrip("=") == digest.rstrip("=")


@pytest.mark.parametrize("form", ["base64", "unpadded", "url", "hex", "colons"])
def test_an_identifier_is_taken_in_every_form_that_manifests_show(form: str) -> None:
    digest = bytes(range(240, 256)) + b"\xfb\xff\xbf\xfe"
    plain = base64.b64encode(digest).decode()
    shown = {
        "base64": plain,
        "unpadded": plain.rstrip("="),
        "url": base64.urlsafe_b64encode(digest).decode(),
        "hex": digest.hex().upper(),
        "colons": digest.hex(":"),
    }
    assert thumbprint_of(shown[form]) == digest.hex()


def test_a_password_signs_in_and_asks_nothing_about_the_user_elsewhere() -> None:
    environment = Environment()
    environment.session(flow="password", username="sync@acme.example", password="pa55word").signed_in()
    assert environment.forms[0]["grant_type"] == "password"
    assert not [one for one in environment.seen if "userrealm" in one]


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (7000222, "expired"),
        (7000215, "not its id"),
        (700016, "application id"),
        (500011, "environment URL"),
        (50076, "multi-factor"),
        (1234567, "Check tenant"),
    ],
)
def test_a_refused_sign_in_says_what_to_do(code: int, hint: str) -> None:
    said = {"error": "invalid_client", "error_codes": [code], "error_description": f"AADSTS{code}: No.\r\nTrace ID: x"}
    environment = Environment(token=always(401, said))
    with pytest.raises(AuthError, match=r"refused to sign in account acme \(client_secret\): AADSTS") as caught:
        environment.session().signed_in()
    assert hint in caught.value.hint
    assert "Trace" not in str(caught.value)
    assert len(environment.forms) == 1


@pytest.mark.parametrize("life", ["3599", 3599, None])
def test_a_life_that_nobody_understands_is_no_endless_signing_in(life: object) -> None:
    said = {"token_type": "Bearer", "access_token": "t0ken", **({} if life is None else {"expires_in": life})}
    environment = Environment(token=always(200, said))
    environment.answers["accounts"] = always(200, {"value": []})
    session = environment.session()
    for _ in range(3):
        session.get("accounts", "read")
    assert len(environment.forms) == 1


def test_a_busy_authority_is_waited_for() -> None:
    environment = Environment(token=in_turn(always(503), always(429, Retry_After="0"), granted()))
    assert environment.session().signed_in().access_token == "t0ken"


def test_nothing_shows_a_secret(caplog: pytest.LogCaptureFixture, key: rsa.RSAPrivateKey) -> None:
    caplog.set_level(logging.DEBUG)
    broken = Environment(token=always(200, b"<access_token>t0ken</access_token>"))
    with pytest.raises(ProtocolError) as caught:
        broken.session().signed_in()
    session = Environment().session()
    shown = f"{caplog.text} {caught.value!r} {caught.value} {session.signed_in()!r} {session.settings!r}"
    assert "t0ken" not in shown
    assert "s3cret" not in shown


def test_another_org_is_refused_before_any_call_and_at_a_renewal() -> None:
    environment = Environment()
    with pytest.raises(AuthError, match="belongs to the org other"):
        environment.session(org_id="other").get("accounts", "read")
    assert "GET accounts" not in environment.seen
    environment.answers["accounts"] = in_turn(always(200, {}), always(401))
    session = environment.session()
    session.get("accounts", "read")
    environment.org = ORG.replace("a", "b")
    with pytest.raises(AuthError, match=f"belongs to the org {ORG}"):
        session.get("accounts", "read")


def test_an_ended_token_is_renewed_once_and_a_useless_one_is_no_loop() -> None:
    environment = Environment()
    environment.answers["accounts"] = in_turn(always(401), always(200, {"value": []}))
    environment.session().get("accounts", "read")
    assert len(environment.forms) == 2
    environment.answers["contacts"] = always(401)
    with pytest.raises(AuthError, match="straight after signing in"):
        environment.session().get("contacts", "read")
    assert environment.seen.count("GET contacts") == 3


def test_a_token_for_another_resource_is_explained_by_the_challenge() -> None:
    environment = Environment()
    challenge = f"Bearer authorization_uri={AUTHORITY}/other/oauth2/authorize, resource_id={HOST}/"
    environment.answers["WhoAmI"] = always(401, b"<html>", WWW_Authenticate=challenge)
    with pytest.raises(AuthError, match="does not take the token") as caught:
        environment.session().signed_in()
    assert "/other/oauth2/authorize" in caught.value.message


def test_a_throttled_call_holds_back_every_other_one() -> None:
    environment = Environment()
    environment.answers["accounts"] = always(
        429, {"error": {"code": "0x80072322", "message": "Number of requests"}}, Retry_After="240"
    )
    session = environment.session()
    with pytest.raises(UnavailableError, match="has to wait") as caught:
        session.get("accounts", "read")
    assert (caught.value.code, caught.value.retry_after) == ("0x80072322", timedelta(seconds=240))
    seen = len(environment.seen)
    said = session.write("POST", "contacts", "write", content=b"{}")
    assert isinstance(said, Unwritten)
    assert said.proved
    assert said.error.code == NOT_SENT
    assert timedelta(seconds=200) < (said.error.retry_after or timedelta()) <= timedelta(seconds=240)
    assert len(environment.seen) == seen


def test_a_link_is_followed_as_it_is_to_both_names_of_the_environment_only() -> None:
    session = Environment().session()
    cookie = "accounts?$select=name&$skiptoken=%3Ccookie%20pagenumber=%222%22%20pagingcookie=%22%253ccookie%2520x%22%3E"
    for host in (HOST, "https://acme.api.crm4.dynamics.com"):
        link = f"{host}/api/data/v9.2/{cookie}"
        assert session.checked_link(link, "read") == link
    for link in (
        f"https://other.crm4.dynamics.com/api/data/v9.2/{cookie}",
        f"{HOST}.evil.example/api/data/v9.2/{cookie}",
        f"{HOST}/login?x",
        f"{AUTHORITY}/api/data/v9.2/{cookie}",
    ):
        with pytest.raises(ProtocolError):
            session.checked_link(link, "read")


def test_a_link_travels_byte_for_byte() -> None:
    environment = Environment()
    path = "accounts?$skiptoken=%3ccookie%20a=%22%253c%2520%22%20/%3E&x=a+b%2Bc,(d)'e'"
    environment.answers[path] = always(200, {"value": []})
    session = environment.session()
    session.get(session.checked_link(f"{HOST}/api/data/v9.2/{path}", "read"), "read")
    assert environment.seen[-1] == f"GET {path}"


def test_errors_are_read_by_their_code_however_it_is_written() -> None:
    environment = Environment()
    environment.answers |= {
        "signed": refused(403, "-2147220960", "Principal user is missing prvReadAccount privilege"),
        "member": refused(403, "0x80072560"),
        "gone": refused(404, "0x8006088A", "Resource not found for the segment 'Account'."),
        "deadlock": refused(500, "0x80044150"),
    }
    property_gone = "Could not find a property named 'x' on type 'Microsoft.Dynamics.CRM.contact'."
    environment.answers["vanished"] = refused(400, "0x0", property_gone)
    session = environment.session()
    with pytest.raises(RequestError, match="named 'x'") as vanished:
        session.get("vanished", "read")
    assert "Collect the object again" in vanished.value.hint
    with pytest.raises(AuthError) as missing:
        session.get("signed", "read")
    assert missing.value.code == "0x80040220"
    with pytest.raises(AuthError) as foreign:
        session.get("member", "read")
    assert "Application users" in foreign.value.hint
    with pytest.raises(RequestError):
        session.get("gone", "read")
    with pytest.raises(UnavailableError):
        session.get("deadlock", "read")
    assert environment.seen.count("GET deadlock") == 3


@pytest.mark.parametrize(
    ("handler", "proved"),
    [
        (refused(400, "0x80048d19"), True),
        (refused(412, "0x80040237"), True),
        (refused(429, "0x80072322"), True),
        (refused(500, "0x80044150"), False),
        (refused(500, "0x80040265", "A plug-in of the customer's failed."), False),
        (refused(400, "0x80044151"), False),
        (always(400, b"<html>"), False),
        (always(503), False),
        (always(200, b'{"a":'), False),
    ],
)
def test_a_failed_write_is_proved_only_by_dataverse_itself(handler: object, proved: bool) -> None:
    environment = Environment()
    environment.answers["contacts"] = handler  # type: ignore[assignment]
    said = environment.session().write("POST", "contacts", "write", content=b"{}")
    assert isinstance(said, Unwritten)
    assert said.proved is proved


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"host": "http://acme.crm4.dynamics.com"}, "https"),
        ({"client_id": ""}, "needs client_id"),
        ({"tenant": "a/b"}, "is not a tenant"),
        ({"client_secret": ""}, "needs client_secret"),
        ({"flow": "certificate"}, "private_key or private_key_file, custom_key_identifier or certificate_file"),
        ({"flow": "certificate", "private_key": "x", "custom_key_identifier": "short"}, "customKeyIdentifier"),
        ({"key_id": "abc"}, "keyId"),
        ({"api_version": "8.2"}, "version"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, str], message: str) -> None:
    whole = {"host": HOST, "tenant": TENANT, "client_id": "app", "client_secret": "s3cret"}
    with pytest.raises((ValidationError, ConfigError), match=message) as caught:
        DynamicsSettings.model_validate({**whole, **given})
    assert "s3cret" not in str(caught.value)
