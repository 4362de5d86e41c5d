"""The four conversions, and the type that a remote field gets locally under each. Costs nothing to import."""

from __future__ import annotations

from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType, FieldType, RemoteField

DEFAULT = "default"
DATE_ONLY = "date_only"
WITHOUT_TIME_OFFSET = "without_time_offset"
COPY_PASTE = "copy_paste"
MODES = (DEFAULT, DATE_ONLY, WITHOUT_TIME_OFFSET, COPY_PASTE)

_DEFAULT_TYPES = {
    FieldType.ID: ColumnType.TEXT,
    FieldType.REFERENCE: ColumnType.TEXT,
    FieldType.TEXT: ColumnType.TEXT,
    FieldType.ENUMERATION: ColumnType.TEXT,
    FieldType.OTHER: ColumnType.TEXT,
    FieldType.SET: ColumnType.SET,
    FieldType.INTEGER: ColumnType.INTEGER,
    FieldType.DECIMAL: ColumnType.DECIMAL,
    FieldType.FLOAT: ColumnType.FLOAT,
    FieldType.BOOLEAN: ColumnType.BOOLEAN,
    FieldType.DATE: ColumnType.DATE,
    FieldType.DATETIME: ColumnType.INSTANT,
    FieldType.WALL_CLOCK: ColumnType.WALL_CLOCK,
    FieldType.TIME: ColumnType.TIME,
}
_LIMITED = (FieldType.ID, FieldType.REFERENCE, FieldType.TEXT, FieldType.ENUMERATION, FieldType.OTHER)


def local_type(field: RemoteField, mode: str) -> ColumnType:
    """The type a remote field gets locally. Raises MappingError for a mode that the field cannot have."""
    if field.type is FieldType.COMPOUND:
        if field.parts:
            hint = f"Import its parts: {', '.join(field.parts)}."
            raise MappingError(f"{field.name} is a compound field, which has no value of its own.", hint=hint)
        raise MappingError(
            f"{field.name} ({field.wire_type}) stands for several records and has no value of its own.",
            hint="Leave it out; where those records can be collected, import them.",
        )
    if field.type is FieldType.BINARY:
        raise MappingError(
            f"{field.name} holds binary content, which does not travel with rows.",
            hint="Leave it out; where the CRM has a field beside it with its address or id, take that.",
        )
    if mode == COPY_PASTE:
        return ColumnType.TEXT
    if mode == DATE_ONLY:
        moments = (FieldType.DATETIME, FieldType.WALL_CLOCK, FieldType.DATE)
        return _moment_type(field, mode, dict.fromkeys(moments, ColumnType.DATE))
    if mode == WITHOUT_TIME_OFFSET:
        allowed = {
            FieldType.DATETIME: ColumnType.WALL_CLOCK,
            FieldType.WALL_CLOCK: ColumnType.WALL_CLOCK,
            FieldType.DATE: ColumnType.DATE,
            FieldType.TIME: ColumnType.TIME,
        }
        return _moment_type(field, mode, allowed)
    if mode != DEFAULT:
        raise MappingError(f"“{mode}” is not a conversion.", hint=f"It can be {', '.join(MODES)}.")
    return _DEFAULT_TYPES[field.type]


def local_column(field: RemoteField, mode: str, name: str) -> Column:
    """The column that holds a remote field under a conversion. Raises MappingError for an impossible combination."""
    type = local_type(field, mode)
    return Column(
        name=name,
        type=type,
        label=field.label,
        length=field.length if mode != COPY_PASTE and field.type in _LIMITED else 0,
        scale=field.scale if type is ColumnType.DECIMAL else 0,
    )


def _moment_type(field: RemoteField, mode: str, allowed: dict[FieldType, ColumnType]) -> ColumnType:
    if field.type not in allowed:
        raise MappingError(
            f"{field.name} ({field.type.value}) cannot be converted by {mode}, which is for dates and times.",
            hint=f"It can be {DEFAULT} or {COPY_PASTE}.",
        )
    return allowed[field.type]
