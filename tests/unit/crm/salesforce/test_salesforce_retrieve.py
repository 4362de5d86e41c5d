"""Answers of collections that must not be trusted: refused by name; and what is refused to us is asked otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.crm.salesforce.objects import CONTACT
from tests.unit.crm.salesforce.org import Org, always, page, rows

from crosstie.crm.connector import RemoteQuery
from crosstie.errors import ProtocolError, RequestError

IDS = [f"003000000000{number:03d}AAA" for number in range(700)]
QUERY = RemoteQuery(object=CONTACT, fields=("Id", "Email", "Score__c"), ids=IDS)
PATH = "composite/sobjects/Contact"


def record(place: int, **values: Any) -> dict[str, Any]:
    return {"attributes": {"type": "Contact"}, "Id": IDS[place], "Email": None, "Score__c": 1.5, **values}


def retrieved(body: object) -> Org:
    """An org whose collections give that."""
    return Org(answers={PATH: always(200, body if isinstance(body, bytes) else json.dumps(body).encode())})


def test_records_come_in_the_order_of_their_ids_and_gaps_are_left_out() -> None:
    org = retrieved([record(place) if place % 7 else None for place in range(700)])
    found = rows(org.connector(), QUERY)
    assert [row[0] for row in found] == [one for place, one in enumerate(IDS) if place % 7]
    assert {row[1:] for row in found} == {(None, "1.5")}
    assert [entry for entry in org.seen if PATH in entry] == [f"POST acme.my.salesforce.com {PATH}"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Please sign in to the proxy</html>", "is not a list of records"),
        ({"records": []}, "Expected `array`"),
        ([record(0)], "gave 1 answers for 700 ids"),
        ([record(1), record(0), *[None] * 698], f"gave the record {IDS[1]} in the place of {IDS[0]}"),
        ([record(0), record(0), *[None] * 698], "1 of 2 come twice"),
        ([record(0, attributes={"type": "Lead"}), *[None] * 699], "one is a record of Lead"),
        ([record(0, Id="nobody"), *[None] * 699], "which is not an id"),
        ([record(0, Phone="1"), *[None] * 699], "unknown field `Phone`"),
        ([{"Id": IDS[0], "Email": None}, *[None] * 699], "missing required field `Score__c`"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_is_refused(body: object, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        rows(retrieved(body).connector(), QUERY)


def test_what_is_refused_to_collections_is_asked_by_lists_of_a_query() -> None:
    refused = json.dumps([{"errorCode": "INVALID_TYPE", "message": "not retrieveable"}]).encode()
    org = Org(answers={PATH: always(400, refused), "query": always(200, page([]))})
    assert rows(org.connector(), QUERY) == []
    assert len([entry for entry in org.seen if entry.endswith(" query")]) == 2


def test_what_is_no_id_is_never_sent() -> None:
    org = retrieved([])
    with pytest.raises(RequestError, match="is not a Salesforce id"):
        rows(org.connector(), RemoteQuery(object=CONTACT, fields=("Id",), ids=[*IDS, "x' OR Id != '"]))
    assert not [entry for entry in org.seen if PATH in entry]
