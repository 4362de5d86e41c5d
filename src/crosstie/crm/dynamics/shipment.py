"""The rows of a shipment as Dataverse takes them: JSON records, lookups bound by their navigation properties.

Source: Dataverse Web API guide, "Create a table row", "Update and delete table rows". Null leaves a field alone: the
record does not name it, for every named column counts as changed. The empty text clears it: null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crosstie.crm.dynamics.binding import BoundTable
from crosstie.crm.dynamics.ids import complete_id
from crosstie.crm.dynamics.keys import key_form
from crosstie.crm.dynamics.targets import Target, alternate_key, targets
from crosstie.crm.outgoing import ABSENT, FORMS, Form, Outgoing, Refusal, json_numbers, json_values
from crosstie.crm.writing import Operation, RemoteWrite
from crosstie.model import FieldType, RemoteField

if TYPE_CHECKING:
    import pyarrow as pa

WRONG_VALUE = "0x80048d19"
"""The service's code for a value that cannot be what the column holds."""

_CHOICES = frozenset({"Picklist", "State", "Status"})
_GUID = Form(
    pattern=r"^\s*\{?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?\s*$", otherwise="no GUID of a record"
)
_CHOICE = Form(pattern=r"^-?[0-9]{1,10}$", otherwise="no number of a choice")
_CHOICE_SET = Form(pattern=r"^-?[0-9]{1,10}(\s*;\s*-?[0-9]{1,10})*$", otherwise="no list of numbers of choices")
_FORMS = {
    **FORMS,
    FieldType.ID: _GUID,
    FieldType.REFERENCE: _GUID,
    FieldType.SET: _CHOICE_SET,
    FieldType.WALL_CLOCK: FORMS[FieldType.DATETIME],
}


class Shipment:
    """The rows of one shipment, looked through. `refused` has the places of rows that are not sent, `open` those of all
    others; `remote_ids` are the primary keys, of inserts those that the plan chose, `versions` the ETags that records
    must still have."""

    def __init__(self, write: RemoteWrite, batches: Sequence[pa.RecordBatch]) -> None:
        self.write = write
        self.targets = targets(write)
        self.key: RemoteField | None = alternate_key(write) if write.operation is Operation.UPSERT else None
        self._given = Outgoing(write, batches)
        self.rows = self._given.rows
        self.remote_ids: list[str | None] = [complete_id(one or "") for one in self._given.ids]
        if self.key is None:
            nowhere = [place for place, one in enumerate(self.remote_ids) if one is None]
            said = "The remote id is no GUID; the row was not sent."
            self._given.refuse(nowhere, WRONG_VALUE, said, write.object.key)
        else:
            said = f"{self.key.name} is empty; the row was not sent."
            self._given.refuse(self._given.lacking_keys(), WRONG_VALUE, said, self.key.name)
            self._given.check(self._given.keys, _form(self.key), self.key.name, WRONG_VALUE)
        for target, texts in zip(self.targets, self._given.columns, strict=True):
            form = None if target.parent_key else _form(target.field)
            self._given.check(texts, form, target.name, WRONG_VALUE)
        self.versions = self._given.versions
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
        """The values of the alternate key, by place."""
        found: list[str | None] = self._given.keys.to_pylist()
        return found

    def texts(self, target: int) -> list[str | None]:
        """The texts of one target, by place."""
        found: list[str | None] = self._given.columns[target].to_pylist()
        return found

    def paths(self) -> list[str]:
        """How the values of the targets are read back."""
        return [target.path for target in self.targets]

    def holds(self, target: int, mine: str | None, theirs: str | None) -> bool:
        """See `Target.holds`."""
        return self.targets[target].holds(mine, theirs)

    def records(
        self,
        table: BoundTable,
        parents: Mapping[str, BoundTable],
        types: Mapping[int, str],
        found: Mapping[int, Mapping[str, str]],
        *,
        key: bool = False,
    ) -> list[dict[str, Any]]:
        """All rows as JSON records, by place; encode those that are open. `parents` are the tables that lookups lead
        to. By the target's place, where a parent is named by an alternate key: `types` are the column types of the
        keys, `found` the ids of parents whose value of it can't stand in a reference. With `key` the records name the
        alternate key of an UPSERT, as one that is created must."""
        members: list[tuple[str, list[Any]]] = []
        if self.write.operation is Operation.INSERT:
            members.append((table.key, list(self.remote_ids)))
        if key and self.key is not None:
            members.append((self.key.name, _values(self.key, self._given.keys)))
        for place, (target, texts) in enumerate(zip(self.targets, self._given.columns, strict=True)):
            if target.parent_type:
                name = f"{table.bound_by(target.column, target.parent_type)}@odata.bind"
                bound = self._bound(target, texts, parents[target.parent_type], types.get(place, ""), found.get(place))
                members.append((name, bound))
            else:
                members.append((target.field.name, _values(target.field, texts)))
        names = [name for name, _ in members]
        rows = zip(*(values for _, values in members), strict=True) if members else ((),) * len(self.rows)
        return [{name: one for name, one in zip(names, row, strict=True) if one is not ABSENT} for row in rows]

    def _bound(
        self, target: Target, texts: Any, parent: BoundTable, key_type: str, found: Mapping[str, str] | None
    ) -> list[Any]:
        """The parents of a column as references: null where the lookup is cleared, absent where it is left alone. A
        record that is made has nothing to clear."""
        cleared = ABSENT if self.write.operation is Operation.INSERT else None
        given: list[str | None] = texts.to_pylist()

        def reference(text: str) -> str:
            if not target.parent_key:
                return f"/{parent.entity_set}({complete_id(text)})"
            if found and text in found:
                return f"/{parent.entity_set}({found[text]})"
            return f"/{parent.entity_set}({key_form(target.parent_key, key_type, text)})"

        return [ABSENT if one is None else reference(one) if one else cleared for one in given]


def _form(field: RemoteField) -> Form | None:
    if field.wire_type in _CHOICES:
        return _CHOICE
    return _GUID if field.wire_type == "Uniqueidentifier" else _FORMS.get(field.type)


def _values(field: RemoteField, texts: Any) -> list[Any]:
    """The JSON values of a column: choices as numbers, sets of them as a text with commas, instants in whole seconds,
    GUIDs in their own form."""
    if field.wire_type in _CHOICES:
        return json_numbers(texts, whole=True)
    found = json_values(field, texts)
    if field.type is FieldType.SET:
        return [",".join(part.strip() for part in one.split(";")) if isinstance(one, str) else one for one in found]
    if field.type in {FieldType.DATETIME, FieldType.WALL_CLOCK}:
        return _without_fractions(texts)
    if field.type is FieldType.ID or field.wire_type == "Uniqueidentifier":
        return [complete_id(one) if isinstance(one, str) else one for one in found]
    return found


def _without_fractions(texts: Any) -> list[Any]:
    import pyarrow.compute as pc

    cut: list[Any] = pc.replace_substring_regex(texts, r"\.[0-9]+", "").to_pylist()
    return [ABSENT if one is None else one or None for one in cut]
