"""A small database of the sandbox's own objects, and a function that queries it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crosstie.sandbox.salesforce import soql
from crosstie.sandbox.salesforce.catalog import Catalog
from crosstie.sandbox.salesforce.describes import org_describes
from crosstie.sandbox.salesforce.ids import make_id
from crosstie.sandbox.salesforce.schema import create_indexes, create_tables

NOW = datetime(2026, 11, 23, 1, 7, 37, tzinfo=UTC)
Ask = Callable[..., soql.Result]


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The sandbox's objects."""
    return Catalog.from_describes(org_describes())


@pytest.fixture
def connection(catalog: Catalog) -> Iterator[sqlite3.Connection]:
    """Two accounts, three contacts, a gadget, two users."""
    made = sqlite3.connect(":memory:")
    create_tables(made, catalog)
    create_indexes(made, catalog)
    ann, bob = make_id("005", 1), make_id("005", 2)
    acme, globex = make_id("001", 1), make_id("001", 2)
    stamp = "2026-11-2{}T0{}:00:00.000+0000"
    rows: list[tuple[str, dict[str, Any]]] = [
        ("User", {"Id": ann, "Name": "Ann", "Username": "ann@example.com", "IsActive": 1}),
        ("User", {"Id": bob, "Name": "Bob", "Username": "bob@example.com", "IsActive": 0}),
        ("Account", {"Id": acme, "Name": "Acme", "OwnerId": ann, "BillingCity": "Łódź", "AnnualRevenue": 3.5e8}),
        ("Account", {"Id": globex, "Name": "Globex", "OwnerId": bob, "ParentId": acme, "AnnualRevenue": 1200.5}),
        (
            "Contact",
            {
                "Id": make_id("003", 1),
                "LastName": "Müller",
                "Name": "Müller",
                "AccountId": acme,
                "OwnerId": ann,
                "SystemModstamp": stamp.format(1, 1),
                "Birthdate": "1980-02-29",
                "Email": "m@example.com",
                "LeadSource": "Web",
            },
        ),
        (
            "Contact",
            {
                "Id": make_id("003", 2),
                "LastName": 'O\'Brien "B"',
                "Name": "O'Brien",
                "AccountId": acme,
                "OwnerId": bob,
                "SystemModstamp": stamp.format(2, 2),
                "IsEmailBounced": 1,
            },
        ),
        (
            "Contact",
            {
                "Id": make_id("003", 3),
                "LastName": "Gone",
                "Name": "Gone",
                "OwnerId": ann,
                "SystemModstamp": stamp.format(2, 3),
                "IsDeleted": 1,
            },
        ),
        (
            "Gadget__c",
            {
                "Id": make_id("a00", 1),
                "Name": "Lamp",
                "OwnerId": ann,
                "Contact__c": make_id("003", 1),
                "Image__c": b"\x00\x01",
                "Place__Latitude__s": 51.75,
                "Place__Longitude__s": 19.5,
                "Weight__c": 0.1 + 0.2,
                "Active__c": 1,
                "Seen__c": stamp.format(3, 0),
                "Opens__c": "14:30:00.000Z",
                "Count__c": 7,
                "Notes__c": 'two\nlines, "quoted"',
            },
        ),
    ]
    for table, values in rows:
        names = ", ".join(f'"{name}"' for name in values)
        made.execute(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(values))})', list(values.values()))
    yield made
    made.close()


@pytest.fixture
def ask(connection: sqlite3.Connection, catalog: Catalog) -> Ask:
    """Run a query at NOW for a user in Paris."""

    def run(text: str, **options: Any) -> soql.Result:
        return soql.run(connection, catalog, text, now=NOW, user_zone=ZoneInfo("Europe/Paris"), **options)

    return run
