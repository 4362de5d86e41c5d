"""A collection of one object is written as a set: it ends as its rows do that are written one by one."""

import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.sandboxes import Client, Sandbox

SEEDS = range(4)
ROWS = 40
READ = ("Id, Name, FirstName, LastName, Title, Email, Score__c, Birthdate, AccountId, ERP_Id__c, Interests__c,"
        " OwnerId")  # fmt: skip


@pytest.fixture(scope="module")
def accounts(sandbox: Sandbox) -> list[str]:
    made = sandbox.insert("Account", [{"Name": "Parent", "ERP_Id__c": f"PARENT-{place}"} for place in range(2)])
    sandbox.control("delete", object="Account", ids=[made[1]])
    return made


@contextmanager
def one_by_one(sandbox: Sandbox) -> Iterator[None]:
    """Rows that could be in each other's way are never written as a set."""
    sandbox.switches(parents_contend=True)
    yield
    sandbox.switches(parents_contend=False)


def some_rows(seed: int, accounts: list[str], keys: list[str]) -> list[dict[str, Any]]:
    """Rows with good and missing values, parents by id and by key, names in any case, and one bad value at most: which
    of several is told first is nobody's promise.
    """
    chance = random.Random(seed)
    good: dict[str, list[Any]] = {
        "FirstName": ["Zoë", "", None, " Ö "],
        "Title": ["T", None],
        "Email": ["a@example.com", None],
        "Score__c": [1, 2.5, "3", None],
        "Birthdate": ["1990-02-28", "1990-02-28T10:00:00Z", None],
        "AccountId": [accounts[0], accounts[0][:15], None],
        "Account": [{"ERP_Id__c": "parent-0"}, {"ERP_Id__c": "PARENT-0", "attributes": {"type": "Account"}}],
        "Interests__c": ["Livres;Cycling", "Other", None],
        "ERP_Id__c": keys,
    }
    bad: list[tuple[str, Any]] = [
        ("lastname", "x" * 81), ("lastname", ""), ("Title", "😀" * 65), ("Email", "nobody"), ("Score__c", 1e12),
        ("Birthdate", "1400-01-01"), ("AccountId", accounts[1]), ("AccountId", "0015g00000zzzzz"), ("AccountId", "bad"),
        ("Account", {"ERP_Id__c": "nowhere"}), ("Account", {"Nope": "x"}), ("IsDeleted", True), ("Name", "Never"),
        ("Id", accounts[0]),
    ]  # fmt: skip
    rows = []
    for _ in range(ROWS):
        names = chance.sample(list(good), chance.randrange(len(good)))
        row = {"attributes": {"type": "Contact"}, "lastname": " O'Neill "}
        row |= {name: chance.choice(good[name]) for name in names}
        if chance.random() < 0.4:
            name, value = chance.choice(bad)
            row.pop({"Account": "AccountId", "AccountId": "Account"}.get(name, ""), None)
            row[name] = value
        rows.append(row)
    return rows


def ends(client: Client, answers: list[dict[str, Any]]) -> list[Any]:
    """What became of each row: its errors, or the record without what differs from one time to the next."""
    assert all("success" in answer for answer in answers), answers
    ids = [answer["id"] for answer in answers if answer["success"]]
    listed = ", ".join(f"'{one}'" for one in ids)
    found = client.all(f"SELECT {READ} FROM Contact WHERE Id IN ({listed})") if ids else []
    records = {one["Id"]: one for one in found}
    shown: list[Any] = []
    for answer in answers:
        if answer["success"]:
            record = {name: value for name, value in records[answer["id"]].items() if name not in ("attributes", "Id")}
            shown.append((answer.get("created"), record))
        else:
            # Records that are made have other ids each time.
            shown.append(re.sub(r"003\w{15}", "003", json.dumps(answer["errors"])))
    return shown


def cleared(sandbox: Sandbox, answers: list[dict[str, Any]]) -> None:
    sandbox.control("purge", ids=[answer["id"] for answer in answers if answer["success"]])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("road", ["insert", "upsert", "update"])
def test_a_set_ends_as_its_rows_do(sandbox: Sandbox, client: Client, accounts: list[str], road: str, seed: int) -> None:
    keys = [f"SET-{place}" for place in range(ROWS if road != "insert" else 3 * ROWS)]
    rows = some_rows(seed, accounts, keys)

    def once() -> list[Any]:
        there = sandbox.insert("Contact", [{"LastName": "There", "ERP_Id__c": key} for key in ("SET-0", "SET-1")])
        if road == "update":
            ids = [there[0], there[1], there[0][:15], accounts[0], "bad", "0035g00000zzzzz", None]
            sent = [row | {"Id": record_id} for row, record_id in zip(rows, ids[seed % 2 :], strict=False)]
            answers = client.send("PATCH", "/composite/sobjects", json={"records": sent}).json()
        elif road == "upsert":
            answers = client.send("PATCH", "/composite/sobjects/Contact/ERP_Id__c", json={"records": rows}).json()
        else:
            answers = client.send("POST", "/composite/sobjects", json={"records": rows}).json()
        shown = ends(client, answers)
        cleared(sandbox, [*answers, *({"success": True, "id": one} for one in there)])
        return shown

    as_set = once()
    with one_by_one(sandbox):
        assert once() == as_set
    assert len({str(one) for one in as_set}) > 2


@pytest.mark.parametrize("whole", [True, False])
def test_all_or_none_of_a_set(sandbox: Sandbox, client: Client, whole: bool) -> None:
    rows = [{"attributes": {"type": "Contact"}, "LastName": name, "Title": "AoN"} for name in ("A", "", "C")]
    answers = client.send("POST", "/composite/sobjects", json={"records": rows, "allOrNone": whole}).json()
    codes = [answer["errors"][0]["statusCode"] if answer["errors"] else "" for answer in answers]
    undone = "ALL_OR_NONE_OPERATION_ROLLED_BACK" if whole else ""
    assert codes == [undone, "REQUIRED_FIELD_MISSING", undone]
    assert client.query("SELECT count() FROM Contact WHERE Title = 'AoN'")["totalSize"] == (0 if whole else 2)
    cleared(sandbox, answers)
