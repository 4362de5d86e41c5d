"""Tokens as msal and azure-identity obtain them, unchanged, and what the authority and the organization refuse."""

import base64
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import msal
import pytest
from azure.identity import CertificateCredential, ClientSecretCredential, UsernamePasswordCredential

from tests.sandboxes import Sandbox, WebApi

SETTINGS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def no_bundle_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """These would go before what the clients are told to trust."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def taken(dynamics: Sandbox, api: WebApi) -> Iterator[list[str]]:
    """Tokens that a test obtained: each opens the organization."""
    tokens: list[str] = []
    yield tokens
    assert tokens
    for token in tokens:
        answer = api.get("WhoAmI", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["UserId"]


def application(sandbox: Sandbox, credential: Any) -> msal.ConfidentialClientApplication:
    told = sandbox.told
    return msal.ConfidentialClientApplication(
        sandbox.sign_in("client_secret")["client_id"],
        authority=f"{told['authority']}/{told['tenant']}",
        client_credential=credential,
        instance_discovery=False,
        verify=str(sandbox.ca_file),
    )


def private_key(sandbox: Sandbox) -> str:
    return Path(sandbox.sign_in("certificate")["private_key_file"]).read_text()


def thumbprint(sandbox: Sandbox) -> str:
    return base64.b64decode(sandbox.sign_in("certificate")["custom_key_identifier"]).hex()


def test_msal_signs_in_with_a_secret_and_with_both_forms_of_certificates(dynamics: Sandbox, taken: list[str]) -> None:
    known = dynamics.sign_in("certificate")
    scopes = [f"{dynamics.told['url']}/.default"]
    old = {"private_key": private_key(dynamics), "thumbprint": thumbprint(dynamics)}
    new = {"private_key": private_key(dynamics), "public_certificate": Path(known["certificate_file"]).read_text()}
    for credential in (dynamics.sign_in("client_secret")["client_secret"], old, new):
        answer = application(dynamics, credential).acquire_token_for_client(scopes)
        assert "access_token" in answer, answer
        taken.append(answer["access_token"])


def test_azure_identity_signs_in_all_three_ways(
    dynamics: Sandbox, taken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told, password = dynamics.told, dynamics.sign_in("password")
    options: dict[str, Any] = {
        "authority": told["authority"],
        "disable_instance_discovery": True,
        "connection_verify": str(dynamics.ca_file),
    }
    client, certificate = dynamics.sign_in("client_secret"), dynamics.sign_in("certificate")
    chain = b"".join(Path(certificate[name]).read_bytes() for name in ("private_key_file", "certificate_file"))
    for credential in (
        ClientSecretCredential(told["tenant"], client["client_id"], client["client_secret"], **options),
        CertificateCredential(told["tenant"], certificate["client_id"], certificate_data=chain, **options),
    ):
        taken.append(credential.get_token(f"{told['url']}/.default").token)
        credential.close()
    # Its look at the user's realm goes to port 443 whatever the authority's is.
    monkeypatch.setattr(msal.authority.Authority, "_domains_without_user_realm_discovery", {"localhost"})
    with pytest.warns(DeprecationWarning):
        person = UsernamePasswordCredential(
            password["client_id"], password["username"], password["password"], tenant_id=told["tenant"], **options
        )
        taken.append(person.get_token(f"{told['url']}/.default").token)
    person.close()


def ask(api: WebApi, version: str = "/v2.0", tenant: str = "", **form: str) -> dict[str, Any]:
    """What the token endpoint says, with the secret unless told otherwise."""
    told, known = api.sandbox.told, api.sandbox.sign_in("client_secret")
    usual = {"grant_type": "client_credentials", "client_id": known["client_id"], "scope": f"{told['url']}/.default"}
    url = f"{told['authority']}/{tenant or told['tenant']}/oauth2{version}/token"
    answer = api.session.post(url, data={k: v for k, v in (usual | form).items() if v})
    found: dict[str, Any] = answer.json()
    return found | {"status": answer.status_code}


def test_the_first_version_answers_text_and_its_resource(api: WebApi, taken: list[str]) -> None:
    known, url = api.sandbox.sign_in("client_secret"), api.sandbox.told["url"]
    answer = ask(api, version="", resource=f"{url}/", scope="", client_secret=known["client_secret"])
    assert isinstance(answer["expires_in"], str) and answer["resource"] == f"{url}/"
    assert int(answer["expires_on"]) > time.time()
    taken.append(answer["access_token"])


def test_refusals_name_their_number(api: WebApi) -> None:
    secret = api.sandbox.sign_in("client_secret")["client_secret"]
    password = api.sandbox.sign_in("password")
    user = {"grant_type": "password", "username": password["username"], "password": password["password"]}
    foreign = "https://other.crm.dynamics.com/.default"
    cases: list[tuple[int, int, dict[str, Any], dict[str, Any]]] = [
        (7000215, 401, {"client_secret": "wrong"}, {}),
        (7000222, 401, {"client_secret": secret}, {"secret_expired": True}),
        (700016, 400, {"client_secret": secret, "client_id": str(uuid.uuid4())}, {}),
        (500011, 400, {"client_secret": secret, "scope": foreign}, {}),
        (90002, 400, {"client_secret": secret, "tenant": "nowhere.example"}, {}),
        (65001, 400, {"client_secret": secret}, {"consent": False}),
        (50126, 400, {**user, "password": "wrong"}, {}),
        (50076, 400, user, {"second_factor": True}),
    ]
    before = api.sandbox.switches()
    for number, status, form, switches in cases:
        api.sandbox.switches(**switches)
        answer = ask(api, **form)
        assert (answer["status"], answer["error_codes"]) == (status, [number]), answer
        assert answer["error_description"].startswith(f"AADSTS{number}: ") and answer["correlation_id"]
        assert "wrong" not in answer["error_description"]
        api.sandbox.switches(**before)


def test_only_a_right_assertion_signs_in(api: WebApi) -> None:
    known, told = api.sandbox.sign_in("certificate"), api.sandbox.told
    client_id, now = known["client_id"], time.time()
    endpoint = f"{told['authority']}/{told['tenant']}/oauth2/v2.0/token"
    right = {"aud": endpoint, "iss": client_id, "sub": client_id, "jti": "1", "exp": now + 300, "iat": now}
    x5t = base64.urlsafe_b64encode(bytes.fromhex(thumbprint(api.sandbox))).decode()

    def assertion(claims: dict[str, Any], header: dict[str, Any]) -> dict[str, Any]:
        text = jwt.encode(right | claims, private_key(api.sandbox), algorithm="RS256", headers=header)
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        return ask(api, client_assertion=text, client_assertion_type=kind)

    assert assertion({}, {"x5t": x5t})["access_token"]
    for number, claims, header in (
        (700027, {}, {"x5t": "AAAA" + x5t[4:]}),
        (700027, {}, {}),
        (50027, {"aud": "https://login.microsoftonline.com/x/oauth2/v2.0/token"}, {"x5t": x5t}),
        (700024, {"exp": now - 60}, {"x5t": x5t}),
        (700021, {"iss": "other"}, {"x5t": x5t}),
    ):
        answer = assertion(claims, header)
        assert (answer["status"], answer.get("error_codes")) == (401, [number])


def test_no_token_of_another_place_opens_the_organization(api: WebApi) -> None:
    told = api.sandbox.told
    for token in ("", "Bearer nonsense", "Basic QTpC"):
        answer = api.get("WhoAmI", headers={"Authorization": token})
        assert answer.status_code == 401 and not answer.content
        assert answer.headers["WWW-Authenticate"] == (
            f"Bearer authorization_uri={told['authority']}/{told['tenant']}/oauth2/authorize,"
            f" resource_id={told['url']}/"
        )


def test_tokens_end(api: WebApi) -> None:
    api.sandbox.control("expire_sessions")
    assert api.get("WhoAmI").status_code == 401
    api.sandbox.switches(token_seconds=0)
    api.sign_in()
    assert api.get("WhoAmI").status_code == 401
    api.sandbox.switches(token_seconds=3599)
    api.sign_in()
    assert api.get("WhoAmI").status_code == 200


def test_an_application_needs_a_user_and_a_role(api: WebApi) -> None:
    api.sandbox.switches(application_user=False)
    answer = api.get("WhoAmI")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "0x80072560")
    api.sandbox.switches(application_user=True, role=False)
    assert api.get("WhoAmI").status_code == 200
    answer = api.get("contacts?$top=1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "0x80040220")
