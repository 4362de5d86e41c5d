"""Signing in by every flow of Salesforce, and what a check finds there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.contract.salesforce_connector.conftest import Opener
from tests.sandboxes import Sandbox

from crosstie.errors import AuthError

FLOWS = ("jwt_bearer", "client_credentials", "password", "refresh_token", "soap")


@pytest.mark.parametrize("flow", FLOWS)
def test_every_flow_signs_in_and_proves_the_account(open_connector: Opener, flow: str) -> None:
    connector = open_connector(flow)
    check = connector.check()
    assert check.passed
    assert check.org_id == connector.org_id()
    assert len(check.org_id) == 18
    assert (check.org_name, check.time_zone) == ("Acme", "Europe/Paris")
    texts = [finding.text for finding in check.findings]
    version = "64.0" if flow == "soap" else "68.0"
    assert texts[0].endswith(f"as sync@acme.example ({flow.replace('_', ' ')}), API {version}")
    assert "“Acme”, production" in texts[1]
    assert "of 100,000" in texts[2]


def test_a_key_can_be_given_as_text(open_connector: Opener, sandbox: Sandbox) -> None:
    pem = Path(sandbox.sign_in("jwt_bearer")["private_key_file"]).read_text(encoding="ascii")
    assert open_connector("jwt_bearer", private_key=pem, private_key_file="").org_id()


def test_soap_login_takes_a_newer_version_for_data(open_connector: Opener) -> None:
    connector = open_connector("soap", api_version="")
    assert "API 68.0" in connector.check().findings[0].text


@pytest.mark.parametrize("flow", FLOWS)
def test_an_older_version_is_kept_when_asked(open_connector: Opener, flow: str) -> None:
    assert "API 61.0" in open_connector(flow, api_version="61.0").check().findings[0].text


@pytest.mark.parametrize(
    ("flow", "wrong", "hint"),
    [
        ("password", {"password": "s3cret!"}, "security token"),
        ("password", {"client_secret": "s3cret!"}, "consumer key and secret"),
        ("soap", {"password": "s3cret!"}, "security token"),
        ("client_credentials", {"client_secret": "s3cret!"}, "consumer key and secret"),
        ("jwt_bearer", {"username": "nobody@acme.example"}, "Check|Approve"),
        ("refresh_token", {"refresh_token": "s3cret!"}, "refresh token"),
    ],
)
def test_wrong_credentials_are_one_clear_error(
    open_connector: Opener, sandbox: Sandbox, flow: str, wrong: dict[str, Any], hint: str
) -> None:
    sandbox.counters(reset=True)
    with pytest.raises(AuthError, match="refused to sign in account sandbox") as caught:
        open_connector(flow, **wrong).check()
    assert caught.value.code
    assert hint.split("|")[0] in caught.value.hint or hint.split("|")[-1] in caught.value.hint
    assert "s3cret" not in str(caught.value)
    assert sandbox.counters()["requests_total"] <= 2


def test_a_soap_login_that_the_org_has_switched_off_says_so(open_connector: Opener, sandbox: Sandbox) -> None:
    sandbox.switches(soap_login=False)
    with pytest.raises(AuthError, match="soap"):
        open_connector("soap").org_id()


def test_a_session_kept_for_other_settings_is_not_used(open_connector: Opener, sandbox: Sandbox) -> None:
    kept: list[str] = []
    open_connector("password", on_token=kept.append).org_id()
    sandbox.counters(reset=True)
    for other in (open_connector("soap", token=kept[-1]), open_connector("password", api_version="60.0", token="junk")):
        other.org_id()
    assert sandbox.counters()["requests"]["token"] == 1
    assert sandbox.counters()["requests"]["soap"] == 1


def test_a_check_names_what_the_user_can_no_longer_see(open_connector: Opener, sandbox: Sandbox) -> None:
    connector = open_connector()
    known = [connector.describe("Contact"), connector.describe("Lead")]
    sandbox.hide("Contact.Birthdate", "Lead")
    check = connector.check(known)
    texts = [finding.text for finding in check.findings if not finding.ok]
    assert texts == [
        "Contact.Birthdate: this user can't see the field. Imports that ask for it are refused.",
        "Lead: this user can't see the object, or it was removed.",
    ]
    assert not check.passed
    assert all(finding.hint for finding in check.findings if not finding.ok)


def test_a_check_warns_when_few_calls_are_left(open_connector: Opener, sandbox: Sandbox) -> None:
    connector = open_connector()
    for _ in range(40):
        connector.objects()
    used = connector.usage.org_used
    sandbox.switches(daily_requests=used + 6)
    finding = connector.check().findings[2]
    assert (finding.ok, finding.warning) == (False, True)
