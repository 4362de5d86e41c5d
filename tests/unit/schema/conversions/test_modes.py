"""Which column a remote field gets, and which conversions it cannot have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from crosstie.errors import MappingError
from crosstie.model import ColumnType, FieldType, RemoteField
from crosstie.schema.conversions import MODES, local_column


def field(type: FieldType, *, length: int = 0, scale: int = 0, parts: tuple[str, ...] = ()) -> RemoteField:
    return RemoteField(
        name="Field__c", label="Field", type=type, wire_type=type.value, length=length, scale=scale, parts=parts
    )


@pytest.mark.parametrize(
    ("type", "mode", "expected"),
    [
        (FieldType.ID, "default", ColumnType.TEXT),
        (FieldType.REFERENCE, "default", ColumnType.TEXT),
        (FieldType.TEXT, "default", ColumnType.TEXT),
        (FieldType.ENUMERATION, "default", ColumnType.TEXT),
        (FieldType.OTHER, "default", ColumnType.TEXT),
        (FieldType.SET, "default", ColumnType.SET),
        (FieldType.INTEGER, "default", ColumnType.INTEGER),
        (FieldType.DECIMAL, "default", ColumnType.DECIMAL),
        (FieldType.FLOAT, "default", ColumnType.FLOAT),
        (FieldType.BOOLEAN, "default", ColumnType.BOOLEAN),
        (FieldType.DATE, "default", ColumnType.DATE),
        (FieldType.DATETIME, "default", ColumnType.INSTANT),
        (FieldType.TIME, "default", ColumnType.TIME),
        (FieldType.DATETIME, "date_only", ColumnType.DATE),
        (FieldType.DATE, "date_only", ColumnType.DATE),
        (FieldType.DATETIME, "without_time_offset", ColumnType.WALL_CLOCK),
        (FieldType.DATE, "without_time_offset", ColumnType.DATE),
        (FieldType.TIME, "without_time_offset", ColumnType.TIME),
        *(
            (type, "copy_paste", ColumnType.TEXT)
            for type in FieldType
            if type not in (FieldType.COMPOUND, FieldType.BINARY)
        ),
    ],
)
def test_a_field_gets_its_column(type: FieldType, mode: str, expected: ColumnType) -> None:
    column = local_column(field(type), mode, "name")
    assert (column.name, column.label, column.type) == ("name", "Field", expected)


def test_length_and_scale_are_those_of_the_field() -> None:
    assert local_column(field(FieldType.TEXT, length=80), "default", "x").length == 80
    assert local_column(field(FieldType.TEXT, length=80), "copy_paste", "x").length == 0
    assert local_column(field(FieldType.SET, length=80), "default", "x").length == 0
    assert local_column(field(FieldType.DECIMAL, scale=2), "default", "x").scale == 2
    assert local_column(field(FieldType.INTEGER, scale=2), "default", "x").scale == 0


@pytest.mark.parametrize(
    ("type", "mode"),
    [
        *((FieldType.COMPOUND, mode) for mode in MODES),
        *((FieldType.BINARY, mode) for mode in MODES),
        *((type, "date_only") for type in (FieldType.TEXT, FieldType.TIME, FieldType.INTEGER, FieldType.SET)),
        *((type, "without_time_offset") for type in (FieldType.TEXT, FieldType.BOOLEAN, FieldType.ID)),
        (FieldType.TEXT, "date only"),
    ],
)
def test_an_impossible_conversion_is_a_mapping_error(type: FieldType, mode: str) -> None:
    with pytest.raises(MappingError) as caught:
        local_column(field(type, parts=("Field_City__c",)), mode, "name")
    assert "Field__c" in caught.value.message or mode in caught.value.message
    assert caught.value.hint


def test_knowing_the_types_does_not_import_pyarrow() -> None:
    code = "import sys, crosstie.schema.conversions; print('pyarrow' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
