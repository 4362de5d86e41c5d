"""Reading by query pages: every filter, window, order and list of ids means what it says."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from crosstie.crm import kind_of
from crosstie.crm.connector import Comparison, Condition, Connector, Group, Operator, Order, RemoteQuery, Road
from crosstie.errors import MappingError
from crosstie.model import FieldType, IndexRange, RemoteObject
from tests.contract.every_connector.worlds import RECORDS, Roles, World, read

Row = dict[str, str | None]
Test = Callable[[Row], bool]
FORMS = {
    FieldType.BOOLEAN: r"true|false",
    FieldType.INTEGER: r"-?\d+",
    FieldType.DECIMAL: r"-?\d+(\.\d+)?(E-?\d+)?",
    FieldType.DATE: r"\d{4}-\d\d-\d\d",
    FieldType.DATETIME: r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?(Z|\+0000)",
    FieldType.WALL_CLOCK: r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    FieldType.TIME: r"\d\d:\d\d:\d\d\.\d{3}Z",
    FieldType.SET: r"[^;]+(;[^;]+)*",
}


def everything(connector: Connector, contact: RemoteObject, roles: Roles) -> list[Row]:
    """Every contact."""
    query = RemoteQuery(object=contact, fields=roles.fields, road=Road.PAGES)
    return [dict(zip(roles.fields, row, strict=True)) for row in read(connector, query)]


def test_values_of_every_type_keep_the_form_they_travelled_in(connector: Connector, world: World) -> None:
    remote = connector.describe(world.roles.everything)
    left_out = {FieldType.COMPOUND, FieldType.BINARY}
    names = [field.name for field in remote.fields if field.type not in left_out and field.name != remote.key]
    query = RemoteQuery(object=remote, fields=(remote.key, *names), road=Road.PAGES)
    rows = read(connector, query)
    kinds = {field.name: field.type for field in remote.fields}
    complete = kind_of(connector.kind).id_completer()
    for place, name in enumerate(query.fields):
        values = {row[place] for row in rows} - {None}
        assert "" not in values
        form = FORMS.get(kinds[name])
        if form:
            assert all(re.fullmatch(form, str(value)) for value in values), (name, sorted(map(str, values))[:3])
        if kinds[name] in {FieldType.ID, FieldType.REFERENCE}:
            assert all(complete(str(value)) == value for value in values), name
    seen = {kinds[name] for place, name in enumerate(query.fields) if any(row[place] for row in rows)}
    assert seen >= {FieldType.ID, FieldType.REFERENCE, FieldType.TEXT, FieldType.DECIMAL, FieldType.SET, FieldType.DATE}


def test_columns_come_in_the_asked_order_and_spelling(
    connector: Connector, contact: RemoteObject, world: World
) -> None:
    roles = world.roles
    fields = (roles.key, roles.stamp.upper(), roles.path, roles.email.upper(), roles.key)
    rows = read(connector, RemoteQuery(object=contact, fields=fields, road=Road.PAGES))
    assert len(rows) == RECORDS
    assert all(row[0] == row[4] and row[1] for row in rows)
    assert {row[2] for row in rows} > {None}


def like(pattern: str, name: str) -> Test:
    """A test by regular expression, as CRMs compare texts: in any case."""
    return lambda row: row[name] is not None and bool(re.search(pattern, str(row[name]), re.IGNORECASE))


def number(row: Row, name: str) -> float:
    """A number; one that is not there compares with nothing."""
    return float("nan") if row[name] is None else float(str(row[name]))


def cases(roles: Roles, some_name: str) -> list[tuple[Condition, Test]]:
    """Conditions, each with what it means."""
    name, score, email = roles.last_name, roles.score, roles.email

    def one(field: str, operator: Operator, value: object = None) -> Comparison:
        return Comparison(field=field, operator=operator, value=value)

    def is_name(row: Row) -> bool:
        return str(row[name]).lower() == some_name.lower()

    return [
        (one(email, Operator.EMPTY), lambda row: row[email] is None),
        (one(email, Operator.NOT_EMPTY), lambda row: row[email] is not None),
        (one(name, Operator.EQUAL, some_name.upper()), is_name),
        (one(name, Operator.NOT_EQUAL, some_name), lambda row: not is_name(row)),
        (one(name, Operator.STARTS_WITH, "m"), like("^m", name)),
        (one(name, Operator.CONTAINS, "'"), like("'", name)),
        (one(email, Operator.CONTAINS, "_"), like("_", email)),
        (one(name, Operator.CONTAINS, "%"), like("%", name)),
        (one(score, Operator.AT_LEAST, 50.0), lambda row: number(row, score) >= 50),
        (one(score, Operator.LESS, 12.5), lambda row: number(row, score) < 12.5),
        (one(score, Operator.NOT_EQUAL, 12.5), lambda row: number(row, score) != 12.5),
        (
            Group(all=True, items=(one(score, Operator.GREATER, 10), one(score, Operator.AT_MOST, 20))),
            lambda row: 10 < number(row, score) <= 20,
        ),
        (one(roles.flag, Operator.EQUAL, True), lambda row: row[roles.flag] == "true"),
        (
            one(roles.birthday, Operator.BEFORE, date(1980, 1, 1)),
            lambda row: row[roles.birthday] is not None and str(row[roles.birthday]) < "1980-01-01",
        ),
        (
            one(roles.stamp, Operator.AFTER, datetime(2024, 6, 1, tzinfo=UTC)),
            lambda row: str(row[roles.stamp]) > "2024-06-01T00:00:00Z",
        ),
        (
            one(roles.interests, Operator.INCLUDES, list(roles.choices)),
            lambda row: bool(set(roles.choices) & set(str(row[roles.interests]).split(";"))),
        ),
        (one(name, Operator.ONE_OF, [some_name, "Nobody", "山田"]), lambda row: is_name(row) or row[name] == "山田"),
        (
            Group(
                all=False,
                items=(
                    one(email, Operator.EMPTY),
                    Group(all=True, items=(one(roles.interests, Operator.NOT_EMPTY), one(score, Operator.EMPTY))),
                ),
            ),
            lambda row: row[email] is None or (row[roles.interests] is not None and row[score] is None),
        ),
    ]


def test_every_operator_means_the_same(connector: Connector, contact: RemoteObject, world: World) -> None:
    rows = everything(connector, contact, world.roles)
    assert len(rows) == RECORDS
    some_name = next(str(row[world.roles.last_name]) for row in rows if "'" in str(row[world.roles.last_name]))
    matched = 0
    for condition, test in cases(world.roles, some_name):
        wanted = sorted(str(row[world.roles.key]) for row in rows if test(row))
        matched += bool(wanted)
        query = RemoteQuery(object=contact, fields=(world.roles.key,), condition=condition, road=Road.PAGES)
        assert sorted(str(row[0]) for row in read(connector, query)) == wanted, condition
        assert connector.count(query) == len(wanted), condition
    assert matched >= 14  # the data has something for nearly all of them


def test_no_value_breaks_out_of_the_query(connector: Connector, contact: RemoteObject, world: World) -> None:
    names = ["' OR Id != '", "\\", "\\' or 1 eq 1", 'a"b', "%", "_", "[a]", "😀'漢", "100%_' +&#=;,", "%27 x"]
    ids = world.insert(names)
    key, last_name = world.roles.key, world.roles.last_name
    for name, wanted in zip(names, ids, strict=True):
        for operator in (Operator.EQUAL, Operator.STARTS_WITH, Operator.CONTAINS):
            items = (
                Comparison(field=last_name, operator=operator, value=name),
                Comparison(field=key, operator=Operator.ONE_OF, value=ids),
            )
            query = RemoteQuery(object=contact, fields=(key, last_name), condition=Group(all=True, items=items))
            found = read(connector, query)
            assert (wanted, name) in found
            assert all(name in str(value) for _, value in found)
    world.delete(ids)


def test_a_window_holds_its_start_and_not_its_end(connector: Connector, contact: RemoteObject, world: World) -> None:
    key, stamp = world.roles.key, world.roles.stamp
    stamps = sorted(datetime.fromisoformat(str(row[stamp])) for row in everything(connector, contact, world.roles))
    window = IndexRange(field=stamp, start=stamps[RECORDS // 3], end=stamps[2 * RECORDS // 3])
    query = RemoteQuery(object=contact, fields=(key, stamp), window=window, road=Road.PAGES)
    found = sorted(datetime.fromisoformat(str(row[1])) for row in read(connector, query))
    assert found == [one for one in stamps if stamps[RECORDS // 3] <= one < stamps[2 * RECORDS // 3]] != []


def test_a_first_window_includes_rows_without_a_stamp(
    connector: Connector, contact: RemoteObject, world: World
) -> None:
    first = sorted(str(row[world.roles.key]) for row in everything(connector, contact, world.roles))[:7]
    world.set_stamp(first, None)
    window = IndexRange(field=world.roles.stamp, start=None, end=world.sandbox.now() + timedelta(minutes=1))
    query = RemoteQuery(object=contact, fields=(world.roles.key,), window=window, road=Road.PAGES)
    assert len({row[0] for row in read(connector, query)}) == RECORDS
    world.set_stamp(first, "2021-01-01T00:00:00Z")


def test_an_order_is_kept_across_pages(connector: Connector, contact: RemoteObject, world: World) -> None:
    roles = world.roles
    rows = sorted(everything(connector, contact, roles), key=lambda row: str(row[roles.key]))
    fields = (roles.key, roles.birthday)
    for descending in (False, True):
        order = (Order(field=roles.birthday, descending=descending),)
        found = read(connector, RemoteQuery(object=contact, fields=fields, order=order))
        wanted = sorted(rows, key=lambda row: str(row[roles.birthday] or ""), reverse=descending)
        assert [row[1] for row in found] == [row[roles.birthday] for row in wanted]
        assert sorted(str(row[0]) for row in found) == [row[roles.key] for row in rows]


def test_a_population_of_ids_is_read_whole(connector: Connector, contact: RemoteObject, world: World) -> None:
    key, email = world.roles.key, world.roles.email
    ids = sorted(str(row[key]) for row in everything(connector, contact, world.roles))
    query = RemoteQuery(object=contact, fields=(key, email), ids=[*ids, ids[0]], road=Road.PAGES)
    assert sorted(str(row[0]) for row in read(connector, query)) == ids
    assert connector.count(replace(query, ids=ids)) == RECORDS
    assert read(connector, replace(query, ids=())) == []
    filtered = replace(query, condition=Comparison(field=email, operator=Operator.EMPTY))
    assert 0 < len(read(connector, filtered)) < RECORDS


def test_a_partition_can_be_fetched_again_elsewhere(connector: Connector, contact: RemoteObject, world: World) -> None:
    query = RemoteQuery(object=contact, fields=world.roles.fields, road=Road.PAGES)
    partitions = list(connector.open(query, lambda token: None).partitions)
    rows = read(connector, query, between=partitions.append)
    travelled = pickle.loads(pickle.dumps((query, partitions)))

    def again(index: int) -> list[tuple[str | None, ...]]:
        batches = list(connector.fetch(travelled[0], travelled[1][index]).batches)
        return [row for batch in batches for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)]

    with ThreadPoolExecutor(3) as pool:
        assert [row for part in pool.map(again, range(len(partitions))) for row in part] == rows
    assert len(partitions) == world.roles.page_count


def test_a_field_that_cannot_be_read_is_refused_before_any_call(
    connector: Connector, contact: RemoteObject, world: World
) -> None:
    world.sandbox.counters(reset=True)
    for name in world.roles.refused:
        with pytest.raises(MappingError):
            connector.open(RemoteQuery(object=contact, fields=(world.roles.key, name)), lambda token: None)
    assert world.sandbox.counters()["requests_total"] == 0


def test_what_was_deleted_is_told(connector: Connector, contact: RemoteObject, world: World) -> None:
    ids = world.insert(["Gone 1", "Gone 2", "Stays"])
    before = world.sandbox.now()
    world.delete(ids[:2])
    world.sandbox.advance(timedelta(minutes=30))
    connector.count(RemoteQuery(object=contact, fields=(world.roles.key,)))  # the clock is that of the last answer
    reach = connector.deletion_reach(contact)
    assert reach.earliest < before < reach.covered
    found = connector.deleted(contact, before - timedelta(minutes=1), reach.covered)
    rows = [row for batch in found.batches for row in batch.to_pylist()]
    assert {row["remote_id"] for row in rows} >= set(ids[:2])
    assert ids[2] not in {row["remote_id"] for row in rows}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["deleted_at"]) for row in rows)
    world.delete(ids[2:])
