"""The writing side of the connector: groups of records, what a refused group says of its rows, and lost answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from crosstie.crm.answers import RowAnswers
from crosstie.crm.comparing import canonical_key, instant_of
from crosstie.crm.connector import Comparison, Operator, RemoteQuery, Road
from crosstie.crm.http import Unwritten
from crosstie.crm.lookup import CLOCK_GUARD, Read, RecordLookup
from crosstie.crm.oracle_on_demand.faults import ABOUT_A_RECORD, Fault, FaultKind
from crosstie.crm.oracle_on_demand.groups import USER_KEYS, Group, halves, named_fields, suspect
from crosstie.crm.oracle_on_demand.ids import complete_id
from crosstie.crm.oracle_on_demand.names import Service
from crosstie.crm.oracle_on_demand.packing import LANES, free_key, mapped_key, packing
from crosstie.crm.oracle_on_demand.rendering import Rendering
from crosstie.crm.oracle_on_demand.session import Message, Refused, Reply, Session
from crosstie.crm.oracle_on_demand.shipment import MOD_ID, Shipment
from crosstie.crm.oracle_on_demand.targets import targets
from crosstie.crm.writing import Effect, Operation, Outcome, Packing, RemoteWrite, Sent
from crosstie.errors import ConnectorError, ProtocolError
from crosstie.model import RemoteField, RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa

_METHODS = {Operation.INSERT: "Insert", Operation.UPDATE: "Update", Operation.DELETE: "Delete"}
_EFFECTS = {Operation.INSERT: Effect.CREATED, Operation.UPDATE: Effect.UPDATED, Operation.DELETE: Effect.DELETED}
_LOOKED_AT_ANEW = frozenset({FaultKind.DUPLICATE, FaultKind.MISSING})
_TOO_SOON = 20
"""How often a request is sent again that comes too soon each time."""

_SEVERAL = "SBL-EAI-04390"
"""The service's own code for several records that match one key."""


def new_key() -> str:
    """A key for a record that is to be made."""
    return str(uuid.uuid4())


@dataclass(slots=True)
class _Judged:
    """What came of a group: the failure of the whole call, and the rows that leave again, by parts."""

    failure: ConnectorError | None = None
    parts: tuple[tuple[int, ...], ...] = ()


@dataclass(slots=True)
class Clearing:
    """How fields that are no texts are cleared: by an empty element, or by `nil`. The guide does not say, so that both
    are tried, once, until one of them was taken (`known`)."""

    nil: bool = False
    known: bool = False

    def other_way(self, fault: Fault, *, nil: bool) -> bool:
        """Whether a group that was refused for its values is to leave again as it is, cleared in the other way than the
        one in which it was sent."""
        if fault.kind is not FaultKind.BAD_VALUE:
            return False
        if nil is not self.nil:
            return True
        if self.known:
            return False
        self.nil, self.known = not self.nil, self.nil
        return self.nil


class OracleWriter:
    """Writes to one company. Thread-safe. `read` runs a query; `service` says how an object is addressed."""

    def __init__(
        self, session: Session, read: Read, service: Callable[[RemoteObject], Service], *, lanes: int = LANES
    ) -> None:
        self._session = session
        self._rendering = Rendering.of(session.settings)
        self._read = read
        self._service = service
        self._lanes = lanes
        self._clearing = Clearing()

    def packing(self, write: RemoteWrite, rows: int) -> Packing:
        """See `packing.packing`."""
        return packing(write, rows, self._session.settings.key_of(write.object.name), self._lanes)

    def send(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch]) -> Sent:
        """Sends one shipment, which is one transaction."""
        shipment = self._shipment(write, rows)
        try:
            group, later = self._group(shipment)
        except ConnectorError as error:
            answers = _answers(shipment)
            answers.whole(shipment.open, Outcome.RETRY, error)
            return answers.sent(error)
        answers = _answers(shipment)
        for place in later:
            answers.set(place, Outcome.RETRY, message="Records that are there are changed after those that are made.")
        if group is None:
            return answers.sent()
        judged = self._send(shipment, group, answers)
        return answers.sent(judged.failure, judged.parts)

    def find(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch], *, left_at: datetime) -> Sent:
        """What became of a shipment, by reading its records back."""
        shipment = self._shipment(write, rows)
        answers = _answers(shipment)
        records = self._records(write.object)
        try:
            if write.operation is Operation.UPDATE:
                records.updated(answers, shipment, left_at)
            elif write.operation is Operation.UPSERT:
                records.upserted(answers, shipment, left_at)
            elif write.operation is Operation.INSERT:
                self._find_made(answers, shipment, left_at)
            elif shipment.open:
                there = self._there(shipment, shipment.open)
                for place in shipment.open:
                    if shipment.remote_ids[place] in there:
                        answers.set(place, Outcome.RETRY, message="The record was not deleted.")
                    else:
                        answers.accept(place, Effect.DELETED)
        except ConnectorError as error:
            answers = _answers(shipment)
            answers.whole(shipment.open, Outcome.DOUBT, error)
            return answers.sent(error)
        return answers.sent()

    def current(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        """See `Writer.current`."""
        return self._records(write.object).current(self._shipment(write, rows))

    def comparer(self, write: RemoteWrite) -> Callable[[int, str, str], bool]:
        """See `Writer.comparer`."""
        fields = targets(write)
        return lambda place, mine, theirs: fields[place].holds(mine, theirs)

    def _shipment(self, write: RemoteWrite, rows: Sequence[pa.RecordBatch]) -> Shipment:
        return Shipment(write, rows, self._rendering)

    def _records(self, remote: RemoteObject) -> RecordLookup:
        version = MOD_ID if self._rendering.v2 and remote.field(MOD_ID) is not None else ""
        return RecordLookup(
            read=self._read,
            stamps=("ModifiedDate", "LastUpdated"),
            created="CreatedDate",
            complete_id=complete_id,
            version=version,
        )

    def _group(self, shipment: Shipment) -> tuple[Group | None, Sequence[int]]:
        """The group of the open rows, None when nothing is left of it, and those that have to go by themselves."""
        write = shipment.write
        if write.operation is Operation.UPSERT:
            return self._upsert(shipment)
        if not shipment.open:
            return None, ()
        key, field, nil = write.object.key, self._free_key(write), self._clearing.nil
        records = []
        for place in shipment.open:
            more = {} if write.operation is Operation.INSERT else {key: str(shipment.remote_ids[place])}
            if field is not None and shipment.tokens[place]:
                more[field.name] = str(shipment.tokens[place])
            if shipment.versions[place]:
                more[MOD_ID] = str(shipment.versions[place])
            made = write.operation is Operation.INSERT
            records.append(shipment.elements(place, more, made=made, nil=nil))
        method, places = _METHODS[write.operation], tuple(shipment.open)
        return Group(method=method, places=places, records=tuple(records), nil=nil), ()

    def _free_key(self, write: RemoteWrite) -> RemoteField | None:
        return free_key(write, self._session.settings.key_of(write.object.name))

    def _upsert(self, shipment: Shipment) -> tuple[Group | None, Sequence[int]]:
        """v2.0 has no such method: the records are looked for, and made or changed. So they are in v1.0, which does
        not say what it did with each."""
        ids = self._ids_by_key(shipment)
        shipment.refuse_lacking_when_made([place for place in shipment.open if place not in ids])
        made = [place for place in shipment.open if place not in ids]
        changed = [place for place in shipment.open if place in ids]
        for place, found in ids.items():
            shipment.remote_ids[place] = found
        assert shipment.key is not None, "an upsert has a key"
        by_key, nil = shipment.key.name in USER_KEYS, self._clearing.nil
        if not made and not changed:
            return None, ()
        if made and changed and by_key:
            places = tuple(shipment.open)
            records = tuple(self._keyed(shipment, place, made=place not in ids, nil=nil) for place in places)
            if not self._rendering.v2:
                return Group(method="InsertOrUpdate", places=places, records=records, nil=nil), ()
            operations = tuple("update" if place in ids else "insert" for place in places)
            return Group(method="Execute", places=places, records=records, operations=operations, nil=nil), ()
        if made:
            records = tuple(self._keyed(shipment, place, made=True, nil=nil) for place in made)
            return Group(method="Insert", places=tuple(made), records=records, nil=nil), changed
        records = tuple(self._by_id(shipment, place, nil=nil) for place in changed)
        return Group(method="Update", places=tuple(changed), records=records, nil=nil), ()

    def _keyed(self, shipment: Shipment, place: int, *, made: bool, nil: bool) -> str:
        assert shipment.key is not None, "an upsert has a key"
        more = {shipment.key.name: str(shipment.external_ids()[place]).strip()}
        if shipment.versions[place] and not made:
            more[MOD_ID] = str(shipment.versions[place])
        return shipment.elements(place, more, made=made, nil=nil)

    def _by_id(self, shipment: Shipment, place: int, *, nil: bool) -> str:
        more = {shipment.write.object.key: str(shipment.remote_ids[place])}
        if shipment.versions[place]:
            more[MOD_ID] = str(shipment.versions[place])
        return shipment.elements(place, more, nil=nil)

    def _ids_by_key(self, shipment: Shipment) -> dict[int, str]:
        """The records of the rows of an UPSERT, by place. Refuses the rows whose key belongs to several."""
        key = shipment.key
        assert key is not None, "an upsert has a key"
        keys = {place: str(shipment.external_ids()[place]).strip() for place in shipment.open}
        found = self._by_key(shipment.write.object, key, keys.values())
        ids: dict[int, str] = {}
        for place, text in keys.items():
            records = found.get(canonical_key(key, text, complete_id), [])
            if len(records) > 1:
                said = f"{key.name} “{text}” belongs to {len(records)} records; the row was not sent."
                shipment.refuse([place], _SEVERAL, said, key.name)
            elif records:
                ids[place] = records[0][0]
        return ids

    def _by_key(
        self, remote: RemoteObject, key: RemoteField, texts: Iterable[str]
    ) -> Mapping[object, list[tuple[str, datetime | None]]]:
        """The ids of the records with those values of a key, and since when they are there, by the value's canonical
        form."""
        wanted = tuple(dict.fromkeys(texts))
        found: dict[object, list[tuple[str, datetime | None]]] = {}
        if not wanted:
            return found
        created = "CreatedDate" if remote.field("CreatedDate") is not None else remote.key
        condition = Comparison(field=key.name, operator=Operator.ONE_OF, value=wanted)
        query = RemoteQuery(object=remote, fields=(remote.key, key.name, created), condition=condition, road=Road.PAGES)
        for batch in self._read(query):
            for record_id, text, since in zip(*(one.to_pylist() for one in batch.columns), strict=True):
                form = canonical_key(key, text or "", complete_id)
                found.setdefault(form, []).append((record_id, instant_of(since)))
        return found

    def _there(self, shipment: Shipment, places: Sequence[int]) -> set[str]:
        """The remote ids of those rows that have a record."""
        remote = shipment.write.object
        ids = [str(shipment.remote_ids[place]) for place in places]
        query = RemoteQuery(object=remote, fields=(remote.key,), ids=ids, road=Road.PAGES)
        return {str(one) for batch in self._read(query) for one in batch.column(0).to_pylist()}

    def _send(self, shipment: Shipment, group: Group, answers: RowAnswers) -> _Judged:
        """Sends a group, and answers its rows."""
        service = self._service(shipment.write.object)
        try:
            reply = self._written(group.message(service))
        except ConnectorError as error:  # a request that is too large, say: it never left
            answers.whole(group.places, Outcome.RETRY, error)
            return _Judged(failure=error)
        if isinstance(reply, Refused) and reply.proved and reply.fault.kind in ABOUT_A_RECORD:
            return self._refused(shipment, group, reply, answers)
        if not isinstance(reply, Reply):
            answers.whole(group.places, Outcome.RETRY if reply.proved else Outcome.DOUBT, reply.error)
            return _Judged(failure=reply.error)
        try:
            ids = group.ids(reply, service, [shipment.remote_ids[place] for place in group.places])
        except ProtocolError as error:
            answers.whole(group.places, Outcome.DOUBT, error)
            return _Judged(failure=error)
        for place, record_id in zip(group.places, ids, strict=True):
            made = shipment.write.operation is Operation.UPSERT and shipment.remote_ids[place] is None
            known = _EFFECTS.get(shipment.write.operation, Effect.CREATED if made else Effect.UPDATED)
            answers.accept(place, known, record_id)
        if shipment.clears_values(group.places):
            self._clearing.known = True
        return _Judged()

    def _written(self, message: Message) -> Reply | Unwritten:
        """Sends a request. One that came too soon was not executed, and is sent again when it may: a group that leaves
        its lane for that would be taken apart anew."""
        reply = self._session.write(message)
        for _ in range(_TOO_SOON):
            if not (isinstance(reply, Refused) and reply.fault.kind is FaultKind.THROTTLED):
                break
            self._session.meter.count_retry(f"“{message.what}” came too soon.")
            reply = self._session.write(message)
        return reply

    def _refused(self, shipment: Shipment, group: Group, refused: Refused, answers: RowAnswers) -> _Judged:
        """A group of which nothing was executed. Which rows are at fault is asked of the records, or taken from the
        words of the fault; else the group leaves again in halves."""
        fault, places = refused.fault, group.places
        if shipment.clears_values(places) and self._clearing.other_way(fault, nil=group.nil):
            for place in places:
                _say(answers, place, Outcome.RETRY, fault)
            return _Judged(parts=(places,))
        try:
            known = self._known_at_fault(shipment, places, fault)
        except ConnectorError as error:
            answers.whole(places, Outcome.RETRY, error)
            return _Judged(failure=error)
        if not known and len(places) == 1:
            known = {places[0]: None}
        for place, ours in known.items():
            _answer(answers, shipment, place, fault, ours=ours)
        rest = [place for place in places if place not in known]
        for place in rest:
            _say(answers, place, Outcome.RETRY, fault)
        if not rest:
            return _Judged()
        if known:
            return _Judged(parts=(tuple(rest),))
        quoted = suspect(shipment, places, fault)
        if quoted is not None:
            return _Judged(parts=((quoted,), tuple(place for place in places if place != quoted)))
        return _Judged(parts=halves(places))

    def _known_at_fault(self, shipment: Shipment, places: Sequence[int], fault: Fault) -> dict[int, str | None]:
        """The rows at fault as the CRM's records show: those whose record is not there; of inserts those whose key is
        taken, with the id of the record where that one bears a key of the plan, so that it is ours."""
        operation = shipment.write.operation
        if fault.kind is FaultKind.MISSING and operation in {Operation.UPDATE, Operation.DELETE}:
            if len(places) == 1:
                return {}
            there = self._there(shipment, places)
            return {place: None for place in places if shipment.remote_ids[place] not in there}
        if fault.kind is not FaultKind.DUPLICATE or operation is not Operation.INSERT:
            return {}
        found: dict[int, str | None] = {}
        for field, keys in self._insert_keys(shipment, places):
            ours = field == self._free_key(shipment.write)
            if ours and len(places) > 1:
                continue  # an earlier try has made few of many; that is asked when a row is alone
            taken = self._by_key(shipment.write.object, field, keys.values())
            for place, text in keys.items():
                records = taken.get(canonical_key(field, text, complete_id), [])
                if records:
                    found.setdefault(place, records[0][0] if ours else None)
        return found

    def _insert_keys(self, shipment: Shipment, places: Sequence[int]) -> Iterator[tuple[RemoteField, dict[int, str]]]:
        """The keys by which records that were to be made are known, by field: those of the plan, then the rows' own."""
        free, mapped = self._free_key(shipment.write), mapped_key(shipment.write)
        if free is not None:
            yield free, {place: text for place in places if (text := shipment.tokens[place])}
        if mapped is not None:
            texts = shipment.texts(shipment.write.fields.index(mapped.name))
            yield mapped, {place: text.strip() for place in places if (text := texts[place]) and text.strip()}

    def _find_made(self, answers: RowAnswers, shipment: Shipment, left_at: datetime) -> None:
        """What became of the rows of an INSERT: by the key that the plan gave each, or by one of its own. A record with
        that one that was there before is another's."""
        since = left_at - CLOCK_GUARD
        free = self._free_key(shipment.write)
        known: set[int] = set()
        for field, keys in self._insert_keys(shipment, shipment.open):
            found = self._by_key(shipment.write.object, field, keys.values())
            for place, text in keys.items():
                if place in known:
                    continue
                known.add(place)
                records = found.get(canonical_key(field, text, complete_id), [])
                made = [one for one, at in records if field == free or (at is not None and at >= since)]
                if made:
                    answers.accept(place, Effect.CREATED, made[0])
                else:
                    answers.set(place, Outcome.RETRY, message=f"No record was made with that {field.name}.")
        for place in set(shipment.open) - known:
            said = "Nothing tells whether a record was made for the row: it has no key."
            answers.set(place, Outcome.DOUBT, message=said)


def _answers(shipment: Shipment) -> RowAnswers:
    return RowAnswers(shipment.rows, shipment.remote_ids, shipment.refused)


def _say(answers: RowAnswers, place: int, outcome: Outcome, fault: Fault, fields: str = "") -> None:
    """What the service said, in the words of its fault."""
    code = fault.code or "FAULT"
    answers.set(place, outcome, code, fault.message, fields, word=fault.symbol, log_file=fault.log_file)


def _answer(answers: RowAnswers, shipment: Shipment, place: int, fault: Fault, *, ours: str | None) -> None:
    """The verdict over a row that is at fault. `ours` is the record that an earlier try has made for it."""
    operation = shipment.write.operation
    if ours is not None:
        answers.accept(place, Effect.CREATED, ours)
    elif operation is Operation.DELETE and fault.kind is FaultKind.MISSING:
        answers.accept(place, Effect.GONE)
    elif fault.kind is FaultKind.CONFLICT or (operation is Operation.UPSERT and fault.kind in _LOOKED_AT_ANEW):
        _say(answers, place, Outcome.RETRY, fault)
    else:
        _say(answers, place, Outcome.REJECTED, fault, named_fields(shipment, fault))
