"""Remote objects read in a line of Python, whatever the kind of CRM."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from crosstie import App
from crosstie.app import init_project
from crosstie.app.reading import OrgObject
from crosstie.errors import ConfigError, MappingError
from tests.contract.every_connector.worlds import BELIEVED, RECORDS, World

pytestmark = BELIEVED


@pytest.fixture
def people(world: World, tmp_path: Path) -> Iterator[OrgObject]:
    init_project(tmp_path)
    with App.open(tmp_path) as app:
        app.accounts.add("crm", world.kind, world.given())
        yield app.accounts["crm"].object(world.roles.contact)


def test_records_come_with_their_types_and_conditions_hold(people: OrgObject, world: World) -> None:
    roles = world.roles
    born, score = people[roles.birthday], people[roles.score]
    where = born.after(date(1970, 1, 1)) & (score.at_least(50) | score.empty())
    table = people.read([roles.score, roles.birthday, roles.interests], where=where).to_arrow()

    assert table.schema.names == [roles.key, roles.score, roles.birthday, roles.interests]
    assert pa.types.is_decimal(table.schema.field(roles.score).type)
    assert pa.types.is_date(table.schema.field(roles.birthday).type)
    assert 0 < table.num_rows == people.count(where) < people.count()
    assert all(one > date(1970, 1, 1) for one in table.column(roles.birthday).to_pylist())
    assert all(one is None or one >= 50 for one in table.column(roles.score).to_pylist())
    assert any(";" in (one or "") for one in table.column(roles.interests).to_pylist())


def test_all_records_come_once_in_order_in_batches_or_as_a_frame(people: OrgObject, world: World) -> None:
    roles = world.roles
    ordered = people.read([roles.last_name, roles.score], order_by=[f"-{roles.score}"]).to_arrow()
    scores = [one for one in ordered.column(roles.score).to_pylist() if one is not None]
    assert scores == sorted(scores, reverse=True)
    assert pc.count_distinct(ordered.column(roles.key)).as_py() == ordered.num_rows >= RECORDS
    reading = people.read([roles.last_name])
    assert sum(one.num_rows for one in reading.batches()) == ordered.num_rows
    assert reading.head(7).num_rows == 7
    frame = reading.to_pandas()
    assert list(frame[roles.key].sort_values()) == sorted(ordered.column(roles.key).to_pylist())
    with pytest.raises(ConfigError, match="polars is not installed"):
        reading.to_polars()


def test_mistakes_are_named_before_anything_is_read(people: OrgObject, world: World) -> None:
    roles = world.roles
    with pytest.raises(AttributeError, match=f"no field {roles.last_name}s. Did you mean {roles.last_name}?"):
        _ = getattr(people, f"{roles.last_name}s")
    for wrong in ({"fields": ["Nobody"]}, {"order_by": ["Nobody"]}, {"conversions": {roles.score: "none"}}):
        with pytest.raises(MappingError):
            people.read(**wrong)
    with pytest.raises(MappingError, match="the text “many”"):
        people.read([roles.score], where=people[roles.score].equal_to("many"))
