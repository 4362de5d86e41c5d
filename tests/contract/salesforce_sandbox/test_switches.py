"""Every switch of an unsure fact does what it says; that our connector works in both positions is proved with it."""

import itertools
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crosstie.sandbox.salesforce.switches import UNSURE, Switches
from tests.contract.salesforce_sandbox.ingesting import ingested
from tests.sandboxes import Client, Sandbox

PAGE = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The rows of the table behind a sentence of docs/sandbox.md, without marks."""
    lines = PAGE.partition(heading)[2].partition("|")[2].split("\n")[2:]
    rows = [line.strip("| ").split(" | ") for line in itertools.takewhile(lambda line: line.startswith("|"), lines)]
    return [[cell.strip("` ") for cell in row] for row in rows]


def token(client: Client, flow: str, **changed: str) -> Any:
    """The answer of the token endpoint to a flow of sandbox.json."""
    known = client.sandbox.sign_in(flow)
    form = {"grant_type": flow, **{key: text for key, text in known.items() if key != "flow"}, **changed}
    if "security_token" in form:
        form["password"] += form.pop("security_token")
    return client.send("POST", "/services/oauth2/token", signed_in=False, data=form)


def login(client: Client) -> str:
    """The session id of a SOAP login, or the code of its fault."""
    known = client.sandbox.sign_in("soap")
    password = (known["password"] + known["security_token"]).replace("&", "&amp;").replace("<", "&lt;")
    body = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><login xmlns="urn:partner.soap.sforce'
        f'.com"><username>{known["username"]}</username><password>{password}</password></login></e:Body></e:Envelope>'
    )
    headers = {"SOAPAction": "login", "Content-Type": "text/xml"}
    answer = client.send("POST", "/services/Soap/u/60.0", headers=headers, data=body.encode(), signed_in=False)
    tag = "sessionId" if answer.status_code == 200 else "sf:exceptionCode"
    return answer.text.partition(f"<{tag}>")[2].partition("<")[0]


def code_of(answer: Any) -> str:
    code: str = answer.json()[0]["errorCode"]
    return code


def test_every_switch_is_a_size_or_an_unsure_fact_with_another_position() -> None:
    defaults = msgspec.to_builtins(Switches())
    sizes, facts = table("Sizes, quotas and states:"), table("Facts that nobody is sure of.")
    assert {row[0] for row in facts} == set(UNSURE)
    assert {row[0] for row in sizes} == set(defaults) - set(UNSURE)
    for name, default, other, _ in facts:
        assert (default, other) == tuple(str(one).replace("True", "true").replace("False", "false")
                                         for one in (defaults[name], UNSURE[name])), name  # fmt: skip
        assert default != other
        msgspec.convert(defaults | {name: UNSURE[name]}, Switches)


def test_e_mail_addresses_in_lower_case(sandbox: Sandbox, client: Client) -> None:
    def kept() -> Any:
        made = client.send("POST", "/sobjects/Contact", json={"LastName": "E", "Email": "A.B@Example.COM"}).json()["id"]
        return client.get(f"/sobjects/Contact/{made}").json()["Email"]

    assert kept() == "A.B@Example.COM"
    sandbox.switches(email_lowered=True)
    assert kept() == "a.b@example.com"


def test_white_space_around_text(sandbox: Sandbox, client: Client) -> None:
    def kept() -> Any:
        made = client.send("POST", "/sobjects/Contact", json={"LastName": " S ", "Title": "  "}).json()["id"]
        record = client.get(f"/sobjects/Contact/{made}").json()
        return record["LastName"], record["Title"]

    assert kept() == ("S", None)
    sandbox.switches(white_space_kept=True)
    assert kept() == (" S ", None)


@pytest.mark.parametrize(("units", "code"), [(True, "STRING_TOO_LONG"), (False, "")])
def test_how_long_an_emoji_is(sandbox: Sandbox, client: Client, units: bool, code: str) -> None:
    sandbox.switches(length_in_units=units)
    answer = client.send("POST", "/sobjects/Contact", json={"LastName": "😀" * 41})
    assert (answer.json()[0]["errorCode"] if answer.status_code == 400 else "") == code
    done = ingested(client, f"LastName\n{'😀' * 41}\n{'😀' * 40}\n{'é' * 80}\n")
    assert [error.partition(":")[0] for error in done.errors] == [code] * units
    assert client.send("POST", "/sobjects/Contact", json={"LastName": "é" * 80}).status_code == 201


@pytest.mark.parametrize(
    ("values", "code"), [({"Nope": "x"}, "INVALID_FIELD"), ({"Score__c": "many"}, "JSON_PARSER_ERROR")]
)
def test_rows_that_fail_the_whole_collection(
    sandbox: Sandbox, client: Client, values: dict[str, str], code: str
) -> None:
    good = {"attributes": {"type": "Contact"}, "LastName": f"Before {code}"}
    rows = [good, good | values]
    count = f"SELECT count() FROM Contact WHERE LastName = 'Before {code}'"
    refused = client.send("POST", "/composite/sobjects", json={"records": rows})
    assert (refused.status_code, code_of(refused)) == (400, code)
    part = {"method": "POST", "url": f"{client.base}/composite/sobjects", "referenceId": "c", "body": {"records": rows}}
    for whole in (True, False):
        body = {"allOrNone": whole, "compositeRequest": [part]}
        answer = client.send("POST", "/composite", json=body).json()["compositeResponse"][0]
        assert (answer["httpStatusCode"], answer["body"][0]["errorCode"]) == (400, code)
    assert client.query(count)["totalSize"] == 0
    sandbox.switches(unknown_field_fails_call=False)
    answer = client.send("POST", "/composite/sobjects", json={"records": rows})
    if code == "INVALID_FIELD":
        assert [one["success"] for one in answer.json()] == [True, False]
    else:
        assert answer.status_code == 400


def test_doubles_with_exponents(sandbox: Sandbox, client: Client) -> None:
    client.send("POST", "/sobjects/Gadget__c", json={"Name": "Dear", "Required__c": "x", "Price__c": 350000000})
    text = "SELECT Price__c FROM Gadget__c WHERE Name = 'Dear'"
    assert '"Price__c":350000000.0' in client.get("/query", params={"q": text}).text
    sandbox.switches(double_exponents=True)
    answer = client.get("/query", params={"q": text})
    assert '"Price__c":3.5E8' in answer.text
    assert answer.json()["records"][0]["Price__c"] == 350000000


def test_the_code_of_a_key_that_comes_twice(sandbox: Sandbox, client: Client) -> None:
    rows = [{"attributes": {"type": "Contact"}, "ERP_Id__c": "TWICE", "LastName": "T"}] * 2

    def code() -> Any:
        answer = client.send("PATCH", "/composite/sobjects/Contact/ERP_Id__c", json={"records": rows}).json()
        return answer[0]["errors"][0]["statusCode"]

    assert code() == "DUPLICATE_VALUE"
    sandbox.switches(duplicate_key_code="DUPLICATE_EXTERNAL_ID")
    assert code() == "DUPLICATE_EXTERNAL_ID"


def test_an_id_that_comes_twice_in_an_update(sandbox: Sandbox, client: Client) -> None:
    """All rows of it are refused, or the last one wins (help article 000384876)."""
    twice, once = (one["Id"] for one in client.query("SELECT Id FROM Contact ORDER BY Id LIMIT 2")["records"])
    given = [(twice, "First"), (once, "Alone"), (twice[:15], "Last")]

    def sent(path: str) -> list[str]:
        rows = [{"attributes": {"type": "Contact"}, "Id": record_id, "Title": title} for record_id, title in given]
        answer = client.send("PATCH", path, json={"records": rows}).json()
        return [one["errors"][0]["message"] if one["errors"] else "" for one in answer]

    def title() -> Any:
        return client.get(f"/sobjects/Contact/{twice}").json()["Title"]

    before = title()
    refused = f"Duplicate id specified: {twice}"
    assert sent("/composite/sobjects") == [refused, "", refused]
    by_id = sent("/composite/sobjects/Contact/Id")
    assert [one.startswith("Duplicate id specified") for one in by_id] == [True, False, True]
    assert title() == before
    sandbox.switches(duplicate_ids_refused=False)
    assert sent("/composite/sobjects") == ["", "", ""]
    assert title() == "Last"
    client.send("PATCH", f"/sobjects/Contact/{twice}", json={"Title": before})
    assert sent("/composite/sobjects/Contact/Id") == ["", "", ""]
    assert title() == "Last"


def test_values_of_later_pages(sandbox: Sandbox, client: Client) -> None:
    def second_page() -> set[str]:
        page = client.query("SELECT Id, Title FROM Contact ORDER BY Id")
        before = {one["Id"] for one in page["records"]}
        last = client.query("SELECT Id FROM Contact ORDER BY Id DESC LIMIT 1")["records"][0]["Id"]
        client.send("PATCH", f"/sobjects/Contact/{last}", json={"Title": "Changed meanwhile"})
        titles: dict[str, Any] = {}
        while not page["done"]:
            page = client.get(page["nextRecordsUrl"]).json()
            titles |= {one["Id"]: one["Title"] for one in page["records"]}
        client.send("PATCH", f"/sobjects/Contact/{last}", json={"Title": None})
        assert last in titles and not before & set(titles)
        return {titles[last]}

    sandbox.switches(query_page_rows=200)
    assert second_page() == {"Changed meanwhile"}
    sandbox.switches(query_values_at_start=True)
    assert second_page() != {"Changed meanwhile"}


def test_the_start_of_deletions_before_what_is_kept(sandbox: Sandbox, client: Client) -> None:
    now = sandbox.now()
    ends = {"start": (now - timedelta(days=40)).isoformat(), "end": now.isoformat()}
    refused = client.get("/sobjects/Contact/deleted", params=ends)
    assert (refused.status_code, code_of(refused)) == (400, "INVALID_REPLICATION_DATE")
    sandbox.switches(deleted_clipped=True)
    answer = client.get("/sobjects/Contact/deleted", params=ends).json()
    assert all(one["deletedDate"] >= answer["earliestDateAvailable"] for one in answer["deletedRecords"])


def test_record_counts_are_approximate(sandbox: Sandbox, client: Client) -> None:
    def count() -> int:
        found: int = client.get("/limits/recordCount?sObjects=Contact").json()["sObjects"][0]["count"]
        return found

    whole = count()
    sandbox.switches(record_count_share=0.5)
    assert count() == whole // 2


def test_whether_a_304_is_counted(sandbox: Sandbox, client: Client) -> None:
    headers = {"If-Modified-Since": format_datetime(sandbox.now(), usegmt=True)}
    for counted in (True, False):
        sandbox.switches(not_modified_counted=counted)
        sandbox.counters(reset=True)
        assert client.get("/sobjects/Contact/describe", headers=headers).status_code == 304
        assert sandbox.counters()["metered_total"] == int(counted)


def test_retired_versions(sandbox: Sandbox) -> None:
    older = Client(sandbox, "v30.0")
    assert older.get("/limits").status_code == 410
    before = sandbox.switches()["retired_status"]
    sandbox.switches(retired_status=404)
    assert older.get("/limits").status_code == 404
    sandbox.switches(retired_status=before)
    older.close()


def test_soap_sessions(sandbox: Sandbox, client: Client) -> None:
    assert login(client) == login(client)
    sandbox.switches(soap_sessions_shared=False)
    assert login(client) != login(client)
    sandbox.switches(soap_login=False)
    assert login(client) == "INVALID_OPERATION"
    sandbox.switches(soap_login_code="API_DISABLED_FOR_ORG")
    assert login(client) == "API_DISABLED_FOR_ORG"


def test_sign_in_limits(sandbox: Sandbox, client: Client) -> None:
    sandbox.switches(password_flow=False)
    assert token(client, "password").json()["error"] == "invalid_grant"
    sandbox.switches(password_flow=True, logins_per_hour=1)
    sandbox.advance(timedelta(hours=1))
    assert token(client, "password").status_code == 200
    assert token(client, "password").json() == {
        "error": "rate_limit_exceeded",
        "error_description": "login rate exceeded",
    }
    assert login(client) == "LOGIN_RATE_EXCEEDED"


def test_the_apps_own_limit(sandbox: Sandbox, client: Client) -> None:
    opened = token(client, "client_credentials").json()["access_token"]
    sandbox.switches(daily_requests_per_app=2)
    headers = {"Authorization": f"Bearer {opened}"}
    header = client.get("/limits", headers=headers).headers["Sforce-Limit-Info"]
    assert header.startswith("api-usage=")
    assert header.endswith("; per-app-api-usage=1/2(appName=crosstie-sandbox-app)")
    assert client.get("/limits", headers=headers).status_code == 200
    assert code_of(client.get("/limits", headers=headers)) == "REQUEST_LIMIT_EXCEEDED"
    # Sessions that came from no app go on.
    assert client.get("/limits").status_code == 200
