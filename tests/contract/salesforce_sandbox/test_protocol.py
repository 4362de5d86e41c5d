"""Details of the REST API that simple-salesforce does not look at."""

import base64
import json
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import pytest

from tests.sandboxes import Client, Sandbox


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


def test_versions_are_listed_without_sign_in(client: Client) -> None:
    listed = client.get("/services/data", signed_in=False).json()
    assert (listed[0]["version"], listed[-1]["version"]) == ("31.0", "68.0")
    assert listed[-1] == {"label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0"}
    assert max(one["version"] for one in listed) == "68.0"


def test_version_is_echoed_and_checked(sandbox: Sandbox, client: Client) -> None:
    older = Client(sandbox, "v31.0")
    assert older.query("SELECT Id FROM User LIMIT 1")["records"][0]["attributes"]["url"].startswith(
        "/services/data/v31.0/sobjects/User/"
    )
    assert error_of(client.get("/services/data/v30.0/limits")) == (410, "GONE")
    assert error_of(client.get("/services/data/v69.0/limits")) == (404, "NOT_FOUND")
    older.close()


def test_paths_are_lenient_where_clients_need_it(client: Client) -> None:
    for path in ("//services/data/v68.0/limits", "/limits/", "//services//data//v68.0//sobjects/Contact/describe/"):
        assert client.get(path).status_code == 200
    assert client.send("HEAD", "").status_code == 200


def test_unknown_resources_and_methods(client: Client) -> None:
    assert error_of(client.get("/tooling/executeAnonymous?anonymousBody=x")) == (404, "NOT_FOUND")
    answer = client.send("PUT", "/sobjects/Contact/describe")
    assert error_of(answer) == (405, "METHOD_NOT_ALLOWED")
    assert error_of(client.get("/limits", signed_in=False)) == (401, "INVALID_SESSION_ID")
    assert client.get("/limits", signed_in=False).headers["WWW-Authenticate"] == "Token"


def test_describe_is_conditional(sandbox: Sandbox, client: Client) -> None:
    for path in ("/sobjects", "/sobjects/Contact/describe"):
        modified = client.get(path).headers["Last-Modified"]
        assert client.get(path, headers={"If-Modified-Since": modified}).status_code == 304
        earlier = format_datetime(parsedate_to_datetime(modified) - timedelta(days=1), usegmt=True)
        assert client.get(path, headers={"If-Modified-Since": earlier}).status_code == 200
    sandbox.hide("Contact.Fax")
    assert client.get("/sobjects/Contact/describe", headers={"If-Modified-Since": modified}).status_code == 200
    sandbox.hide()


def test_describe_does_not_leak_the_recording(client: Client) -> None:
    for name in ("Account", "Case", "Contact", "Lead", "Opportunity"):
        text = client.get(f"/sobjects/{name}/describe").text
        assert "salesforce.com" not in text
        assert "/vxx.0/" not in text and "/v48.0/" not in text


def test_optimistic_locking_by_date(sandbox: Sandbox, client: Client) -> None:
    (made,) = sandbox.insert("Contact", [{"LastName": "Locked"}])
    path = f"/sobjects/Contact/{made}"
    seen = client.get(path).headers["Last-Modified"]
    assert client.get(path, headers={"If-Modified-Since": seen}).status_code == 304
    sandbox.advance(timedelta(seconds=2))
    condition = {"If-Unmodified-Since": seen}
    assert client.send("PATCH", path, json={"LastName": "Mine"}, headers=condition).status_code == 204
    assert client.send("PATCH", path, json={"LastName": "Theirs"}, headers=condition).status_code == 412
    assert client.get(path).json()["LastName"] == "Mine"


def test_entity_tags_are_for_accounts(client: Client) -> None:
    account = client.query("SELECT Id FROM Account LIMIT 1")["records"][0]["Id"]
    contact = client.query("SELECT Id FROM Contact LIMIT 1")["records"][0]["Id"]
    tag = client.get(f"/sobjects/Account/{account}").headers["ETag"]
    assert client.get(f"/sobjects/Account/{account}", headers={"If-None-Match": tag}).status_code == 304
    wrong = {"If-Match": '"other"'}
    assert client.send("PATCH", f"/sobjects/Account/{account}", json={"Site": "x"}, headers=wrong).status_code == 412
    assert "ETag" not in client.get(f"/sobjects/Contact/{contact}").headers


def test_method_override(sandbox: Sandbox, client: Client) -> None:
    (made,) = sandbox.insert("Contact", [{"LastName": "Before"}])
    answer = client.send("POST", f"/sobjects/Contact/{made}?_HttpMethod=PATCH", json={"LastName": "After"})
    assert answer.status_code == 204
    assert client.get(f"/sobjects/Contact/{made}?fields=LastName").json()["LastName"] == "After"


def test_upsert_before_version_46_answers_nothing(sandbox: Sandbox) -> None:
    older = Client(sandbox, "v45.0")
    assert older.send("PATCH", "/sobjects/Contact/ERP_Id__c/OLD", json={"LastName": "A"}).status_code == 201
    answer = older.send("PATCH", "/sobjects/Contact/ERP_Id__c/OLD", json={"LastName": "B"})
    assert (answer.status_code, answer.content) == (204, b"")
    older.close()


def test_key_must_not_be_in_the_body_too(client: Client) -> None:
    answer = client.send("PATCH", "/sobjects/Contact/ERP_Id__c/K", json={"LastName": "A", "ERP_Id__c": "K"})
    assert error_of(answer) == (400, "INVALID_FIELD")


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"text"', b"\xff"])
def test_bodies_that_are_no_record(client: Client, body: bytes) -> None:
    assert error_of(client.send("POST", "/sobjects/Contact", data=body)) == (400, "JSON_PARSER_ERROR")


def test_blob_content_behind_its_path(client: Client) -> None:
    gadget = client.query("SELECT Id, Image__c FROM Gadget__c WHERE Serial__c = 'sn-8'")["records"][0]
    assert client.get(gadget["Image__c"]).content == b"PNG8"


def test_column_metadata(client: Client) -> None:
    columns = client.get("/query", params={"q": "SELECT Id, Score__c FROM Contact", "columns": "true"}).json()
    assert [one["columnName"] for one in columns["columnMetadata"]] == ["Id", "Score__c"]
    assert columns["columnMetadata"][1]["custom"] is True


def test_collections_answer_row_by_row(client: Client) -> None:
    rows = [
        {"attributes": {"type": "Contact"}, "LastName": "Row one"},
        {"attributes": {"type": "Contact"}, "FirstName": "No last name"},
        {"attributes": {"type": "Account"}, "Name": "Row three"},
    ]
    answers = client.send("POST", "/composite/sobjects", json={"allOrNone": False, "records": rows}).json()
    assert [one["success"] for one in answers] == [True, False, True]
    assert answers[1]["errors"][0] == {
        "statusCode": "REQUIRED_FIELD_MISSING",
        "message": "Required fields are missing: [LastName]",
        "fields": ["LastName"],
    }
    changed = client.send(
        "PATCH",
        "/composite/sobjects",
        json={"records": [{"attributes": {"type": "Contact"}, "id": answers[0]["id"], "Title": "T"}]},
    ).json()
    assert changed == [{"id": answers[0]["id"], "success": True, "errors": []}]
    ids = [answers[0]["id"], "0035g0000zzzzzzAAA"]
    read = client.send("POST", "/composite/sobjects/Contact", json={"ids": ids[:1], "fields": ["Id", "Title"]}).json()
    assert read[0]["Title"] == "T"
    deleted = client.send("DELETE", f"/composite/sobjects?ids={ids[0]}").json()
    assert deleted[0]["success"]
    assert client.get(f"/composite/sobjects/Contact?ids={ids[0]}&fields=Id").json() == [None]


def test_all_or_none_undoes_everything(client: Client) -> None:
    rows = [{"attributes": {"type": "Contact"}, "LastName": "Undone"}, {"attributes": {"type": "Contact"}}]
    answers = client.send("POST", "/composite/sobjects", json={"allOrNone": True, "records": rows}).json()
    assert answers[0]["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert answers[1]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert client.query("SELECT COUNT() FROM Contact WHERE LastName = 'Undone'")["totalSize"] == 0


def test_collection_upsert_and_its_limits(client: Client) -> None:
    path = "/composite/sobjects/Contact/ERP_Id__c"
    rows = [{"attributes": {"type": "Contact"}, "ERP_Id__c": key, "LastName": "U"} for key in ("U1", "U2", "U2")]
    answers = client.send("PATCH", path, json={"records": rows}).json()
    assert [one["success"] for one in answers] == [True, False, False]
    assert answers[0]["created"] is True
    assert answers[1]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"
    many = [{"attributes": {"type": "Contact"}, "LastName": "x"}] * 201
    answer = client.send("POST", "/composite/sobjects", json={"records": many})
    assert error_of(answer) == (400, "EXCEEDED_ID_LIMIT")
    kinds = ["Contact", "Account"] * 6
    mixed = [{"attributes": {"type": kind}, "LastName": "x", "Name": "x"} for kind in kinds]
    assert client.send("POST", "/composite/sobjects", json={"records": mixed}).status_code == 400


def test_identity_user_info_introspection_and_revocation(sandbox: Sandbox, client: Client) -> None:
    known = sandbox.sign_in("password")
    form = {
        "grant_type": "password",
        "client_id": known["client_id"],
        "client_secret": known["client_secret"],
        "username": known["username"],
        "password": known["password"] + known["security_token"],
    }
    granted = client.send("POST", "/services/oauth2/token", data=form, signed_in=False).json()
    assert {"access_token", "instance_url", "id", "token_type", "issued_at", "signature", "scope"} == granted.keys()
    signed = {"Authorization": f"Bearer {granted['access_token']}"}
    identity = granted["id"].removeprefix(granted["instance_url"])
    shown = client.get(f"{identity}?format=json&oauth_token={granted['access_token']}", signed_in=False).json()
    assert shown["username"] == known["username"]
    info = client.get("/services/oauth2/userinfo", signed_in=False, headers=signed).json()
    assert info["preferred_username"] == known["username"]
    credentials = {"client_id": known["client_id"], "client_secret": known["client_secret"]}
    asked = {"token": granted["access_token"], **credentials}
    assert client.send("POST", "/services/oauth2/introspect", data=asked, signed_in=False).json()["active"] is True
    revoked = client.send("POST", "/services/oauth2/revoke", data={"token": granted["access_token"]}, signed_in=False)
    assert revoked.status_code == 200
    assert client.get("/limits", signed_in=False, headers=signed).status_code == 401
    assert client.send("POST", "/services/oauth2/introspect", data=asked, signed_in=False).json() == {"active": False}
    again = client.send("POST", "/services/oauth2/revoke", data={"token": granted["access_token"]}, signed_in=False)
    assert again.status_code == 400


def test_refresh_and_client_credentials_in_the_body(sandbox: Sandbox, client: Client) -> None:
    for flow in ("refresh_token", "client_credentials"):
        form = {key: value for key, value in sandbox.sign_in(flow).items() if key != "flow"}
        answer = client.send("POST", "/services/oauth2/token", data={"grant_type": flow, **form}, signed_in=False)
        token = answer.json()["access_token"]
        signed = {"Authorization": f"OAuth {token}"}
        assert client.get("/limits", signed_in=False, headers=signed).status_code == 200
    wrong = {"grant_type": "refresh_token", "refresh_token": "no", "client_id": sandbox.sign_in(flow)["client_id"]}
    answer = client.send("POST", "/services/oauth2/token", data=wrong, signed_in=False)
    assert answer.json() == {"error": "invalid_grant", "error_description": "expired access/refresh token"}
    answer = client.send("POST", "/services/oauth2/token", data={"grant_type": "device"}, signed_in=False)
    assert answer.json() == {"error": "unsupported_grant_type", "error_description": "grant type not supported"}


@pytest.mark.parametrize(
    ("changed", "description"),
    [
        ({"exp": 1}, "assertion is expired"),
        ({"aud": "https://elsewhere.example"}, "audience is invalid"),
        ({"sub": "nobody@acme.example"}, "user hasn't approved this consumer"),
        ({"exp": "4102444800"}, None),
        ({"exp": 4102444800000}, None),
    ],
)
def test_jwt_claims(sandbox: Sandbox, client: Client, changed: dict[str, Any], description: str | None) -> None:
    import jwt

    known = sandbox.sign_in("jwt_bearer")
    with open(known["private_key_file"]) as file:  # noqa: PTH123
        key = file.read()
    claims = {"iss": known["client_id"], "sub": known["username"], "aud": known["audience"], "exp": 4102444800}
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": _signed(jwt, claims | changed, key),
    }
    answer = client.send("POST", "/services/oauth2/token", data=form, signed_in=False)
    if description is None:
        assert {"access_token", "scope", "instance_url", "id", "token_type"} == answer.json().keys()
    else:
        assert answer.json() == {"error": "invalid_grant", "error_description": description}


def _signed(jwt: Any, claims: dict[str, Any], key: str) -> str:
    """Signed by the JWS layer: the JWT layer would refuse a string as exp."""
    text: str = jwt.PyJWS().encode(json.dumps(claims).encode(), key, algorithm="RS256", headers={"typ": "JWT"})
    return text


def test_soap_with_another_clients_quirks(sandbox: Sandbox, client: Client) -> None:
    known = sandbox.sign_in("soap")
    secret = (known["password"] + known["security_token"]).replace("&", "&amp;").replace("<", "&lt;")
    body = (
        '<se:Envelope xmlns:se="http://schemas.xmlsoap.org/soap/envelope/"><se:Header/><se:Body>'
        '<login xmlns="urn:partner.soap.sforce.com">'
        f"<username>{known['username']}</username><password>{secret}</password></login></se:Body></se:Envelope>"
    )
    headers = {"Content-Type": "text/xml", "SOAPAction": '""'}
    answer = client.send("POST", "/services/Soap/u/50.0", data=body.encode(), headers=headers, signed_in=False)
    assert answer.status_code == 200
    for name in ("sessionId", "serverUrl", "userId", "organizationId", "passwordExpired"):
        assert f"<{name}>" in answer.text
    without = client.send("POST", "/services/Soap/u/50.0", data=body.encode(), signed_in=False)
    assert without.status_code == 500
    retired = client.send("POST", "/services/Soap/u/20.0", data=body.encode(), headers=headers, signed_in=False)
    assert "<sf:exceptionCode>UNSUPPORTED_API_VERSION</sf:exceptionCode>" in retired.text


def test_soap_reads_no_entities(client: Client) -> None:
    body = (
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><se:Envelope'
        ' xmlns:se="http://schemas.xmlsoap.org/soap/envelope/"><se:Body><login xmlns="urn:partner.soap.sforce.com">'
        "<username>&e;</username><password>x</password></login></se:Body></se:Envelope>"
    )
    headers = {"SOAPAction": "login"}
    answer = client.send("POST", "/services/Soap/u/50.0", data=body.encode(), headers=headers, signed_in=False)
    assert "root:" not in answer.text
    assert "INVALID_LOGIN" in answer.text


def test_signature_of_a_token_answer(sandbox: Sandbox, client: Client) -> None:
    import hashlib
    import hmac

    known = sandbox.sign_in("client_credentials")
    basic = base64.b64encode(f"{known['client_id']}:{known['client_secret']}".encode()).decode()
    granted = client.send(
        "POST",
        "/services/oauth2/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": f"Basic {basic}"},
        signed_in=False,
    ).json()
    digest = hmac.new(known["client_secret"].encode(), (granted["id"] + granted["issued_at"]).encode(), hashlib.sha256)
    assert granted["signature"] == base64.b64encode(digest.digest()).decode()
