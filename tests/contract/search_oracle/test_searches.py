"""Generated search specifications over generated rows: QueryPage finds what the plain evaluation finds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from crosstie.sandbox.oracle_on_demand import schema
from crosstie.sandbox.oracle_on_demand.conditions import glob_pattern
from crosstie.sandbox.oracle_on_demand.faults import SoapFault
from crosstie.sandbox.oracle_on_demand.objects import OBJECTS
from crosstie.sandbox.oracle_on_demand.query_page import QueryPage, Rules
from crosstie.sandbox.oracle_on_demand.rows import write_row
from crosstie.sandbox.oracle_on_demand.values import Wire
from tests.contract.odata_oracle.conditions import like
from tests.scale import examples

from . import strategies
from .conditions import ZONE, Manner, Row, ordered, pieces, stored

_THOROUGH = settings(max_examples=examples(40, 5_000), deadline=None, suppress_health_check=[HealthCheck.too_slow])
CONTACT = OBJECTS["Contact"]


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    """The company's tables in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        schema.create_tables(opened)
        schema.create_indexes(opened)
        yield opened


def _load(connection: sqlite3.Connection, rows: list[Row]) -> None:
    connection.execute("DELETE FROM contact")
    connection.execute("DELETE FROM contact_contactteam")
    for row in rows:
        write_row(connection, "contact", row["Id"], stored(row))
        for number, one in enumerate(row["team"]):
            write_row(
                connection, "contact_contactteam", f"{row['Id']}-{number}", {"ParentId": row["Id"], **stored(one)}
            )


def _ask(
    connection: sqlite3.Connection, version: str, build: dict[str, Any], **rules: Any
) -> tuple[list[str], etree._Element]:
    """The ids of a page, and the output; `build` has the list's attributes, the record's, and the fields."""
    body = etree.Element("Input")
    for name, value in build.get("arguments", {}).items():
        etree.SubElement(body, name).text = value
    record = etree.SubElement(etree.SubElement(body, "ListOfContact", build.get("list", {})), "Contact")
    if "search" in build:
        record.set("searchspec", build["search"])
    for tag, (content, attributes) in build.get("fields", {}).items():
        etree.SubElement(record, tag, attributes).text = content
    wanted = "Id" if version == "v2" else "ContactId"
    etree.SubElement(record, wanted)
    query = QueryPage(
        connection=connection,
        subject=CONTACT,
        flavour="custom",
        wire=Wire(version=version, zone=ZONE),
        rules=Rules(**rules),
        user_id="AAPA-U00001",
    )
    output = etree.fromstring(query.answer(body))
    return [str(one.text) for one in output.iterfind(f".//{{*}}{wanted}")], output


@_THOROUGH
@given(strategies.rows(), strategies.conditions, strategies.manners)
def test_a_search_specification_finds_what_the_plain_evaluation_finds(
    connection: sqlite3.Connection, rows: list[Row], condition: Any, manner: Manner
) -> None:
    _load(connection, rows)
    build = {"search": condition.text(manner), "list": {"pagesize": "100", "recordcountneeded": "true"}}
    rules = {"unequal_finds_empty": manner.empty_differs, "strict_parentheses": not manner.sparing}
    found, output = _ask(connection, "v2", build, **rules)
    expected = {row["Id"] for row in rows if condition.holds(row, manner)}
    assert set(found) == expected
    assert output[0].get("recordcount") == str(len(found)) == str(len(expected))


@_THOROUGH
@given(strategies.rows(), strategies.contents, strategies.manners, st.sampled_from(["v1", "v2"]))
def test_what_elements_hold_finds_what_the_plain_evaluation_finds(
    connection: sqlite3.Connection, rows: list[Row], contents: dict[str, Any], manner: Manner, version: str
) -> None:
    _load(connection, rows)
    spoken = Manner(version, manner.empty_differs, manner.sparing)
    fields: dict[str, Any] = {tag: (condition.text(spoken, named=False), {}) for tag, condition in contents.items()}
    build = {"fields": fields, "list": {"pagesize": "100"}, "arguments": {"PageSize": "100"}}
    rules = {"unequal_finds_empty": spoken.empty_differs, "strict_parentheses": not spoken.sparing}
    found, _ = _ask(connection, version, build, **rules)
    assert set(found) == {row["Id"] for row in rows if all(one.holds(row, spoken) for one in contents.values())}


@_THOROUGH
@given(strategies.rows(), strategies.orders, st.integers(1, 3), st.booleans())
def test_pages_follow_the_order_and_hold_every_row_once(
    connection: sqlite3.Connection, rows: list[Row], keys: list[tuple[str, bool]], size: int, from_one: bool
) -> None:
    _load(connection, rows)
    fields: dict[str, Any] = {
        tag: ("", {"sortorder": "DESC" if descending else "ASC", "sortsequence": str(rank)})
        for rank, (tag, descending) in enumerate(keys, 1)
    }
    seen: list[str] = []
    last = False
    while not last:
        start = {"pagesize": str(size), "startrownum": str(len(seen) + from_one)}
        found, output = _ask(connection, "v2", {"fields": fields, "list": start}, start_row_from_one=from_one)
        seen += found
        last = output[0].get("lastpage") == "true"
        assert last is (len(seen) == len(rows))
    assert len(seen) == len(set(seen))
    assert not keys or seen == ordered(rows, keys)


@settings(max_examples=300, deadline=None)
@given(strategies.patterned, strategies.patterned)
def test_patterns_match_what_a_plain_matcher_matches(connection: sqlite3.Connection, text: str, pattern: str) -> None:
    found = connection.execute("SELECT ? GLOB ?", (text, glob_pattern(pattern))).fetchone()[0]
    assert bool(found) is like(text, pieces(pattern))


@pytest.mark.parametrize(
    ("search", "code"),
    [
        ("[Nothing] = 'x'", "SBL-DAT-00398"),
        ("[ModifiedBy] = 'x'", "SBL-DAT-00501"),
        ("[nScore] = 'many'", "SBL-DAT-00501"),
        ("[DateofBirth] > '31/12/1999'", "SBL-DAT-00501"),
        ("[Id] = 'x", "SBL-DAT-00501"),
        ("[Id] = x", "SBL-DAT-00501"),
        ("NOT ([Id] = 'x')", "SBL-DAT-00501"),
        ("([Id] = 'x') AND", "SBL-DAT-00501"),
        ("[TeamRole] = 'Sales'", "SBL-DAT-00398"),
        ("EXISTS ([JobTitle] = 'x')", "SBL-DAT-00398"),
        ("(" * 60 + "[Id] = 'x'" + ")" * 60, "SBL-DAT-00501"),
    ],
)
def test_what_cannot_be_searched_is_a_fault(connection: sqlite3.Connection, search: str, code: str) -> None:
    with pytest.raises(SoapFault) as caught:
        _ask(connection, "v2", {"search": search})
    assert (caught.value.shape, caught.value.code) == ("A", code)


@pytest.mark.parametrize("search", ["([Id] = 'x')", "[Id] = 'x' OR [Id] = 'y'"])
def test_parentheses_may_be_taken_strictly(connection: sqlite3.Connection, search: str) -> None:
    assert _ask(connection, "v2", {"search": search})[0] == []
    with pytest.raises(SoapFault, match="parentheses"):
        _ask(connection, "v2", {"search": search}, strict_parentheses=True)


def test_the_first_version_sorts_or_filters(connection: sqlite3.Connection) -> None:
    _load(connection, [{"Id": f"AAPA-{number}", "team": [], "JobTitle": f"T{number % 2}"} for number in range(4)])
    descending: dict[str, Any] = {"JobTitle": ("(DESCENDING)", {})}
    assert _ask(connection, "v1", {"fields": descending})[0] == ["AAPA-3", "AAPA-1", "AAPA-2", "AAPA-0"]
    with pytest.raises(SoapFault, match="sorts or filters"):
        _ask(connection, "v1", {"fields": {**descending, "ContactLastName": ("IS NULL", {})}})


def test_a_thousand_terms_are_searched(connection: sqlite3.Connection) -> None:
    _load(connection, [{"Id": f"AAPA-{number:04d}", "team": []} for number in range(3)])
    search = " OR ".join(f"([Id] = 'AAPA-{number:04d}')" for number in range(1, 1_200))
    assert set(_ask(connection, "v2", {"search": search})[0]) == {"AAPA-0001", "AAPA-0002"}
