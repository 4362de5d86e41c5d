"""Edit schema: which columns go on, under which names and types, and what still identifies the rows."""

from __future__ import annotations

from typing import Any

import pytest

from crosstie.activities.edit_schema import EditSchema
from crosstie.errors import DatabaseError
from crosstie.model import ColumnType, Lineage, Link, WorkTable
from crosstie.workflow.activity import Shape
from tests.contract.activities.world import INTEGER, TEXT, World, columns

MADE_OF = columns(Id=TEXT, Email=TEXT, Score=TEXT, City=TEXT)
ROWS = [("1", "a@x", "7", "Nara"), ("2", "b@x", None, "Nara")]


def edit(**keys: Any) -> EditSchema:
    return EditSchema.model_validate({"type": "edit_schema", **keys})


def people(world: World, rows: list[tuple[Any, ...]] = ROWS) -> WorkTable:
    return world.population(MADE_OF, rows, key=("Id",))


def out(world: World, activity: EditSchema, inbound: WorkTable) -> WorkTable:
    table = world.run(activity, inbound).tables["ok"]
    assert table is not None
    return table


def test_columns_are_renamed_dropped_and_reordered_without_a_copy(world: World) -> None:
    inbound = people(world)
    table = out(world, edit(rename={"email": "mail"}, drop=["City"], columns=["mail", "id", "Score"]), inbound)
    assert [column.name for column in table.columns] == ["mail", "Id", "Score"]
    assert world.read(table) == [("a@x", "1", "7"), ("b@x", "2", None)]
    assert (table.key, table.bases) == (("Id",), (inbound.name,))


def test_columns_are_converted_and_computed_now(world: World) -> None:
    activity = edit(
        cast={"Score": "integer"},
        rename={"Score": "points"},
        add={"domain": "substr(Email, 3)", "on": "today()", "more": "$(vars/@n) || Id"},
        labels={"points": "Points", "domain": "Domain"},
    )
    ended = world.run(activity, people(world), variables={"n": "x"})
    table = ended.tables["ok"]
    assert table is not None
    assert [(one.name, one.type, one.label) for one in table.columns] == [
        ("Id", TEXT, ""),
        ("Email", TEXT, ""),
        ("points", INTEGER, "Points"),
        ("City", TEXT, ""),
        ("domain", TEXT, "Domain"),
        ("on", ColumnType.DATE, ""),
        ("more", TEXT, ""),
    ]
    assert world.read(table, "points", "domain", "more") == [(None, "x", "x2"), (7, "x", "x1")]
    assert ended.counts == {"rows": 2}


def test_a_text_that_does_not_read_as_the_type_is_an_error_here(world: World) -> None:
    with pytest.raises(DatabaseError, match=r"bigint|not a whole number|integer"):
        world.run(edit(cast={"Score": "integer"}), people(world, [("1", None, "many", None)]))


def test_key_dimension_lineage_and_links_stay_where_they_are_right(world: World) -> None:
    lineage = Lineage(
        account="salesforce", org="00D1", object="Contact", remote_id="Id", stamp="City",
        fields=(("Id", "Id"), ("Email", "Email"), ("City", "City")),
    )  # fmt: skip
    link = Link(name="town", table="town", column="City", key="name")
    inbound = Shape(columns=MADE_OF, key=("Id",), dimension="recipient", lineage=lineage, links=(link,))

    def shape(**keys: Any) -> Shape:
        found = edit(**keys).outputs((inbound,), world.site)["ok"]
        assert found is not None
        return found

    renamed = shape(rename={"Id": "crm_id", "City": "town"})
    assert (renamed.key, renamed.dimension) == (("crm_id",), "recipient")
    assert renamed.lineage is not None
    assert (renamed.lineage.remote_id, renamed.lineage.stamp) == ("crm_id", "town")
    assert renamed.lineage.fields == (("crm_id", "Id"), ("Email", "Email"), ("town", "City"))
    assert renamed.links[0].column == "town"
    dropped = shape(drop=["Id"], add={"Other": "Id"})
    assert (dropped.key, dropped.dimension, dropped.lineage) == ((), "", None)
    less = shape(columns=["Id"])
    assert less.lineage is not None
    assert (less.lineage.stamp, less.lineage.fields, less.links) == ("", (("Id", "Id"),), ())
    assert shape(cast={"Id": "integer"}).key == ()
    assert (shape(key=["Email"]).key, shape(key=["Email"]).dimension) == (("Email",), "")
    assert (shape(key=[]).key, shape(key=[]).dimension) == ((), "")
    assert shape(dimension="").dimension == ""


def test_a_key_is_checked(world: World) -> None:
    assert out(world, edit(key="email"), people(world)).key == ("Email",)
    with pytest.raises(DatabaseError, match="City cannot be the key: 0 rows have none, and 1 have one that another"):
        world.run(edit(key=["City"]), people(world))
    with pytest.raises(DatabaseError, match="1 rows have none, and 0"):
        world.run(edit(key=["Score"]), people(world))


def test_a_dimension_is_a_table_with_that_key(world: World) -> None:
    world.sql("create table recipient (id bigint primary key, email text)", "create table loose (id bigint)")
    table = out(world, edit(cast={"Id": "integer"}, key="Id", dimension="recipient"), people(world))
    assert (table.key, table.dimension) == (("Id",), "recipient")
    inbound = people(world)

    def told(**keys: Any) -> list[str]:
        return [one.message for one in world.problems(edit(**keys), inbound)]

    assert told(dimension="recipients") == [
        "there is no table “recipients”. Did you mean “recipient”? There is loose, recipient."
    ]
    assert told(dimension="loose") == ["table loose has no primary key that could identify its rows"]
    assert told(dimension="recipient", key=["Email"]) == [
        "rows of table recipient are identified by id, but the key here is Email: write key: [id]"
    ]


def test_mistakes_are_told_in_words(world: World) -> None:
    activity = edit(
        drop=["x"],
        rename={"Email": "id"},
        cast={"City": "colour", "y": "text"},
        add={"a": "lower(nobody)", "City": "Id"},
    )
    found = [f"{'.'.join(map(str, one.path))}: {one.message}" for one in world.problems(activity, people(world))]
    assert found[0] == "drop.0: there is no inbound column “x”. There is Id, Email, Score, City."
    assert [line.partition(":")[0] for line in found] == ["drop.0", "cast.y", "cast.City", "add.a", "rename.Email"]
    later = edit(columns=["Id", "nothing"], labels={"Emil": "E"}, key=["City"])
    assert [f"{one.path}: {one.message}" for one in world.problems(later, people(world))] == [
        "('columns', 1): there is no column “nothing”. There is Id, Email, Score, City.",
        "('labels', 'Emil'): there is no column “Emil”. There is Id.",
        "('key', 0): there is no column “City”. There is Id.",
    ]
