"""Collections: filters, pages, counts, annotations, change tracking."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from tests.sandboxes import WebApi

Row = dict[str, Any]
COLUMNS = "firstname,lastname,numberofchildren,annualincome,birthdate,modifiedon,donotemail,statecode,new_interests"
CRM = "Microsoft.Dynamics.CRM."


def every_row(api: WebApi, path: str, size: int = 5000, **headers: str) -> list[Row]:
    """The rows of all pages."""
    preferences = headers.pop("prefer", "")
    asked = {"Prefer": ",".join(one for one in (preferences, f"odata.maxpagesize={size}") if one)}
    page = api.one(path, headers=asked)
    rows: list[Row] = page["value"]
    while "@odata.nextLink" in page:
        page = api.one(page["@odata.nextLink"], headers=asked)
        rows += page["value"]
    return rows


@pytest.mark.parametrize(
    ("condition", "test"),
    [
        ("firstname eq null", lambda row: row["firstname"] is None),
        ("contains(lastname,'o''b')", lambda row: "o'b" in row["lastname"].lower()),
        ("startswith(lastname,'mü')", lambda row: row["lastname"].lower().startswith("mü")),
        (
            f"{CRM}In(PropertyName='numberofchildren',PropertyValues=[\"1\",\"2\"])",
            lambda row: row["numberofchildren"] in (1, 2),
        ),
        (
            f"{CRM}ContainValues(PropertyName='new_interests',PropertyValues=[\"100000000\"])",
            lambda row: "100000000" in (row["new_interests"] or ""),
        ),
        ("not (statecode eq 0)", lambda row: row["statecode"] != 0),
        ("parentcustomerid_account/name ne null", None),
    ],
)  # fmt: skip
def test_functions_and_paths(api: WebApi, condition: str, test: Callable[[Row], bool] | None) -> None:
    rows = every_row(api, f"contacts?$select={COLUMNS},_parentcustomerid_value")
    chosen = test or (lambda row: row["_parentcustomerid_value"] is not None)
    found = api.one("contacts", params={"$select": "contactid", "$filter": condition})["value"]
    expected = {row["contactid"] for row in rows if chosen(row)}
    assert expected and {row["contactid"] for row in found} == expected


def test_pages_of_any_size_hold_every_row_once_and_in_order(api: WebApi) -> None:
    path = "contacts?$select=lastname,numberofchildren&$orderby=numberofchildren desc,lastname"
    whole = every_row(api, path)
    assert every_row(api, path, 7) == whole
    assert [row["numberofchildren"] for row in whole][-1] is None
    page = api.one("contacts?$select=lastname", headers={"Prefer": "odata.maxpagesize=7"})
    token = parse_qs(urlsplit(page["@odata.nextLink"]).query)["$skiptoken"][0]
    outer = re.fullmatch(r'<cookie pagenumber="2" pagingcookie="([^"]+)" istracking="False" />', token)
    assert outer and unquote(outer[1]).startswith('<cookie page="1"><contactid last="{')
    assert "%20pagingcookie=%22%253ccookie%2520page%253d%25221%2522%253e%253ccontactid" in page["@odata.nextLink"]
    broken = page["@odata.nextLink"].replace("cookie", "biscuit")
    assert api.get(broken).status_code == 400


def test_annotations_come_only_when_asked(api: WebApi) -> None:
    condition = "gendercode eq 2 and _parentcustomerid_value ne null"
    path = f"contacts?$select=gendercode,_parentcustomerid_value&$filter={condition}"
    plain = api.one(path)["value"][0]
    assert set(plain) == {"@odata.etag", "contactid", "gendercode", "_parentcustomerid_value"}
    full = api.one(path, headers={"Prefer": 'odata.include-annotations="*"'})["value"][0]
    lookup = "_parentcustomerid_value"
    assert full["gendercode@OData.Community.Display.V1.FormattedValue"] == "Female"
    assert full[f"{lookup}@{CRM}lookuplogicalname"] == "account"
    assert full[f"{lookup}@{CRM}associatednavigationproperty"] == "parentcustomerid_account"
    one = api.one(path, headers={"Prefer": f'odata.include-annotations="{CRM}lookuplogicalname"'})["value"][0]
    assert set(one) - set(plain) == {f"{lookup}@{CRM}lookuplogicalname"}


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("$select=Name", 400, "Could not find a property named 'Name' on type 'Microsoft.Dynamics.CRM.contact'."),
        ("$select=parentcustomeridname", 400, "parentcustomeridname"),
        ("$filter=lastname eq 'x", 400, "unterminated"),
        ("$filter=lastname eq 5", 400, "incompatible types"),
        ("$filter=tolower(lastname) eq 'x'", 400, ""),
        ("$skip=5", 400, "Skip"),
        ("$search=x", 400, "$search"),
        ("$format=json", 400, "$format"),
        ("$top=x", 400, ""),
        ("$apply=aggregate($count as n)", 501, "$apply"),
        (f"$filter=lastname eq '{'x' * 33_000}'", 414, "characters"),
    ],
)
def test_what_queries_refuse(api: WebApi, query: str, status: int, words: str) -> None:
    answer = api.get(f"contacts?{query}")
    assert answer.status_code == status and words in answer.text, answer.text


def test_change_tracking_tells_changes_and_deletions_until_it_expires(api: WebApi) -> None:
    asked = {"Prefer": "odata.track-changes,odata.maxpagesize=50"}
    page = first = api.one("contacts?$select=fullname", headers=asked)
    rows = list(page["value"])
    while "@odata.nextLink" in page:
        assert "@odata.deltaLink" not in page
        page = api.one(page["@odata.nextLink"])
        rows += page["value"]
    assert len(rows) == int(api.get("contacts/$count").text) and first["@odata.context"].endswith("/$delta")
    made = api.create("contacts", {"lastname": "Tracked"})
    passing = api.create("contacts", {"lastname": "Passing"})
    (changed,) = api.sandbox.change_contacts(1)
    api.send("DELETE", f"contacts({passing})")
    delta = api.one(page["@odata.deltaLink"])
    gone = [row["id"] for row in delta["value"] if row.get("reason") == "deleted"]
    assert {row.get("contactid") for row in delta["value"]} - {None} == {made, changed} and gone == [passing]
    again = api.one(delta["@odata.deltaLink"])
    assert again["value"] == [] and again["@odata.deltaLink"]
    api.send("DELETE", f"contacts({made})")
    assert [row["id"] for row in api.one(again["@odata.deltaLink"])["value"]] == [made]
    for refused in ("$filter=statecode eq 0", "$orderby=fullname", "$top=1"):
        assert api.get(f"contacts?{refused}", headers=asked).status_code == 400
    assert api.get("new_visits", headers=asked).status_code == 400
    api.sandbox.advance(timedelta(days=8))
    expired = api.get(again["@odata.deltaLink"])
    assert (expired.status_code, expired.json()["error"]["code"]) == (400, "0x80044352")
    api.sandbox.switches(tracking_expired_status=410)
    assert api.get(again["@odata.deltaLink"]).status_code == 410


def test_secured_columns_are_null_and_tables_without_privilege_refused(api: WebApi) -> None:
    path = "contacts?$select=fullname,jobtitle&$filter=jobtitle ne null"
    assert all(row["jobtitle"] for row in api.one(path)["value"])
    api.sandbox.hide("lead", "contact.jobtitle")
    rows = api.one(path)["value"]
    assert rows and {row["jobtitle"] for row in rows} == {None} and all(row["fullname"] for row in rows)
    assert api.one(f"contacts({rows[0]['contactid']})")["jobtitle"] is None
    refused = api.get("leads?$top=1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "0x80040220")
    assert api.send("POST", "leads", json={"lastname": "x"}).status_code == 403


def test_counts_are_capped_nowhere_near_here(api: WebApi) -> None:
    page = api.one("contacts?$count=true&$top=1&$select=fullname")
    number = page["@odata.count"]
    assert api.get("contacts/$count").text == str(number)
    total = api.one("RetrieveTotalRecordCount(EntityNames=['contact'])")["EntityRecordCountCollection"]
    assert total["Values"] == [number]
    api.sandbox.switches(count_mark=True)
    assert api.get("contacts/$count").content == b"\xef\xbb\xbf" + str(number).encode()


def test_fetchxml_reads_what_filters_read(api: WebApi) -> None:
    text = """
        <fetch><entity name='contact'><attribute name='fullname'/><attribute name='parentcustomerid'/>
        <order attribute='fullname'/><filter type='or'><condition attribute='numberofchildren' operator='ge' value='3'/>
        <condition attribute='lastname' operator='like' value='%o%'/></filter>
        <link-entity name='account' from='accountid' to='parentcustomerid' alias='firm'>
        <attribute name='name'/></link-entity></entity></fetch>"""
    rows = api.one("contacts", params={"fetchXml": text})["value"]
    condition = "(numberofchildren ge 3 or contains(lastname,'o')) and parentcustomerid_account/accountid ne null"
    query = {"$filter": condition, "$select": "fullname", "$orderby": "fullname"}
    expected = api.one("contacts", params={**query, "$expand": "parentcustomerid_account($select=name)"})["value"]
    found = [(row["contactid"], row["firm.name"]) for row in rows]
    assert found == [(row["contactid"], row["parentcustomerid_account"]["name"]) for row in expected]
    assert api.get("contacts", params={"fetchXml": text.replace("'lastname'", "'nothing'")}).status_code == 400


def test_fetchxml_pages_by_its_cookie(api: WebApi) -> None:
    asked = {"Prefer": f'odata.include-annotations="{CRM}fetchxmlpagingcookie,{CRM}morerecords"'}
    seen: list[str] = []
    cookie, number, more = "", 1, True
    while more:
        entity = "<entity name='contact'><attribute name='lastname'/></entity>"
        text = f"<fetch count='50' page='{number}'{cookie}>{entity}</fetch>"
        page = api.one("contacts", params={"fetchXml": text}, headers=asked)
        seen += [row["contactid"] for row in page["value"]]
        more, number = page[f"@{CRM}morerecords"], number + 1
        outer = page.get(f"@{CRM}fetchxmlpagingcookie", "")
        assert bool(outer) is more
        inner = unquote(unquote(outer.partition('pagingcookie="')[2].partition('"')[0]))
        cookie = f" paging-cookie='{escape(inner)}'"
    assert len(seen) == len(set(seen)) == int(api.get("contacts/$count").text)
