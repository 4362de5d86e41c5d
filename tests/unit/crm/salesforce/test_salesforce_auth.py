"""Signing in where an honest sandbox can't show it: keys, certificates, audiences, clocks, broken answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import httpx2
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from tests.unit.crm.answers import answer
from tests.unit.crm.salesforce.org import DATE, INSTANCE, SETTINGS, Org, always

from crosstie.crm.salesforce.auth import SignedIn, long_id, owner_of
from crosstie.crm.salesforce.settings import SalesforceSettings
from crosstie.errors import AuthError, ConfigError, ProtocolError, UnavailableError

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    """The key as PEM text."""
    sealed = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed).decode()


def certificate(until: datetime) -> str:
    """A certificate of the key that ends then."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sync")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(until - timedelta(days=365))
        .not_valid_after(until)
    )
    return built.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def bearer(private_key: str, **changed: str) -> SalesforceSettings:
    """An account that signs in by JWT."""
    return SalesforceSettings.model_validate(
        {
            "host": "production",
            "flow": "jwt_bearer",
            "client_id": "key",
            "username": "sync@acme.example",
            "private_key": private_key,
            "api_version": "68.0",
            **changed,
        }
    )


@pytest.mark.parametrize(
    ("host", "audiences"),
    [
        ("production", ("https://login.salesforce.com",)),
        ("test", ("https://test.salesforce.com",)),
        (INSTANCE, (INSTANCE, "https://login.salesforce.com")),
        (
            "https://acme--uat.sandbox.my.salesforce.com",
            ("https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com"),
        ),
        ("https://localhost:8443", ("https://localhost:8443",)),
    ],
)
def test_the_audience_follows_the_host(host: str, audiences: tuple[str, ...]) -> None:
    assert bearer(pem(KEY), host=host).audiences() == audiences


def test_the_next_audience_and_the_server_s_clock_are_tried() -> None:
    asked: list[dict[str, object]] = []

    def token(request: httpx2.Request) -> httpx2.Response:
        form = parse_qs(request.content.decode())
        options = {"verify_aud": False, "verify_exp": False}
        claims = jwt.decode(form["assertion"][0], KEY.public_key(), algorithms=["RS256"], options=options)  # type: ignore[arg-type]
        asked.append(claims)
        far = datetime(2031, 1, 1, tzinfo=UTC).timestamp()
        if claims["aud"] != "https://login.salesforce.com":
            refused = {"error": "invalid_grant", "error_description": "audience is invalid"}
            return answer(400, refused)
        if float(claims["exp"]) < far:
            refused = {"error": "invalid_grant", "error_description": "invalid assertion"}
            return answer(400, refused, Date="Wed, 01 Jan 2031 00:00:00 GMT")
        return answer(
            200,
            {
                "access_token": "00D000000000001!x",
                "instance_url": INSTANCE,
                "id": "https://x/id/00D000000000001EAA/005000000000001AAA",
            },
        )

    org = Org(answers={"sobjects": always(200, {"sobjects": []})})
    connector = org.connector(flow="jwt_bearer", username="sync@acme.example", private_key=pem(KEY))

    def handle(request: httpx2.Request) -> httpx2.Response:
        return token(request) if request.url.path.endswith("/token") else Org.handle(org, request)

    connector._session.http._client._transport = httpx2.MockTransport(handle)
    assert connector.org_id() == "00D000000000001EAA"
    assert [claims["aud"] for claims in asked] == [INSTANCE, *["https://login.salesforce.com"] * 2]
    assert {claims["iss"] for claims in asked} == {"key"}
    assert {claims["sub"] for claims in asked} == {"sync@acme.example"}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("no key at all", "not an unencrypted PEM private key"),
        (pem(KEY, b"passphrase"), "not an unencrypted PEM private key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
        (
            certificate(datetime(2020, 1, 1, tzinfo=UTC)) + pem(KEY),
            "certificate beside the private key expired on 2020",
        ),
    ],
)
def test_a_key_that_cannot_sign_in_is_one_clear_error(key: str, message: str) -> None:
    org = Org()
    with pytest.raises(AuthError, match=message) as caught:
        org.connector(flow="jwt_bearer", username="a", private_key=key).org_id()
    assert caught.value.hint
    assert org.seen == []
    assert "MII" not in str(caught.value)


def test_a_key_file_is_read_when_needed_and_its_absence_named(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    org = Org(answers={"sobjects": always(200, {"sobjects": []})})
    with pytest.raises(AuthError, match=r"key\.pem cannot be read"):
        org.connector(flow="jwt_bearer", username="a", private_key_file=str(path)).org_id()
    path.write_text(certificate(datetime(2099, 1, 1, tzinfo=UTC)) + pem(KEY))
    assert org.connector(flow="jwt_bearer", username="a", private_key_file=str(path)).org_id() == "00D000000000001EAA"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ({"error": "rate_limit_exceeded", "error_description": "login rate exceeded"}, UnavailableError, "Too many"),
        ({"error": "invalid_grant", "error_description": "user hasn't approved this consumer"}, AuthError, "approved"),
        ({"error": "invalid_client_id", "error_description": "client identifier invalid"}, AuthError, "identifier"),
        ({"error": "unsupported_grant_type", "error_description": "grant type not supported"}, AuthError, "grant type"),
    ],
)
def test_a_refused_sign_in_says_what_to_do(body: dict[str, str], kind: type[Exception], message: str) -> None:
    org = Org()
    connector = org.connector()
    refusing = httpx2.MockTransport(lambda request: answer(400, body))
    connector._session.http._client._transport = refusing
    with pytest.raises(kind, match=message):
        connector.org_id()


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [(["31.0", "64.0", "68.0", "69.0"], "68.0"), (["64.0", "65.0"], "65.0"), (["9.0", "58.0"], "58.0")],
)
def test_the_newest_version_that_both_know(versions: list[str], chosen: str) -> None:
    listed = [{"label": "x", "url": f"/services/data/v{one}", "version": one} for one in versions]
    connector = Org(answers={"/services/data": always(200, listed)}).connector(api_version="")
    assert connector._session.signed_in().version == chosen


@pytest.mark.parametrize("listed", [[{"version": "69.0"}], [], {"x": 1}, [{"label": "x"}], [{"version": "new"}]])
def test_an_org_without_a_version_that_we_know(listed: object) -> None:
    with pytest.raises(ProtocolError, match="version"):
        Org(answers={"/services/data": always(200, listed)}).connector(api_version="").org_id()


SOAP = {**SETTINGS, "flow": "soap", "username": "a<b>@acme.example", "password": "p&<ss>"}
ANSWER = (
    '<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns="urn:partner.soap.sforce.com"><soapenv:Body><loginResponse><result><passwordExpired>{expired}</passwordExpired>'
    "<serverUrl>{server}/services/Soap/u/64.0/00D000000000001</serverUrl><sessionId>{session}</sessionId>"
    "<userId>005000000000001AAA</userId><userInfo><organizationId>00D000000000001EAA</organizationId></userInfo>"
    "</result></loginResponse></soapenv:Body></soapenv:Envelope>"
)
FAULT = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body><soapenv:Fault><faultcode>{prefix}{code}</faultcode>'
    "<faultstring>{code}: no</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
)


def soap_org(status: int, body: str) -> Org:
    """An org whose SOAP login answers this."""
    return Org(answers={"/services/Soap/u/64.0": always(status, body.encode())})


def test_a_soap_login_escapes_what_people_type_and_reads_the_instance() -> None:
    sent: list[bytes] = []

    def login(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.content)
        body = ANSWER.format(expired="false", server="https://na1-api.salesforce.com", session="00D!x")
        return answer(200, body.encode())

    session = Org(answers={"/services/Soap/u/64.0": login}).connector(**SOAP)._session.signed_in()
    assert (session.instance_url, session.access_token) == ("https://na1.salesforce.com", "00D!x")
    assert b"<urn:username>a&lt;b&gt;@acme.example</urn:username>" in sent[0]
    assert b"<urn:password>p&amp;&lt;ss&gt;</urn:password>" in sent[0]


def test_entities_in_a_soap_answer_are_not_expanded(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    body = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{secret}">]><a><sessionId>&e;</sessionId></a>'
    with pytest.raises((ProtocolError, AuthError)) as caught:
        soap_org(200, body).connector(**SOAP).org_id()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["sf:", ""])
@pytest.mark.parametrize(
    ("code", "kind", "hint"),
    [
        ("INVALID_LOGIN", AuthError, "security token"),
        ("LOGIN_MUST_USE_SECURITY_TOKEN", AuthError, "Reset My Security Token"),
        ("INVALID_OPERATION", AuthError, "jwt_bearer"),
        ("SERVER_UNAVAILABLE", UnavailableError, "later"),
    ],
)
def test_soap_faults(prefix: str, code: str, kind: type[Exception], hint: str) -> None:
    with pytest.raises(kind) as caught:
        soap_org(500, FAULT.format(prefix=prefix, code=code)).connector(**SOAP).org_id()
    assert code in str(caught.value)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, "<html>not xml", ProtocolError),
        (200, "<not xml", UnavailableError),
        (500, "<html>down", UnavailableError),
        (200, ANSWER.format(expired="true", server=INSTANCE, session="x"), AuthError),
        (200, ANSWER.format(expired="false", server="https://evil.example", session="x"), ProtocolError),
    ],
)
def test_odd_soap_answers(status: int, body: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        soap_org(status, body).connector(**SOAP).org_id()


@pytest.mark.parametrize(
    ("short", "suffix"), [("001R0000005hDFY", "IA2"), ("005R0000000UyrW", "IAS"), ("750R0000000zxr8", "IAA")]
)
def test_ids_of_fifteen_become_eighteen(short: str, suffix: str) -> None:
    assert long_id(short) == short + suffix
    assert long_id(short + suffix) == short + suffix


def test_a_kept_session_is_read_back_only_for_the_same_account_and_host() -> None:
    settings = SalesforceSettings.model_validate(SETTINGS)
    session = SignedIn(
        access_token="t0ken",
        instance_url=INSTANCE,
        org_id="00D000000000001EAA",
        user_id="",
        version="68.0",
        owner=owner_of(settings),
    )
    assert SignedIn.parse(session.text(), settings) == session
    assert "t0ken" not in repr(session)
    for other in ({"client_id": "b"}, {"host": "https://b.my.salesforce.com"}, {"api_version": "60.0"}):
        assert SignedIn.parse(session.text(), SalesforceSettings.model_validate({**SETTINGS, **other})) is None
    moved = session.text().replace("acme.my.salesforce.com", "evil.example")
    assert SignedIn.parse(moved, settings) is None
    for junk in ("", "junk", "{}", "[]"):
        assert SignedIn.parse(junk, settings) is None


def test_settings_never_show_their_secrets() -> None:
    with pytest.raises(ConfigError, match="https only"):
        SalesforceSettings.model_validate({**SETTINGS, "host": "http://acme.my.salesforce.com"})
    with pytest.raises(ValueError, match="api_version") as caught:
        SalesforceSettings.model_validate({**SETTINGS, "client_secret": "h1dden", "api_version": "latest"})
    assert "h1dden" not in str(caught.value)
    assert "h1dden" not in repr(SalesforceSettings.model_validate({**SETTINGS, "client_secret": "h1dden"}))
    assert DATE
