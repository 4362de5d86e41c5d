"""The rows of a shipment as they come from a plan: columns of text, of which some rows cannot travel.

Null leaves a field alone, the empty text clears it. What the wire can't carry is refused here, row by row: one number
that is none makes a CRM refuse a whole call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from crosstie.crm.writing import KEY, REMOTE_ID, ROW, VERSION, RemoteWrite, outgoing
from crosstie.model import FieldType, RemoteField

if TYPE_CHECKING:
    import pyarrow as pa

ABSENT: Any = object()
"""In the place of a value: the record does not name the field."""

NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})
_JSON_NULL = msgspec.Raw(b"null")
_JSON_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_DECIMAL = r"^[+-]?([0-9]{1,99}\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What the text of a field has to look like: a regular expression, and what is said of a text that it is not."""

    pattern: str
    otherwise: str
    may_be_empty: bool = True


FORMS: dict[FieldType, Form] = {
    FieldType.BOOLEAN: Form(pattern=r"^(?i:true|false|1|0)$", otherwise="neither true nor false", may_be_empty=False),
    FieldType.INTEGER: Form(pattern=r"^[+-]?[0-9]+(\.0*)?$", otherwise="no whole number"),
    FieldType.DECIMAL: Form(pattern=_DECIMAL, otherwise="no number"),
    FieldType.FLOAT: Form(pattern=_DECIMAL, otherwise="no number"),
    FieldType.DATE: Form(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", otherwise="no date"),
    FieldType.DATETIME: Form(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})$",
        otherwise="no date and time with a zone",
    ),
    FieldType.TIME: Form(pattern=r"^[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,3})?)?Z?$", otherwise="no time"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a row is not sent, in the words of a reject."""

    symbol: str
    message: str
    fields: str = ""


class Outgoing:
    """The columns of a shipment: `rows` are our numbers, `ids` and `keys` what the rows go by, `columns` the texts of
    the fields of the write, `versions` those of the records where the write is conditional. `refused` has the places of
    rows that are not sent."""

    def __init__(self, write: RemoteWrite, batches: Sequence[pa.RecordBatch]) -> None:
        import pyarrow as pa

        table = pa.Table.from_batches(batches, outgoing(write)).combine_chunks()
        self.columns: list[Any] = [_whole(table.column(place + 3)) for place in range(len(write.fields))]
        self.keys: Any = _whole(table.column(KEY))
        self.rows: list[int] = table.column(ROW).to_pylist()
        self.ids: list[str | None] = table.column(REMOTE_ID).to_pylist()
        self.versions: list[str | None] = (
            table.column(VERSION).to_pylist() if write.conditional else [None] * len(self.rows)
        )
        self.refused: dict[int, Refusal] = {}

    @property
    def open(self) -> list[int]:
        """The places of the rows that are sent."""
        return [place for place in range(len(self.rows)) if place not in self.refused]

    def refuse(self, places: Sequence[int], symbol: str, message: str, fields: str) -> None:
        """Rows that are not sent; the first reason stays."""
        for place in places:
            self.refused.setdefault(place, Refusal(symbol=symbol, message=message, fields=fields))

    def check(self, texts: Any, form: Form | None, name: str, symbol: str) -> None:
        """Refuses the rows whose text has another form than the field, or holds what cannot travel."""
        import pyarrow.compute as pc

        if form is not None:
            fits = pc.match_substring_regex(texts, form.pattern)
            if form.may_be_empty:
                fits = pc.or_(fits, pc.equal(texts, ""))
            places = places_of(pc.invert(pc.fill_null(fits, True)))
            self.refuse(places, symbol, f"{name}: the text is {form.otherwise}; the row was not sent.", name)
        nul = places_of(pc.fill_null(pc.match_substring(texts, "\0"), False))
        self.refuse(nul, "INVALID_CHARACTER", f"{name}: the text holds a NUL; the row was not sent.", name)

    def lacking_keys(self) -> list[int]:
        """The places of rows that say no key."""
        import pyarrow.compute as pc

        return places_of(pc.fill_null(pc.equal(pc.utf8_trim_whitespace(self.keys), ""), True))


def _whole(column: Any) -> Any:
    """A column of one chunk as an array."""
    import pyarrow as pa

    chunks = column.chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks) if chunks else pa.array([], column.type)


def places_of(mask: Any) -> list[int]:
    """Where a column of booleans is true."""
    import pyarrow.compute as pc

    found: list[int] = pc.indices_nonzero(mask).to_pylist()
    return found


def json_values(field: RemoteField, texts: Any) -> list[Any]:
    """The JSON values of a column: absent, null, or of the field's type, numbers as they are written."""
    found: list[Any] = texts.to_pylist()
    if field.type is FieldType.BOOLEAN:
        return [ABSENT if one is None else one.lower() in {"true", "1"} for one in found]
    if field.type not in NUMBERS:
        return [ABSENT if one is None else one or None for one in found]
    return json_numbers(texts, whole=field.type is FieldType.INTEGER)


def json_numbers(texts: Any, *, whole: bool) -> list[Any]:
    """The JSON values of a column of numbers, with the very digits of the texts."""
    import pyarrow.compute as pc

    found: list[Any] = texts.to_pylist()
    plain = pc.fill_null(pc.match_substring_regex(texts, _JSON_NUMBER), True)
    for place in places_of(pc.invert(plain)):
        found[place] = _plain_number(found[place])
    if whole:
        found = [one.partition(".")[0] if one else one for one in found]
    return [ABSENT if one is None else msgspec.Raw(one.encode()) if one else _JSON_NULL for one in found]


def _plain_number(text: str) -> str:
    """`+5`, `05`, `5.` and `.5` as JSON writes them; what is no number is in a refused row, and not sent."""
    try:
        return f"{Decimal(text):f}" if text else text
    except ArithmeticError:
        return "0"
