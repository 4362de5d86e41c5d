"""The usual mistakes in the set-up of an account, each said in plain words; the limits of the service."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crosstie.errors import AuthError, RequestError, UnavailableError
from tests.contract.every_connector.worlds import World


@pytest.mark.parametrize(
    ("switches", "flow", "changed", "code", "hint"),
    [
        ({"application_user": False}, "", {}, "0x80072560", "Application users"),
        ({"secret_expired": True}, "", {}, "AADSTS7000222", "expired"),
        ({}, "", {"client_secret": "wrong"}, "AADSTS7000215", "not its id"),
        ({}, "", {"client_id": "00000000-0000-4000-8000-000000000000"}, "AADSTS700016", "application id"),
        ({"second_factor": True}, "password", {}, "AADSTS50076", "multi-factor"),
        ({"consent": False}, "", {}, "AADSTS65001", "consent"),
        ({}, "", {"resource": "https://other.crm.dynamics.com"}, "AADSTS500011", "environment URL"),
        ({}, "password", {"password": "wrong"}, "AADSTS50126", "user name and password"),
    ],
)
def test_a_mistake_in_the_set_up_says_what_to_do(
    world: World, switches: dict[str, Any], flow: str, changed: dict[str, Any], code: str, hint: str
) -> None:
    world.sandbox.switches(**switches)
    with pytest.raises(AuthError) as caught:
        world.open(flow, changed=changed).check()
    assert caught.value.code == code
    assert hint in caught.value.hint


def test_a_user_without_a_role_is_a_finding(world: World) -> None:
    world.sandbox.switches(role=False)
    check = world.open().check()
    assert not check.passed
    (finding,) = (finding for finding in check.findings if not finding.ok)
    assert "security role" in finding.hint


def test_a_check_signs_in_anew(world: World) -> None:
    """A session kept from an earlier run would hide that the secret has expired since."""
    kept: list[str] = []
    world.open(on_token=kept.append).org_id()
    world.sandbox.switches(secret_expired=True)
    again = world.open(token=kept[-1])
    assert again.objects()
    with pytest.raises(AuthError, match="AADSTS7000222"):
        again.check()


def test_a_user_that_may_not_read_users_is_warned_of(world: World) -> None:
    world.sandbox.control("hide", names=["systemuser"])
    try:
        check = world.open().check()
    finally:
        world.sandbox.control("hide", names=[])
    assert check.passed
    assert any(finding.warning and "read the user" in finding.text for finding in check.findings)


def test_a_password_is_warned_of(world: World) -> None:
    findings = world.open("password").check().findings
    assert [finding.text for finding in findings if finding.warning] == [
        "the account signs in by password, which Microsoft is giving up."
    ]


def test_campaigns_key_signs_in_without_a_certificate(world: World) -> None:
    """The base64 of the PEM file with customKeyIdentifier, with and without keyId."""
    for key_id in ("", world.sandbox.sign_in("certificate")["key_id"]):
        given = {"certificate_file": "", "private_key_file": "", "key_id": key_id}
        assert world.open("certificate", changed=given).org_id()


def test_what_takes_too_long_to_wait_for_is_left_to_the_runner(world: World) -> None:
    connector = world.open()
    connector.org_id()
    world.sandbox.switches(requests_limit=1, retry_after=250)
    with pytest.raises(UnavailableError, match="has to wait") as caught:
        for _ in range(3):
            connector.objects()
    assert caught.value.retry_after == timedelta(seconds=250)


def test_a_table_that_is_not_audited_has_no_deletions(world: World) -> None:
    connector = world.open()
    remote = connector.describe("opportunity")
    assert not remote.tracks_deletions
    with pytest.raises(RequestError, match="is not audited") as caught:
        connector.deletion_reach(remote)
    assert "by: compare" in caught.value.hint


def test_a_table_without_a_stamp_has_no_index(world: World) -> None:
    journal = world.open().describe("new_journal")
    assert (journal.index_fields, journal.safe_index) == ((), "")
