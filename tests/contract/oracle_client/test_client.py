"""Queries page by page, writes, deletions, and both shapes of faults, through zeep."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from zeep.exceptions import Fault

from tests.sandboxes import Sandbox

from .conftest import CONTACTS, Open, open_wsdl, web

OBJECTS = ("Contact", "Account", "Lead", "Opportunity", "Activity", "User", "CustomObject1")
SERVED = [(name, version, flavour) for name in OBJECTS for version in ("v1", "v2") for flavour in ("custom", "generic")]
SERVED += [("CustomObject4", "v2", "custom"), ("CustomObject4", "v2", "generic"), ("DeletedItem", "v1", "generic")]
SIEBEL = "{http://www.siebel.com/ws/fault}"


def _query(opened: Any, name: str, record: dict[str, Any], **attributes: str) -> Any:
    """v2.0's ListOf of a page; a template of the fields, with `searchspec` beside them."""
    return opened.service[f"{name}QueryPage"](**{f"ListOf{name}": {**attributes, name: record}})


def _tags(opened: Any, name: str, version: str) -> list[str]:
    """The fields that the WSDL has for a query, without the lists inside."""
    namespace = f"urn:/crmondemand/xml/{name}/Query" if version == "v2" else None
    wanted = f"{name}Query" if version == "v2" else name
    (found,) = (
        one
        for one in opened.wsdl.types.types
        if one.name == wanted and (namespace is None or one.qname.namespace == namespace)
    )
    return [tag for tag, _ in found.elements if not tag.startswith("ListOf")]


@pytest.mark.parametrize(("name", "version", "flavour"), SERVED)
def test_every_field_of_every_wsdl_can_be_asked(client: Open, name: str, version: str, flavour: str) -> None:
    opened = client(name, version, flavour)
    asked = dict.fromkeys(_tags(opened, name, version), "")
    if version == "v2":
        rows = _query(opened, name, asked, pagesize="5")[name]
    else:
        answer = opened.service[f"{name}QueryPage"](PageSize="5", **{f"ListOf{name}": {name: asked}})
        assert answer.LastPage in ("true", "false")
        # zeep makes nothing of a list that is empty.
        rows = answer[f"ListOf{name}"][name] if answer[f"ListOf{name}"] else []
    identity = "Id" if version == "v2" else f"{name}Id"
    assert rows or name == "DeletedItem"
    assert all(row[identity] for row in rows)


@pytest.mark.parametrize("flavour", ["custom", "generic"])
def test_pages_follow_each_other_to_the_last(client: Open, flavour: str) -> None:
    opened = client("Contact", "v2", flavour)
    record = {
        "searchspec": "([ModifiedDate] >= '2001-01-01T00:00:00Z') AND ([ContactLastName] ~LIKE '*')",
        "ModifiedDate": {"_value_1": "", "sortorder": "ASC", "sortsequence": "1"},
        "Id": {"_value_1": "", "sortorder": "ASC", "sortsequence": "2"},
    }
    seen: list[tuple[datetime, str]] = []
    last = False
    while not last:
        page = _query(opened, "Contact", record, pagesize="25", startrownum=str(len(seen)), recordcountneeded="true")
        assert page.recordcount == CONTACTS
        last = page.lastpage
        seen += [(one.ModifiedDate, one.Id) for one in page.Contact]
    assert len(set(seen)) == CONTACTS
    assert seen == sorted(seen)
    assert all(stamp.utcoffset() == timedelta() for stamp, _ in seen)


def test_a_record_lives_and_dies(client: Open) -> None:
    opened = client("Contact", "v2", "custom")
    record = {"ContactFirstName": "Scarlett", "ContactLastName": "O'Hara & <Sons>", "nScore": "10.5"}
    inserted = opened.service.ContactInsert(ListOfContact={"Contact": [record, {**record, "nScore": "7"}]})
    first, second = (one.Id for one in inserted.Contact)
    search = {"searchspec": "[ContactLastName] = 'O''Hara & <Sons>'", "Id": "", "nScore": "", "ModId": ""}
    found = {one.Id: one for one in _query(opened, "Contact", search).Contact}
    assert {one: float(found[one].nScore) for one in found} == {first: 10.5, second: 7}
    changed = {"Id": first, "ModId": found[first].ModId, "nScore": "11", "bNewsletter": True}
    opened.service.ContactUpdate(ListOfContact={"Contact": [changed]})
    with pytest.raises(Fault) as caught:
        opened.service.ContactUpdate(ListOfContact={"Contact": [changed]})
    assert caught.value.detail.findtext(f".//{SIEBEL}errorcode") == "(SBL-DAT-00523)"
    operations = [{"operation": "update", "Id": first, "nScore": "12"}, {"operation": "insert", **record}]
    (_, third) = (one.Id for one in opened.service.ContactExecute(ListOfContact={"Contact": operations}).Contact)
    opened.service.ContactDelete(ListOfContact={"Contact": [{"Id": one} for one in (first, second, third)]})
    assert not _query(opened, "Contact", search).Contact
    deleted = client("DeletedItem", "v1", "generic").service.DeletedItemQueryPage(
        PageSize="100", ListOfDeletedItem={"DeletedItem": {"Type": "='Contact'", "ObjectId": "", "Name": ""}}
    )
    items = {one.ObjectId: one.Name for one in deleted.ListOfDeletedItem.DeletedItem}
    assert {first, second, third} <= set(items)
    assert items[first] == "Scarlett O'Hara & <Sons>"


def test_a_record_of_the_first_version_lives_and_dies(client: Open) -> None:
    service = client("Account", "v1", "custom").service
    record = {"AccountName": "Tara", "ExternalSystemId": "tara-1", "Reference": "Y"}
    for name in ("Tara", "Tara Ltd."):
        written = service.AccountInsertOrUpdate(ListOfAccount={"Account": [{**record, "AccountName": name}]})
    (account_id,) = (one.AccountId for one in written)
    asked = {"ExternalSystemId": "='tara-1'", "AccountId": "", "AccountName": "", "Reference": "", "CreatedDate": ""}
    (found,) = service.AccountQueryPage(ListOfAccount={"Account": asked}).ListOfAccount.Account
    assert (found.AccountId, found.AccountName, found.Reference) == (account_id, "Tara Ltd.", "Y")
    datetime.strptime(found.CreatedDate, "%m/%d/%Y %H:%M:%S")  # noqa: DTZ007
    service.AccountDelete(ListOfAccount={"Account": [{"AccountId": account_id}]})
    assert not service.AccountQueryPage(ListOfAccount={"Account": asked}).ListOfAccount


@pytest.mark.parametrize("status", [500, 200])
def test_faults_of_the_application_tell_their_cause(company: Sandbox, client: Open, status: int) -> None:
    company.switches(fault_status=status)
    try:
        with pytest.raises(Fault) as caught:
            _query(client("Contact", "v2", "custom"), "Contact", {"searchspec": "[Nothing] = 'x'", "Id": ""})
    finally:
        company.switches(fault_status=500)
    detail = caught.value.detail
    assert detail.findtext(f".//{SIEBEL}errorcode") == "(SBL-DAT-00398)"
    assert detail.findtext(f".//{SIEBEL}errormsg") == caught.value.message
    assert (detail.findtext(f".//{SIEBEL}logfilename") or "").endswith(".log")


@pytest.mark.parametrize("status", [500, 200])
def test_faults_of_the_front_end_tell_how_long_to_wait(company: Sandbox, client: Open, status: int) -> None:
    company.switches(fault_status=status, request_gap=60_000)
    opened = client("Contact", "v2", "custom")
    try:
        with pytest.raises(Fault) as caught:
            for _ in range(2):
                _query(opened, "Contact", {"Id": ""}, pagesize="1")
    finally:
        company.switches(fault_status=500, request_gap=0)
    assert caught.value.detail.findtext("ErrorCode") == "SBL-ODU-01005"
    assert 0 < int(caught.value.detail.findtext("RequestWait") or 0) <= 60_000


def test_a_field_added_later_is_in_the_next_wsdl(company: Sandbox, http: requests.Session) -> None:
    added = {"object": "CustomObject1", "tag": "stNew_One", "generic": "CustomText7", "label": "New One"}
    company.control("add_field", **added)
    for flavour, tag in (("custom", "stNew_One"), ("generic", "CustomText7")):
        opened = open_wsdl(company, http, "CustomObject1", "v2", flavour)
        record = {"Name": "With it", tag: flavour}
        opened.service.CustomObject1Insert(ListOfCustomObject1={"CustomObject1": [record]})
        (found,) = _query(opened, "CustomObject1", {"searchspec": f"[{tag}] = '{flavour}'", tag: ""}).CustomObject1
        assert found[tag] == flavour


def test_credentials_in_each_request_need_no_session(company: Sandbox) -> None:
    before = company.counters()["sessions"]["open"]
    with web(company) as session:
        opened = open_wsdl(company, session, "User", "v2", "generic", signed=True)
        assert _query(opened, "User", {"searchspec": "[Status] = 'Active'", "Id": ""}).User
    assert company.counters()["sessions"]["open"] == before
