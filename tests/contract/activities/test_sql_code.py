"""SQL code: statements take effect with the end of the task, variables are values, our own tables are left alone."""

from __future__ import annotations

from typing import Any

import pytest

from crosstie.activities.sql_code import SqlCode
from crosstie.activities.sql_code.reading import read_statements
from crosstie.errors import ConfigError, DatabaseError
from tests.contract.activities.world import INTEGER, TEXT, World, columns


def code(text: str = "", **keys: Any) -> SqlCode:
    return SqlCode.model_validate({"type": "sql_code", "code": text, **keys})


@pytest.fixture
def town(world: World) -> World:
    world.sql("create table person (id bigint primary key, name text, age bigint)")
    world.sql("insert into person values (1, 'Ann; Bob', 20), (2, 'Cid', 40), (3, null, null)")
    return world


def test_statements_are_executed_with_values_that_are_never_sql(town: World) -> None:
    inbound = town.population(columns(id=INTEGER), [(1,), (2,)])
    text = (
        "update person set name = $(vars/name) where id = 2; -- a comment; with a semicolon\n"
        "update person set age = <%= 40 + 2 %> where id in (select id from $(inbound));\n"
        "insert into person values (9, 'it''s; <%= vars.name %>', 1)"
    )
    ended = town.run(code(text), inbound, variables={"name": "x'; drop table person; --"})
    assert town.rows("select * from person order by id") == [
        (1, "Ann; Bob", 42),
        (2, "x'; drop table person; --", 42),
        (3, None, None),
        (9, "it's; x'; drop table person; --", 1),
    ]
    assert ended.tables["ok"] == inbound
    assert ended.counts == {"rows": 4}
    assert ended.vars == {"sqlRows": 4, "sqlRows1": 1, "sqlRows2": 2, "sqlRows3": 1}


def test_what_is_not_committed_did_not_happen(town: World) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        town.run(code("delete from person; create table made (id bigint)"), killed=True)
    assert town.rows("select count(*) from person") == [(3,)]
    assert "made" not in town.db.tables()


def test_a_failure_takes_all_back_and_names_the_statement(town: World) -> None:
    with pytest.raises(DatabaseError, match="Statement 2 of 2 failed: "):
        town.run(code("delete from person where id = 1; insert into person values (2, 'again', 1)"))
    assert town.rows("select count(*) from person") == [(3,)]


def test_a_result_goes_out_with_what_the_statements_made_of_it(town: World) -> None:
    result = {
        "query": "select name, count(*), $(vars/year) from person where age > 1 group by name",
        "columns": {"name": "text", "people": "integer", "year": "integer"},
        "key": "name",
    }
    ended = town.run(code("update person set name = 'All'", result=result), variables={"year": 2026})
    assert town.read(ended.tables["ok"]) == [("All", 2, 2026)]
    assert ended.counts == {"changed": 3, "rows": 1}
    made = ended.tables["ok"]
    assert made is not None and made.key == ("name",)


def test_a_result_that_is_no_key_is_refused_and_nothing_happens(town: World) -> None:
    result = {"query": "select 1 from person", "columns": {"one": "integer"}, "key": ["one"]}
    with pytest.raises(ConfigError, match="not unique in its key one"):
        town.run(code("delete from person where id = 1", result=result))
    assert town.rows("select count(*) from person") == [(3,)]


def test_a_variable_that_is_not_set_is_told(town: World) -> None:
    with pytest.raises(ConfigError, match=r"\$\(vars/@nmae\) is not set"):
        town.run(code("update person set name = $(vars/nmae)"), variables={"name": "x"})


def test_a_statement_that_refuses_a_transaction_is_executed_on_its_own(town: World) -> None:
    activity = code("delete from person where id = 1; vacuum", autocommit=True)
    context = town.context()
    ended = town.run(activity, context=context)
    assert town.rows("select count(*) from person") == [(2,)]
    assert ended.vars["sqlRows1"] == 1
    assert any("It can repeat" in line for line in ended.log.texts("info"))
    town.sql("insert into person values (1, 'late', 1)")
    again = town.run(activity, context=town.context(state=context.state))
    assert town.rows("select count(*) from person") == [(3,)], "what had ended before a kill is not executed again"
    assert again.vars == ended.vars


def test_a_trigger_and_a_function_are_one_statement(town: World) -> None:
    if town.db.dialect == "sqlite":
        text = "create trigger t after delete on person begin delete from person; select case when 1 then 2 end; end;"
    else:
        text = (
            "create function f() returns bigint language sql begin atomic select 1; select 2; end;"
            "create function g() returns bigint language plpgsql as $x$ begin return 1; end $x$;"
        )
    town.run(code(text + "update person set age = 7 where id = 1"))
    assert town.rows("select age from person where id = 1") == [(7,)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is no statement in it"),
        (" ; -- nothing\n;", "there is no statement in it"),
        ("delete from crosstie.run", "crosstie is one of Crosstie's own tables, which SQL code leaves alone."),
        ('delete from "Crosstie_run"', '"Crosstie_run" is one of'),
        ("do $$ begin delete from crosstie.run; end $$", "own tables"),
        ("delete from person; commit", "“commit” cannot be used here: a transaction is begun and ended by"),
        ("set search_path to x", "it would change a connection that others use after it"),
        ("pragma foreign_keys = off", "it would change a connection"),
        ("delete from person where id = :id", "“:id” stands for nothing. A variable is written $(vars/id)"),
        ("delete from person where id = $(id)", "after $( comes vars/name, instance/vars/name or inbound"),
        ("select 'never closed", "' is opened and never closed"),
        ("select <%= 1 + %>", "SyntaxError: unexpected token"),
        ("delete from person where id in (select id from $(inbound))", "$(inbound) is the population that comes in"),
    ],
)
def test_mistakes_are_told_before_anything_runs(world: World, text: str, told: str) -> None:
    messages = [one.message for one in world.problems(code(text))]
    assert len(messages) == 1 and told in messages[0], messages


def test_names_that_only_look_like_ours_are_people_s() -> None:
    assert read_statements("select 1 as my_crosstie from crosstiesque where a::text = 'crosstie.run'").mistakes == []


def test_mistakes_of_a_result_are_told_at_their_place(world: World) -> None:
    result = {"query": "select 1; select 2", "columns": {"A": "text", "@a": "text"}, "key": ["b"]}
    found = world.problems(code(result=result, autocommit=True))
    assert [(".".join(map(str, one.path)), one.message) for one in found] == [
        ("result.query", "write one query here; statements before it go into “code”"),
        ("result.key", "“b” is not among the columns of the result"),
        ("result.columns", "two columns are called “a”"),
        ("autocommit", "a result needs the transaction: put it into another sql_code after this one"),
    ]


def test_columns_of_all_types_come_out_of_a_result_as_what_they_are(world: World) -> None:
    world.sql(
        "create table kinds (i bigint, d numeric(9, 2), f double precision, b boolean, day date, t text)",
        "insert into kinds values (1, 12.34, 0.5, true, '2026-02-28', 'x')",
    )
    types = {"i": "integer", "f": "float", "b": "boolean", "t": "text"}
    ended = world.run(code(result={"query": "select i, f, b, t from kinds", "columns": types}))
    assert world.read(ended.tables["ok"]) == [(1, 0.5, True, "x")]
    assert columns(t=TEXT)[0] in (ended.tables["ok"].columns if ended.tables["ok"] else ())
