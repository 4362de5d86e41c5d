"""The generated data: the same every time, in proportion, and hard on a client."""

import sqlite3
from pathlib import Path

import pytest

from crosstie.sandbox.salesforce import generate, schema
from crosstie.sandbox.salesforce.catalog import Catalog
from crosstie.sandbox.salesforce.describes import org_describes
from crosstie.sandbox.salesforce.ids import make_id
from crosstie.sandbox.salesforce.org import Org

RECORDS = 3000


def generated(records: int) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    catalog = Catalog.from_describes(org_describes())
    schema.create_tables(connection, catalog)
    generate.generate(connection, records)
    schema.create_indexes(connection, catalog)
    return connection


@pytest.fixture(scope="module")
def org() -> sqlite3.Connection:
    return generated(RECORDS)


def test_the_same_size_gives_the_same_org(org: sqlite3.Connection) -> None:
    again = generated(RECORDS)
    for table in ("Contact", "Account", "Lead", "Gadget__c"):
        assert (
            again.execute(f'SELECT * FROM "{table}"').fetchall() == org.execute(f'SELECT * FROM "{table}"').fetchall()
        )
    again.close()


def test_proportions(org: sqlite3.Connection) -> None:
    counts = {
        table: org.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
        for table in ("Account", "Lead", "Opportunity", "Case", "Gadget__c")
    }
    assert counts == {"Account": 300, "Lead": 600, "Opportunity": 150, "Case": 150, "Gadget__c": 150}
    living = org.execute("SELECT count(*) FROM Contact WHERE IsDeleted = 0").fetchone()[0]
    deleted = org.execute("SELECT count(*) FROM sandbox_delete_log").fetchone()[0]
    assert (living, deleted) == (RECORDS, RECORDS // 200)


def test_ids_are_those_of_their_numbers(org: sqlite3.Connection) -> None:
    for number, record_id in org.execute("SELECT rowid, Id FROM Lead"):
        assert record_id == make_id("00Q", number)


def test_every_value_fits_its_field(org: sqlite3.Connection) -> None:
    catalog = Catalog.from_describes(org_describes())
    for sobject in catalog.objects.values():
        for item in sobject.fields.values():
            if item.is_compound:
                continue
            column = f'"{item.name}"'
            if item.type in ("string", "textarea", "phone", "url", "email", "picklist"):
                longest, empty = org.execute(
                    f"SELECT max(length({column})), count(*) FILTER (WHERE {column} = '') FROM \"{sobject.name}\""
                ).fetchone()
                assert (longest or 0) <= item.length, (sobject.name, item.name)
                assert empty == 0
            if not item.nillable and sobject.name not in ("User", "Organization", "RecordType"):
                (nulls,) = org.execute(f'SELECT count(*) FROM "{sobject.name}" WHERE {column} IS NULL').fetchone()
                assert nulls == 0, (sobject.name, item.name)


def test_stamps_spread_and_cluster(org: sqlite3.Connection) -> None:
    first, last = org.execute("SELECT min(SystemModstamp), max(SystemModstamp) FROM Contact").fetchone()
    years = dict(org.execute("SELECT substr(SystemModstamp, 1, 4), count(*) FROM Contact GROUP BY 1").fetchall())
    assert min(years[str(year)] for year in range(2020, 2027)) > RECORDS // 40
    assert first < "2020-06" and "2026-09" < last < "2026-11-23T08"
    (cluster,) = org.execute(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM Contact GROUP BY SystemModstamp)"
    ).fetchone()
    assert cluster > RECORDS // 20
    (differing,) = org.execute("SELECT count(*) FROM Contact WHERE LastModifiedDate <> SystemModstamp").fetchone()
    assert differing > 0


@pytest.mark.parametrize("needle", ['"', ",", "\r\n", "😀", "́", "й", "\u200f", "𠮷", "null", "#N/A", "'"])
def test_values_hold_what_breaks_clients(org: sqlite3.Connection, needle: str) -> None:
    rows = org.execute(
        "SELECT count(*) FROM Contact WHERE instr(Name, ?) OR instr(Description, ?) OR instr(MailingStreet, ?)",
        (needle, needle, needle),
    ).fetchone()
    assert rows[0] > 0


def test_some_emails_are_shared_missing_or_in_capitals(org: sqlite3.Connection) -> None:
    (shared,) = org.execute("SELECT count(*) - count(DISTINCT Email) FROM Contact WHERE Email IS NOT NULL").fetchone()
    (missing,) = org.execute("SELECT count(*) FROM Contact WHERE Email IS NULL").fetchone()
    (capitals,) = org.execute("SELECT count(*) FROM Contact WHERE Email GLOB '[A-Z]*'").fetchone()
    assert min(shared, missing, capitals) > 0


def test_a_killed_start_begins_again(tmp_path: Path) -> None:
    (tmp_path / "salesforce.new").write_bytes(b"half a database")
    org = Org(tmp_path, records=20)
    with org.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM Contact").fetchone() == (20,)
    org.close()
    assert not (tmp_path / "salesforce.new").exists()
