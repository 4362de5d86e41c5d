"""Records through Microsoft's client: one by one, in bulk, in batches, by filters, pages and SQL."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError
from PowerPlatform.Dataverse.models.filters import col
from PowerPlatform.Dataverse.models.query_builder import ExpandOption
from PowerPlatform.Dataverse.models.upsert import UpsertItem


def test_a_record_lives_and_dies(client: DataverseClient) -> None:
    record_id = client.records.create("contact", {"lastname": "O'Hara", "gendercode": "Female", "annualincome": 10.5})
    shown = client.records.retrieve("contact", record_id, select=["fullname", "gendercode", "annualincome"])
    assert shown is not None
    assert (shown["fullname"], shown["gendercode"], shown["annualincome"]) == ("O'Hara", 2, 10.5)
    client.records.update("contact", record_id, {"firstname": "Scarlett", "gendercode": None})
    (found,) = client.records.list("contact", filter="lastname eq 'O''Hara'", select=["fullname", "gendercode"])
    assert (found["fullname"], found["gendercode"]) == ("Scarlett O'Hara", None)
    client.records.delete("contact", record_id)
    assert client.records.retrieve("contact", record_id, select=["fullname"]) is None


def test_many_records_go_by_bulk_messages(client: DataverseClient) -> None:
    ids = client.records.create("contact", [{"lastname": f"Bulk {number}"} for number in range(5)])
    assert len(set(ids)) == 5
    client.records.update("contact", ids, {"department": "Bulk"})
    client.records.update("contact", ids, [{"jobtitle": f"No. {number}"} for number in range(5)])
    rows = client.records.list("contact", filter="department eq 'bulk'", select=["jobtitle"], orderby=["jobtitle"])
    assert [row["jobtitle"] for row in rows] == [f"No. {number}" for number in range(5)]
    job = client.records.delete("contact", ids)
    assert job and not list(client.records.list("contact", filter="department eq 'bulk'", select=["jobtitle"]))


def test_an_upsert_goes_by_alternate_keys(client: DataverseClient) -> None:
    keys = [{"new_externalid": f"client '{number}'"} for number in range(2)]
    client.records.upsert("contact", [UpsertItem(alternate_key=keys[0], record={"lastname": "First"})])
    both: list[UpsertItem | dict[str, Any]] = [
        UpsertItem(alternate_key=key, record={"lastname": "Both"}) for key in keys
    ]
    client.records.upsert("contact", both)
    rows = list(client.records.list("contact", filter="lastname eq 'Both'", select=["new_externalid"]))
    assert sorted(row["new_externalid"] for row in rows) == [key["new_externalid"] for key in keys]
    client.records.delete("contact", [row["contactid"] for row in rows])


def test_pages_and_filters_find_every_record(client: DataverseClient) -> None:
    pages = list(client.records.list_pages("contact", select=["fullname"], page_size=25))
    assert [len(list(page)) for page in pages] == [25, 25, 10]
    active = list(client.records.list("contact", filter="statecode eq 0", select=["fullname"]))
    inactive = list(client.records.list("contact", filter="statecode ne 0", select=["fullname"]))
    assert inactive and len(active) + len(inactive) == 60


def test_what_the_query_builder_writes_is_understood(client: DataverseClient) -> None:
    columns = ["fullname", "lastname", "numberofchildren", "birthdate", "createdon", "statecode"]
    rows = list(client.records.list("contact", select=columns))
    names = sorted({row["lastname"] for row in rows if "'" not in row["lastname"]})[:4]
    condition = (
        (col("lastname").in_(names) & ~(col("statecode") == 1))
        | col("numberofchildren").between(1, 2)
        | (col("birthdate").is_null() & col("fullname").contains("o"))
        | (col("createdon") > datetime(2100, 1, 1, tzinfo=UTC))
    )
    asked = client.query.builder("contact").select("fullname", "statecode").where(condition).order_by("fullname")
    found: list[Any] = list(asked.page_size(7).include_formatted_values().execute())
    expected = [
        row
        for row in rows
        if (row["lastname"] in names and row["statecode"] == 0)
        or row["numberofchildren"] in (1, 2)
        or (row["birthdate"] is None and "o" in row["fullname"].lower())
    ]
    assert len(found) > 7 and {row["contactid"] for row in found} == {row["contactid"] for row in expected}
    labels = {row["statecode@OData.Community.Display.V1.FormattedValue"] for row in found}
    assert labels <= {"Active", "Inactive"} and "Active" in labels
    behind = ExpandOption("contact_customer_accounts").select("fullname").order_by("fullname")
    firms = client.query.builder("account").select("name").expand(behind).where(col("name") != "nothing")
    accounts: list[Any] = list(firms.execute())
    fullnames = {row["contactid"]: row["fullname"] for row in rows}
    children = [child for account in accounts for child in account["contact_customer_accounts"]]
    assert children and all(fullnames[child["contactid"]] == child["fullname"] for child in children)


def test_fetchxml_pages_are_followed(client: DataverseClient) -> None:
    text = "<fetch count='25'><entity name='contact'><attribute name='fullname'/></entity></fetch>"
    rows = list(client.query.fetchxml(text).execute())
    assert len({row["contactid"] for row in rows}) == 60


def test_sql_reads_what_filters_read(client: DataverseClient) -> None:
    wanted = list(client.records.list("contact", filter="statecode eq 1", select=["fullname"], orderby=["fullname"]))
    text = "SELECT c.fullname, c.annualincome FROM contact c WHERE c.statecode = 1 ORDER BY c.fullname"
    found = client.query.sql(text)
    assert sorted(row["fullname"] for row in found) == sorted(row["fullname"] for row in wanted)
    rich = client.query.sql("SELECT annualincome FROM contact WHERE annualincome > 9000.5 ORDER BY annualincome")
    incomes = [row["annualincome"] for row in rich]
    assert incomes == sorted(incomes) and all(one > 9000.5 for one in incomes)
    query = "annualincome gt 9000.5"
    assert len(incomes) == len(list(client.records.list("contact", filter=query, select=["contactid"]))) < 60
    counted = client.query.sql("SELECT statecode, COUNT(contactid) AS many FROM contact GROUP BY statecode")
    assert {row["statecode"]: row["many"] for row in counted} == {0: 60 - len(wanted), 1: len(wanted)}
    joined = client.query.sql(
        "SELECT TOP 3 c.fullname, a.name FROM contact c JOIN account a ON c.parentcustomerid = a.accountid"
    )
    assert len(joined) == 3 and all(row["name"] for row in joined)
    with pytest.raises(HttpError):
        client.query.sql("SELECT nothing FROM contact")


def test_a_batch_mixes_operations_and_keeps_change_sets_whole(client: DataverseClient) -> None:
    first = client.records.create("contact", {"lastname": "Batch"})
    batch = client.batch.new()
    batch.records.create("contact", {"lastname": "Made in a batch"})
    batch.records.retrieve("contact", first, select=["fullname"])
    batch.records.update("contact", first, {"jobtitle": "Größe"})
    with batch.changeset() as changes:
        account = changes.records.create("account", {"name": "Set"})
        child = {"lastname": "Child", "parentcustomerid_account@odata.bind": account}
        changes.records.create("contact", child)
    batch.query.sql("SELECT TOP 1 fullname FROM contact")
    batch.records.create("contact", {"lastname": "x" * 60})
    done = batch.execute(continue_on_error=True)
    assert [one.status_code for one in done.responses] == [204, 200, 204, 204, 204, 200, 400]
    assert done.responses[-1].error_code == "0x80044331"
    made = [one.entity_id for one in done.responses if one.entity_id]
    contacts = [one["contactid"] for one in client.records.list("contact", select=["contactid"])]
    client.records.delete("contact", [one for one in (first, *made) if one in contacts])


def test_a_file_is_uploaded(client: DataverseClient, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"content")
    record_id = client.records.create("new_everything", {"new_name": "with a file"})
    client.files.upload("new_everything", record_id, "new_document", str(tmp_path / "a.txt"))
    shown = client.records.retrieve("new_everything", record_id, select=["new_document_name"])
    assert shown is not None and shown["new_document_name"] == "a.txt"


def test_refusals_arrive_with_code_and_request_id(client: DataverseClient) -> None:
    with pytest.raises(HttpError) as refused:
        client.records.create("contact", {"lastname": "x" * 60})
    assert refused.value.status_code == 400 and "maximum allowed length" in str(refused.value)
