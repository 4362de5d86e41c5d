"""Queries as Dataverse reads them, pages as it answers them, and descriptions made of its metadata."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest
from tests.unit.crm.answers import answer
from tests.unit.crm.dynamics.environment import HOST, QUICK, SETTINGS, Environment, Handler, always, in_turn

from crosstie.crm.connector import Comparison, Group, Operator, Order, RemoteQuery, Road
from crosstie.crm.dynamics import odata
from crosstie.crm.dynamics.connector import DynamicsConnector
from crosstie.crm.dynamics.settings import DynamicsSettings
from crosstie.errors import CrosstieError, MappingError, ProtocolError, RequestError, UnavailableError
from crosstie.model import EnumerationValue, FieldType, IndexRange, RemoteField, RemoteObject

ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-000000000002"


def field(name: str, kind: FieldType, wire_type: str, **more: Any) -> RemoteField:
    """A field."""
    return RemoteField(name=name, label=name, type=kind, wire_type=wire_type, **more)


LOOKUP = {"relationship": "parentid", "reference_to": ("account", "contact")}
CONTACT = RemoteObject(
    name="contact",
    label="Contact",
    label_plural="Contacts",
    key="contactid",
    collection="contacts",
    fields=(
        field("contactid", FieldType.ID, "Uniqueidentifier"),
        field("lastname", FieldType.TEXT, "String"),
        field("score", FieldType.DECIMAL, "Decimal", scale=2),
        field("visits", FieldType.INTEGER, "Integer"),
        field("bounced", FieldType.BOOLEAN, "Boolean"),
        field("birthdate", FieldType.DATE, "DateTime"),
        field("opens", FieldType.WALL_CLOCK, "DateTime"),
        field("modifiedon", FieldType.DATETIME, "DateTime"),
        field("colour", FieldType.ENUMERATION, "Picklist", values=(EnumerationValue(name="1", label="Red"),)),
        field("tags", FieldType.SET, "MultiSelectPicklist", sortable=False),
        field("parentid", FieldType.REFERENCE, "Customer", **LOOKUP),
        field("parentidtype", FieldType.TEXT, "EntityName", part_of="parentid", filterable=False),
        field("owningteam", FieldType.REFERENCE, "Lookup", relationship="owningteam", reference_to=("team",)),
        field("picture", FieldType.BINARY, "Image", filterable=False),
        field("picture_url", FieldType.TEXT, "String"),
        field("guests", FieldType.COMPOUND, "PartyList", filterable=False),
    ),
    index_fields=("modifiedon",),
)


@pytest.mark.parametrize(
    ("name", "operator", "value", "wanted"),
    [
        ("lastname", Operator.EMPTY, None, "lastname eq null"),
        ("parentid", Operator.NOT_EMPTY, None, "_parentid_value ne null"),
        ("lastname", Operator.EQUAL, "O'Brien", "lastname eq 'O''Brien'"),
        ("lastname", Operator.NOT_EQUAL, "x", "(lastname ne 'x' or lastname eq null)"),
        ("lastname", Operator.CONTAINS, "50%_[x]", "contains(lastname,'50[%][_][[]x]')"),
        ("lastname", Operator.STARTS_WITH, "'", "startswith(lastname,'''')"),
        ("score", Operator.AT_LEAST, 0.1, "score ge 0.1"),
        ("visits", Operator.LESS, 12.0, "visits lt 12"),
        ("bounced", Operator.EQUAL, True, "bounced eq true"),
        ("birthdate", Operator.BEFORE, date(970, 1, 2), "birthdate lt 0970-01-02"),
        ("opens", Operator.AFTER, datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "opens gt 2026-01-02T03:04:00Z"),
        ("modifiedon", Operator.LESS, datetime(2026, 1, 2, 3, 4, 5, 1, UTC), "modifiedon lt 2026-01-02T03:04:06Z"),
        ("modifiedon", Operator.GREATER, datetime(2026, 1, 2, 3, 4, 5, 1, UTC), "modifiedon gt 2026-01-02T03:04:05Z"),
        ("colour", Operator.EQUAL, "1", "colour eq 1"),
        ("parentid", Operator.EQUAL, "{" + ONE.upper() + "}", f"_parentid_value eq {ONE}"),
        (
            "lastname",
            Operator.ONE_OF,
            ["a", "O'B\"c", "a"],
            'Microsoft.Dynamics.CRM.In(PropertyName=\'lastname\',PropertyValues=["a","O\'B\\"c"])',
        ),
        (
            "visits",
            Operator.ONE_OF,
            [1, 2],
            'Microsoft.Dynamics.CRM.In(PropertyName=\'visits\',PropertyValues=["1","2"])',
        ),
        ("lastname", Operator.ONE_OF, [], "contactid eq null"),
        (
            "tags",
            Operator.INCLUDES,
            ["1", "9"],
            'Microsoft.Dynamics.CRM.ContainValues(PropertyName=\'tags\',PropertyValues=["1","9"])',
        ),
    ],
)
def test_every_operator_says_what_it_means(name: str, operator: Operator, value: object, wanted: str) -> None:
    assert odata.where(CONTACT, Comparison(field=name, operator=operator, value=value)) == wanted


def test_levels_are_kept_apart() -> None:
    empty = Comparison(field="lastname", operator=Operator.EMPTY)
    nested = Group(all=True, items=(empty, Group(all=False, items=(empty, empty)), Group(all=False, items=())))
    assert odata.where(CONTACT, nested) == (
        "(lastname eq null and (lastname eq null or lastname eq null) and contactid eq null)"
    )


@pytest.mark.parametrize(
    ("name", "operator", "value", "message"),
    [
        ("colour", Operator.EQUAL, "Red", "“Red” is not a value of colour"),
        ("tags", Operator.EQUAL, "1", "can't be compared"),
        ("parentid", Operator.EQUAL, "x' or 1 eq 1", "is not an id of Dynamics"),
        ("visits", Operator.EQUAL, "1 or 1 eq 1", "is not a number"),
        ("birthdate", Operator.EQUAL, "2026-01-01 or", "can't be compared"),
        ("parentidtype", Operator.EQUAL, "account", "can't filter by"),
        ("lastname", Operator.EQUAL, "\ud800", "half a character"),
    ],
)
def test_no_value_breaks_out_of_a_filter(name: str, operator: Operator, value: object, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        odata.where(CONTACT, Comparison(field=name, operator=operator, value=value))
    if name == "colour":
        assert caught.value.hint == "“Red” is 1."


def test_a_window_is_half_open_on_whole_seconds() -> None:
    span = IndexRange(
        field="modifiedon",
        start=datetime(2026, 1, 2, 3, 4, 5, 500_000, UTC),
        end=datetime(2026, 1, 2, 4, tzinfo=UTC),
    )
    assert odata.window(CONTACT, span) == "(modifiedon ge 2026-01-02T03:04:06Z and modifiedon lt 2026-01-02T04:00:00Z)"
    first = IndexRange(field="modifiedon", start=None, end=span.end)
    assert odata.window(CONTACT, first) == "(modifiedon eq null or modifiedon lt 2026-01-02T04:00:00Z)"


def test_an_order_ends_with_the_key() -> None:
    query = RemoteQuery(object=CONTACT, fields=("contactid",), order=(Order(field="parentid", descending=True),))
    assert odata.order(query) == "_parentid_value desc,contactid asc"
    with pytest.raises(RequestError, match="can't sort"):
        odata.order(RemoteQuery(object=CONTACT, fields=("contactid",), order=(Order(field="tags"),)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nickname", "has no field"),
        ("picture", "picture_url"),
        ("guests", "people of an activity"),
        ("parentid.name", "does not say to which"),
        ("boss.name", "no relationship"),
        ("owningteam.name.x", "no relationship"),
    ],
)
def test_what_cannot_be_read_is_named_before_any_call(name: str, message: str) -> None:
    environment = Environment()
    with pytest.raises(MappingError) as caught:
        connect(environment).open(RemoteQuery(object=CONTACT, fields=("contactid", name)), lambda token: None)
    assert message in str(caught.value)
    assert environment.seen == []


def connect(environment: Environment) -> DynamicsConnector:
    """A connector to it."""
    return DynamicsConnector(
        DynamicsSettings.model_validate(SETTINGS),
        account="acme",
        retries=QUICK,
        transport=httpx2.MockTransport(environment.handle),
    )


class Tables(Environment):
    """Answers any query of contacts in turn, and remembers what was asked."""

    __slots__ = ("asked", "turn")

    def __init__(self, *turn: Handler) -> None:
        super().__init__()
        self.turn = in_turn(*turn)
        self.asked: list[tuple[str, dict[str, str]]] = []

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Answers one request."""
        path = request.url.raw_path.decode()
        if "/contacts" not in path and "$batch" not in path:
            return Environment.handle(self, request)
        self.asked.append((path, dict(request.headers)))
        return self.turn(request)


def page(rows: list[dict[str, Any]], link: str = "") -> Handler:
    """A page of a query."""
    body: dict[str, Any] = {"@odata.context": "x", "value": [{"@odata.etag": 'W/"1"', **row} for row in rows]}
    return always(200, {**body, "@odata.nextLink": link} if link else body)


def rows(connector: DynamicsConnector, query: RemoteQuery) -> list[tuple[str | None, ...]]:
    """Reads a query to its end."""
    found: list[tuple[str | None, ...]] = []
    for batch in connector._rows(query):
        found.extend(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    return found


def test_values_keep_the_characters_they_travelled_in() -> None:
    raw = (
        f'{{"value":[{{"contactid":"{ONE}","lastname":"","score":5000000.0000,"visits":9007199254740993,'
        '"bounced":false,"colour":1,"tags":"1,9","_parentid_value":"' + TWO + '",'
        '"_parentid_value@Microsoft.Dynamics.CRM.lookuplogicalname":"account","opens":"2026-01-01T10:00:00Z"},'
        f'{{"contactid":"{TWO}","lastname":"a\\u0000b","score":null,"visits":null,"bounced":null,"colour":null,'
        '"tags":null,"_parentid_value":null,"opens":null,"@odata.etag":"W/\\"7\\""}]}'
    )
    environment = Tables(always(200, raw.encode()))
    fields = ("contactid", "LASTNAME", "score", "visits", "bounced", "colour", "tags", "parentid", "parentidtype")
    found = rows(connect(environment), RemoteQuery(object=CONTACT, fields=(*fields, "opens")))
    assert found[0] == (
        ONE, None, "5000000.0000", "9007199254740993", "false", "1", "1;9", TWO, "account", "2026-01-01T10:00:00Z",
    )  # fmt: skip
    assert found[1] == (TWO, "ab", *[None] * 8)
    path, headers = environment.asked[0]
    assert "$select=contactid,lastname,score,visits,bounced,colour,tags,_parentid_value,opens&" in path
    assert headers["prefer"] == (
        'odata.maxpagesize=5000,odata.include-annotations="Microsoft.Dynamics.CRM.lookuplogicalname"'
    )


def test_pages_are_followed_byte_for_byte_with_the_same_preference() -> None:
    link = f"{HOST}/api/data/v9.2/contacts?$skiptoken=%3Ccookie%20x=%22%253c%22%3E"
    environment = Tables(page([{"contactid": ONE}], link), page([{"contactid": TWO}]))
    query = RemoteQuery(object=CONTACT, fields=("contactid",))
    assert rows(connect(environment), query) == [(ONE,), (TWO,)]
    assert environment.asked[1][0] == link.removeprefix(HOST)
    assert {one["prefer"] for _, one in environment.asked} == {"odata.maxpagesize=5000"}


@pytest.mark.parametrize(
    ("handlers", "message"),
    [
        ((page([{"contactid": ONE}], "https://evil.example/api/data/v9.2/contacts"),), "does not allow"),
        ((page([{"contactid": ONE}, {"contactid": ONE}]),), "come twice"),
        ((page([{"contactid": "x"}]),), "not an id"),
        ((page([{"lastname": "x"}]),), "contactid"),
        (
            (page([{"contactid": ONE}], f"{HOST}/api/data/v9.2/contacts?2"), page([{"contactid": ONE}])),
            "the same page twice",
        ),
    ],
)
def test_a_page_that_is_not_what_was_asked_for_is_refused(handlers: tuple[Handler, ...], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        rows(connect(Tables(*handlers)), RemoteQuery(object=CONTACT, fields=("contactid",)))


def test_many_ids_are_cut_into_urls_that_fit() -> None:
    asked = [f"00000000-0000-4000-8000-{number:012}" for number in range(1_500)]
    environment = Tables(*(page([]) for _ in range(3)))
    connector = connect(environment)
    query = RemoteQuery(object=CONTACT, fields=("contactid", "lastname"), ids=asked, road=Road.PAGES)
    assert rows(connector, query) == []
    urls = [f"{HOST}{path}" for path, _ in environment.asked]
    assert max(map(len, urls)) <= 32_768
    found = [one for url in urls for one in json.loads("[" + unquote(url).partition("=[")[2].partition("]")[0] + "]")]
    assert found == asked
    assert len(urls) == connector.road_for_ids(query, 1_500).calls
    with pytest.raises(RequestError, match="can't be read by Bulk"):
        connector.open(RemoteQuery(object=CONTACT, fields=("contactid",), road=Road.BULK), lambda token: None)


def test_a_list_of_short_values_is_cut_too() -> None:
    environment = Tables(page([]), page([]))
    many = Comparison(field="visits", operator=Operator.ONE_OF, value=list(range(1_500)))
    assert rows(connect(environment), RemoteQuery(object=CONTACT, fields=("contactid",), condition=many)) == []
    listed = [unquote(path).partition("=[")[2].partition("]")[0].count(",") + 1 for path, _ in environment.asked]
    assert listed == [1_000, 500]


def test_a_query_too_long_for_a_url_travels_in_a_batch() -> None:
    inner = json.dumps({"value": [{"contactid": ONE, "lastname": "x"}]})
    body = (
        "--batchresponse_1\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 200 OK\r\n"
        f"Content-Type: application/json\r\n\r\n{inner}\r\n--batchresponse_1--\r\n"
    )

    def batch(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.content.decode())
        return answer(200, body.encode(), Content_Type='multipart/mixed; boundary="batchresponse_1"')

    sent: list[str] = []
    texts = Group(
        all=False,
        items=tuple(Comparison(field="lastname", operator=Operator.EQUAL, value="é" * 90) for _ in range(70)),
    )
    query = RemoteQuery(object=CONTACT, fields=("contactid", "lastname"), condition=texts)
    assert rows(connect(Tables(batch)), query) == [(ONE, "x")]
    assert len(sent[0]) > 32_768
    assert "\r\nGET /api/data/v9.2/contacts?$select=contactid,lastname&$filter=" in sent[0]


def test_a_batch_that_is_told_to_wait_waits_as_long_as_its_part_says() -> None:
    body = (
        b"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 429 Too Many Requests\r\nRetry-After: 600\r\n"
        b'Content-Type: application/json\r\n\r\n{"error":{"code":"0x80072322","message":"Wait."}}\r\n--b--\r\n'
    )
    texts = tuple(Comparison(field="lastname", operator=Operator.EQUAL, value="é" * 90) for _ in range(70))
    query = RemoteQuery(object=CONTACT, fields=("contactid",), condition=Group(all=False, items=texts))
    with pytest.raises(UnavailableError) as caught:
        rows(connect(Tables(always(200, body, Content_Type="multipart/mixed; boundary=b"))), query)
    assert caught.value.retry_after == timedelta(minutes=10)


def test_a_count_that_is_capped_is_made_by_reading_keys() -> None:
    bom = b"\xef\xbb\xbf"
    query = RemoteQuery(object=CONTACT, fields=("contactid", "lastname"))
    assert connect(Tables(always(200, bom + b"4999"))).count(query) == 4_999
    link = f"{HOST}/api/data/v9.2/contacts?2"
    capped = Tables(always(200, b"5000"), page([{"contactid": ONE}], link), page([{"contactid": TWO}]))
    assert connect(capped).count(query) == 2
    assert "$select=contactid&" in capped.asked[1][0]


def test_changes_that_end_without_a_way_on_are_no_changes() -> None:
    tracked = replace(CONTACT, tracks_changes=True)
    link = f"{HOST}/api/data/v9.2/contacts?$deltatoken=1"
    for said, why in (
        ({"value": []}, "ended without saying"),
        ({"value": [], "@odata.nextLink": link}, "ended without saying"),
        ({"value": [{"contactid": "x"}], "@odata.deltaLink": link}, "is not an id"),
        ({"value": [{"contactid": 7}], "@odata.deltaLink": link}, "not the changes"),
        ({"value": [], "@odata.deltaLink": "https://elsewhere.example/x"}, "does not allow"),
    ):
        found = connect(Tables(*[always(200, said)] * 3)).changes(tracked, link)
        assert found is not None
        with pytest.raises(CrosstieError, match=why):
            list(found)
    gone = always(400, {"error": {"code": "0x80044352", "message": "Version stamp has expired."}})
    assert connect(Tables(gone)).changes(tracked, link) is None
    with pytest.raises(RequestError, match="Version stamp"):
        connect(Tables(gone)).changes(tracked, "")
    with pytest.raises(RequestError, match="tracks no changes"):
        connect(Tables()).changes(CONTACT, "")
