"""Insert, Update, InsertOrUpdate, Delete and Execute: what they write, and that one bad record fails all."""

from typing import Any

import pytest

from tests.contract.oracle_sandbox.messages import contacts, fault, person, written
from tests.sandboxes import Sandbox, SoapWire

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def insert(soap: SoapWire, last: str, more: str = "", **given: Any) -> dict[str, str]:
    (told,) = written(soap.send("Contact", contacts(person(last, more)), method="Insert", **given))
    return told


def stored(oracle: Sandbox, *ids: str, name: str = "Contact") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = oracle.control("rows", object=name, ids=list(ids) or None)["rows"]
    return rows


BAD = [
    ("Insert", "<ContactFirstName>Ada</ContactFirstName>", "SBL-DAT-00498"),
    ("Insert", person("x" * 51), "SBL-DAT-00235"),
    ("Insert", person("L", "<plCustomer_Tier>Gold</plCustomer_Tier>"), "SBL-DAT-00225"),
    ("Insert", person("L", "<LeadSource>Fax</LeadSource>"), "SBL-DAT-00225"),
    ("Insert", person("L", "<AccountId>AAPA-NONE00</AccountId>"), "SBL-DAT-00225"),
    ("Insert", person("L", "<AccountExternalSystemId>none</AccountExternalSystemId>"), "SBL-DAT-00225"),
    ("Insert", person("L", "<DateofBirth>02/29/1990</DateofBirth>"), "SBL-DAT-00510"),
    ("Insert", person("L", "<nScore>1e3</nScore>"), "SBL-DAT-00510"),
    ("Insert", person("L", "<ExternalSystemId>C-0000004</ExternalSystemId>"), "SBL-DAT-00381"),
    ("Insert", person("L", "<Nothing>1</Nothing>"), "SBL-DAT-00398"),
    ("Insert", person("L", "<ContactFullName>Ada L</ContactFullName>"), "SBL-DAT-00279"),
    ("Update", "<Id>AAPA-NONE00</Id><JobTitle>x</JobTitle>", "SBL-EAI-04378"),
    ("Update", "<JobTitle>x</JobTitle>", "SBL-EAI-04397"),
    ("Update", "<Id>AAPA-NONE00</Id><ModId>7</ModId>", "SBL-EAI-04378"),
    ("Delete", "<ExternalSystemId>none</ExternalSystemId>", "SBL-EAI-04378"),
]


@pytest.mark.parametrize(("method", "record", "code"), BAD)
def test_a_bad_record_fails_the_message(soap: SoapWire, oracle: Sandbox, method: str, record: str, code: str) -> None:
    before = stored(oracle)
    good = person("Good", "<ExternalSystemId>good-1</ExternalSystemId>") if method == "Insert" else ""
    records = [good, record] if good else [record]
    shape, told, message = fault(soap.send("Contact", contacts(*records), method=method))
    assert (shape, told) == ("A", code) and code in message
    assert stored(oracle) == before


def test_twenty_records_are_written_in_their_order_and_no_more(soap: SoapWire, oracle: Sandbox) -> None:
    records = [person("Many", f"<ExternalSystemId>many-{number}</ExternalSystemId>") for number in range(21)]
    before = stored(oracle)
    assert fault(soap.send("Contact", contacts(*records), method="Insert"))[0] == "A"
    assert stored(oracle) == before
    told = written(soap.send("Contact", contacts(*records[:20]), method="Insert"))
    assert [one["ExternalSystemId"] for one in told] == [f"many-{number}" for number in range(20)]
    assert [row["ExternalSystemId"] for row in stored(oracle, *(one["Id"] for one in told))] == [
        f"many-{number}" for number in range(20)
    ]


def test_an_answer_has_the_status_key_and_a_record_its_defaults(soap: SoapWire, oracle: Sandbox) -> None:
    account = stored(oracle, name="Account")[0]
    told = insert(soap, "Lovelace", f"<AccountId>{account['Id']}</AccountId><Description>a &amp; b</Description>")
    assert list(told) == [
        "ModifiedDate", "CreatedDate", "ModifiedById", "CreatedById", "ModifiedBy", "CreatedBy", "ModId", "Id",
    ]  # fmt: skip
    assert told["ModId"] == "0" and told["CreatedDate"].endswith("Z")
    (row,) = stored(oracle, told["Id"])
    assert row["IntegrationId"] == row["Id"] and row["OwnerId"] == told["CreatedById"]
    assert (row["ContactFullName"], row["AccountName"]) == ("Ada Lovelace", account["AccountName"])
    assert (row["AccountExternalSystemId"], row["Description"]) == (account["ExternalSystemId"], "a & b")


def test_stamps_are_not_taken_from_requests_and_copies_follow_their_records(soap: SoapWire, oracle: Sandbox) -> None:
    account = stored(oracle, name="Account")[1]["Id"]
    given = f"<AccountId>{account}</AccountId><ModifiedDate>2001-01-01T00:00:00Z</ModifiedDate>"
    row_id = insert(soap, "Copy", given)["Id"]
    renamed = f"<Account><Id>{account}</Id><AccountName>Renamed &amp; Co</AccountName></Account>"
    assert written(soap.send("Account", f"<ListOfAccount>{renamed}</ListOfAccount>", method="Update"))
    (row,) = stored(oracle, row_id)
    assert row["AccountName"] == "Renamed & Co" and row["ModifiedDate"] > "2026"


def test_mod_id_counts_changes_and_refuses_a_stale_one(soap: SoapWire, oracle: Sandbox) -> None:
    row_id = insert(soap, "Modified")["Id"]
    changed = f"<ModId>0</ModId><Id>{row_id}</Id><JobTitle>First</JobTitle>"
    assert written(soap.send("Contact", contacts(changed), method="Update"))[0]["ModId"] == "1"
    answer = soap.send("Contact", contacts(changed), method="Update")
    assert fault(answer)[:2] == ("A", "SBL-DAT-00523")
    oracle.switches(conflict_code="SBL-EAI-04401")
    stale = f"<ModId>0</ModId><Id>{row_id}</Id>"
    assert fault(soap.send("Contact", contacts(stale), method="Delete"))[1] == "SBL-EAI-04401"
    oracle.control("update", id=row_id, values={"JobTitle": "Other"})
    (row,) = stored(oracle, row_id)
    assert (row["ModId"], row["JobTitle"]) == (2, "Other")


def test_the_first_record_says_by_which_key_all_are_found(soap: SoapWire, oracle: Sandbox) -> None:
    one = insert(soap, "Key", "<ExternalSystemId>key-1</ExternalSystemId>")
    other = insert(soap, "Key", "<ExternalSystemId>key-2</ExternalSystemId>")
    by_id, by_key = f"<Id>{one['Id']}</Id>", "<ExternalSystemId>key-2</ExternalSystemId>"
    title = "<JobTitle>Found</JobTitle>"
    assert fault(soap.send("Contact", contacts(by_id + title, by_key + title), method="Update"))[1] == "SBL-EAI-04390"
    by_external = "<ExternalSystemId>key-1</ExternalSystemId>"
    told = written(soap.send("Contact", contacts(by_external + title, by_key + title), method="Update"))
    assert [row["Id"] for row in told] == [one["Id"], other["Id"]]
    clash = f"<Id>{one['Id']}</Id>{by_key}"
    assert fault(soap.send("Contact", contacts(clash), method="Update"))[1] == "SBL-DAT-00381"
    assert [row["JobTitle"] for row in stored(oracle, one["Id"], other["Id"])] == ["Found", "Found"]


def test_v1_writes_text_in_the_users_zone(soap: SoapWire, oracle: Sandbox) -> None:
    values = (
        "<ExternalSystemId>v1-1</ExternalSystemId><NeverEmail>Y</NeverEmail><DateofBirth>12/31/1990</DateofBirth>"
        "<LastCallDate>11/01/2026 01:30:00</LastCallDate><CustomPickList9>A</CustomPickList9>"
    )
    told = insert(soap, "Text", values, version="v1", custom=False)
    assert "ModId" not in told and told["LastUpdated"] == told["ModifiedDate"]
    assert told["ModifiedDate"] == told["CreatedDate"] and told["CreatedDate"][2] == "/"
    (row,) = stored(oracle, told["ContactId"])
    assert (row["NeverEmail"], row["DateofBirth"], row["plCustomer_Tier"]) == ("true", "1990-12-31", "A")
    assert row["LastCallDate"] == "2026-11-01T05:30:00Z", "the first of the two hours"
    again = "<ExternalSystemId>v1-1</ExternalSystemId><JobTitle>Again</JobTitle>"
    (told,) = written(soap.send("Contact", contacts(again), version="v1", method="InsertOrUpdate"))
    new = person("New", "<ExternalSystemId>v1-2</ExternalSystemId>")
    (made,) = written(soap.send("Contact", contacts(new), version="v1", method="InsertOrUpdate"))
    assert stored(oracle, told["ContactId"])[0]["JobTitle"] == "Again" and made["ContactId"] != told["ContactId"]


def test_v2_takes_offsets_and_clears_what_is_empty_or_nil(soap: SoapWire, oracle: Sandbox) -> None:
    call = "<LastCallDate>2026-03-01T12:00:00+02:00</LastCallDate><JobTitle>T</JobTitle><nScore>01.50</nScore>"
    row_id = insert(soap, "Offset", call)["Id"]
    (row,) = stored(oracle, row_id)
    assert (row["LastCallDate"], row["nScore"]) == ("2026-03-01T10:00:00Z", "1.5")
    clear = f'<Id>{row_id}</Id><LastCallDate/><JobTitle/><nScore {XSI} xsi:nil="true"/>'
    assert written(soap.send("Contact", contacts(clear), method="Update"))
    (row,) = stored(oracle, row_id)
    assert (row["LastCallDate"], row["JobTitle"], row["nScore"]) == (None, None, None)
    oracle.switches(empty_clears=False)
    assert fault(soap.send("Contact", contacts(clear), method="Update"))[1] == "SBL-DAT-00510"
    oracle.switches(empty_clears=True, nil_clears=False)
    assert fault(soap.send("Contact", contacts(clear), method="Update"))[:2] == ("B", "SBL-ODU-01008")


def test_picklists_are_written_by_label_on_demand(soap: SoapWire, oracle: Sandbox) -> None:
    record = contacts(person("Label", "<plCustomer_Tier>Gold</plCustomer_Tier>"))
    (told,) = written(soap.send("Contact", f"{record}<LOVLanguageMode>LDC</LOVLanguageMode>", method="Insert"))
    assert stored(oracle, told["Id"])[0]["plCustomer_Tier"] == "A"


def test_execute_has_an_operation_for_each_record(soap: SoapWire, oracle: Sandbox) -> None:
    gone, kept = insert(soap, "Gone")["Id"], insert(soap, "Kept")["Id"]
    team = f"<ListOfContactTeam><ContactTeam operation='insert'><UserId>{stored(oracle, name='User')[1]['Id']}</UserId>"
    records = (
        f"<Contact operation='insert'>{person('Made')}</Contact><Contact operation='delete'><Id>{gone}</Id></Contact>"
        f"<Contact operation='skipnode'><Id>{kept}</Id>{team}</ContactTeam></ListOfContactTeam></Contact>"
    )
    told = written(soap.send("Contact", f"<ListOfContact>{records}</ListOfContact>", method="Execute"))
    assert [one["Id"] for one in told][1:] == [gone, kept]
    assert [row["ModId"] for row in stored(oracle, gone, kept)] == [0]
    asked = f"<ListOfContactTeam><ContactTeam><UserAlias/></ContactTeam></ListOfContactTeam><Id>='{kept}'</Id>"
    answer = soap.send("Contact", contacts(asked), method="QueryPage")
    assert "<UserAlias>Müller</UserAlias>" in answer.text
    wrong = f"<ListOfContact><Contact operation='Update'><Id>{kept}</Id></Contact></ListOfContact>"
    assert fault(soap.send("Contact", wrong, method="Execute"))[1] == "SBL-EAI-04009"


def test_methods_that_are_not_there(soap: SoapWire) -> None:
    for name, method, version in (
        ("Contact", "InsertOrUpdate", "v2"),
        ("Contact", "Execute", "v1"),
        ("User", "Delete", "v2"),
        ("CustomObject4", "Insert", "v1"),
    ):
        assert fault(soap.send(name, "", method=method, version=version))[1] == "SBL-EAI-04313"


def test_rights_and_rules_refuse_records(soap: SoapWire, oracle: Sandbox) -> None:
    oracle.control("rules", rules=[{"object": "Contact", "field": "JobTitle", "value": "Jester"}])
    jester = contacts(person("Fool", "<JobTitle>Jester</JobTitle>"))
    assert fault(soap.send("Contact", jester, method="Insert"))[1] == "SBL-EXL-00151"
    oracle.switches(write_denied=["Contact"])
    assert fault(soap.send("Contact", contacts(person("Denied")), method="Insert"))[1] == "SBL-DAT-00553"
    some = contacts(f"<Id>{stored(oracle)[0]['Id']}</Id>")
    assert fault(soap.send("Contact", some, method="Delete"))[1] == "SBL-DAT-00553"
    oracle.hide("Contact")
    assert fault(soap.send("Contact", contacts(person("Hidden")), method="Insert"))[:2] == ("B", "SBL-ODU-01011")
