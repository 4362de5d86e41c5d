"""Every way in that simple-salesforce has."""

from pathlib import Path

import pytest
import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceExpiredSession

from tests.contract.simple_salesforce.conftest import Org, refusal
from tests.sandboxes import Sandbox


def test_soap_login_answers_queries(org: Org) -> None:
    assert org.query("SELECT Name FROM Organization")["records"][0]["Name"] == "Acme"
    assert org.is_sandbox() is False


def test_soap_login_by_organization_id(sandbox: Sandbox, session: requests.Session) -> None:
    known = sandbox.sign_in("soap")
    org = Salesforce(
        username=known["username"],
        password=known["password"] + known["security_token"],
        organizationId="00D5g000000000g",
        session=session,
    )
    assert org.query("SELECT COUNT() FROM User")["totalSize"] == 5


def test_password_flow(sandbox: Sandbox, session: requests.Session) -> None:
    known = sandbox.sign_in("password")
    org = Salesforce(
        username=known["username"],
        password=known["password"] + known["security_token"],
        consumer_key=known["client_id"],
        consumer_secret=known["client_secret"],
        session=session,
    )
    assert org.auth_type == "password"
    assert org.query("SELECT COUNT() FROM User")["totalSize"] == 5


def test_client_credentials_flow_on_my_domain(sandbox: Sandbox, session: requests.Session) -> None:
    known = sandbox.sign_in("client_credentials")
    org = Salesforce(
        consumer_key=known["client_id"], consumer_secret=known["client_secret"], domain="acme.my", session=session
    )
    assert org.query("SELECT COUNT() FROM User")["totalSize"] == 5


@pytest.mark.parametrize("domain", ["login", "test", "acme.my"])
def test_jwt_bearer_flow(sandbox: Sandbox, session: requests.Session, domain: str) -> None:
    known = sandbox.sign_in("jwt_bearer")
    org = Salesforce(
        username=known["username"],
        consumer_key=known["client_id"],
        privatekey_file=known["private_key_file"],
        domain=domain,
        session=session,
    )
    assert org.query("SELECT COUNT() FROM User")["totalSize"] == 5


def test_jwt_signed_by_another_key_is_refused(sandbox: Sandbox, session: requests.Session, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    known = sandbox.sign_in("jwt_bearer")
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        Salesforce(
            username=known["username"], consumer_key=known["client_id"], privatekey=pem.decode(), session=session
        )
    assert (caught.value.code, caught.value.auth_message) == ("invalid_grant", "invalid assertion")


def test_access_token_of_sandbox_json(sandbox: Sandbox, session: requests.Session) -> None:
    known = sandbox.salesforce
    org = Salesforce(session_id=known["access_token"], instance_url=known["instance_url"], session=session)
    assert org.query("SELECT COUNT() FROM User")["totalSize"] == 5


def test_wrong_password_is_invalid_login(sandbox: Sandbox, session: requests.Session) -> None:
    known = sandbox.sign_in("soap")
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        Salesforce(username=known["username"], password="wrong", security_token="x", session=session)
    assert caught.value.code == "INVALID_LOGIN"
    assert caught.value.auth_message == "Invalid username, password, security token; or user locked out."


def test_missing_security_token_is_said(sandbox: Sandbox, session: requests.Session) -> None:
    known = sandbox.sign_in("soap")
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        Salesforce(username=known["username"], password=known["password"], security_token="", session=session)
    assert caught.value.code == "LOGIN_MUST_USE_SECURITY_TOKEN"


def test_soap_login_is_gone_from_version_65(sandbox: Sandbox, session: requests.Session) -> None:
    known = sandbox.sign_in("soap")
    with pytest.raises(SalesforceAuthenticationFailed, match="No operation available for request"):
        Salesforce(
            username=known["username"],
            password=known["password"],
            security_token=known["security_token"],
            version="65.0",
            session=session,
        )


def test_disabled_soap_login(sandbox: Sandbox, session: requests.Session) -> None:
    known = sandbox.sign_in("soap")
    sandbox.switches(soap_login=False)
    try:
        with pytest.raises(SalesforceAuthenticationFailed) as caught:
            Salesforce(
                username=known["username"],
                password=known["password"],
                security_token=known["security_token"],
                session=session,
            )
    finally:
        sandbox.switches(soap_login=True)
    assert caught.value.code == "INVALID_OPERATION"


def test_oauth_refusals(sandbox: Sandbox, session: requests.Session) -> None:
    known = sandbox.sign_in("password")
    password = known["password"] + known["security_token"]
    for given, key, secret, error in (
        ("wrong", known["client_id"], known["client_secret"], ("invalid_grant", "authentication failure")),
        (password, "unknown", known["client_secret"], ("invalid_client_id", "client identifier invalid")),
        (password, known["client_id"], "wrong", ("invalid_client", "invalid client credentials")),
    ):
        with pytest.raises(SalesforceAuthenticationFailed) as caught:
            Salesforce(
                username=known["username"], password=given, consumer_key=key, consumer_secret=secret, session=session
            )
        assert (caught.value.code, caught.value.auth_message) == error


def test_expired_session_is_renewed_in_mid_work(sandbox: Sandbox, org: Org) -> None:
    sandbox.control("expire_sessions")
    assert org.query("SELECT COUNT() FROM User")["totalSize"] == 5


def test_expired_token_without_credentials_is_an_expired_session(sandbox: Sandbox, session: requests.Session) -> None:
    org = Salesforce(session_id="00D!gone", instance_url=sandbox.salesforce["instance_url"], session=session)
    with pytest.raises(SalesforceExpiredSession) as caught:
        org.query("SELECT Id FROM User")
    assert refusal(caught) == {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
