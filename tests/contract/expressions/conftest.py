"""One table with the same rows on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from crosstie.db import open_database
from crosstie.db.database import Database
from crosstie.db.expressions import Binding, Expression, Scope, parse_expression
from crosstie.db.expressions.nodes import Literal
from crosstie.db.expressions.values import storage
from crosstie.db.sqlite_functions import instant_storage, to_decimal, wall_storage
from crosstie.errors import DatabaseError
from crosstie.model import Column, ColumnType, Table
from tests.databases import PostgresServer

COLUMNS = (
    Column(name="id", type=ColumnType.INTEGER, nullable=False),
    Column(name="name", type=ColumnType.TEXT),
    Column(name="other", type=ColumnType.TEXT),
    Column(name="n", type=ColumnType.INTEGER),
    Column(name="m", type=ColumnType.INTEGER),
    Column(name="d", type=ColumnType.DECIMAL, scale=2),
    Column(name="e", type=ColumnType.DECIMAL, scale=4),
    Column(name="f", type=ColumnType.FLOAT),
    Column(name="b", type=ColumnType.BOOLEAN),
    Column(name="c", type=ColumnType.BOOLEAN),
    Column(name="day", type=ColumnType.DATE),
    Column(name="at", type=ColumnType.INSTANT),
    Column(name="wall", type=ColumnType.WALL_CLOCK),
    Column(name="clock", type=ColumnType.TIME),
    Column(name="likes", type=ColumnType.SET),
)
TABLE = Table(name="people", columns=COLUMNS, key=("id",))
SCOPE = Scope.of(COLUMNS, "table people")
BINDING = Binding(
    now=datetime(2026, 3, 29, 23, 30, tzinfo=UTC),
    zone=ZoneInfo("Europe/Paris"),
    vars={"text": "Ünal", "number": 7, "date": datetime(2026, 1, 31, 12, tzinfo=UTC)},
    instance_vars={"half": 0.5},
)

_wall = datetime.fromisoformat
_ROWS: tuple[tuple[Literal | None, ...], ...] = (
    ("Ada", "ada", 7, 2, Decimal("12.50"), Decimal("0.1"), 1.5, True, False, date(2026, 1, 31),
     datetime(2026, 1, 1, 23, 30, tzinfo=UTC), _wall("2026-01-01T23:30"), time(14, 30), "a;b"),
    ("Ünal ÇELİK", "ünal çelik", -7, 2, Decimal("-0.05"), Decimal("3.3333"), -0.25, False, True, date(2024, 2, 29),
     datetime(2026, 3, 29, 0, 59, 59, 999999, tzinfo=UTC), _wall("2026-03-29T02:30"), time(0), "c"),
    ("Σίσυφος 😀", "ΣΊΣΥΦΟΣ", 0, 0, Decimal("0"), Decimal("-1.5"), 0.0, None, None, date(1, 1, 2),
     datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), _wall("1600-02-29"), time(23, 59, 59, 999999), ""),
    ("Straße", "", 9, -3, Decimal("99999999.99"), Decimal("1"), 1e15, True, True, date(9990, 12, 30),
     datetime(2026, 10, 25, 0, 30, tzinfo=UTC), _wall("2026-10-25T02:30"), None, "a"),
    ("100%_sure\\", "e\u0301", 2**31, -(2**31), Decimal("-12.5"), Decimal("2.5"), -2.5, False, None, date(2026, 3, 29),
     datetime(9990, 12, 30, tzinfo=UTC), _wall("9990-12-30"), time(12), "ab;c d"),
    ("  spaced  ", " x", 2**40, 1, Decimal("2.5"), Decimal("-2.5"), 3.0, None, True, date(1970, 1, 1),
     datetime(1970, 1, 1, tzinfo=UTC), _wall("1970-01-01"), time(1, 2, 3), "ü"),
    ("42", "-1.50", None, 5, None, Decimal("0.0001"), None, True, False, None, None, None, None, None),
    (None, "2026-02-28", 5, None, Decimal("7"), None, 0.1, False, False, date(2026, 2, 28),
     datetime(2026, 2, 28, 12, tzinfo=UTC), None, None, "b"),
)  # fmt: skip


@dataclass(frozen=True)
class Both:
    """The two databases with the same rows."""

    sqlite: Database
    postgresql: Database

    def values(self, text: str) -> dict[str, list[object]]:
        """The values of an expression for each row, by dialect. A database's refusal is the one value `refused`."""
        expression = parse_expression(text, SCOPE)
        return {db.dialect: _values(db, expression) for db in (self.sqlite, self.postgresql)}

    def agreed(self, text: str) -> list[object]:
        """The values, which must be the same on both."""
        found = self.values(text)
        assert found["sqlite"] == found["postgresql"], text
        return found["sqlite"]


REFUSED = "refused"


def _values(db: Database, expression: Expression) -> list[object]:
    sql = expression.sql(db.dialect, {"": "t"})
    params = expression.params(db.dialect, BINDING)
    try:
        with db.reading() as transaction:
            rows = transaction.rows(f"select {sql} from people t order by t.id", params)
    except DatabaseError:
        return [REFUSED]
    return [_plain(value, expression.type) for (value,) in rows]


def _plain(value: object, type: ColumnType) -> object:
    """A value in one form for both databases."""
    if value is None:
        return None
    if type is ColumnType.DECIMAL:
        assert isinstance(value, int | float | Decimal)
        return value.normalize() if isinstance(value, Decimal) else to_decimal(value).normalize()
    if type is ColumnType.BOOLEAN:
        return bool(value)
    if isinstance(value, datetime):
        return instant_storage(value) if value.tzinfo else wall_storage(value)
    if isinstance(value, date):
        return value.isoformat()
    return value.strftime("%H:%M:%S.%f") if isinstance(value, time) else value


@pytest.fixture(scope="session")
def both(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Both databases, filled once: nothing here writes."""
    path: Path = tmp_path_factory.mktemp("expressions") / "marketing.db"
    name = "expressions"
    url = postgres.create_database(name)
    opened = Both(sqlite=open_database(f"sqlite:///{path}"), postgresql=open_database(url))
    for db in (opened.sqlite, opened.postgresql):
        _fill(db)
    yield opened
    opened.sqlite.close()
    opened.postgresql.close()
    postgres.drop_database(name)


def _fill(db: Database) -> None:
    names = ", ".join(db.quote(column.name) for column in COLUMNS)
    places = ", ".join(f":{column.name}" for column in COLUMNS)
    with db.transaction("test rows") as transaction:
        db.create_table(transaction, TABLE)
        for number, row in enumerate(_ROWS, 1):
            values = {
                column.name: storage(value, db.dialect, column.name)
                for column, value in zip(COLUMNS, (number, *row), strict=True)
            }
            transaction.execute(f"insert into people ({names}) values ({places})", values)
