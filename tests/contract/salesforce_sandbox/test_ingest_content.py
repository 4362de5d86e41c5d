"""What the rows of ingest jobs do: headers, blanks and nulls, keys, parents, values, refusals."""

from typing import Any

import pytest

from tests.contract.salesforce_sandbox.ingesting import awaited, begun, ingested, results
from tests.sandboxes import Client, Sandbox

BOM = "\ufeff"


def stored(client: Client, record_id: str, *names: str, name: str = "Contact") -> dict[str, Any]:
    record: dict[str, Any] = client.get(f"/sobjects/{name}/{record_id}", params={"fields": ",".join(names)}).json()
    return {one: record[one] for one in names}


def made(client: Client, **values: Any) -> str:
    answer = client.send("POST", "/sobjects/Contact", json={"LastName": "Made", **values})
    assert answer.status_code == 201, answer.text
    record_id: str = answer.json()["id"]
    return record_id


def some_account(client: Client) -> dict[str, str]:
    found: dict[str, str] = client.query("SELECT Id, ERP_Id__c FROM Account WHERE ERP_Id__c != null LIMIT 1")[
        "records"
    ][0]
    return found


@pytest.mark.parametrize(
    ("operation", "data", "message"),
    [
        ("insert", "LastName,Nope\nA,B\n", "InvalidBatch : Field name not found : Nope"),
        ("insert", BOM + "LastName\nA\n", f"InvalidBatch : Field name not found : {BOM}LastName"),
        ("insert", "LastName,MailingAddress\nA,B\n", "InvalidBatch : Field name not found : MailingAddress"),
        ("insert", "LastName,lastname\nA,B\n", "InvalidBatch : Field name not unique : lastname"),
        ("insert", "LastName,Account:ERP_Id__c\nA,B\n", "InvalidBatch : Field name not found : Account:ERP_Id__c"),
        ("insert", "LastName,Nope.ERP_Id__c\nA,B\n", "InvalidBatch : Unable to find relationship: Nope"),
        ("insert", "LastName,Account:User.X\nA,B\n", "InvalidBatch : Unable to find relationship: User"),
        (
            "insert",
            "LastName,Account:Account.ERP_Id__c\nA,B\n",
            "InvalidBatch : type is not needed for non polymorphic foreign key references: Account",
        ),
        ("insert", "LastName,Account.Name\nA,B\n", "InvalidBatch : Field name not found : Account.Name"),
        ("update", "LastName\nA\n", "InvalidBatch : Field name not found : Id"),
        ("update", "LastName,Nope\nA,B\n", "InvalidBatch : Field name not found : Nope"),
        ("upsert", "LastName\nA\n", "InvalidBatch : Field name not found : ERP_Id__c"),
        ("delete", "Id,LastName\nA,B\n", "InvalidBatch : The 'delete' batch must contain only ids"),
        ("hardDelete", "Id,LastName\nA,B\n", "InvalidBatch : The 'hardDelete' batch must contain only ids"),
    ],
)
def test_headers_that_fail_the_job(client: Client, operation: str, data: str, message: str) -> None:
    key = {"externalIdFieldName": "ERP_Id__c"} if operation == "upsert" else {}
    done = ingested(client, data, operation, **key)
    assert (done.status["state"], done.status["errorMessage"]) == ("Failed", message)
    assert (done.status["numberRecordsProcessed"], done.status["numberRecordsFailed"]) == (0, 0)
    assert (done.successful, done.failed, len(done.unprocessed)) == ([], [], 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "LastName\r\nA\r\n",
            "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF",
        ),
        (
            "LastName\nA\nB\r\n",
            "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF",
        ),
        (BOM + '"LastName"\n"A"\n', "Found unescaped quote. A value with quote should be within a quote"),
        ('LastName\nJo"h"n\n', "Found unescaped quote. A value with quote should be within a quote"),
        ('LastName,Title\n"A", "B"\n', "Found unescaped quote. A value with quote should be within a quote"),
        ('LastName\n"A\n', "EOF reached before closing an opened quote"),
        ("LastName,Title\nA\n", "Record 1 has 1 values, the header 2"),
        ("LastName,Title\nA,B,C\n", "Record 1 has 3 values, the header 2"),
        (b"LastName\nM\xfcller\n", "The data is not UTF-8"),
        ("", "ClientInputError : Unable to find any data to create batch"),
    ],
)
def test_data_that_fails_the_job_and_goes_back_as_it_came(client: Client, data: str | bytes, message: str) -> None:
    job = begun(client, data)
    status = awaited(client, job)
    assert (status["state"], status["numberRecordsProcessed"]) == ("Failed", 0)
    assert message in status["errorMessage"]
    sent = data if isinstance(data, bytes) else data.encode()
    assert client.get(f"/jobs/ingest/{job}/unprocessedrecords").content == sent


def test_lines_that_must_end_as_said(client: Client) -> None:
    done = ingested(client, 'LastName,Title\r\nA,"x\ny"\r\n', lineEnding="CRLF")
    assert done.status["numberRecordsProcessed"] == 1
    failed = ingested(client, "LastName\nA\n", lineEnding="CRLF")
    assert failed.status["errorMessage"].endswith("Current LineEnding setting is CRLF")


def test_a_blank_leaves_alone_and_a_null_empties(client: Client) -> None:
    kept, emptied = made(client, Title="old", Score__c=3), made(client, Title="old", Score__c=3)
    ingested(client, f"Id,Title,Score__c\n{kept},,\n{emptied},#N/A,#N/A\n", "update")
    assert stored(client, kept, "Title", "Score__c") == {"Title": "old", "Score__c": 3.0}
    assert stored(client, emptied, "Title", "Score__c") == {"Title": None, "Score__c": None}


def test_a_column_of_ids_means_nothing_to_new_records(client: Client) -> None:
    done = ingested(client, "Id,LastName\n,Blank\n0035g00000zzzzz,Given\n", "insert")
    assert [row["LastName"] for row in done.successful] == ["Blank"]
    assert done.errors == ["INVALID_FIELD_FOR_INSERT_UPDATE:cannot specify Id in an insert call:Id --"]


def test_blanks_of_new_records_are_defaults(client: Client) -> None:
    done = ingested(client, "LastName,Company,Status\nA,B,\nC,D,Working - Contacted\nE,F,#N/A\n", name="Lead")
    ids = [row["sf__Id"] for row in done.successful]
    shown = [stored(client, one, "Status", name="Lead")["Status"] for one in ids]
    assert shown[:2] == ["Open - Not Contacted", "Working - Contacted"]


def test_values_of_every_type(client: Client) -> None:
    data = (
        "Name,Required__c,Channel__c,Tags__c,Active__c,Count__c,Weight__c,Built__c,Seen__c,Opens__c,Image__c,Secret__c\n"
        "One,x,Web,静か;red,TRUE,21,5600000,2026-11-23Z,2026-11-23T03:07:37+02:00,14:30:00,iVBORw==,abc\n"
        "Two,y,,,0,,,2026-11-24,2026-11-23T01:07:37.000Z,,,\n"
    )
    done = ingested(client, data, name="Gadget__c")
    assert done.errors == []
    one = client.get(f"/sobjects/Gadget__c/{done.successful[0]['sf__Id']}").json()
    assert (one["Tags__c"], one["Active__c"], one["Count__c"], one["Doubled__c"]) == ("red;静か", True, 21, 42.0)
    assert (one["Weight__c"], one["Built__c"], one["Seen__c"]) == (
        5600000.0,
        "2026-11-23",
        "2026-11-23T01:07:37.000+0000",
    )
    assert (one["Opens__c"], one["Secret__c"]) == ("14:30:00.000Z", "***")
    two = client.get(f"/sobjects/Gadget__c/{done.successful[1]['sf__Id']}").json()
    assert (two["Active__c"], two["Count__c"], two["Built__c"]) == (False, None, "2026-11-24")


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("Email", "no address", "INVALID_EMAIL_ADDRESS:Email: invalid email address: no address:Email --"),
        (
            "Score__c",
            "many",
            "INVALID_TYPE_ON_FIELD_IN_RECORD:Score: value not of required type: many:Score__c --",
        ),
        (
            "Birthdate",
            "23.11.2026",
            "INVALID_TYPE_ON_FIELD_IN_RECORD:Birthdate: value not of required type: 23.11.2026:Birthdate --",
        ),
        (
            "CleanStatus",
            "Sparkling",
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:Clean Status: bad value for restricted picklist field: Sparkling"
            ":CleanStatus --",
        ),
        (
            "Title",
            "x" * 129,
            f"STRING_TOO_LONG:Title: data value too large: {'x' * 129} (max length=128):Title --",
        ),
        (
            "CreatedDate",
            "2020-01-01T00:00:00Z",
            "INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields: CreatedDate. Please check the security"
            " settings of this field and verify that it is read/write for your profile or permission set."
            ":CreatedDate --",
        ),
        ("AccountId", "001bad", "MALFORMED_ID:Account ID: id value of incorrect type: 001bad:AccountId --"),
        ("AccountId", "0015g0000zzzzzzAAA", "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"),
        (
            "Account.ERP_Id__c",
            "Nowhere",
            "INVALID_FIELD:Foreign key external ID: nowhere not found for field ERP_Id__c in entity Account:--",
        ),
    ],
)
def test_refused_values(client: Client, column: str, value: str, error: str) -> None:
    done = ingested(client, f"LastName,{column}\nGood,\nBad,{value}\n")
    assert done.status["state"] == "JobComplete"
    assert [row["LastName"] for row in done.successful] == ["Good"]
    assert done.errors == [error]
    assert done.failed[0]["sf__Id"] == ""


def test_booleans_are_never_null(client: Client) -> None:
    done = ingested(client, "Name,Required__c,Active__c\nA,x,#N/A\nB,x,yes\nC,x,1\n", name="Gadget__c")
    text = "INVALID_TYPE_ON_FIELD_IN_RECORD:Active: value not of required type: {}:Active__c --"
    assert done.errors == [text.format("#N/A"), text.format("yes")]
    assert len(done.successful) == 1


def test_missing_values_of_required_fields(client: Client) -> None:
    done = ingested(client, "FirstName\nOnly\n")
    assert done.errors == ["REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"]
    record_id = made(client)
    done = ingested(client, f"Id,LastName\n{record_id},#N/A\n", "update")
    assert done.errors == ["REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"]


def test_parents_by_external_id(client: Client) -> None:
    account = some_account(client)
    done = ingested(client, f"LastName,Account.ERP_Id__c\nA,{account['ERP_Id__c']}\nB,{account['ERP_Id__c'].lower()}\n")
    for row in done.successful:
        assert stored(client, row["sf__Id"], "AccountId")["AccountId"] == account["Id"]
    ids = [row["sf__Id"] for row in done.successful]
    ingested(client, f"Id,Account.ERP_Id__c\n{ids[0]},#N/A\n{ids[1]},\n", "update")
    assert [stored(client, one, "AccountId")["AccountId"] for one in ids] == [None, account["Id"]]


def test_parents_of_several_kinds_need_their_kind(client: Client) -> None:
    user = client.query("SELECT Id, Username FROM User ORDER BY Id DESC LIMIT 1")["records"][0]
    done = ingested(client, f"LastName,Company,User:Owner.Username\nA,B,{user['Username']}\n", name="Lead")
    assert stored(client, done.successful[0]["sf__Id"], "OwnerId", name="Lead")["OwnerId"] == user["Id"]
    without = ingested(client, f"LastName,Company,Owner.Username\nA,B,{user['Username']}\n", name="Lead")
    assert without.status["errorMessage"] == (
        "InvalidBatch : type is needed for polymorphic foreign key references: Owner"
    )


def test_rows_of_one_chunk_are_no_parents_for_each_other(client: Client) -> None:
    rows = "".join(f"Filler,chunk-{row},\n" for row in range(199))
    data = f"LastName,ERP_Id__c,ReportsTo.ERP_Id__c\n{rows}Child,chunk-a,chunk-0\nChild,chunk-b,chunk-0\n"
    done = ingested(client, data)
    assert [row["ERP_Id__c"] for row in done.failed] == ["chunk-a"]
    assert done.successful[-1]["ERP_Id__c"] == "chunk-b"


def test_upsert_by_external_id(client: Client) -> None:
    record_id = made(client, ERP_Id__c="up-1", Title="old")
    data = "ERP_Id__c,LastName,Title\nUP-1,Changed,\nup-2,New,fresh\n,None,\n"
    done = ingested(client, data, "upsert", externalIdFieldName="ERP_Id__c")
    assert [(row["sf__Created"], row["ERP_Id__c"]) for row in done.successful] == [("false", "UP-1"), ("true", "up-2")]
    assert done.successful[0]["sf__Id"] == record_id
    assert done.errors == ["MISSING_ARGUMENT:ERP_Id__c not specified:--"]
    assert stored(client, record_id, "LastName", "Title", "Name") == {
        "LastName": "Changed",
        "Title": "old",
        "Name": "Changed",
    }


def test_keys_that_come_twice_in_an_upsert(client: Client) -> None:
    data = "ERP_Id__c,LastName\ntwin,A\nTWIN,B\nonly,C\n"
    done = ingested(client, data, "upsert", externalIdFieldName="ERP_Id__c")
    assert [row["ERP_Id__c"] for row in done.successful] == ["only"]
    assert [error.partition(":")[0] for error in done.errors] == ["DUPLICATE_VALUE"] * 2
    assert "Duplicate external id specified: twin" in done.errors[0]
    fillers = "".join(f"filler-{row},x\n" for row in range(199))
    done = ingested(client, f"ERP_Id__c,LastName\nfar,A\n{fillers}far,B\n", "upsert", externalIdFieldName="ERP_Id__c")
    assert (len(done.successful), done.failed) == (201, [])
    far = [row for row in done.successful if row["ERP_Id__c"] == "far"]
    assert [row["sf__Created"] for row in far] == ["true", "false"]
    assert stored(client, far[0]["sf__Id"], "LastName")["LastName"] == "B"


def test_ids_that_come_twice(client: Client) -> None:
    """Within a chunk of 200 rows none of them is written; in another chunk the later one wins."""
    twice, once, far = (made(client) for _ in range(3))
    data = f"Id,LastName\n{twice},A\n{once},B\n{twice[:15]},C\n"
    done = ingested(client, data, "update")
    assert [row["sf__Id"] for row in done.successful] == [once]
    assert done.errors == [f"DUPLICATE_VALUE:Duplicate id specified: {twice}:--"] * 2
    done = ingested(client, data, "upsert", externalIdFieldName="Id")
    assert [row["sf__Id"] for row in done.successful] == [once]
    assert all(error.startswith("DUPLICATE_VALUE:Duplicate id specified: ") for error in done.errors)
    fillers = "".join(f"{'0' * 14}{row:04},x\n" for row in range(199))
    done = ingested(client, f"Id,LastName\n{far},A\n{fillers}{far},B\n", "update")
    assert [row["sf__Id"] for row in done.successful] == [far, far]
    assert stored(client, far, "LastName")["LastName"] == "B"


def test_keys_of_several_records(client: Client) -> None:
    ids = sorted(made(client, Legacy_Key__c="several") for _ in range(2))
    done = ingested(client, "Legacy_Key__c,LastName\nseveral,A\n", "upsert", externalIdFieldName="Legacy_Key__c")
    assert done.errors == [
        f"DUPLICATE_EXTERNAL_ID:Legacy_Key__c: more than one record found for external id field: [{', '.join(ids)}]:--"
    ]


def test_upsert_by_id(client: Client) -> None:
    record_id = made(client)
    data = f"Id,LastName\n{record_id[:15]},Changed\n,New\n0035g0000zzzzzzAAA,Nobody\n"
    done = ingested(client, data, "upsert", externalIdFieldName="Id")
    assert [(row["sf__Id"] == record_id, row["sf__Created"]) for row in done.successful] == [
        (True, "false"),
        (False, "true"),
    ]
    assert done.errors == ["INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"]


def test_unique_values(client: Client) -> None:
    record_id = made(client, ERP_Id__c="taken")
    done = ingested(client, "LastName,ERP_Id__c\nA,TAKEN\nB,free\nC,FREE\n")
    assert [row["ERP_Id__c"] for row in done.successful] == ["free"]
    text = "DUPLICATE_VALUE:duplicate value found: ERP_Id__c duplicates value on record with id: {}:--"
    assert done.errors == [text.format(record_id), text.format(done.successful[0]["sf__Id"])]
    others = [made(client, ERP_Id__c=f"swap-{number}") for number in range(2)]
    done = ingested(client, f"Id,ERP_Id__c\n{others[0]},moved\n{others[1]},swap-0\n{record_id},swap-0\n", "update")
    assert [row["Id"] for row in done.successful] == others
    assert done.errors == [text.format(others[1])]


def test_ids_of_updates(sandbox: Sandbox, client: Client) -> None:
    good, gone = made(client), made(client)
    client.send("DELETE", f"/sobjects/Contact/{gone}")
    account = some_account(client)["Id"]
    data = f"Id,Title\n{good[:15]},short\n{gone},x\nnonsense,x\n,x\n{account},x\n0035g0000zzzzzzAAA,x\n"
    done = ingested(client, data, "update")
    assert [(row["sf__Id"], row["sf__Created"], row["Id"]) for row in done.successful] == [(good, "false", good[:15])]
    assert done.errors == [
        "ENTITY_IS_DELETED:entity is deleted:--",
        "MALFORMED_ID:Contact ID: id value of incorrect type: nonsense:Id --",
        "MISSING_ARGUMENT:Id not specified in an update call:--",
        f"MALFORMED_ID:Contact ID: id value of incorrect type: {account}:Id --",
        "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--",
    ]
    assert [row["sf__Id"] for row in done.failed] == [gone, "", "", "", "0035g0000zzzzzzAAA"]
    sandbox.switches(bulk_failed_ids=False)
    assert [row["sf__Id"] for row in ingested(client, data, "update").failed] == [""] * 5


def test_a_record_that_comes_twice_in_an_update_may_end_as_its_last_row_says(sandbox: Sandbox, client: Client) -> None:
    sandbox.switches(duplicate_ids_refused=False)
    record_id = made(client)
    done = ingested(client, f"Id,Title,FirstName\n{record_id},first,A\n{record_id[:15]},last,\n", "update")
    assert len(done.successful) == 2
    assert stored(client, record_id, "Title", "Name") == {"Title": "last", "Name": "A Made"}


@pytest.mark.parametrize("operation", ["delete", "hardDelete"])
def test_deletions(client: Client, operation: str) -> None:
    one, two = made(client), made(client)
    done = ingested(client, f"Id\n{one}\n{two[:15]}\n{one}\nnonsense\n", operation)
    assert [(row["sf__Id"], row["sf__Created"]) for row in done.successful] == [(one, "false"), (two, "false")]
    gone = {
        "delete": "ENTITY_IS_DELETED:entity is deleted:--",
        "hardDelete": "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--",
    }
    assert done.errors == [gone[operation], "MALFORMED_ID:bad id nonsense:Id --"]
    answer = client.get("/queryAll", params={"q": f"SELECT IsDeleted FROM Contact WHERE Id IN ('{one}', '{two}')"})
    assert [row["IsDeleted"] for row in answer.json()["records"]] == ([True] * 2 if operation == "delete" else [])


def test_objects_that_nobody_writes(client: Client) -> None:
    done = ingested(client, "Username\nx@example.com\n", name="User")
    assert done.errors == ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:entity type cannot be inserted: User:--"]


def test_hidden_fields_look_as_if_they_did_not_exist(sandbox: Sandbox, client: Client) -> None:
    sandbox.hide("Contact.Email")
    try:
        done = ingested(client, "LastName,Email\nA,a@example.com\n")
    finally:
        sandbox.hide()
    assert done.status["errorMessage"] == "InvalidBatch : Field name not found : Email"


@pytest.mark.parametrize("operation", ["insert", "update"])
def test_locked_records(sandbox: Sandbox, client: Client, operation: str) -> None:
    account, record_id = some_account(client), made(client)
    locked = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 1 records: {}:--"
    sandbox.control("lock", ids=[account["Id"][:15], record_id])
    try:
        if operation == "insert":
            data = f"LastName,Account.ERP_Id__c\nA,\nB,{account['ERP_Id__c']}\n"
            expected = locked.format(account["Id"])
            assert client.send("PATCH", f"/sobjects/Contact/{record_id}", json={"Title": "x"}).json() == [
                {
                    "errorCode": "UNABLE_TO_LOCK_ROW",
                    "message": f"unable to obtain exclusive access to this record or 1 records: {record_id}",
                    "fields": [],
                }
            ]
        else:
            data = f"Id,Title\n{made(client)},x\n{record_id},x\n"
            expected = locked.format(record_id)
        done = ingested(client, data, operation)
    finally:
        sandbox.control("lock", ids=[])
    assert (len(done.successful), done.errors) == (1, [expected])
    assert ingested(client, data, operation).failed == []


def test_parents_shared_by_batches_that_run_in_parallel(sandbox: Sandbox, client: Client) -> None:
    ids = [row["Id"] for row in client.query("SELECT Id FROM Account LIMIT 2")["records"]]
    data = "LastName,AccountId\n" + "".join(f"Shared,{ids[number]}\n" for number in (0, 0, 1, 1, 0, 1))
    sandbox.switches(bulk_parents_contend=True, bulk_batch_rows=3)
    done = ingested(client, data)
    assert [row["AccountId"] for row in done.successful] == [ids[0], ids[0], ids[1]]
    assert {error.partition(":")[0] for error in done.errors} == {"UNABLE_TO_LOCK_ROW"}
    sandbox.switches(bulk_parents_contend=False)
    assert ingested(client, data).failed == []


def test_parents_shared_by_jobs_that_run_at_the_same_time(sandbox: Sandbox, client: Client) -> None:
    account = some_account(client)["Id"]
    sandbox.switches(bulk_parents_contend=True)
    sandbox.faults([{"match": {"kind": "ingest_state"}, "fault": {"type": "job_waits", "rows": 1}}])
    data = f"LastName,AccountId\nShared,{account}\nFree,\n"
    first = begun(client, data)
    awaited(client, first, rows=1)
    assert [row["LastName"] for row in ingested(client, data).failed] == ["Shared"]
    sandbox.control("resume_jobs")
    assert results(client, first).failed == []
    assert ingested(client, data).failed == []
