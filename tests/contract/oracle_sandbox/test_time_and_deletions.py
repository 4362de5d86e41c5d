"""What others do meanwhile: changes that come late, deletions, their retention, and records brought back."""

from datetime import timedelta

from tests.contract.oracle_sandbox.messages import contacts, fault, person, written
from tests.sandboxes import Sandbox, SoapWire

NAMESPACE = "urn:crmondemand/ws/deleteditem/"


def deleted(soap: SoapWire, template: str) -> list[dict[str, str]]:
    inner = f"<PageSize>50</PageSize><ListOfDeletedItem><DeletedItem>{template}</DeletedItem></ListOfDeletedItem>"
    element = "DeletedItemWS_DeletedItemQueryPage_Input"
    answer = soap.post(NAMESPACE, "DeletedItemQueryPage", f'<{element} xmlns="{NAMESPACE}">{inner}</{element}>')
    assert "LastPage>true<" in answer.text, answer.text
    return written(answer)


def asked(soap: SoapWire, row_id: str) -> list[dict[str, str]]:
    template = f"<Id>='{row_id}'</Id><JobTitle/><ModifiedDate/><ModId/>"
    return written(soap.send("Contact", contacts(template), method="QueryPage"))


def test_deleted_records_are_listed_for_thirty_days(soap: SoapWire, oracle: Sandbox) -> None:
    key = "<ExternalSystemId>deleted-1</ExternalSystemId>"
    (made,) = written(soap.send("Contact", contacts(person("Deleted", key)), method="Insert"))
    (told,) = written(soap.send("Contact", contacts(key), method="Delete"))
    assert told["Id"] == made["Id"] and asked(soap, made["Id"]) == []
    task = oracle.insert("Activity", [{"Activity": "Task", "Subject": "Gone"}])
    oracle.control("delete", object="Activity", ids=task)
    template = "<Type>='Contact'</Type><ObjectId/><Name/><ExternalSystemId/><DeletedDate/><DeletedById/>"
    (item,) = [one for one in deleted(soap, template) if one["ObjectId"] == made["Id"]]
    at = item.pop("DeletedDate")
    assert at[2] == "/" and item == {
        "DeletedById": made["CreatedById"],
        "Name": "Ada Deleted",
        "ObjectId": made["Id"],
        "Type": "Contact",
        "ExternalSystemId": "deleted-1",
    }
    assert [one["ObjectId"] for one in deleted(soap, "<Type>='Action***Task'</Type><ObjectId/>")] == task
    later = f"<DeletedDate>&gt; '{at}'</DeletedDate><ObjectId>='{made['Id']}'</ObjectId>"
    assert deleted(soap, later) == []
    oracle.switches(idle_seconds=10_000_000)
    oracle.advance(timedelta(days=30, minutes=1))
    assert deleted(soap, template) == []


def test_restored_records_have_their_id_and_may_have_a_new_stamp(soap: SoapWire, oracle: Sandbox) -> None:
    (row_id,) = oracle.insert("Contact", [{"ContactFirstName": "Ada", "ContactLastName": "Back"}])
    (before,) = asked(soap, row_id)
    for moves in (False, True):
        oracle.control("delete", ids=[row_id])
        oracle.advance(timedelta(seconds=5))
        oracle.switches(restore_moves_stamp=moves)
        oracle.control("restore", ids=[row_id])
        (after,) = asked(soap, row_id)
        assert (after["ModifiedDate"] > before["ModifiedDate"]) is moves
        assert deleted(soap, f"<ObjectId>='{row_id}'</ObjectId>") == []


def test_late_writes_are_seen_late_with_their_own_stamp(soap: SoapWire, oracle: Sandbox) -> None:
    oracle.faults([{"match": {"kind": "insert"}, "fault": {"type": "late", "seconds": 30}}])
    key = "<ExternalSystemId>late-1</ExternalSystemId>"
    (told,) = written(soap.send("Contact", contacts(person("Late", key)), method="Insert"))
    assert asked(soap, told["Id"]) == []
    again = soap.send("Contact", contacts(person("Late", key)), method="Insert")
    assert fault(again)[1] == "SBL-DAT-00381"
    oracle.advance(timedelta(seconds=31))
    (row,) = asked(soap, told["Id"])
    assert (row["ModifiedDate"], row["ModId"]) == (told["ModifiedDate"], "0")


def test_a_late_change_of_a_record_that_is_gone_brings_nothing_back(soap: SoapWire, oracle: Sandbox) -> None:
    (row_id,) = oracle.insert("Contact", [{"ContactFirstName": "Ada", "ContactLastName": "Gone"}])
    oracle.control("update", id=row_id, values={"JobTitle": "Late"}, late=10)
    oracle.control("delete", ids=[row_id])
    oracle.advance(timedelta(seconds=11))
    assert asked(soap, row_id) == []


def test_others_change_records_and_administrators_add_fields(soap: SoapWire, oracle: Sandbox) -> None:
    oracle.advance(timedelta(seconds=2))
    ids = oracle.change_contacts(3)
    rows = oracle.control("rows", ids=ids)["rows"]
    assert len({row["JobTitle"] for row in rows}) == 3
    assert {row["ModifiedById"] for row in rows} == {"AAPA-U00002"} and len({row["ModifiedDate"] for row in rows}) == 1
    oracle.control("set_stamp", ids=ids[:1], values={"ModifiedDate": "2019-01-01T00:00:00Z"})
    assert asked(soap, ids[0])[0]["ModifiedDate"] == "2019-01-01T00:00:00Z"
    oracle.control("add_field", object="Contact", tag="stShoe_Size", label="Shoe Size", generic="CustomText77")
    wsdl = soap.session.get(f"{oracle.told['url']}/wsdl/v2/custom/Contact.wsdl").text
    assert 'name="stShoe_Size"' in wsdl and 'name="CustomText77"' not in wsdl
    change = f"<Id>{ids[0]}</Id><CustomText77>44</CustomText77>"
    assert written(soap.send("Contact", contacts(change), method="Update", custom=False))
    assert oracle.control("rows", ids=ids[:1])["rows"][0]["stShoe_Size"] == "44"
