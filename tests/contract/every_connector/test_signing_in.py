"""Signing in by every way, proving an account, and never being led to another org."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from crosstie.crm.connector import Connector, Group, RemoteQuery
from crosstie.errors import AuthError, CrosstieError, UnavailableError
from tests.contract.every_connector.worlds import World, read

SECRET = ("client_secret", "password", "security_token", "refresh_token")


def test_every_way_signs_in_and_proves_the_account(world: World) -> None:
    found = set()
    for flow in world.roles.flows:
        connector = world.open(flow)
        check = connector.check()
        assert check.passed, check.findings
        assert check.org_id == connector.org_id()
        assert check.org_name == world.roles.org_name
        assert flow.replace("_", " ") in check.findings[0].text
        found.add(check.org_id)
    assert len(found) == 1


def keys(world: World, connector: Connector) -> RemoteQuery:
    """The contacts of nobody."""
    contact = connector.describe(world.roles.contact)
    return RemoteQuery(object=contact, fields=(contact.key,), condition=Group(all=False, items=()))


def test_a_kept_session_is_used_and_renewed_when_it_has_ended(world: World) -> None:
    kept: list[str] = []
    query = keys(world, world.open(on_token=kept.append))
    world.sandbox.counters(reset=True)
    again = world.open(token=kept[-1], on_token=kept.append)
    again.count(query)
    asked = Counter(world.sandbox.counters()["requests"])
    signing = Counter({kind: calls for kind, calls in asked.items() if kind in world.roles.sign_in})
    assert +signing == Counter(world.roles.resumed)
    assert (asked - signing).total() == again.usage.calls == 1
    world.sandbox.control("expire_sessions")
    assert again.count(query) == 0
    assert kept[-1] != kept[0]


def test_a_check_signs_in_anew(world: World) -> None:
    """A session kept from an earlier run would hide that the secret has expired since."""
    kept: list[str] = []
    world.open(on_token=kept.append).org_id()
    again = world.open(token=kept[-1])
    world.sandbox.counters(reset=True)
    assert again.objects()
    asked = Counter(world.sandbox.counters(reset=True)["requests"])
    assert Counter({kind: asked[kind] for kind in world.roles.sign_in if asked[kind]}) == Counter(world.roles.resumed)
    assert again.check().passed
    assert world.sandbox.counters()["requests"][world.roles.proof]


def test_another_org_behind_the_account_is_refused_before_any_call(world: World) -> None:
    connector = world.open(org_id="another")
    world.sandbox.counters(reset=True)
    with pytest.raises(AuthError, match="belongs to the org another"):
        connector.objects()
    assert set(world.sandbox.counters()["requests"]) <= world.roles.sign_in


def test_a_session_is_not_renewed_in_another_org(world: World) -> None:
    kept: list[str] = []
    connector = world.open(on_token=kept.append)
    first = connector.org_id()
    query = keys(world, connector)
    world.sandbox.switches(**world.roles.other_org)
    world.sandbox.control("expire_sessions")
    for one in (connector, world.open(token=kept[-1])):
        with pytest.raises(AuthError, match=f"belongs to the org {first}, but signing in leads to"):
            one.count(query)


def test_wrong_credentials_are_one_clear_error_that_shows_none(world: World) -> None:
    world.sandbox.counters(reset=True)
    with pytest.raises(AuthError, match="refused to sign in account sandbox") as caught:
        world.open(changed={world.roles.secret: "w0rdless"}).check()
    assert caught.value.code
    assert caught.value.hint
    assert "w0rdless" not in str(caught.value)
    assert set(world.sandbox.counters()["requests"]) <= world.roles.sign_in


def test_no_repr_and_no_error_shows_a_secret(world: World) -> None:
    for flow in world.roles.flows:
        kept: list[str] = []
        connector = world.open(flow, on_token=kept.append)
        query = keys(world, connector)
        given = [value for name, value in world.given(flow).items() if name in SECRET]
        tokens = re.findall(r'"(?:\w*token|cookie)":"([^"]+)"', kept[-1])
        assert bool(tokens) is (flow not in world.roles.sessionless)
        settings = world.settings(flow, {})
        world.sandbox.faults([world.fault(world.roles.pages, {"type": "redirect"}, times=None)])
        with pytest.raises(CrosstieError) as caught:
            read(connector, query)
        world.sandbox.faults([])
        shown = " ".join((repr(settings), str(settings), repr(connector), repr(vars(connector)), str(caught.value)))
        assert not [secret for secret in (*given, *tokens) if secret in shown]


def test_a_host_that_is_not_trusted_or_not_there_says_so(world: World) -> None:
    with pytest.raises(AuthError, match="is not trusted") as caught:
        world.open(changed={"ca_file": ""}).org_id()
    assert "ca_file" in caught.value.hint
    with pytest.raises(UnavailableError, match="cannot be reached"):
        addresses = [name for name, value in world.given().items() if str(value).startswith("https://")]
        world.open(changed=dict.fromkeys(addresses, "https://127.0.0.1:9")).org_id()
