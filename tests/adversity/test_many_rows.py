"""A bulk query through simple-salesforce of more rows than anybody looks at: 60,000, and a million in the soak."""

import csv
import io
from collections.abc import Iterator

import pytest
import requests
from simple_salesforce.api import Salesforce

from tests.contract.simple_salesforce.conftest import Org
from tests.sandboxes import Sandbox, running_sandbox
from tests.scale import examples

ROWS = examples(60_000, 1_000_000)
FIELDS = ["Id", "FirstName", "LastName", "Email", "Title", "Interests__c", "Score__c", "AccountId", "SystemModstamp"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with so many contacts."""
    with running_sandbox(records=ROWS) as running:
        yield running


def test_every_row_of_a_bulk_query_comes_once(sandbox: Sandbox) -> None:
    known = sandbox.salesforce
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(sandbox.ca_file)
        org: Org = Salesforce(session_id=known["access_token"], instance_url=known["instance_url"], session=session)
        rows, last = 0, ""
        for page in org.bulk2.Contact.query(f"SELECT {', '.join(FIELDS)} FROM Contact", wait=0):
            reader = csv.reader(io.StringIO(page, newline=""))
            assert next(reader) == FIELDS
            for row in reader:
                # Ids only rise, so that none can come twice.
                assert row[0] > last
                assert len(row) == len(FIELDS)
                last = row[0]
                rows += 1
        assert rows == ROWS == org.query("SELECT COUNT() FROM Contact")["totalSize"]
        assert sandbox.counters()["rows"]["bulk_results"] == ROWS
