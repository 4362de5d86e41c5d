"""The rows of a shipment as Oracle CRM On Demand takes them, looked through before anything is sent.

One record that is refused takes its whole group with it, so that what can be known is refused here, row by row: values
that are none of their type, texts that are too long, and required fields that are empty. Null leaves a field alone, the
empty text clears it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from crosstie.crm.oracle_on_demand.envelope import element
from crosstie.crm.oracle_on_demand.ids import complete_id
from crosstie.crm.oracle_on_demand.rendering import Rendering
from crosstie.crm.oracle_on_demand.targets import targets, user_key
from crosstie.crm.outgoing import FORMS, Form, Outgoing, Refusal
from crosstie.crm.writing import Operation, RemoteWrite
from crosstie.model import FieldType, RemoteField

if TYPE_CHECKING:
    import pyarrow as pa

WRONG_VALUE, TOO_LONG, LACKING = "INVALID_VALUE", "TOO_LONG", "REQUIRED"
NO_KEY, WRONG_ID, UNSENDABLE = "KEY_MISSING", "MALFORMED_ID", "INVALID_CHARACTER"

MOD_ID = "ModId"
"""The number that goes up with every change of a record; one that is sent has to be the record's."""

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ID = Form(pattern=r"^\s*[A-Za-z0-9]+(-[A-Za-z0-9]+)+\s*$", otherwise="no id of a record")
_FORMS = {**FORMS, FieldType.REFERENCE: _ID, FieldType.WALL_CLOCK: FORMS[FieldType.DATETIME]}
_CLEARED_BY_NOTHING = frozenset({FieldType.TEXT, FieldType.REFERENCE})
_NIL = '<{tag} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>'
_TEXTS = frozenset({FieldType.TEXT, FieldType.ENUMERATION, FieldType.SET})


class Shipment:
    """The rows of one shipment. `refused` has the places of rows that are not sent, `open` those of all others;
    `remote_ids` are the records', of inserts None: `tokens` are the keys that the plan chose for those."""

    def __init__(self, write: RemoteWrite, batches: Sequence[pa.RecordBatch], rendering: Rendering) -> None:
        self.write = write
        self.targets = targets(write)
        self.key: RemoteField | None = user_key(write) if write.operation is Operation.UPSERT else None
        self._rendering = rendering
        self._given = Outgoing(write, batches)
        self.rows = self._given.rows
        self.versions = self._given.versions
        given = self._given.ids
        inserts = write.operation is Operation.INSERT
        self.tokens: list[str | None] = list(given) if inserts else [None] * len(self.rows)
        self.remote_ids: list[str | None] = [None if inserts else complete_id(one or "") for one in given]
        if write.operation in {Operation.UPDATE, Operation.DELETE}:
            nowhere = [place for place, one in enumerate(self.remote_ids) if one is None]
            said = "The remote id is no id of Oracle CRM On Demand; the row was not sent."
            self._given.refuse(nowhere, WRONG_ID, said, write.object.key)
        if self.key is not None:
            said = f"{self.key.name} is empty; the row was not sent."
            self._given.refuse(self._given.lacking_keys(), NO_KEY, said, self.key.name)
            self._look_through(self.key, self.key.name, self._given.keys, may_be_empty=True)
        self._texts: list[list[str | None]] = [column.to_pylist() for column in self._given.columns]
        for target, column in zip(self.targets, self._given.columns, strict=True):
            optional = target.by_key is not None or target.field.nullable or target.field.type is FieldType.BOOLEAN
            self._look_through(target.holder, target.name, column, may_be_empty=optional)
        self._refuse_lacking()
        self.open: list[int] = self._given.open

    @property
    def refused(self) -> dict[int, Refusal]:
        """Why rows are not sent, by place."""
        return self._given.refused

    def refuse(self, places: Sequence[int], symbol: str, message: str, fields: str) -> None:
        """Rows of which it turned out before they were sent that they can't be."""
        self._given.refuse(places, symbol, message, fields)
        self.open = self._given.open

    def external_ids(self) -> list[str | None]:
        """The values of the key of an UPSERT, by place."""
        found: list[str | None] = self._given.keys.to_pylist()
        return found

    def texts(self, target: int) -> list[str | None]:
        """The texts of one target, by place."""
        return self._texts[target]

    def paths(self) -> list[str]:
        """How the values of the targets are read back."""
        return [target.holder.name for target in self.targets]

    def holds(self, target: int, mine: str | None, theirs: str | None) -> bool:
        """See `Target.holds`."""
        return self.targets[target].holds(mine, theirs)

    def refuse_lacking_when_made(self, places: Sequence[int]) -> None:
        """Refuses those of these rows, whose records are to be made, that lack what a new record needs."""
        for field in self._required():
            column = next((nth for nth, one in enumerate(self.targets) if one.field.name == field.name), None)
            empty = [place for place in places if column is None or not self._texts[column][place]]
            said = f"{field.label or field.name} is required of a new {self.write.object.name}; the row was not sent."
            self.refuse(empty, LACKING, said, field.name)

    def clears_values(self, places: Iterable[int]) -> bool:
        """Whether these rows clear fields that are no texts, which an empty element is no value of."""
        cleared = (nth for nth, one in enumerate(self.targets) if one.field.type not in _CLEARED_BY_NOTHING)
        wanted = [self._texts[nth] for nth in cleared]
        return any(texts[place] == "" for place in places for texts in wanted)

    def elements(self, place: int, more: Mapping[str, str], *, made: bool = False, nil: bool = False) -> str:
        """The elements of a row's record, in the order of the object's fields; `more` are texts of fields beside those
        of the write. A record that is `made` has nothing to clear. `nil`: fields that are no texts are cleared by what
        XML Schema has for no value, instead of by an empty element."""
        said = dict(more)
        for target, texts in zip(self.targets, self._texts, strict=True):
            text = texts[place]
            if text is None or (made and not text.strip()):
                continue
            holder = target.holder if text.strip() else target.field
            said[holder.name] = self._rendering.wire(holder, text)
        fields = {one.name: (nth, one.type) for nth, one in enumerate(self.write.object.fields)}
        return "".join(
            _NIL.format(tag=name)
            if nil and not said[name] and fields[name][1] not in _CLEARED_BY_NOTHING
            else element(name, said[name])
            for name in sorted(said, key=lambda one: fields[one][0])
        )

    def _required(self) -> list[RemoteField]:
        key = self.key.name if self.key is not None else ""
        return [
            one
            for one in self.write.object.fields
            if not one.nullable and one.createable and one.type is not FieldType.BOOLEAN and one.name != key
        ]

    def _refuse_lacking(self) -> None:
        if self.write.operation is Operation.INSERT:
            self.refuse_lacking_when_made(range(len(self.rows)))

    def _look_through(self, field: RemoteField, name: str, texts: pa.Array, *, may_be_empty: bool) -> None:
        """Refuses the rows whose text the field can't hold."""
        self._given.check(texts, _FORMS.get(field.type), name, WRONG_VALUE)
        values: list[str | None] = texts.to_pylist()
        for place, text in enumerate(values):
            if text is None:
                continue
            if field.type is FieldType.DATE and not _is_date(text):
                said = f"{name}: the text is no date; the row was not sent."
                self._given.refuse([place], WRONG_VALUE, said, name)
            elif _NO_XML.search(text):
                said = f"{name}: the text holds a character that can't be sent; the row was not sent."
                self._given.refuse([place], UNSENDABLE, said, name)
            elif not text.strip() and not may_be_empty and self.write.operation is not Operation.INSERT:
                said = f"{name} is required, and can't be cleared; the row was not sent."
                self._given.refuse([place], LACKING, said, name)
            elif field.length and field.type in _TEXTS and len(text.strip()) > field.length:
                said = f"{name} is longer than the {field.length} characters of the field; the row was not sent."
                self._given.refuse([place], TOO_LONG, said, name)


def _is_date(text: str) -> bool:
    try:
        return not text.strip() or bool(date.fromisoformat(text.strip()))
    except ValueError:
        return False
