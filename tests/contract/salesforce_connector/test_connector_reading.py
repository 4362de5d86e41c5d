"""Reading by Bulk, which gives the same rows as pages, and what only Salesforce has. What every CRM has to do is in
`tests/contract/every_connector`."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from tests.contract.salesforce_connector.conftest import RECORDS, Read, read
from tests.sandboxes import Sandbox

from crosstie.crm.connector import Comparison, Condition, Group, Operator, Order, RemoteQuery, Road
from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.errors import RequestError
from crosstie.model import FieldType, IndexRange, RemoteObject

ROADS = (Road.PAGES, Road.BULK)
FIELDS = ("Id", "LastName", "Email", "Interests__c", "Score__c", "IsEmailBounced", "Birthdate", "SystemModstamp")


@pytest.fixture
def contact(connector: SalesforceConnector) -> RemoteObject:
    """Contacts."""
    return connector.describe("Contact")


def readable(remote: RemoteObject) -> tuple[str, ...]:
    """Every field that can be read, the id first."""
    left_out = {FieldType.COMPOUND, FieldType.BINARY}
    names = [field.name for field in remote.fields if field.type not in left_out and field.name != remote.key]
    return (remote.key, *names)


def meant(value: str | None, kind: FieldType) -> object:
    """The value behind its form on the wire, which the two roads need not share: +0000 and Z, 3.5E8 and 350000000.0."""
    if value is None:
        return None
    if kind is FieldType.DATETIME:
        return datetime.fromisoformat(value)
    return Decimal(value) if kind in {FieldType.DECIMAL, FieldType.FLOAT} else value


@pytest.mark.parametrize("name", ["Contact", "Gadget__c", "Account"])
@pytest.mark.parametrize("offset", [False, True])
def test_pages_and_bulk_give_equal_rows(
    connector: SalesforceConnector, sandbox: Sandbox, name: str, offset: bool
) -> None:
    sandbox.switches(bulk_datetime_offset=offset)
    remote = connector.describe(name)
    kinds = [field.type for name in readable(remote) if (field := remote.field(name))]
    found = []
    for road in ROADS:
        result = read(connector, RemoteQuery(object=remote, fields=readable(remote), road=road))
        assert result.road == road
        rows = [tuple(meant(value, kind) for value, kind in zip(row, kinds, strict=True)) for row in result.rows]
        found.append(sorted(rows, key=lambda row: str(row[0])))
    assert found[0] == found[1]
    assert found[0]
    assert len({row[0] for row in found[0]}) == len(found[0])


def test_values_keep_the_form_they_travelled_in(connector: SalesforceConnector, sandbox: Sandbox) -> None:
    gadget = connector.describe("Gadget__c")
    kinds = {field.name: field.type for field in gadget.fields}
    forms = {
        FieldType.BOOLEAN: r"true|false",
        FieldType.INTEGER: r"-?\d+",
        FieldType.DECIMAL: r"-?\d+\.\d+(E-?\d+)?",
        FieldType.FLOAT: r"-?\d+\.\d+(E-?\d+)?",
        FieldType.DATE: r"\d{4}-\d\d-\d\d",
        FieldType.DATETIME: r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|\+0000)",
        FieldType.TIME: r"\d\d:\d\d:\d\d\.\d{3}Z",
        FieldType.ID: r"[A-Za-z0-9]{18}",
    }
    fields = readable(gadget)
    for road in ROADS:
        rows = read(connector, RemoteQuery(object=gadget, fields=fields, road=road)).rows
        seen = {name: {row[position] for row in rows} - {None} for position, name in enumerate(fields)}
        for name, values in seen.items():
            form = forms.get(kinds[name])
            if form:
                assert values or kinds[name] is FieldType.FLOAT, name
                assert all(re.fullmatch(form, str(value)) for value in values), (name, road, sorted(map(str, values)))
        assert "" not in {value for row in rows for value in row}


def test_columns_come_in_the_asked_order_and_spelling(connector: SalesforceConnector, contact: RemoteObject) -> None:
    fields = ("Id", "systemmodstamp", "account.Name", "Account.Owner.Username", "EMAIL", "Id")
    found = [read(connector, RemoteQuery(object=contact, fields=fields, road=road)).rows for road in ROADS]
    assert all(row[0] == row[5] for row in found[0])
    assert {row[2] for row in found[0]} > {None}
    pages, bulk = (sorted((row[0], *row[2:]) for row in rows) for rows in found)
    assert pages == bulk


Test = Callable[[dict[str, str | None]], bool]


def like(pattern: str, field: str) -> Test:
    """A test by regular expression, as the CRM compares texts: in any case."""
    return lambda row: row[field] is not None and bool(re.search(pattern, str(row[field]), re.IGNORECASE))


def number(row: dict[str, str | None]) -> float | None:
    """The score."""
    return None if row["Score__c"] is None else float(str(row["Score__c"]))


CASES: list[tuple[Condition, Test]] = [
    (Comparison(field="Email", operator=Operator.EMPTY), lambda row: row["Email"] is None),
    (Comparison(field="Email", operator=Operator.NOT_EMPTY), lambda row: row["Email"] is not None),
    (
        Comparison(field="LastName", operator=Operator.EQUAL, value="o'brien"),
        lambda row: str(row["LastName"]).lower() == "o'brien",
    ),
    (
        Comparison(field="LastName", operator=Operator.NOT_EQUAL, value="Lefèvre"),
        lambda row: str(row["LastName"]).lower() != "lefèvre",
    ),
    (Comparison(field="LastName", operator=Operator.STARTS_WITH, value="m"), like("^m", "LastName")),
    (Comparison(field="LastName", operator=Operator.CONTAINS, value="'"), like("'", "LastName")),
    (Comparison(field="LastName", operator=Operator.CONTAINS, value="%"), like("%", "LastName")),
    (Comparison(field="LastName", operator=Operator.CONTAINS, value="_"), like("_", "LastName")),
    (Comparison(field="LastName", operator=Operator.CONTAINS, value="é"), like("é", "LastName")),
    (
        Comparison(field="Score__c", operator=Operator.AT_LEAST, value=50.0),
        lambda row: (number(row) is not None) and number(row) >= 50,  # type: ignore[operator]
    ),
    (
        Comparison(field="Score__c", operator=Operator.LESS, value=12.5),
        lambda row: (number(row) is not None) and number(row) < 12.5,  # type: ignore[operator]
    ),
    (
        Group(
            all=True,
            items=(
                Comparison(field="Score__c", operator=Operator.GREATER, value=10),
                Comparison(field="Score__c", operator=Operator.AT_MOST, value=20),
            ),
        ),
        lambda row: (number(row) is not None) and 10 < number(row) <= 20,  # type: ignore[operator]
    ),
    (
        Comparison(field="IsEmailBounced", operator=Operator.EQUAL, value=True),
        lambda row: row["IsEmailBounced"] == "true",
    ),
    (
        Comparison(field="Birthdate", operator=Operator.BEFORE, value=date(1970, 1, 1)),
        lambda row: row["Birthdate"] is not None and row["Birthdate"] < "1970-01-01",
    ),
    (
        Comparison(field="SystemModstamp", operator=Operator.AFTER, value=datetime(2022, 6, 1, tzinfo=UTC)),
        lambda row: str(row["SystemModstamp"]) > "2022-06-01T00:00:00.000",
    ),
    (
        Comparison(field="Interests__c", operator=Operator.INCLUDES, value=["Música", "Sports, indoor"]),
        lambda row: bool({"Música", "Sports, indoor"} & set(str(row["Interests__c"]).split(";"))),
    ),
    (
        Comparison(field="LastName", operator=Operator.ONE_OF, value=["Lefèvre", "Nobody", "山田"]),
        lambda row: str(row["LastName"]).lower() in {"lefèvre", "nobody", "山田"},
    ),
    (
        Group(
            all=False,
            items=(
                Comparison(field="Email", operator=Operator.EMPTY),
                Group(
                    all=True,
                    items=(
                        Comparison(field="Interests__c", operator=Operator.NOT_EMPTY),
                        Comparison(field="Score__c", operator=Operator.EMPTY),
                    ),
                ),
            ),
        ),
        lambda row: row["Email"] is None or (row["Interests__c"] is not None and row["Score__c"] is None),
    ),
]


def test_every_operator_means_the_same_by_bulk(connector: SalesforceConnector, contact: RemoteObject) -> None:
    everything = [dict(zip(FIELDS, row, strict=True)) for row in read_pages(connector, contact).rows]
    assert len(everything) == RECORDS
    matched = 0
    for condition, test in CASES:
        wanted = sorted(str(row["Id"]) for row in everything if test(row))
        matched += bool(wanted)
        query = RemoteQuery(object=contact, fields=("Id",), condition=condition, road=Road.BULK)
        assert sorted(str(row[0]) for row in read(connector, query).rows) == wanted, condition
    assert matched > len(CASES) * 0.7  # the data has something for nearly all of them


def read_pages(connector: SalesforceConnector, contact: RemoteObject) -> Read:
    """Every contact by pages."""
    return read(connector, RemoteQuery(object=contact, fields=FIELDS, road=Road.PAGES))


def test_a_window_holds_its_start_and_not_its_end(connector: SalesforceConnector, contact: RemoteObject) -> None:
    stamps = sorted(str(row[7]) for row in read_pages(connector, contact).rows)
    start, end = (
        datetime.fromisoformat(stamps[len(stamps) // 3]),
        datetime.fromisoformat(stamps[2 * len(stamps) // 3]),
    )
    wanted = [stamp for stamp in stamps if start <= datetime.fromisoformat(stamp) < end]
    window = IndexRange(field="SystemModstamp", start=start, end=end)
    query = RemoteQuery(object=contact, fields=("Id", "SystemModstamp"), window=window, road=Road.BULK)
    found = read(connector, query)
    assert sorted(str(row[1]).replace("Z", "+0000") for row in found.rows) == wanted
    assert found.rows


def test_a_first_window_includes_rows_without_a_stamp(
    connector: SalesforceConnector, contact: RemoteObject, sandbox: Sandbox
) -> None:
    first = sorted(str(row[0]) for row in read_pages(connector, contact).rows)[:7]
    sandbox.control("set_stamp", object="Contact", ids=first, values={"SystemModstamp": None})
    window = IndexRange(field="SystemModstamp", start=None, end=sandbox.now() + timedelta(minutes=1))
    query = RemoteQuery(object=contact, fields=("Id",), window=window, road=Road.BULK)
    assert len({row[0] for row in read(connector, query).rows}) == RECORDS
    sandbox.control("set_stamp", object="Contact", ids=first, values={"SystemModstamp": "2021-01-01T00:00:00.000+0000"})


def test_an_ordered_read_never_uses_bulk(connector: SalesforceConnector, contact: RemoteObject) -> None:
    ordered = RemoteQuery(object=contact, fields=("Id",), order=(Order(field="Id"),), expected_rows=1_000_000)
    assert connector.open(ordered, lambda token: None).road is Road.PAGES
    with pytest.raises(RequestError, match="can't use Bulk"):
        connector.open(replace(ordered, road=Road.BULK), lambda token: None)


def test_a_population_of_ids_is_read_whole(connector: SalesforceConnector, contact: RemoteObject) -> None:
    ids = sorted(str(row[0]) for row in read_pages(connector, contact).rows)[:1_300]
    query = RemoteQuery(object=contact, fields=("Id", "LastName"), ids=[*ids, ids[0], "003000000000000AAA"])
    found = read(connector, query)
    assert found.road == Road.PAGES
    assert "by id" in found.reason
    assert sorted({str(row[0]) for row in found.rows}) == ids
    assert connector.count(replace(query, ids=ids)) == len(ids)
    assert read(connector, replace(query, ids=())).rows == []
    filtered = replace(query, condition=Comparison(field="Email", operator=Operator.EMPTY))
    assert 0 < len(read(connector, filtered).rows) < len(ids)


def test_deleted_records_are_read_only_when_asked(
    connector: SalesforceConnector, contact: RemoteObject, sandbox: Sandbox
) -> None:
    deleted = Comparison(field="IsDeleted", operator=Operator.EQUAL, value=True)
    plain = RemoteQuery(object=contact, fields=("Id",), condition=deleted)
    both = replace(plain, include_deleted=True)
    before = {row[0] for row in read(connector, both).rows}
    gone = {row[0] for row in read_pages(connector, contact).rows[:3]}
    sandbox.control("delete", object="Contact", ids=sorted(map(str, gone)))
    for road in ROADS:
        assert read(connector, replace(plain, road=road)).rows == []
        assert {row[0] for row in read(connector, replace(both, road=road)).rows} == before | gone
    assert connector.count(both) == len(before) + 3
    sandbox.control("undelete", object="Contact", ids=sorted(map(str, gone)))


def test_a_partition_can_be_fetched_again_elsewhere(connector: SalesforceConnector, contact: RemoteObject) -> None:
    query = RemoteQuery(object=contact, fields=FIELDS, road=Road.BULK)
    found = read(connector, query)
    travelled = pickle.loads(pickle.dumps((query, found.partitions)))

    def again(index: int) -> list[tuple[str | None, ...]]:
        batches = list(connector.fetch(travelled[0], travelled[1][index]).batches)
        return [row for batch in batches for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)]

    with ThreadPoolExecutor(3) as pool:
        rows = [row for part in pool.map(again, range(len(found.partitions))) for row in part]
    assert rows == found.rows
    assert len(found.partitions) == 5


def test_a_field_that_vanished_is_named(
    connector: SalesforceConnector, contact: RemoteObject, sandbox: Sandbox
) -> None:
    sandbox.hide("Contact.Birthdate")
    for road in ROADS:
        with pytest.raises(RequestError, match="Birthdate") as caught:
            read(connector, RemoteQuery(object=contact, fields=("Id", "Birthdate"), road=road))
        assert "INVALID_FIELD" in caught.value.code or "Birthdate" in caught.value.message
        assert caught.value.hint
