"""What an import refuses rather than lose or blur something."""

from __future__ import annotations

import pytest

from crosstie.errors import ConfigError, TaskError
from tests.contract.imports.world import ACCOUNT, OPTION, World, flow, indexed

FAILING = {"type": "javascript", "code": "throw new Error('no')", "errors": "off", "next": "off"}


@pytest.mark.parametrize("fields", [["Title"], ["LastName"]], ids=["other fields", "same fields"])
@pytest.mark.parametrize("first_fails", [True, False])
def test_two_imports_of_a_run_cannot_share_an_option(world: World, fields: list[str], first_fails: bool) -> None:
    shared = {"field": "SystemModstamp", "option": "SHARED"}
    other = {"type": "crm_import", "account": ACCOUNT, "object": "Contact", "fields": fields, "index": shared}
    after = "fail" if first_fails else "off"
    more = {**({"fail": FAILING} if first_fails else {}), "off": {"type": "end"}, "other": other}
    with pytest.raises(TaskError, match="by option SHARED too") as caught:
        world.run(flow({"index": shared, "next": after}, more=more))
    assert isinstance(caught.value.cause, ConfigError)
    assert caught.value.activity in ("read", "other")
    assert world.option("SHARED") is None


def test_an_option_moved_by_another_org_is_refused(world: World) -> None:
    world.run(indexed())
    moved = world.option()
    world.execute("update crosstie.import_window set org = '00D000000000000EAA'")
    world.advance(minutes=10)
    with pytest.raises(TaskError, match="moved by imports from the org 00D000000000000EAA"):
        world.run(indexed())
    assert world.option() == moved
    world.set_option("", OPTION)
    assert world.run(indexed(), restart=True).counts["read"]["rows"] > 0


def test_a_number_that_sqlite_would_round_is_a_reject_and_the_others_go_on(world: World) -> None:
    world.run(indexed())
    exact, long = world.sandbox.insert("Contact", [{"LastName": "Exact"}, {"LastName": "Long"}])
    world.sandbox.control("set_stamp", ids=[exact], values={"Score__c": "0.25"})
    world.sandbox.control("set_stamp", ids=[long], values={"Score__c": "0.30000000000000004"})
    world.advance(minutes=10)
    report = world.run(indexed())
    refused = world.db.dialect == "sqlite"
    assert report.counts["read"]["rows"] == (1 if refused else 2)
    assert report.rejects == (1 if refused else 0)
    if refused:
        (reject,) = world.query("select remote_id, field, message from crosstie.reject")
        assert reject[:2] == (long, "Score__c")
        assert "15 significant digits" in reject[2]
    world.sandbox.control("delete", ids=[exact, long])
