"""The services that tell of fields, of picklists, of the time and of the user."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from lxml import etree

from tests.contract.oracle_sandbox.messages import contacts, credentials, fault, person, written
from tests.sandboxes import ControlRefused, Sandbox, SoapWire

WS = "urn:crmondemand/ws/"


def _ask(
    soap: SoapWire, path: str, operation: str, prefix: str, inner: str = "", header: str = ""
) -> requests.Response:
    element = f"{prefix}{operation}_Input"
    return soap.post(WS + path, operation, f'<{element} xmlns="{WS}{path}">{inner}</{element}>', header)


def _rows(answer: requests.Response, tag: str) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    found: Iterable[etree._Element] = etree.fromstring(answer.content).iter(f"{{*}}{tag}")
    return [{etree.QName(one).localname: one.text or "" for one in row} for row in found]


def test_the_mapping_names_generic_tags_of_the_first_version(soap: SoapWire, oracle: Sandbox) -> None:
    def tags(name: str) -> dict[str, str]:
        answer = _ask(soap, "mapping/", "GetMapping", "MappingWS_", f"<ObjectName>{name}</ObjectName>")
        return {one["ElementName"]: one["DataType"] for one in _rows(answer, "Field")}

    contact = tags("Contact")
    assert (contact["ContactId"], contact["CustomPickList9"], contact["LastUpdated"]) == ("ID", "Picklist", "Date/Time")
    assert "ModId" not in contact and "plCustomer_Tier" not in contact
    assert "Id" in tags("CustomObject4") and "CustomObject1Id" in tags("Custom Object 1")
    oracle.switches(mapping_custom_tags=True)
    assert tags("Contact")["plCustomer_Tier"] == "Picklist"
    refused = _ask(soap, "mapping/", "GetMapping", "MappingWS_", "<ObjectName>CustomObject1</ObjectName>")
    assert fault(refused)[:2] == ("A", "SBL-ODS-50085")


def test_picklists_are_told_value_by_value_and_some_are_refused(soap: SoapWire) -> None:
    def ask(field: str, more: str = "") -> requests.Response:
        inner = f"<FieldName>{field}</FieldName><RecordType>Opportunity</RecordType>{more}"
        return _ask(soap, "picklist/", "GetPicklistValues", "PicklistWS_", inner)

    english = _rows(ask("LeadSource", "<LanguageCode>ENU</LanguageCode>"), "PicklistValue")
    assert {"Code": "Partner", "DisplayValue": "Business partner", "Disabled": "N"} in english
    assert {"Code": "Fax", "DisplayValue": "Fax", "Disabled": "Y"} in english
    assert len(_rows(ask("LeadSource"), "PicklistValue")) == 3 * len(english)
    for field in ("SalesStage", "OpportunityName", "Nothing"):
        assert fault(ask(field))[:2] == ("A", "SBL-ODS-50735")


def test_values_that_administrators_change_show_and_bind_at_once(soap: SoapWire, oracle: Sandbox) -> None:
    def told() -> list[dict[str, str]]:
        inner = "<FieldName>plCustomer_Tier</FieldName><RecordType>Contact</RecordType><LanguageCode>ENU</LanguageCode>"
        return _rows(_ask(soap, "picklist/", "GetPicklistValues", "PicklistWS_", inner), "PicklistValue")

    def made(tier: str) -> requests.Response:
        record = person(f"Tier {tier}", f"<plCustomer_Tier>{tier}</plCustomer_Tier>")
        return soap.send("Contact", contacts(record), method="Insert")

    before = told()
    (kept,) = written(made("B"))
    oracle.control(
        "set_values",
        object="Contact",
        field="plCustomer_Tier",
        values=[{"value": "D", "label": "Platinum"}, {"value": "A", "active": False}],
    )
    try:
        assert told() == [
            {"Code": "D", "DisplayValue": "Platinum", "Disabled": "N"},
            {"Code": "A", "DisplayValue": "A", "Disabled": "Y"},
        ]
        assert [fault(made(tier))[1] for tier in ("A", "B")] == ["SBL-DAT-00225"] * 2
        (new,) = written(made("D"))
        (row,) = oracle.control("rows", ids=[kept["Id"]])["rows"]
        assert row["plCustomer_Tier"] == "B"
        oracle.control("delete", ids=[kept["Id"], new["Id"]])
        oracle.control("set_values", object="Contact", field="plCustomer_Tier", values=[])
        assert told() == []
    finally:
        values = [{"value": one["Code"], "label": one["DisplayValue"]} for one in before]
        oracle.control("set_values", object="Contact", field="plCustomer_Tier", values=values)
    refused: list[tuple[str, dict[str, Any]]] = [("JobTitle", {}), ("LeadSource", {"controller": "ContactType"})]
    for name, more in refused:
        with pytest.raises(ControlRefused):
            oracle.control("set_values", object="Contact", field=name, values=[], **more)


def test_the_time_is_that_of_the_users_zone(soap: SoapWire, oracle: Sandbox) -> None:
    oracle.switches(time_zone="Asia/Kolkata")
    (told,) = _rows(_ask(soap, "time/", "GetServerTime", "TimeWS_"), "TimeWS_GetServerTime_Output")
    assert told["TimeZone"] == "(GMT+05:30) Asia/Kolkata"
    shown = datetime.strptime(told["CurrentServerTime"] + " +0530", "%m/%d/%Y %H:%M:%S %z")
    assert abs(shown - oracle.now()) < timedelta(minutes=5)
    asked = "<ListOfCurrentUser><CurrentUser><UserSignInId/><TimeZoneName/></CurrentUser></ListOfCurrentUser>"
    (user,) = _rows(_ask(soap, "currentuser/", "CurrentUserQueryPage", "CurrentUserWS_", asked), "CurrentUser")
    assert user == {"UserSignInId": oracle.told["user"], "TimeZoneName": told["TimeZone"]}


_LOGGED_IN = (
    '<ListOfUser><User searchspec="[LastLoggedIn] IS NOT NULL"><LastLoggedIn sortorder="DESC"/></User></ListOfUser>'
)


def test_administrators_are_told_both_tags_of_a_field(wire: SoapWire) -> None:
    def read(operation: str, kind: str, inner: str, tag: str) -> list[dict[str, str]]:
        answer = _ask(wire, f"odesabs/{kind}/", operation, "", inner, credentials(wire))
        return _rows(answer, tag)

    asked = "<FieldSet><ObjectName>Contact</ObjectName>{}</FieldSet>"
    own = read("FieldManagementRead", "fieldmanagement", asked.format(""), "Field")
    tier = next(one for one in own if one["IntegrationTag"] == "plCustomer_Tier")
    assert (tier["GenericIntegrationTag"], tier["FieldType"], tier["DisplayName"]) == (
        "CustomPickList9",
        "Picklist",
        "Customer Tier",
    )
    everything = read("FieldManagementRead", "fieldmanagement", asked.format("<IncludeAll>true</IncludeAll>"), "Field")
    required = {one["GenericIntegrationTag"] for one in everything if one["Required"] == "true"}
    assert len(everything) > len(own) and required == {"ContactFirstName", "ContactLastName"}
    assert len(read("FieldManagementReadAll", "fieldmanagement", "", "FieldSet")) == 8
    picklists = "<PicklistSet><ObjectName>Contact</ObjectName></PicklistSet>"
    values = {one["ValueId"] for one in read("PicklistRead", "picklist", picklists, "PicklistValue")}
    assert values == {"A", "B", "C", "Books", "Music", "Sport", "Travel"}
    assert len(read("PicklistReadAll", "picklist", "", "Picklist")) >= 2
