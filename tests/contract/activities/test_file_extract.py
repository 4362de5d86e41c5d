"""File extract: what is written of every type and format, and that the file appears whole, once, with the publish."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstie.activities.file_extract import FileExtract
from crosstie.activities.file_load import FileLoad
from crosstie.activities.files.writing import Style, csv_lines
from crosstie.db.columns import arrow_schema
from crosstie.errors import FileError
from crosstie.model import Column, ColumnType, WorkTable
from tests.contract.activities.world import INTEGER, TEXT, World, columns

AT = datetime(2026, 7, 1, 8, 30, 15, tzinfo=UTC)
MADE_OF = (
    *columns(id=INTEGER, name=TEXT, at=ColumnType.INSTANT, day=ColumnType.DATE, ok=ColumnType.BOOLEAN),
    Column(name="price", type=ColumnType.DECIMAL, scale=2),
)
ROWS = [
    (1, 'Ann "A", x', AT, date(2026, 1, 31), True, Decimal("1234.50")),
    (2, None, None, None, None, None),
    (3, "", AT.replace(month=1), date(1999, 12, 31), False, Decimal("-0.05")),
]


def extract(file: str = "out.csv", **keys: Any) -> FileExtract:
    return FileExtract.model_validate({"type": "file_extract", "file": file, **keys})


def people(world: World, rows: list[tuple[Any, ...]] = ROWS) -> WorkTable:
    return world.population(MADE_OF, rows, key=("id",))


def written(world: World, name: str = "out.csv") -> bytes:
    return (world.site.folder / name).read_bytes()


def names(world: World) -> list[str]:
    return sorted(str(one.relative_to(world.site.folder)) for one in world.site.folder.rglob("*") if one.is_file())


def test_csv_has_every_type_in_iso_and_tells_null_from_empty(world: World) -> None:
    inbound = people(world)
    ended = world.run(extract(), inbound)
    assert written(world).decode() == (
        "id,name,at,day,ok,price\n"
        '1,"Ann ""A"", x",2026-07-01T10:30:15+02:00,2026-01-31,true,1234.50\n'
        "2,,,,,\n"
        '3,"",2026-01-01T09:30:15+01:00,1999-12-31,false,-0.05\n'
    )
    assert ended.tables["ok"] == inbound
    assert ended.vars == {"fileName": "out.csv", "fileRows": 3}
    assert names(world) == ["out.csv"]


def test_columns_order_and_formats_are_as_people_of_that_country_want_them(world: World) -> None:
    activity = extract(
        "out/<%= vars.what %>-<%= date %>.csv.gz",
        columns={"Nom": "upper(name)", "Prix": "price", "Le": "day", "À": "at"},
        order={"highest": "price"},
        delimiter=";",
        decimal=",",
        date_format="dd/MM/yyyy",
        instant_format="dd/MM/yyyy HH:mm",
        null="NULL",
        encoding="windows-1252",
        line_end="crlf",
    )
    world.run(activity, people(world), variables={"what": "été"})
    assert names(world) == ["out/été-2026-11-23.csv.gz"]
    text = gzip.decompress(written(world, "out/été-2026-11-23.csv.gz")).decode("windows-1252")
    assert text == (
        "Nom;Prix;Le;À\r\n"
        '"ANN ""A"", X";1234,50;31/01/2026;01/07/2026 10:30\r\n'
        ";-0,05;31/12/1999;01/01/2026 09:30\r\n"
        "NULL;NULL;NULL;NULL\r\n"
    )


def test_json_lines_keep_numbers_as_numbers(world: World) -> None:
    world.run(extract("out.jsonl", order={"lowest": "id"}), people(world))
    first, second, _ = written(world, "out.jsonl").decode().splitlines()
    assert '"price":1234.50' in first
    assert json.loads(first) == {
        "id": 1,
        "name": 'Ann "A", x',
        "at": "2026-07-01T10:30:15+02:00",
        "day": "2026-01-31",
        "ok": True,
        "price": 1234.5,
    }
    assert set(json.loads(second).values()) == {2, None}


def test_parquet_comes_back_as_it_was(world: World) -> None:
    world.run(extract("out.parquet", order={"lowest": "id"}), people(world))
    found = pyarrow.parquet.read_table(world.site.folder / "out.parquet")
    assert [tuple(row.values()) for row in found.to_pylist()] == ROWS
    assert found.schema.types == arrow_schema(MADE_OF).types


def test_what_was_extracted_loads_again(world: World) -> None:
    inbound = people(world)
    for name in ("again.csv", "again.jsonl.gz", "again.parquet"):
        world.run(extract(name), inbound)
        kinds = {one.name: {"type": one.type.value} for one in MADE_OF}
        loaded = world.run(FileLoad.model_validate({"type": "file_load", "file": name, "columns": kinds}))
        expected = world.read(inbound)
        if name.endswith(".csv"):
            expected = [tuple(None if value == "" else value for value in row) for row in expected]
        assert world.read(loaded.tables["ok"]) == expected, name


def test_a_spreadsheet_gets_no_formula(world: World) -> None:
    rows = [(1, "=1+1"), (2, "+49 30"), (3, "-2"), (4, "@x"), (5, "\tx"), (6, "a=b"), (7, "'")]
    inbound = world.population(columns(id=INTEGER, name=TEXT), rows, key=("id",))
    world.run(extract(guard=True, header=False), inbound)
    assert [line.split(",", 1)[1] for line in written(world).decode().splitlines()] == [
        "'=1+1",
        "'+49 30",
        "'-2",
        "'@x",
        "'\tx",
        "a=b",
        "'",
    ]


def test_killed_before_the_publish_there_is_no_file_and_the_old_one_stays(world: World) -> None:
    (world.site.folder / "out.csv").write_text("older")
    with pytest.raises(RuntimeError, match="killed"):
        world.run(extract(), people(world), killed=True)
    assert written(world) == b"older"
    world.run(extract(), people(world))
    assert names(world) == ["out.csv"], "what the killed attempt wrote is gone"
    assert written(world).count(b"\n") == 4


def test_killed_after_the_publish_the_file_is_given_its_name_once(world: World) -> None:
    done = extract().run(world.context(people(world)))
    assert done.effect is not None and done.after is not None
    with world.db.transaction("published") as transaction:
        done.effect(transaction)
    assert "out.csv" not in names(world)
    world.run(extract("other.csv"), people(world))
    assert names(world) == ["other.csv", "out.csv"]
    (world.site.folder / "out.csv").unlink()
    done.after()
    assert names(world) == ["other.csv"], "who took it away is not given it again"


def test_a_task_that_is_executed_again_means_the_same_file(world: World) -> None:
    context = world.context(people(world))
    context.now = lambda: datetime(2027, 1, 1, tzinfo=UTC)
    world.run(extract("<%= date %>-<%= time %>.csv"), people(world), context=context)
    assert names(world) == ["2026-11-23-090000.csv"], "of when the task began, in Paris"


def test_no_rows_and_existing_files_are_treated_as_set(world: World) -> None:
    nobody = people(world, [])
    assert world.run(extract(empty="skip"), nobody).vars["fileName"] == ""
    assert names(world) == []
    world.run(extract(), nobody)
    assert written(world) == b"id,name,at,day,ok,price\n"
    with pytest.raises(FileError, match=r"There is a file out\.csv already"):
        world.run(extract(exists="fail"), nobody)


def test_a_character_that_the_encoding_lacks_fails_and_leaves_no_file(world: World) -> None:
    inbound = world.population(columns(name=TEXT), [("Łódź",)])
    with pytest.raises(FileError, match=r"“Ł” cannot be written in cp1252"):
        world.run(extract(encoding="windows-1252"), inbound)
    with pytest.raises(FileError, match="has values with the delimiter"):
        world.run(extract(quote=""), world.population(columns(name=TEXT), [("a,b",)]))
    world.run(extract("x.csv", encoding="utf-16"), inbound)
    assert written(world, "x.csv").decode("utf-16") == "name\nŁódź\n"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"file": "../x.csv"}, "“../x.csv” is not a file within the folder of files."),
        ({"file": "x.zip"}, "zip archives are not written"),
        ({"columns": ["nmae"]}, "has no column nmae. Did you mean “name”?"),
        ({"columns": {"a": "id", "@A": "id"}}, "two columns are called “a”"),
        ({"order": {"lowest": "nope"}}, "has no column nope"),
        ({"delimiter": ";", "decimal": ",", "quote": ""}, ""),
    ],
)
def test_mistakes_are_told_before_anything_runs(world: World, keys: dict[str, Any], told: str) -> None:
    messages = [one.message for one in world.problems(extract(**keys), people(world))]
    assert [told in message for message in messages] == ([True] if told else [])


@settings(max_examples=150, deadline=None)
@given(
    cells=st.lists(st.tuples(st.none() | st.text(max_size=5), st.none() | st.text(max_size=5)), max_size=6),
    style=st.sampled_from([(",", '"'), (";", "'"), ("\t", '"'), ("|", '"'), ("^", '"')]),
)
def test_csv_is_what_others_read(cells: list[tuple[str | None, str | None]], style: tuple[str, str]) -> None:
    made_of = columns(a=TEXT, b=TEXT)
    schema = arrow_schema(made_of)
    batch = pyarrow.RecordBatch.from_pylist([{"a": a, "b": b} for a, b in cells], schema=schema)
    how = Style(format="csv", zone=ZoneInfo("UTC"), delimiter=style[0], quote=style[1])
    text = csv_lines(how, made_of, batch)
    found = list(csv.reader(io.StringIO(text, newline=""), delimiter=style[0], quotechar=style[1], strict=True))
    assert found == [[a or "", b or ""] for a, b in cells]


def test_nothing_is_written_outside_of_the_folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside: Path = tmp_path_factory.mktemp("outside")
    (world.site.folder / "way").symlink_to(outside)
    with pytest.raises(Exception, match="a link leads out of it"):
        world.run(extract("way/out.csv"), people(world))
    assert list(outside.iterdir()) == []
