"""What is sent, byte for byte; what becomes of rows by every answer; and answers that no honest service gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from tests.unit.crm.answers import answer
from tests.unit.crm.dynamics.environment import DATE, Environment, always

from crosstie.crm.answers import CONFLICT
from crosstie.crm.connector import RemoteQuery
from crosstie.crm.dynamics.writer import DynamicsWriter
from crosstie.crm.writing import Certainty, Operation, RemoteWrite, Sent, WriteRoad, outgoing
from crosstie.errors import AuthError, MappingError, ProtocolError, RequestError, UnavailableError
from crosstie.model import FieldType, RemoteField, RemoteObject


def column(name: str, kind: FieldType, wire_type: str, **more: Any) -> RemoteField:
    given = {"createable": True, "updateable": True, **more}
    return RemoteField(name=name, label=name.title(), type=kind, wire_type=wire_type, **given)


CONTACT = RemoteObject(
    name="contact",
    label="Contact",
    label_plural="Contacts",
    key="contactid",
    fields=(
        column("contactid", FieldType.ID, "Uniqueidentifier"),
        column("lastname", FieldType.TEXT, "String"),
        column("new_externalid", FieldType.TEXT, "String", external_id=True),
        column("new_number", FieldType.INTEGER, "Integer", external_id=True),
        column("creditlimit", FieldType.DECIMAL, "Money", scale=2),
        column("donotemail", FieldType.BOOLEAN, "Boolean"),
        column("gendercode", FieldType.ENUMERATION, "Picklist"),
        column("new_tags", FieldType.SET, "MultiSelectPicklist"),
        column("birthdate", FieldType.DATE, "DateTime"),
        column("new_seen", FieldType.DATETIME, "DateTime"),
        column("parentcustomerid", FieldType.REFERENCE, "Customer", reference_to=("account", "contact")),
        column("new_accountid", FieldType.REFERENCE, "Lookup", reference_to=("account",)),
        column("ownerid", FieldType.REFERENCE, "Owner", reference_to=("systemuser", "team")),
        column("modifiedon", FieldType.DATETIME, "DateTime", createable=False, updateable=False),
        column("fullname", FieldType.TEXT, "String", createable=False, updateable=False, calculated=True),
    ),
)
IDS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(1, 6)]
PARENT = "0000000a-0000-4000-8000-000000000000"
LEFT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
INSERT = RemoteWrite(object=CONTACT, operation=Operation.INSERT, fields=("lastname",))
UPDATE = replace(INSERT, operation=Operation.UPDATE)
UPSERT = replace(INSERT, operation=Operation.UPSERT, key="new_externalid")
DELETE = RemoteWrite(object=CONTACT, operation=Operation.DELETE)
SELECTED = "?$select=LogicalName,EntitySetName,PrimaryIdAttribute"
RELATED = "&$expand=ManyToOneRelationships($select=ReferencingAttribute,ReferencedEntity,"
NAMES = f"EntityDefinitions(LogicalName='contact'){SELECTED}{RELATED}ReferencingEntityNavigationPropertyName)"
BOUND = {
    ("parentcustomerid", "account"): "parentcustomerid_account",
    ("parentcustomerid", "contact"): "parentcustomerid_contact",
    ("new_accountid", "account"): "new_AccountId",
    ("ownerid", "owner"): "ownerid",
}


def names_of(table: str, entity_set: str, bound: dict[tuple[str, str], str]) -> dict[str, Any]:
    names = ("ReferencingAttribute", "ReferencedEntity", "ReferencingEntityNavigationPropertyName")
    return {
        "LogicalName": table,
        "EntitySetName": entity_set,
        "PrimaryIdAttribute": f"{table}id",
        "ManyToOneRelationships": [dict(zip(names, (*one, name), strict=True)) for one, name in bound.items()],
    }


class Service(Environment):
    """An environment with contacts and accounts. `batches` are what came, `said` the answers to the requests of one:
    bodies of HTTP answers, or the whole answer. `held` are the records that a look-up finds, `moved` when some of
    them were changed; the others were long before."""

    def __init__(
        self, *said: str | httpx2.Response, held: Sequence[str] = (), moved: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self.said = list(said)
        self.held = list(held)
        self.moved = moved or {}
        self.batches: list[list[str]] = []
        self.settings: dict[str, Any] = {}
        self.answers[NAMES] = always(200, names_of("contact", "contacts", BOUND))
        for parent in ("account", "systemuser"):
            path = f"EntityDefinitions(LogicalName='{parent}'){SELECTED}"
            self.answers[path] = always(200, names_of(parent, f"{parent}s", {}))
        self.answers["$batch"] = self._batch

    def _batch(self, request: httpx2.Request) -> httpx2.Response:
        assert request.headers["Prefer"] == "odata.continue-on-error"
        boundary = request.headers["Content-Type"].partition('boundary="')[2].rstrip('"')
        parts = request.content.decode().split(f"--{boundary}")[1:-1]
        self.batches.append([one.partition("\r\n\r\n")[2].removesuffix("\r\n") for one in parts])
        if isinstance(self.said[0], httpx2.Response):
            return self.said[0]
        return replied(*(str(one) for one in self.said))

    @property
    def writer(self) -> DynamicsWriter:
        return DynamicsWriter(self.session(**self.settings), self._read)

    def _read(self, query: RemoteQuery) -> Iterator[pa.RecordBatch]:
        there = [one for one in self.held if one in (query.ids or ())]
        stamps = [self.moved.get(one, "2020-01-01T00:00:00Z") for one in there]
        assert query.fields == ("contactid", "modifiedon")
        yield pa.RecordBatch.from_arrays([pa.array(there, pa.string()), pa.array(stamps)], names=query.fields)


def wanted(entity_set: str, key: str, column: str, listed: str) -> str:
    """The path by which records are looked for."""
    values = f"(PropertyName='{column}',PropertyValues={listed})"
    return f"{entity_set}?$select={key},{column}&$filter=Microsoft.Dynamics.CRM.In{values}"


def replied(*parts: str, end: str = "--b--\r\n") -> httpx2.Response:
    """The answer to a batch."""
    body = "".join(f"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {one}\r\n" for one in parts) + end
    return answer(200, body.encode(), Content_Type="multipart/mixed; boundary=b", Date=DATE)


def refused(status: int, code: str, message: str = "No.", **headers: str) -> str:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"{status} Error\r\n{lines}\r\n{json.dumps({'error': {'code': code, 'message': message}})}"


def written(record_id: str) -> str:
    return f"204 No Content\r\nOData-EntityId: https://x/api/data/v9.2/contacts({record_id})\r\n\r\n"


def batch(
    write: RemoteWrite, *rows: tuple[str | None, ...], keys: Sequence[str] = (), versions: Sequence[str | None] = ()
) -> list[pa.RecordBatch]:
    """Rows of texts, numbered from 0; of an UPSERT with these keys, else with IDS."""
    nothing = [None] * len(rows)
    own = [range(len(rows)), nothing if keys else IDS[: len(rows)], keys or nothing]
    columns = [*own, *(zip(*rows, strict=True) if write.fields else ()), *([versions] if versions else [])]
    arrays = [pa.array(list(one), field.type) for one, field in zip(columns, outgoing(write), strict=True)]
    return [pa.RecordBatch.from_arrays(arrays, schema=outgoing(write))]


def outcomes(sent: Sent) -> list[tuple[str, str | None, str | None]]:
    rows = sent.answers.to_pylist()
    return [(one["outcome"], one["effect"], one["symbol"]) for one in rows]


def test_a_row_is_inserted_under_the_key_of_the_plan_with_every_type_as_the_wire_has_it() -> None:
    fields = {
        "lastname": 'Zoë "O\'Brien"',
        "creditlimit": "+012345678901234.5600",
        "donotemail": "true",
        "gendercode": "2",
        "new_tags": "3;1",
        "birthdate": "1980-02-29",
        "new_seen": "2026-11-23T01:07:37.123456Z",
        "account:parentcustomerid": PARENT.upper(),
        "new_accountid": PARENT,
        "systemuser:ownerid": f"{{{PARENT}}}",
    }
    service = Service(written(IDS[0]), written(IDS[1]))
    write = replace(INSERT, fields=tuple(fields))
    sent = service.writer.send(write, batch(write, tuple(fields.values()), ("B", *[None] * 8, "")))
    assert outcomes(sent) == [("accepted", "created", None)] * 2
    (first, second), *_ = service.batches
    line, *headers = first.partition("\r\n\r\n")[0].split("\r\n")
    assert line == "POST /api/data/v9.2/contacts HTTP/1.1"
    assert headers == ["Content-Type: application/json; type=entry", "MSCRM.SuppressDuplicateDetection: false"]
    body = first.partition("\r\n\r\n")[2]
    assert '"creditlimit":12345678901234.5600' in body
    assert json.loads(body) == {
        "contactid": IDS[0],
        "lastname": 'Zoë "O\'Brien"',
        "creditlimit": 12345678901234.56,
        "donotemail": True,
        "gendercode": 2,
        "new_tags": "3,1",
        "birthdate": "1980-02-29",
        "new_seen": "2026-11-23T01:07:37Z",
        "parentcustomerid_account@odata.bind": f"/accounts({PARENT})",
        "new_AccountId@odata.bind": f"/accounts({PARENT})",
        "ownerid@odata.bind": f"/systemusers({PARENT})",
    }
    assert json.loads(second.partition("\r\n\r\n")[2]) == {"contactid": IDS[1], "lastname": "B"}


def test_an_update_names_what_changed_only_and_clears_with_null() -> None:
    service = Service(written(IDS[0]), refused(404, "0x80040217", "contact With Id = x Does Not Exist"))
    write = replace(
        UPDATE, fields=("lastname", "creditlimit", "new_tags", "account:parentcustomerid"), duplicates="allow"
    )
    sent = service.writer.send(write, batch(write, ("A", None, None, None), (None, "", "", "")))
    assert outcomes(sent) == [("accepted", "updated", None), ("rejected", None, "0x80040217")]
    first, second = service.batches[0]
    begun = (
        f"PATCH /api/data/v9.2/contacts({IDS[0]}) HTTP/1.1\r\nContent-Type: application/json; type=entry\r\nIf-Match: *"
    )
    assert first == begun + '\r\n\r\n{"lastname":"A"}'
    cleared = {"creditlimit": None, "new_tags": None, "parentcustomerid_account@odata.bind": None}
    assert json.loads(second.partition("\r\n\r\n")[2]) == cleared


def test_the_customers_own_logic_is_passed_by_only_when_the_account_says_so() -> None:
    service = Service(written(IDS[0]))
    service.settings = {"bypass": "CustomSync,CustomAsync", "skip_flows": True}
    service.writer.send(DELETE, batch(DELETE, ()))
    assert service.batches[0][0].split("\r\n")[1:3] == [
        "MSCRM.BypassBusinessLogicExecution: CustomSync,CustomAsync",
        "MSCRM.SuppressCallbackRegistrationExpanderJob: true",
    ]


def test_what_moved_since_it_was_read_is_not_overwritten() -> None:
    service = Service(refused(412, "0x80060882"), written(IDS[1]))
    write = replace(UPDATE, conditional=True)
    rows = batch(write, ("A",), ("B",), versions=['W/"7"', None])
    writer = service.writer
    assert outcomes(writer.send(write, rows)) == [("retry", None, "0x80060882"), ("accepted", "updated", None)]
    service.said = [refused(400, "0x80060883"), written(IDS[1])]
    assert outcomes(writer.send(write, rows))[0] == ("retry", None, "0x80060883")
    service.said = [written(IDS[0]), written(IDS[1])]
    writer.send(write, rows)
    conditions = [[one.partition("If-Match: ")[2].partition("\r\n")[0] for one in came] for came in service.batches]
    assert conditions == [['W/"7"', "*"], ['W/"7"', "*"], ["*", "*"]], "a table without versions is not asked again"


def test_an_upsert_goes_by_its_key_and_learns_the_id() -> None:
    record = "\r\nContent-Type: application/json\r\n\r\n" + json.dumps({"contactid": IDS[3].upper()})
    service = Service(f"201 Created{record}", f"200 OK{record}")
    sent = service.writer.send(UPSERT, batch(UPSERT, ("A",), ("B",), keys=["O'B 1", "ä"]))
    assert outcomes(sent) == [("accepted", "created", None), ("accepted", "updated", None)]
    assert sent.answers.column("remote_id").to_pylist() == [IDS[3]] * 2
    lines = [one.partition(" HTTP/1.1")[0] for one in service.batches[0]]
    assert lines == [
        "PATCH /api/data/v9.2/contacts(new_externalid='O%27%27B%201')?$select=contactid",
        "PATCH /api/data/v9.2/contacts(new_externalid='%C3%A4')?$select=contactid",
    ]
    assert "Prefer: return=representation" in service.batches[0][0]
    assert "If-Match" not in service.batches[0][0]
    by_number = replace(UPSERT, key="new_number")
    service.said = [f"200 OK{record}"]
    service.writer.send(by_number, batch(by_number, ("A",), keys=["7"]))
    assert service.batches[1][0].startswith("PATCH /api/data/v9.2/contacts(new_number=7)?")


def test_a_key_that_no_url_can_carry_is_looked_for() -> None:
    record = "201 Created\r\n\r\n" + json.dumps({"contactid": IDS[3]})
    service = Service(f"200 OK\r\n\r\n{json.dumps({'contactid': IDS[0]})}", record, refused(412, "0x80060892"))
    listed = "%5B%22a%2Fb%22%2C%22c%26d%22%2C%22e%3F%22%5D"
    found = wanted("contacts", "contactid", "new_externalid", listed)
    held = {"value": [{"contactid": IDS[0], "new_externalid": "A/B"}]}
    service.answers[found] = always(200, held)
    sent = service.writer.send(UPSERT, batch(UPSERT, ("A",), ("B",), ("C",), keys=["a/b", "c&d", "e?"]))
    assert outcomes(sent) == [
        ("accepted", "updated", None),
        ("accepted", "created", None),
        ("retry", None, "0x80060892"),
    ], "what another has made since is found the next time"
    first, second, _ = service.batches[0]
    assert first.startswith(f"PATCH /api/data/v9.2/contacts({IDS[0]})?$select=contactid HTTP/1.1\r\n")
    assert "If-Match: *" in first
    assert first.endswith('{"lastname":"A"}')
    assert second.startswith("POST /api/data/v9.2/contacts?$select=contactid HTTP/1.1\r\n")
    assert second.endswith('{"new_externalid":"c&d","lastname":"B"}')


def test_a_parent_is_bound_by_its_alternate_key() -> None:
    service = Service(written(IDS[0]), written(IDS[1]))
    write = replace(UPDATE, fields=("account:parentcustomerid.accountnumber",))
    kind = "EntityDefinitions(LogicalName='account')/Attributes(LogicalName='accountnumber')?$select=AttributeType"
    service.answers[kind] = always(200, {"AttributeType": "String"})
    listed = "%5B%22a%2Fb%22%2C%22x%20y%22%5D"
    found = wanted("accounts", "accountid", "accountnumber", listed)
    held = {"value": [{"accountid": PARENT, "accountnumber": "A/B"}]}
    service.answers[found] = always(200, held)
    sent = service.writer.send(write, batch(write, ("A-1",), ("a/b",), ("x y",)))
    assert outcomes(sent)[:2] == [("accepted", "updated", None)] * 2
    assert outcomes(sent)[2] == ("rejected", None, "0x80060891")
    bodies = [json.loads(one.partition("\r\n\r\n")[2]) for one in service.batches[0]]
    assert bodies == [
        {"parentcustomerid_account@odata.bind": "/accounts(accountnumber='A-1')"},
        {"parentcustomerid_account@odata.bind": f"/accounts({PARENT})"},
    ]


@pytest.mark.parametrize(
    ("fields", "error", "why"),
    [
        (("parentcustomerid",), RequestError, "can refer to account or contact; “parentcustomerid” does not say"),
        (("lead:parentcustomerid",), MappingError, "does not refer to lead"),
        (("account:lastname",), RequestError, "is no lookup"),
        (("fullname",), RequestError, "it is calculated"),
        (("nosuch",), MappingError, "has no field “nosuch”"),
        (("lastname", "lastname"), RequestError, "is written twice"),
    ],
)
def test_what_cannot_be_written_is_said_beforehand(fields: tuple[str, ...], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=re.escape(why)):
        Service().writer.packing(replace(UPDATE, fields=fields), 1)


def test_everything_is_repeatable_and_goes_by_batches_unless_bulk_messages_are_asked_for() -> None:
    writer = Service().writer
    for write in (INSERT, UPDATE, UPSERT, DELETE):
        packing = writer.packing(write, 450)
        assert (packing.road, packing.certainty, packing.calls) == (WriteRoad.CALLS, Certainty.REPEATABLE, 450)
    bulk = writer.packing(replace(INSERT, road=WriteRoad.BULK), 1_001)
    assert (bulk.road, bulk.certainty, bulk.calls) == (WriteRoad.BULK, Certainty.REPEATABLE, 3)
    with pytest.raises(RequestError, match="can't go by bulk messages"):
        writer.packing(replace(DELETE, road=WriteRoad.BULK), 1)


def test_a_key_that_is_taken_is_ours_when_a_record_bears_it() -> None:
    service = Service(*[refused(412, code) for code in ("0x80040237", "0x80060892", "0x80040333")], held=[IDS[0]])
    sent = service.writer.send(INSERT, batch(INSERT, ("A",), ("B",), ("C",)))
    assert outcomes(sent) == [
        ("accepted", "created", None),
        ("rejected", None, "0x80060892"),
        ("rejected", None, "0x80040333"),
    ]


def test_the_code_decides_what_becomes_of_a_row() -> None:
    gone = Service(written(IDS[0]), refused(404, "0x80040217"), refused(403, "0x80040220", "SecLib::AccessCheck"))
    assert outcomes(gone.writer.send(DELETE, batch(DELETE, (), (), ()))) == [
        ("accepted", "deleted", None),
        ("accepted", "gone", None),
        ("rejected", None, "0x80040220"),
    ]
    long = "A validation error occurred. The length of the 'lastname' attribute of the 'contact' entity exceeded the"
    odd = "The value 5 of 'gendercode' on record of type 'contact' is outside the valid range. Accepted Values: 1,2"
    key = "Entity Key Extern violated. A record with the same value for New_Externalid already exists. A duplicate"
    errors = [(500, "0x80044150", "Generic SQL error"), (400, "-2147204303", long), (400, "0x8004431A", odd)]
    errors += ((412, "0x80060892", key), (412, "0x80060882", "The version differs"))
    service = Service(*(refused(*one) for one in errors))
    rows = service.writer.send(UPDATE, batch(UPDATE, *[("A",)] * 5)).answers.to_pylist()
    assert [(one["outcome"], one["symbol"], one["fields"]) for one in rows] == [
        ("retry", "0x80044150", None),
        ("rejected", "0x80044331", "lastname"),
        ("rejected", "0x8004431a", "gendercode"),
        ("rejected", "0x80060892", "new_externalid"),
        ("retry", "0x80060882", None),
    ]


def test_a_throttled_request_holds_all_others_back() -> None:
    service = Service(written(IDS[0]), refused(429, "0x80072322", "Number of requests exceeded", Retry_After="7"))
    writer = service.writer
    sent = writer.send(UPDATE, batch(UPDATE, ("A",), ("B",)))
    assert outcomes(sent) == [("accepted", "updated", None), ("retry", None, "0x80072322")]
    assert isinstance(sent.failure, UnavailableError)
    assert sent.failure.retry_after == timedelta(seconds=7)
    again = writer.send(UPDATE, batch(UPDATE, ("A",)))
    assert outcomes(again) == [("retry", None, "NOT_SENT")]
    assert len(service.batches) == 1


@pytest.mark.parametrize(
    ("said", "expected", "kind"),
    [
        (replied(written(IDS[0])), ["accepted", "doubt"], UnavailableError),
        (replied(written(IDS[0]), "204 No", end=""), ["accepted", "doubt"], UnavailableError),
        (replied(written(IDS[0]), "502 Bad Gateway\r\n\r\n<html>"), ["accepted", "doubt"], UnavailableError),
        (replied(written(IDS[0]), written(IDS[4])), ["doubt", "doubt"], ProtocolError),
        (replied(*[written(IDS[0])] * 3), ["doubt", "doubt"], ProtocolError),
        (answer(200, b"<html>", Content_Type="text/html"), ["doubt", "doubt"], ProtocolError),
        (answer(502, b"<html>"), ["doubt", "doubt"], UnavailableError),
        (answer(400, {"error": {"code": "0x80048d19", "message": "bad batch"}}), ["retry", "retry"], RequestError),
        (replied(*[refused(403, "0x80040220")] * 2), ["retry", "retry"], AuthError),
        (replied(*[refused(400, "0x80048d19", "An undeclared property 'x'")] * 2), ["retry", "retry"], RequestError),
    ],
)
def test_no_row_is_silently_missing(said: httpx2.Response, expected: list[str], kind: type[Exception]) -> None:
    sent = Service(said).writer.send(UPDATE, batch(UPDATE, ("A",), ("B",)))
    assert [outcome for outcome, _, _ in outcomes(sent)] == expected
    assert isinstance(sent.failure, kind)


def test_what_cannot_travel_is_refused_row_by_row() -> None:
    write = replace(UPDATE, fields=("gendercode", "creditlimit", "new_accountid", "birthdate"))
    rows = [
        ("male", None, None, None),
        (None, "12,5", None, None),
        (None, None, "A1", None),
        (None, None, None, "soon"),
    ]
    sent = Service().writer.send(write, batch(write, *rows))
    assert [one["fields"] for one in sent.answers.to_pylist()] == list(write.fields)
    assert {one["outcome"] for one in sent.answers.to_pylist()} == {"rejected"}


def test_bulk_messages_take_all_rows_or_none() -> None:
    write = replace(INSERT, road=WriteRoad.BULK)
    service = Service(written(IDS[0]), refused(400, "0x80044331"))
    bodies: list[Any] = []
    answers = iter(
        [
            answer(200, {"Ids": IDS[:2]}, Date=DATE),
            answer(400, {"error": {"code": "0x80044331", "message": "too long"}}, Date=DATE),
            answer(429, {"error": {"code": "0x80072322", "message": "slow"}}, Date=DATE, Retry_After="0"),
            answer(200, {"Ids": IDS[1:3]}, Date=DATE),
        ]
    )

    def create(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(request.content))
        assert request.headers["MSCRM.SuppressDuplicateDetection"] == "false"
        return next(answers)

    service.answers["contacts/Microsoft.Dynamics.CRM.CreateMultiple"] = create
    writer = service.writer
    found = [outcomes(writer.send(write, batch(write, ("A",), ("B",)))) for _ in range(4)]
    assert found[0] == [("accepted", "created", None)] * 2
    assert found[1] == [("accepted", "created", None), ("rejected", None, "0x80044331")], "one by one"
    assert found[2] == [("retry", None, "0x80072322")] * 2
    assert {outcome for outcome, _, _ in found[3]} == {"doubt"}, "they are not the records that were sent"
    kind = "Microsoft.Dynamics.CRM.contact"
    assert bodies[0] == {
        "Targets": [
            {"@odata.type": kind, "contactid": record_id, "lastname": name}
            for record_id, name in zip(IDS, "AB", strict=False)
        ]
    }


def test_an_insert_is_found_by_its_key() -> None:
    found = Service(held=[IDS[0]]).writer.find(INSERT, batch(INSERT, ("A",), ("B",)), left_at=LEFT)
    assert outcomes(found) == [("accepted", "created", None), ("retry", None, None)]


def test_a_record_that_was_restored_after_its_delete_is_not_deleted_again() -> None:
    service = Service(held=[IDS[0], IDS[1]], moved={IDS[1]: "2026-11-23T08:00:05Z"})
    found = service.writer.find(DELETE, batch(DELETE, (), (), ()), left_at=LEFT)
    assert outcomes(found) == [("retry", None, None), ("rejected", None, CONFLICT), ("accepted", "deleted", None)]


def test_a_delete_is_found_by_what_is_left() -> None:
    found = Service(held=[IDS[0]]).writer.find(DELETE, batch(DELETE, (), ()), left_at=LEFT)
    assert outcomes(found) == [("retry", None, None), ("accepted", "deleted", None)]
