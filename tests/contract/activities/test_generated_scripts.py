"""No value of a variable becomes SQL or script, whatever it contains, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstie.activities.javascript import JavaScript
from crosstie.activities.query import Query
from crosstie.activities.sql_code import SqlCode
from crosstie.model import ColumnType
from tests.contract.activities.world import World, columns
from tests.scale import SOAK, examples

NASTY = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    st.text(st.sampled_from("'\"`;<>%=()[]{}$\\/*-:@ \nabé😀"), max_size=30),
    st.sampled_from(
        [
            "'; drop table person; --", "' or '1' = '1", "\\'; --", "$$;$$", ":x", "%(x)s", "%s", "$(vars/@x)",
            "<%= 1 %>", "%> <%=", "${1}", "*/ /*", "crosstie.option", "E'\\n'", "\u2028", "null", "", " ", "__proto__",
        ]
    ),
)  # fmt: skip


@pytest.fixture
def people(world: World) -> Iterator[World]:
    """A world with a table of two people, the second of whom is renamed by each example."""
    world.sql(
        "create table person (id integer primary key, name text)", "insert into person values (1, 'Ono'), (2, '')"
    )
    yield world
    assert world.rows("select count(*) from person") == [(2,)]


@given(nasty=NASTY)
@settings(
    max_examples=examples(12, 200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=not SOAK,
)
def test_values_are_found_as_they_are_and_nothing_else_happens(people: World, nasty: str) -> None:
    with people.db.transaction("rename") as transaction:
        transaction.execute("update person set name = :name where id = 2", {"name": nasty})
    given = {"x": nasty}

    written = JavaScript.model_validate(
        {
            "type": "javascript",
            "code": "vars.found = sql.query('select id from person where name = :x and id > 1', {x: vars.x})[0].id;"
            " sql.execute('update person set name = :x where id = 2', {x: vars.x}); instance.vars.y = vars.x;"
            " for (const row of rows()) vars.same = row.name === vars.x ? 1 : 0",
        }
    )
    context = people.context(
        people.population(columns(id=ColumnType.INTEGER, name=ColumnType.TEXT), [(2, nasty)]), variables=given
    )
    ended = people.run(written, *context.inputs, context=context)
    assert (ended.vars["found"], ended.vars["same"], context.instance["y"]) == (2, 1, nasty)

    for where in ("name = $(vars/@x)", "name = $(event/vars/x)", "name = <%= vars.x %>", "name = '<%= vars.x %>'"):
        query = Query.model_validate({"type": "query", "from": "person", "where": f"id = 2 and {where}"})
        assert people.read(people.run(query, variables=given).tables["ok"], "id") == [(2,)], where

    code = SqlCode.model_validate(
        {"type": "sql_code", "code": "update person set name = '<%= vars.x %>' where name = $(vars/x) and id = 2"}
    )
    assert people.run(code, variables=given).vars["sqlRows"] == 1
    assert people.rows("select name from person where id = 2") == [(nasty,)]
