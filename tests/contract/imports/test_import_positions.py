"""An import comes to the same rows whatever is true of what nobody is sure of: each unsure fact the other way, alone
and all together. SQLite is enough, as these are facts of the CRM; the connector's own suite runs in both positions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract.imports.world import World, indexed
from tests.contract.positions import OTHER, SINGLE
from tests.sandboxes import Client

FLIPPED = {**SINGLE, "all of them": OTHER}
ROWS = 30
FIELDS: list[object] = ["LastName", "Email", "Score__c", "Department"]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """A fresh marketing database on SQLite."""
    return f"sqlite:///{tmp_path / 'marketing.db'}"


def shown(world: World, department: str) -> set[tuple[Any, ...]]:
    """What the org shows of the department's contacts now, by a query of the test's own."""
    client = Client(world.sandbox)
    text = f"SELECT Id, LastName, Email, Score__c FROM Contact WHERE Department = '{department}'"
    records = client.query(text)["records"]
    client.close()
    return {(one["Id"], one["LastName"], one["Email"], one["Score__c"]) for one in records}


@pytest.mark.parametrize(
    ("flipped", "road"),
    [
        *((name, "bulk" if name.startswith("bulk") else "pages") for name in SINGLE),
        ("all of them", "bulk"),
        ("all of them", "pages"),
    ],
)
def test_an_import_reads_the_same_whatever_is_true(world: World, flipped: str, road: str) -> None:
    world.sandbox.switches(**FLIPPED[flipped])
    department = f"{flipped} {road}"
    made = world.sandbox.insert(
        "Contact",
        [
            {
                "LastName": f" No. {number} ",
                "Email": f"No.{number}@Example.COM",
                "Score__c": 12345678.25 - number * 411522 if number % 5 else None,
                "Department": department,
            }
            for number in range(ROWS)
        ],
    )
    flow = indexed(
        FIELDS, road=road, filter={"all": [{"field": "Department", "is": "equal to", "value": f"'{department}'"}]}
    )
    world.advance(minutes=30)
    known: dict[str, tuple[Any, ...]] = {}

    def take_over() -> list[str]:
        rows = world.rows(world.run(flow))
        for row in rows:
            score = None if row["Score__c"] is None else float(row["Score__c"])
            known[row["Id"]] = (row["Id"], row["LastName"], row["Email"], score)
        return sorted(row["Id"] for row in rows)

    assert take_over() == sorted(made)
    assert set(known.values()) == shown(world, department)

    for record in made[:3]:
        world.sandbox.control("update", id=record, values={"Score__c": 10000000})
    # Its commit becomes visible ten minutes later, and until then holds the window's end back.
    world.sandbox.control("update", id=made[3], values={"LastName": "Late"}, late=600)
    world.advance(minutes=5)
    assert take_over() == []
    world.advance(minutes=10)
    assert take_over() == sorted(made[:4])
    assert set(known.values()) == shown(world, department)
    world.advance(minutes=5)
    assert take_over() == []
