"""What was deleted: both ends included, merges with the survivor, as far back as the org keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.crm.writing import DeletedRecords, DeletionRoad
from crosstie.errors import RequestError
from crosstie.sandbox.http import Request, Response
from tests.contract.positions import POSITIONS
from tests.sandboxes import Client, Sandbox, running_sandbox

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
Answering = Callable[[Request], Response]


class Narrow:
    """Lets no call of the deletion feed ask for more than so many minutes, as if there were too many ids in it."""

    minutes = 0

    def around(self, request: Request, answer: Answering) -> Response:
        """Refuses in the words of the platform."""
        if "/deleted" in request.path and self.minutes and "start" in request.query:
            start, end = (datetime.fromisoformat(request.query[name]) for name in ("start", "end"))
            if end - start > self.minutes * MINUTE:
                said = [{"errorCode": "EXCEEDED_ID_LIMIT", "message": "too many ids"}]
                headers = {"Content-Type": "application/json;charset=UTF-8"}
                return Response(status=400, headers=headers, parts=(json.dumps(said).encode(),))
        return answer(request)


@pytest.fixture(scope="module")
def narrow() -> Narrow:
    """Off until a test sets it."""
    return Narrow()


@pytest.fixture(scope="module", params=POSITIONS)
def sandbox(request: pytest.FixtureRequest, narrow: Narrow) -> Iterator[Sandbox]:
    """A small org."""
    with running_sandbox(records=40, around=narrow.around) as running:
        running.switches(**POSITIONS[request.param])
        yield running


@pytest.fixture
def whole_minute(sandbox: Sandbox, connector: SalesforceConnector) -> Iterator[datetime]:
    """The clock stands at the beginning of a minute."""
    now = sandbox.now().replace(second=0, microsecond=0) + MINUTE
    sandbox.control("clock", at=now.isoformat(), frozen=True)
    yield now
    sandbox.control("clock", frozen=False)


def rows(found: DeletedRecords) -> list[tuple[str, str, str | None]]:
    """All of it."""
    return [tuple(row.values()) for batch in found.batches for row in batch.to_pylist()]


def iso(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S}.000Z"


def deleted_at_each(sandbox: Sandbox, name: str, seconds: list[int]) -> list[tuple[str, str, str | None]]:
    """Records that are made and deleted so many seconds after one another."""
    made = sandbox.insert(name, [{"LastName": f"Away {n}"} for n in range(len(seconds))])
    expected: list[tuple[str, str, str | None]] = []
    for record_id, wait in zip(made, seconds, strict=True):
        sandbox.control("delete", ids=[record_id], object=name)
        expected.append((record_id, iso(sandbox.now()), None))
        sandbox.advance(wait * SECOND)
    return expected


@pytest.mark.parametrize("minutes", [0, 2])
def test_both_ends_are_included_and_no_deletion_comes_twice(
    connector: SalesforceConnector, sandbox: Sandbox, whole_minute: datetime, narrow: Narrow, minutes: int
) -> None:
    expected = deleted_at_each(sandbox, "Contact", [20, 40, 60, 60, 15, 45, 120, 7])
    contact = connector.describe("Contact")
    narrow.minutes = minutes
    try:
        whole = connector.deleted(contact, whole_minute, sandbox.now())
        assert sorted(rows(whole)) == sorted(expected)
        assert whole.covered == sandbox.now().replace(second=0)
        part = connector.deleted(contact, whole_minute + 20 * SECOND, whole_minute + 240 * SECOND)
        assert sorted(rows(part)) == sorted(expected[1:7])
        assert part.covered == whole_minute + 240 * SECOND
        point = connector.deleted(contact, whole_minute + 195 * SECOND, whole_minute + 195 * SECOND)
        assert rows(point) == expected[5:6]
    finally:
        narrow.minutes = 0


def test_an_open_transaction_holds_back_what_is_covered(
    connector: SalesforceConnector, sandbox: Sandbox, whole_minute: datetime
) -> None:
    (made,) = sandbox.insert("Contact", [{"LastName": "Late"}])
    sandbox.advance(3 * MINUTE)
    sandbox.control("delete", ids=[made], late=600, holds_back=True)
    sandbox.advance(5 * MINUTE)
    contact = connector.describe("Contact")
    found = connector.deleted(contact, whole_minute, sandbox.now())
    assert (rows(found), found.covered) == ([], whole_minute + 3 * MINUTE)
    sandbox.advance(10 * MINUTE)
    found = connector.deleted(contact, found.covered, sandbox.now())
    assert [row[0] for row in rows(found)] == [made]


def test_the_reach_is_what_the_org_answers(
    connector: SalesforceConnector, sandbox: Sandbox, whole_minute: datetime
) -> None:
    contact = connector.describe("Contact")
    reach = connector.deletion_reach(contact)
    assert (reach.road, reach.earliest, reach.covered) == (DeletionRoad.FEED, whole_minute - 15 * DAY, whole_minute)
    (made,) = sandbox.insert("Contact", [{"LastName": "Late"}])
    sandbox.advance(3 * MINUTE)
    sandbox.control("delete", ids=[made], late=600, holds_back=True)
    sandbox.advance(5 * MINUTE)
    reach = connector.deletion_reach(contact)
    assert (reach.earliest, reach.covered) == (whole_minute + 8 * MINUTE - 15 * DAY, whole_minute + 3 * MINUTE)
    sandbox.advance(20 * MINUTE)
    found = connector.deleted(contact, None, sandbox.now())
    assert made in [row[0] for row in rows(found)]
    bin_reach = connector.deletion_reach(contact, DeletionRoad.RECYCLE_BIN)
    assert (bin_reach.road, bin_reach.covered) == (DeletionRoad.RECYCLE_BIN, sandbox.now() - 15 * MINUTE)


def test_what_is_no_longer_kept_is_refused_with_what_can_still_be_had(
    connector: SalesforceConnector, sandbox: Sandbox, whole_minute: datetime
) -> None:
    contact = connector.describe("Contact")
    end = sandbox.now()
    with pytest.raises(RequestError, match="can still be had from") as refused:
        connector.deleted(contact, end - 16 * DAY, end)
    assert f"{whole_minute - 15 * DAY:%Y-%m-%d %H:%M} UTC" in refused.value.message
    assert rows(connector.deleted(contact, end - 14 * DAY, end)) is not None
    sandbox.control("purge_delete_log")
    sandbox.advance(90 * MINUTE)
    with pytest.raises(RequestError, match=f"from {whole_minute:%Y-%m-%d %H:%M} UTC"):
        connector.deleted(contact, end - MINUTE, sandbox.now())
    assert rows(connector.deleted(contact, end, sandbox.now())) == []
    with pytest.raises(RequestError, match="the end comes first"):
        connector.deleted(contact, end, end - SECOND)


def test_the_losers_of_a_merge_name_the_survivor(
    connector: SalesforceConnector, sandbox: Sandbox, whole_minute: datetime
) -> None:
    winner, loser, other = sandbox.insert("Contact", [{"LastName": f"Merged {n}"} for n in range(3)])
    sandbox.control("set_stamp", ids=[loser], values={"MasterRecordId": winner})
    sandbox.control("delete", ids=[loser, other])
    sandbox.advance(MINUTE)
    found = connector.deleted(connector.describe("Contact"), whole_minute, sandbox.now())
    assert {row[0]: row[2] for row in rows(found)} == {loser: winner, other: None}


def test_an_object_without_a_feed_is_read_from_the_bin(
    connector: SalesforceConnector, sandbox: Sandbox, client: Client, whole_minute: datetime
) -> None:
    expected = deleted_at_each(sandbox, "Contact", [30, 30, 30])
    contact = replace(connector.describe("Contact"), tracks_deletions=False)
    found = connector.deleted(contact, whole_minute + 30 * SECOND, whole_minute + 60 * SECOND)
    assert sorted(rows(found)) == sorted(expected[1:])
    assert found.covered == sandbox.now() - 15 * MINUTE
    bare = replace(contact, fields=tuple(one for one in contact.fields if one.name != "IsDeleted"))
    with pytest.raises(RequestError, match="keeps no deletions") as refused:
        connector.deleted(bare, whole_minute, sandbox.now())
    assert "Compare key sets" in refused.value.hint
