"""File load: what comes in of every format, what is refused and where, and that a file is loaded once."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from crosstie.activities.file_load import FileLoad
from crosstie.errors import ConfigError, FileError
from tests.contract.activities.world import Ended, World

PEOPLE = {"id": "integer", "name": {"type": "text", "length": 10}, "born": {"type": "date", "mandatory": True}}


def load(file: str = "in.csv", columns: Any = PEOPLE, **keys: Any) -> FileLoad:
    return FileLoad.model_validate({"type": "file_load", "file": file, "columns": columns, "rejects": "bad", **keys})


def put(world: World, text: str | bytes, name: str = "in.csv") -> Path:
    path = world.site.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rows(world: World, ended: Ended, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(map(str, row)) for row in world.read(ended.tables["ok"], *names)]


def refusals(world: World, ended: Ended) -> list[tuple[Any, ...]]:
    names = ("errorLine", "errorColumn", "errorSymbol", "errorMessage", "errorText")
    return sorted(world.read(ended.tables["rejects"], *names))


def test_rows_come_in_typed_and_what_is_wrong_is_refused_with_its_line(world: World) -> None:
    put(
        world,
        '\ufeffName,born,ID,extra\r\n"Ann ""A"",\nx",2001-02-03,1,\r\n\r\nBob,2001-02-30,2,\r\n'
        "too,few\r\nCid,,3,\r\nmuch too long it is,2001-01-01,4,x\r\nDan,2001-01-01,5x,",
    )
    ended = world.run(load())
    assert rows(world, ended) == [("1", 'Ann "A",\nx', "2001-02-03")]
    assert refusals(world, ended) == [
        (5, "born", "CONVERSION_FAILED", "born is not a date", None),
        (6, None, "MALFORMED", "the line has 2 values, and 4 are expected", "too,few"),
        (7, "born", "REQUIRED", "born is empty", None),
        (8, "name", "CONVERSION_FAILED", "name is longer than 10 characters", None),
        (9, "id", "CONVERSION_FAILED", "id is not a whole number", None),
    ]
    assert [(one.field, one.value) for one in ended.rejects if one.field == "id"] == [("id", "5x")]
    assert ended.counts == {"files": 1, "rows": 1, "refused": 5}


def test_numbers_and_dates_are_read_as_people_of_that_country_write_them(world: World) -> None:
    put(
        world,
        "1.234,50;1/2/2026 8:05;ja\n-7;31/12/1999 23:59;\n1,234;02/01/2026 00:00;x\n12.34;30/02/2026 00:00;\n".encode(
            "utf-16"
        ),
    )
    columns = {
        "price": {"type": "decimal", "default": 9},
        "at": {"type": "instant", "format": "dd/MM/yyyy HH:mm"},
        "note": "text",
    }
    ended = world.run(load(columns=columns, delimiter=";", encoding="utf-16", header=False, decimal=",", thousands="."))
    found = [(Decimal(price), at) for price, at in rows(world, ended, "price", "at")]
    assert {price for price, _ in found} == {Decimal("1234.5"), Decimal(-7)}
    assert any("2026-02-01" in at and "07:05" in at for _, at in found), "eight in Paris is seven in UTC"
    assert [(line, column) for line, column, *_ in refusals(world, ended)] == [(3, "price"), (4, "price")]


def test_json_lines_keep_every_digit_and_refuse_what_is_no_object(world: World) -> None:
    put(
        world,
        '{"id": 1, "amount": 1234567890.12, "tags": ["a", "b"], "on": true}\n[1]\n\n{"id": "2", "on": null}\n{"id": 1',
        "in.jsonl",
    )
    columns = {"id": "integer", "amount": "decimal", "tags": "text", "on": "boolean"}
    ended = world.run(load("in.jsonl", columns))
    assert rows(world, ended, "id", "tags") == [("1", '["a", "b"]'), ("2", "None")]
    assert [Decimal(value) for (value,) in rows(world, ended, "amount") if value != "None"] == [
        Decimal("1234567890.12")
    ]
    assert [(line, symbol) for line, _, symbol, *_ in refusals(world, ended)] == [(2, "MALFORMED"), (5, "MALFORMED")]


def test_parquet_keeps_its_types_and_refuses_what_does_not_fit(world: World) -> None:
    path = world.site.folder / "in.parquet"
    table = pa.table(
        {
            "ID": pa.array([1.0, 2.5, 3.0]),
            "at": pa.array(["2026-01-01T12:00:00"] * 3).cast(pa.timestamp("ms")),
            "day": pa.array([date(2026, 1, 1)] * 3),
        }
    )
    pyarrow.parquet.write_table(table, path)
    ended = world.run(load("in.parquet", {"id": "integer", "at": "instant", "day": "date"}))
    assert [row[0] for row in rows(world, ended, "id")] == ["1", "3"]
    assert all("11:00" in at for (at,) in rows(world, ended, "at")), "a time without zone is one of Paris"
    assert [(line, column) for line, column, *_ in refusals(world, ended)] == [(2, "id")]


@pytest.mark.parametrize("ending", ["gz", "zip"])
def test_packed_files_are_read_and_cut_ones_refused(world: World, ending: str) -> None:
    path = world.site.folder / f"in.csv.{ending}"
    text = "id\n" + "\n".join(map(str, range(20_000))) + "\n"
    if ending == "gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inner.csv", text)
    assert world.run(load(path.name, {"id": "integer"})).counts["rows"] == 20_000
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(FileError, match=rf"in.csv.{ending} cannot be (unpacked|read)"):
        world.run(load(path.name, {"id": "integer"}))


def test_records_are_cut_where_they_end_however_large_the_file(world: World) -> None:
    """A value with line ends, doubled quotes and stray ones, across many pieces of a megabyte."""
    values = [f'{number} "{"x" * (number % 97)}\r\n{number}' for number in range(40_000)]
    lines = [f'{number},"{value.replace(chr(34), chr(34) * 2)}",5" disk\n' for number, value in enumerate(values)]
    put(world, "id,text,size\n" + "".join(lines))
    ended = world.run(load(columns={"id": "integer", "text": "text", "size": "text"}))
    assert ended.counts == {"files": 1, "rows": 40_000, "refused": 0}
    found = dict(world.read(ended.tables["ok"], "id", "text"))
    assert all(found[number] == value for number, value in enumerate(values))


def test_several_files_are_loaded_once_each_by_mark(world: World) -> None:
    put(world, "id\n1\n", "in/a.csv")
    put(world, "id\n2\n", "in/b.csv")
    put(world, "no such thing", "in/.hidden.csv")
    activity = load("in/<%= vars.which %>*.csv", {"id": "integer"}, afterwards="mark", file_as="source")
    ended = world.run(activity, variables={"which": ""})
    assert rows(world, ended) == [("1", "in/a.csv"), ("2", "in/b.csv")]
    assert ended.vars == {"fileName": "in/b.csv", "fileCount": 2, "fileRows": 2}
    put(world, "id\n3\n", "in/b.csv")
    again = world.run(activity, variables={"which": ""})
    assert rows(world, again) == [("3", "in/b.csv")]
    assert again.log.texts("info") == ["in/a.csv was loaded in run 1 and is the same since: it is left out."]


@pytest.mark.parametrize("killed", [False, True])
def test_a_file_is_archived_exactly_when_it_was_loaded(world: World, killed: bool) -> None:
    path = put(world, "id\n1\n")
    (world.site.folder / "done").mkdir()
    (world.site.folder / "done" / "in.csv").write_text("an older one")
    activity = load(columns={"id": "integer"}, afterwards="archive", archive="done")
    if killed:
        with pytest.raises(RuntimeError):
            world.run(activity, killed=True)
        assert path.exists()
    world.run(activity)
    assert not path.exists()
    archived = sorted(one.read_text() for one in (world.site.folder / "done").iterdir())
    assert archived == ["an older one", "id\n1\n"]
    with pytest.raises(FileError, match=r"There is no file in\.csv in"):
        world.run(activity)
    empty = world.run(load(columns={"id": "integer"}, missing="empty", afterwards="delete"))
    assert empty.counts["rows"] == 0


def test_a_move_that_a_kill_left_out_is_made_up_for_and_nothing_is_loaded_twice(world: World) -> None:
    path = put(world, "id\n1\n")
    activity = load(columns={"id": "integer"}, afterwards="delete", missing="empty")
    done = activity.run(world.context())
    assert done.effect is not None
    with world.db.transaction("published") as transaction:
        done.effect(transaction)
    assert path.exists(), "killed right after the commit"
    assert world.run(activity).counts == {"files": 0, "rows": 0, "refused": 0}
    assert not path.exists()


def test_a_key_has_to_be_one(world: World) -> None:
    put(world, "id\n1\n2\n1\n\n")
    with pytest.raises(FileError, match="The key id is not unique, or empty, for 1 of its values"):
        world.run(load(columns={"id": "integer"}, key="ID"))


@pytest.mark.parametrize("folder", ["", "in/new/"])
def test_a_pattern_names_the_files_of_one_folder_in_order(world: World, folder: str) -> None:
    for name, number in (("b.csv", 2), ("a.csv", 1), (".c.csv", 3), ("deeper/d.csv", 4), ("a.txt", 5)):
        put(world, f"id\n{number}\n", f"{folder}{name}")
    ended = world.run(load(f"{folder}*.csv", columns={"id": "integer"}, file_as="file"))
    assert rows(world, ended, "id", "file") == [("1", f"{folder}a.csv"), ("2", f"{folder}b.csv")]


def test_columns_are_detected_from_a_sample(world: World) -> None:
    put(
        world,
        "Nr;Amount;Zip;Day;Flag;At;Text\n1;1.000,5;01234;2026-01-31;true;2026-01-31T10:00:00Z;x\n2;2;99999;;false;;\n",
        "sample.csv",
    )
    put(world, "Nr;Amount;Zip;Day;Flag;At;Text\n7;2,25;00001;2026-02-28;false;2026-02-01T00:00:00Z;1\n")
    activity = load(columns=None, detect="sample.csv", delimiter=";", decimal=",", thousands=".")
    kinds = {name: one.type for name, one in activity.specified(world.site).items()}
    assert kinds == {
        "Nr": "integer",
        "Amount": "decimal",
        "Zip": "text",
        "Day": "date",
        "Flag": "boolean",
        "At": "instant",
        "Text": "text",
    }
    ended = world.run(activity)
    assert ended.counts["refused"] == 1, "a decimal more than the sample has is refused, not rounded"
    put(world, '{"a": 1, "b": "x"}\n{"c": 1.25}\n', "sample.jsonl")
    found = load(columns=None, detect="sample.jsonl").specified(world.site)
    assert {name: (one.type, one.scale) for name, one in found.items() if one.type == "decimal"} == {
        "c": ("decimal", 2)
    }


def test_one_value_far_within_a_sample_decides_what_its_column_is(world: World) -> None:
    rows = [f"{number},{number}.5,true,2026-01-31T10:00:00Z" for number in range(10_000, 14_000)]
    rows[2_000] = "01234,1.12345,1,2026-01-31T10:00:00"
    put(world, "zip,amount,flag,at\n" + "\n".join(rows) + "\n", "sample.csv")
    found = load(columns=None, detect="sample.csv").specified(world.site)
    assert {name: (one.type, one.scale) for name, one in found.items()} == {
        "zip": ("text", found["zip"].scale),
        "amount": ("decimal", 5),
        "flag": ("text", found["flag"].scale),
        "at": ("text", found["at"].scale),
    }


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"file": "../x.csv"}, "“../x.csv” is not a file within the folder of files. Write a relative path"),
        ({"file": "/etc/passwd"}, "“/etc/passwd” is not a file within the folder of files."),
        ({"file": "<%= 1 + %>.csv"}, "SyntaxError"),
        ({"columns": None}, "write either “columns” or “detect”"),
        ({"detect": "s.csv"}, "write either “columns” or “detect”"),
        ({"columns": None, "detect": "s.csv"}, "There is no sample file s.csv in"),
        ({"thousands": "."}, "“.” stands before the decimals already"),
        ({"columns": ["a", "@A"]}, "two columns are called “a”"),
        ({"columns": ["errorline"]}, "two columns are called “errorline”"),
        ({"key": "nmae"}, "“nmae” is not among the columns"),
    ],
)
def test_mistakes_are_told_before_anything_runs(world: World, keys: dict[str, Any], told: str) -> None:
    messages = [one.message for one in world.problems(load(**keys))]
    assert len(messages) == 1 and told in messages[0], messages


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"delimiter": "::"}, "“::” cannot stand between values"),
        ({"encoding": "utf-9"}, "“utf-9” is not an encoding"),
        ({"columns": {"d": {"type": "date", "format": "d.M.yyyy"}}}, "“d” in “d.M.yyyy” means nothing"),
        ({"columns": {"d": {"format": "dd.MM.yyyy"}}}, "“format” is for columns of type date"),
    ],
)
def test_keys_that_mean_nothing_are_refused(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        load(**keys)


def test_a_name_that_a_template_or_a_link_leads_out_is_refused(world: World, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.csv"
    outside.write_text("id\n1\n")
    (world.site.folder / "link.csv").symlink_to(outside)
    with pytest.raises(ConfigError, match="a link leads out of it"):
        world.run(load("link.csv", {"id": "integer"}))
    with pytest.raises(ConfigError, match="is not a file within the folder"):
        world.run(load("<%= vars.name %>", {"id": "integer"}), variables={"name": "../secret.csv"})


@pytest.mark.parametrize(
    ("text", "keys", "told"),
    [
        ("a,b\n1,2\n", {}, "The file in.csv has no column “id”."),
        ("", {}, "The file in.csv is empty: it has no header line."),
        ('id\n"1\n', {}, "a value in quotes is never closed"),
        (b"id\nJos\xe9\n", {}, "is not utf-8: the bytes at about position 6 mean nothing in it."),
    ],
)
def test_files_that_are_not_what_was_said_fail(world: World, text: Any, keys: dict[str, Any], told: str) -> None:
    put(world, text)
    with pytest.raises(FileError, match=told.replace("(", r"\(")):
        world.run(load(columns={"id": "text"}, **keys))


def test_times_that_the_zone_has_twice_or_not_are_told(world: World) -> None:
    put(world, "at\n2026-10-25 02:30\n2026-03-29 02:30\n")
    ended = world.run(load(columns={"at": "instant"}))
    assert len(ended.log.texts("warning")) == 2
    assert {datetime.fromisoformat(at.replace(" ", "T")).astimezone(UTC) for (at,) in rows(world, ended)} == {
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
    }
