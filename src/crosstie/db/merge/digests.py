"""One value that stands for several: equal where they are all equal, and in no order that anybody could foresee."""

from __future__ import annotations

from collections.abc import Sequence

from crosstie.db.database import Dialect
from crosstie.db.expressions.rendering import OPERATIONS
from crosstie.db.merge.matching import Fragment
from crosstie.model import ColumnType

# SQLite's functions take 127 arguments where nobody compiled it otherwise.
_MOST = 100
_WRITTEN = (ColumnType.DECIMAL, ColumnType.DATE, ColumnType.TIME, ColumnType.WALL_CLOCK, ColumnType.INSTANT)


def digest(dialect: Dialect, values: Sequence[Fragment]) -> str:
    """SQL of a 32-byte value (BINARY) that two rows share when they have the same values, a null being like another
    null. It is short enough to be indexed however long the texts are. Both databases give the same bytes, so that
    an order by it is one random order, the same on both. The parameters are those of the values."""
    if dialect == "sqlite":
        return _nested([value.sql for value in values])
    return f"sha256(convert_to({' || '.join(_counted(value) for value in values)}, 'UTF8'))"


def _nested(values: list[str]) -> str:
    if len(values) <= _MOST:
        return f"ct_digest({', '.join(values)})"
    first, rest = values[:_MOST], values[_MOST:]
    return _nested([_nested(first), *rest])


def _counted(value: Fragment) -> str:
    """Its text behind the number of its characters, so that no two lists of values are one text."""
    text = _text(value)
    return f"coalesce(cast(char_length({text}) as text) || ':' || {text}, 'n')"


def _text(value: Fragment) -> str:
    if value.type in _WRITTEN:
        return OPERATIONS[f"{value.type}_as_text"].postgresql.format(value.sql)
    match value.type:
        case ColumnType.BOOLEAN:
            return f"cast(cast({value.sql} as integer) as text)"
        case ColumnType.FLOAT:
            # A negative zero equals zero.
            return f"cast({value.sql} + 0 as text)"
        case ColumnType.BINARY:
            return f"encode({value.sql}, 'hex')"
        case _:
            return f"cast({value.sql} as text)"
