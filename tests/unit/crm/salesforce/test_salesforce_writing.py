"""What is sent by either road, byte for byte; and answers that no honest org gives, which acknowledge nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from tests.unit.crm.answers import answer
from tests.unit.crm.salesforce.objects import field
from tests.unit.crm.salesforce.org import DATE, Org, always, in_turn

from crosstie.crm.salesforce.ingest_results import row_error
from crosstie.crm.salesforce.shipment import Shipment
from crosstie.crm.writing import Operation, RemoteWrite, Sent, WriteRoad, outgoing
from crosstie.errors import ProtocolError
from crosstie.model import FieldType, RemoteObject

FIELDS = (
    field("Id", FieldType.ID, "id"),
    field("LastName", FieldType.TEXT, "string"),
    field("Score__c", FieldType.DECIMAL, "double"),
    field("Active__c", FieldType.BOOLEAN, "boolean"),
    field("Count__c", FieldType.INTEGER, "int"),
    field("AccountId", FieldType.REFERENCE, "reference", relationship="Account"),
    field("OwnerId", FieldType.REFERENCE, "reference", relationship="Owner"),
    field("ERP_Id__c", FieldType.TEXT, "string"),
)
PARENTS = {"AccountId": ("Account",), "OwnerId": ("Group", "User")}
LEAD = RemoteObject(
    name="Lead",
    label="Lead",
    label_plural="Leads",
    key="Id",
    fields=tuple(
        replace(
            one,
            createable=one.name != "Id",
            updateable=one.name != "Id",
            external_id=one.name == "ERP_Id__c",
            reference_to=PARENTS.get(one.name, ()),
        )
        for one in FIELDS
    ),
)
ALL = ("LastName", "Score__c", "Active__c", "Count__c", "Account.ERP_Id__c", "User:Owner.Username")
INSERT = RemoteWrite(object=LEAD, operation=Operation.INSERT, fields=ALL, road=WriteRoad.CALLS)
UPDATE = replace(INSERT, operation=Operation.UPDATE, fields=("LastName",))
IDS = ["00Q000000000001EAA", "00Q000000000002EAA", "00Q000000000003EAA"]
COLLECTION = "composite/sobjects"
JOB = "750000000000001AAA"


def batch(write: RemoteWrite, *rows: tuple[str | None, ...]) -> list[pa.RecordBatch]:
    """Rows of texts; an update's have IDS."""
    known: list[str | None] = [*IDS]
    ids = known[: len(rows)] if write.operation in {Operation.UPDATE, Operation.DELETE} else [None] * len(rows)
    own = [range(len(rows)), ids, [None] * len(rows)]
    columns = [*own, *zip(*rows, strict=True)] if write.fields else own
    schema = outgoing(write)
    arrays = [pa.array(list(one), kind) for one, kind in zip(columns, schema.types, strict=True)]
    return [pa.RecordBatch.from_arrays(arrays, schema=schema)]


ROWS = (
    ('Zoë "Q"\n', "0.10000000000000000055", "TRUE", "007", "A-1", "zoe@example.com"),
    ("", "+1.", "0", "12.0", "", None),
    (None, None, None, None, None, ""),
)


def test_numbers_are_sent_as_written_and_nothing_differs_from_empty() -> None:
    seen: list[httpx2.Request] = []

    def keep(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return answer(200, [{"id": one, "success": True, "errors": []} for one in IDS], Date=DATE)

    org = Org(answers={COLLECTION: keep})
    org.connector().send(INSERT, batch(INSERT, *ROWS), lambda token: None)
    attributes = '"attributes":{"type":"Lead"}'
    first = '"LastName":"Zoë \\"Q\\"\\n","Score__c":0.10000000000000000055,"Active__c":true,"Count__c":7'
    parents = '"Account":{"ERP_Id__c":"A-1"},"Owner":{"attributes":{"type":"User"},"Username":"zoe@example.com"}'
    second = '"LastName":null,"Score__c":1,"Active__c":false,"Count__c":12,"AccountId":null'
    assert seen[0].content.decode() == (
        f'{{"allOrNone":false,"records":[{{{attributes},{first},{parents}}},'
        f'{{{attributes},{second}}},{{{attributes},"OwnerId":null}}]}}'
    )
    assert seen[0].headers["Sforce-Auto-Assign"] == "FALSE"


def test_the_csv_of_a_job_quotes_everything_and_marks_what_is_emptied() -> None:
    csv = Shipment(INSERT, batch(INSERT, *ROWS), WriteRoad.BULK).csv().decode()
    assert csv == (
        '"LastName","Score__c","Active__c","Count__c","Account.ERP_Id__c","User:Owner.Username"\n'
        '"Zoë ""Q""\n","0.10000000000000000055","TRUE","007","A-1","zoe@example.com"\n'
        '"#N/A","+1.","0","12.0","#N/A",\n'
        ',,,,,"#N/A"\n'
    )
    one = replace(INSERT, fields=("LastName",))
    assert Shipment(one, batch(one, ("a",), (None,)), WriteRoad.BULK).csv() == b'"LastName"\n"a"\n""\n'


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        ({"assignment": "active"}, {"Sforce-Auto-Assign": "TRUE"}),
        ({"assignment": "01Q000000000001EAA"}, {"Sforce-Auto-Assign": "01Q000000000001EAA"}),
        ({"duplicates": "allow"}, {"Sforce-Duplicate-Rule-Header": "allowSave=true"}),
        ({"object": replace(LEAD, name="Contact"), "assignment": "active"}, {"Sforce-Auto-Assign": "FALSE"}),
    ],
)
def test_rules_are_asked_for_by_header(given: dict[str, Any], headers: dict[str, str]) -> None:
    seen: list[httpx2.Request] = []

    def keep(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return answer(200, [{"id": IDS[0], "success": True, "errors": []}], Date=DATE)

    write = replace(UPDATE, **given)
    Org(answers={COLLECTION: keep}).connector().send(write, batch(write, ("a",)), lambda token: None)
    assert {name: seen[0].headers[name] for name in headers} == headers


def good(*ids: str) -> list[dict[str, Any]]:
    return [{"id": one, "success": True, "errors": []} for one in ids]


def bad(code: object, *more: object, fields: object = None) -> dict[str, Any]:
    errors = [{"statusCode": one, "message": f"message {one}", "fields": fields} for one in (code, *more)]
    return {"success": False, "errors": errors}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (good(*IDS[:2]), "has 2 rows for 3 that were sent"),
        (good(*IDS, IDS[0]), "has 4 rows for 3"),
        (good(IDS[1], IDS[0], IDS[2]), "names another record"),
        (good(IDS[0], IDS[1], "003000000000003AAA"), "names another record"),
        ([*good(*IDS[:2]), {"id": IDS[0], **bad("X")}], "names another record"),
        ([*good(*IDS[:2]), {"success": True, "errors": []}], "without an id"),
        ([*good(*IDS[:2]), {"success": False, "errors": []}], "without an error code"),
        ([*good(*IDS[:2]), {"success": "yes"}], "is not a list of answers"),
        ({"compositeResponse": []}, "is not a list of answers"),
    ],
)
def test_an_answer_that_cannot_be_to_what_was_sent_leaves_all_in_doubt(body: object, message: str) -> None:
    org = Org(answers={COLLECTION: always(200, body)})
    found = org.connector().send(UPDATE, batch(UPDATE, ("a",), ("b",), ("c",)), lambda token: None)
    assert isinstance(found.failure, ProtocolError)
    assert message in found.failure.message
    assert outcomes(found) == ["doubt"] * 3


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([IDS[0], IDS[0], IDS[1]], "gives one id to several"),
        ([IDS[0], IDS[1], "003000000000003AAA"], "ids that are not of Lead"),
    ],
)
def test_new_records_have_ids_of_their_own_and_of_their_object(ids: list[str], message: str) -> None:
    org = Org(answers={COLLECTION: always(200, good(*ids))})
    write = replace(INSERT, fields=("LastName",))
    found = org.connector().send(write, batch(write, ("a",), ("b",), ("c",)), lambda token: None)
    assert message in str(found.failure)
    assert outcomes(found) == ["doubt"] * 3


def outcomes(sent: Sent) -> list[str]:
    """The words, by row."""
    found: list[str] = sent.answers.column("outcome").to_pylist()
    return found


def test_of_several_errors_a_lock_decides_and_all_are_shown() -> None:
    body = [
        bad("FIELD_CUSTOM_VALIDATION_EXCEPTION", "STRING_TOO_LONG", fields=["LastName", "City"]),
        bad("X", "UNABLE_TO_LOCK_ROW"),
        bad("ALL_OR_NONE_OPERATION_ROLLED_BACK"),
    ]
    org = Org(answers={COLLECTION: always(200, body)})
    found = org.connector().send(UPDATE, batch(UPDATE, ("a",), ("b",), ("c",)), lambda token: None)
    assert (found.failure, outcomes(found)) == (None, ["rejected", "retry", "retry"])
    first = found.answers.to_pylist()[0]
    assert (first["symbol"], first["fields"]) == ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "LastName,City")
    assert first["message"] == "message FIELD_CUSTOM_VALIDATION_EXCEPTION; message STRING_TOO_LONG"


def test_after_a_call_that_failed_the_rest_of_the_shipment_stays_here() -> None:
    write = replace(INSERT, fields=("LastName",))
    many = batch(write, *[(f"n{n}",) for n in range(450)])
    done = good(*(f"00Q{n:012}EAA" for n in range(200)))
    org = Org(answers={COLLECTION: in_turn(always(200, done), always(500, b""))})
    found = outcomes(org.connector().send(write, many, lambda token: None))
    assert found == ["accepted"] * 200 + ["doubt"] * 200 + ["retry"] * 50


def test_a_refused_permit_sends_nothing() -> None:
    class Lost(Exception):
        pass

    def permit() -> None:
        raise Lost

    org = Org(answers={COLLECTION: always(200, good(IDS[0]))})
    connector = org.connector()
    connector.org_id()
    connector.permitted_by(permit)
    with pytest.raises(Lost):
        connector.send(UPDATE, batch(UPDATE, ("a",)), lambda token: None)
    assert COLLECTION not in " ".join(org.seen)


BULK = replace(INSERT, fields=("LastName", "ERP_Id__c"), road=WriteRoad.BULK)
HEADER = '"sf__Id","sf__Created","LastName","ERP_Id__c"\n'
FAILED = '"sf__Id","sf__Error","LastName","ERP_Id__c"\n'


def job(state: str, **given: object) -> dict[str, object]:
    return {"id": JOB, "state": state, "object": "Lead", "operation": "insert", "apiVersion": 68.0, **given}


def bulk_org(successful: str, failed: str = FAILED, unprocessed: str = '"LastName","ERP_Id__c"\n') -> Org:
    """An org whose one job ends with these results."""
    path = f"jobs/ingest/{JOB}"

    def described(request: httpx2.Request) -> httpx2.Response:
        return answer(200, job("JobComplete"), Date=DATE)

    return Org(
        answers={
            "jobs/ingest": always(200, job("Open")),
            f"{path}/batches": always(201, b""),
            path: described,
            f"{path}/successfulResults": always(200, successful.encode()),
            f"{path}/failedResults": always(200, failed.encode()),
            f"{path}/unprocessedrecords": always(200, unprocessed.encode()),
        }
    )


def by_bulk(org: Org) -> Sent:
    """Three rows, two of them equal, the third with a line break that comes back in another form."""
    rows = batch(BULK, ("same", None), ("same", None), ("two\r\nlines", "E1"))
    return org.connector().send(BULK, rows, lambda token: None)


TWO = '"two\nlines","E1"\n'


def test_results_in_any_order_find_their_rows() -> None:
    found = by_bulk(
        bulk_org(
            '"ERP_Id__c","sf__Created","sf__Id","LastName"\n'
            f'"E1","true","{IDS[0]}","two\nlines"\n,"true","{IDS[1]}","same"\n',
            FAILED + '"","REQUIRED_FIELD_MISSING:Required fields: are missing: [Company]:Company Name --","same",""\n',
        )
    )
    answers = found.answers.to_pylist()
    assert [answers[2][name] for name in ("outcome", "effect", "remote_id")] == ["accepted", "created", IDS[0]]
    assert sorted(outcomes(found)) == ["accepted", "accepted", "rejected"]
    (rejected,) = (one for one in answers if one["outcome"] == "rejected")
    assert (rejected["symbol"], rejected["fields"]) == ("REQUIRED_FIELD_MISSING", "Company,Name")
    assert rejected["message"] == "Required fields: are missing: [Company]"


SAME = [f'"{one}","true","same",""\n' for one in IDS]


@pytest.mark.parametrize(
    ("org", "message"),
    [
        (bulk_org(HEADER + SAME[0] + SAME[1]), "gives 2 successful, 0 failed and 0 unprocessed rows, 2 in all; 3 were"),
        (bulk_org(HEADER + "".join(SAME)), "hold a row that was not sent, or hold one twice"),
        (bulk_org(HEADER + SAME[0] + SAME[0] + f'"{IDS[1]}","true",{TWO}'), "give one id to several"),
        (bulk_org(HEADER + SAME[0] + SAME[1] + f'"003000000000001AAA","true",{TWO}'), "that are not of Lead"),
        (bulk_org(HEADER + SAME[0] + SAME[1] + f'"","true",{TWO}'), "a row without an id"),
        (bulk_org(HEADER + SAME[0] + SAME[1], FAILED + f'"","",{TWO}'), "without an error code"),
        (bulk_org('"sf__Id","sf__Created","LastName"\n' + f'"{IDS[0]}","true","same"\n'), "has no column ERP_Id__c"),
        (bulk_org("<html>sign in</html>"), "its last record has no end"),
    ],
)
def test_results_that_cannot_be_of_what_was_sent_acknowledge_nothing(org: Org, message: str) -> None:
    found = by_bulk(org)
    assert message in str(found.failure)
    assert outcomes(found) == ["doubt"] * 3


def test_data_that_something_on_the_way_took_is_not_started() -> None:
    org = bulk_org(HEADER)
    org.answers[f"jobs/ingest/{JOB}/batches"] = always(200, b"<html>sign in</html>")
    found = by_bulk(org)
    assert "HTTP 200 instead of 201" in str(found.failure)
    assert outcomes(found) == ["retry"] * 3
    # The one PATCH is the end of the job.
    assert [entry.split()[0] for entry in org.seen if entry.endswith(JOB)] == ["PATCH"]


def test_a_named_assignment_rule_runs_in_a_job() -> None:
    seen: list[bytes] = []

    def keep(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.content)
        return answer(400, [{"errorCode": "INVALIDENTITY", "message": "no"}], Date=DATE)

    write = replace(BULK, assignment="01Q000000000001EAA")
    rows = batch(write, ("a", None))
    found = Org(answers={"jobs/ingest": keep}).connector().send(write, rows, lambda token: None)
    assert seen == [
        b'{"object":"Lead","operation":"insert","contentType":"CSV","columnDelimiter":"COMMA","lineEnding":"LF",'
        b'"assignmentRuleId":"01Q000000000001EAA"}'
    ]
    assert (outcomes(found), found.failure and found.failure.code) == (["retry"], "INVALIDENTITY")


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("DUPLICATE_VALUE:duplicate value found: F duplicates value on record with id: 1:--", ""),
        ("STRING_TOO_LONG:Title: data value too large: a:b (max length=1):Title --", "Title"),
        ("INVALID_FIELD_FOR_INSERT_UPDATE:Unable:A__c B__c --", "A__c,B__c"),
    ],
)
def test_the_error_of_a_failed_row_is_read(text: str, fields: str) -> None:
    found = row_error(text)
    assert f"{found.code}:{found.message}" == text.rpartition(":")[0]
    assert ",".join(found.fields) == fields
    assert row_error("UNKNOWN: no end") == ("UNKNOWN", " no end", ())


def test_a_job_of_an_empty_shipment_is_not_made() -> None:
    org = Org()
    found = org.connector().send(BULK, batch(BULK, ("#N/A", None)), lambda token: None)
    assert (found.failure, outcomes(found), org.seen) == (None, ["rejected"], [])
    assert found.answers.to_pylist()[0]["symbol"] == "NOT_IN_BULK"
