"""What an import of a calculated population puts out: the kept columns, their names, and the key that is left."""

from __future__ import annotations

from typing import Any

import pytest

from crosstie.activities.crm_import.population import Population
from crosstie.model import Column, ColumnType, Lineage
from crosstie.workflow.activity import Shape

INBOUND = Shape(
    columns=(
        Column(name="id", type=ColumnType.INTEGER, label="Number", nullable=False),
        Column(name="crm_id", type=ColumnType.TEXT, length=18),
        Column(name="score", type=ColumnType.DECIMAL, scale=2),
    ),
    key=("id",),
    dimension="recipient",
)
CONTACTS = Shape(
    columns=(Column(name="Id", type=ColumnType.TEXT), Column(name="Email", type=ColumnType.TEXT)),
    key=("Id",),
    lineage=Lineage(account="crm", org="00D", object="Contact", remote_id="Id"),
)


def population(ids: str, *keep: Any) -> Population:
    return Population.model_validate({"ids": ids, "keep": list(keep)})


def test_kept_columns_keep_what_they_are_under_either_name() -> None:
    found = population("crm_id", "score", {"column": "ID", "as": "number"}).kept(INBOUND)
    assert [(column.name, kept.name, kept.type, kept.label, kept.scale) for column, kept in found] == [
        ("score", "score", ColumnType.DECIMAL, "", 2),
        ("id", "number", ColumnType.INTEGER, "Number", 0),
    ]


@pytest.mark.parametrize(
    ("inbound", "keep", "key"),
    [
        (INBOUND, (), ("Id",)),  # each record once
        (INBOUND, ("id",), ("id",)),
        (INBOUND, ({"column": "id", "as": "number"},), ("number",)),
        (INBOUND, ("score",), ()),  # several rows may name one record
        (CONTACTS, ("Email",), ("Id",)),  # ids of the CRM, each once
    ],
)
def test_the_key_is_what_is_known_to_be_unique(inbound: Shape, keep: tuple[Any, ...], key: tuple[str, ...]) -> None:
    ids = "Id" if inbound is CONTACTS else "crm_id"
    assert population(ids, *keep).key(inbound, "Id") == key


def test_rows_still_identify_peoples_rows_when_their_key_is_kept_as_it_is() -> None:
    assert population("crm_id", "id").dimension(INBOUND) == "recipient"
    assert population("crm_id", {"column": "id", "as": "number"}).dimension(INBOUND) == ""
    assert population("crm_id").dimension(INBOUND) == ""
