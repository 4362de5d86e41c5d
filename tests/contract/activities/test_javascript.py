"""Scripts that read and write rows, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest

from crosstie.activities.javascript import JavaScript
from crosstie.errors import DatabaseError, ScriptError
from crosstie.model import ColumnType
from tests.contract.activities.world import Ended, World, columns

PEOPLE = columns(id=ColumnType.INTEGER, name=ColumnType.TEXT, born=ColumnType.DATE, member=ColumnType.BOOLEAN)
ROWS = [(1, "Ono", date(1990, 5, 1), True), (2, "Zoë 😀", None, False), (3, None, date(2001, 1, 31), None)]
TARGET = "create table target (id integer primary key, name text, born date, score numeric(9,2), seen text)"


def script(code: str) -> JavaScript:
    return JavaScript.model_validate({"type": "javascript", "code": code})


def run(world: World, code: str, rows: Sequence[Sequence[object]] | None = None, **given: object) -> Ended:
    inbound = () if rows is None else (world.population(PEOPLE, rows, key=("id",)),)
    return world.run(script(code), *inbound, **given)  # type: ignore[arg-type]


def test_a_query_binds_its_values_and_gives_objects(world: World) -> None:
    world.sql(TARGET, "insert into target (id, name, score) values (1, 'Ono', 1.50), (2, 'O''Neil', null)")
    ended = run(
        world,
        """
        const found = sql.query("select id, name, score from target where name = :name or id = :id order by id",
          {name: "O'Neil", id: 1});
        vars.found = found.map((row) => `${row.id} ${row.name} ${row.score}`).join(", ");
        vars.none = sql.query("select id from target where name = :evil;", {evil: "' or 1 = 1 --"}).length;
        """,
    )
    assert ended.vars == {"found": "1 Ono 1.5, 2 O'Neil null", "none": 0}


def test_what_comes_in_is_gone_through_row_by_row(world: World) -> None:
    ended = run(
        world,
        """
        let told = [];
        for (const row of rows()) told.push([row.id, row.name, row.born && formatDate(row.born, "dd.MM.yyyy", "UTC"),
          row.member].join("/"));
        vars.told = told.sort().join(" ");
        let count = 0;
        for (const row of rows()) { count++; if (count == 2) break; }
        vars.count = count;
        """,
        ROWS,
    )
    assert ended.vars == {"told": "1/Ono/01.05.1990/true 2/Zoë 😀//false 3//31.01.2001/", "count": 2}
    assert len(world.read(ended.tables["ok"])) == 3


def test_rows_are_written_with_the_end_of_the_task(world: World) -> None:
    world.sql(TARGET)
    code = """
    for (const row of rows()) write("target", {id: row.id, name: row.name, born: row.born, score: row.id / 4});
    write("target", {id: 9, score: "12.25"});
    vars.seen = sql.query("select count(*) as n from target")[0].n;
    """
    ended = run(world, code, ROWS)
    assert (ended.vars, ended.counts) == ({"seen": 0}, {"written": 4})
    found = world.rows("select id, name, born, score from target order by id")
    assert [(row[0], row[1], str(row[2]), float(row[3])) for row in found] == [
        (1, "Ono", "1990-05-01", 0.25),
        (2, "Zoë 😀", "None", 0.5),
        (3, None, "2001-01-31", 0.75),
        (9, None, "None", 12.25),
    ]


def test_many_rows_are_written_in_batches(world: World) -> None:
    world.sql(TARGET)
    ended = run(world, 'for (let id = 0; id < 12001; id++) write("target", {id, name: "row " + id})')
    assert ended.counts == {"written": 12001}
    assert world.rows("select count(*), max(id) from target") == [(12001, 12000)]


def test_statements_take_effect_in_their_order_and_not_before_the_end(world: World) -> None:
    world.sql(TARGET, "insert into target (id, name) values (1, 'old')")
    code = """
    sql.execute("update target set name = :name where id = :id", {name: "'; drop table target; --", id: 1});
    write("target", {id: 2});
    sql.execute("update target set seen = 'yes'");
    vars.now = sql.query("select name from target")[0].name;
    """
    assert run(world, code).vars == {"now": "old"}
    assert world.rows("select id, name, seen from target order by id") == [
        (1, "'; drop table target; --", "yes"),
        (2, None, "yes"),
    ]


def test_a_script_whose_end_is_not_committed_has_written_nothing(world: World) -> None:
    world.sql(TARGET)
    code = 'write("target", {id: 1}); sql.execute("insert into target (id) values (2)"); setOption("a", "b")'
    with pytest.raises(RuntimeError, match="killed"):
        run(world, code, killed=True)
    assert world.rows("select count(*) from target") == [(0,)]
    assert run(world, code).counts == {"written": 2}
    assert world.rows("select value from crosstie.option where name = 'a'") == [("b",)]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ('sql.query("select 1 as a; drop table target")', "sql.query takes one statement, without semicolons"),
        ('sql.query("select name from nowhere")', "The query failed"),
        ('sql.query("delete from target")', "The query failed"),
        ('sql.query("select id from target where id = :id")', "takes :id, and params has no id"),
        ('sql.query("select id from target", {x: 1})', "params has x, and the statement takes no :x"),
        ('sql.query("select 1 as a, 2 as a")', "two columns called a"),
        ('sql.query("select id from target", [1])', "params is an array; it takes {name: value}"),
        ("sql.query(1)", "the statement is 1; it takes text"),
        ('write("tarqet", {id: 1})', "There is no table tarqet. Did you mean target?"),
        ('write("target", {nome: 1})', "Table target has no column nome. It has: id, name, born, score, seen"),
        ('write("target", {id: "one"})', "target.id takes a whole number, not “one”"),
        ('write("target", {id: 1, name: 2})', "target.name takes text, not 2"),
        ('write("target", {id: 1, score: 0.125})', "target.score takes a number, or its digits as text, not 0.125"),
        ('write("target", {id: 1, born: "31.1.2001"})', "target.born takes a date, or text like 2026-11-23"),
        ('write("target", {id: 1}); write("target", {id: 2, name: "x"})', "the first row for target had no name"),
        ('write("target", {id: {}})', "row.id is an object"),
        ("rows().next()", "No rows come in here"),
        ('parseDate("23.11.2026")', "“23.11.2026” is not a date like yyyy/MM/dd hh:mm:ss"),
        ('formatDate(new Date(), "hh", "Europe/Pari")', "“Europe/Pari” is not a time zone"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_the_script_with_its_place(world: World, code: str, told: str) -> None:
    world.sql(TARGET)
    with pytest.raises(ScriptError) as caught:
        run(world, f"let x;\n  {code}")
    assert told in caught.value.message
    assert (caught.value.line, caught.value.column > 0) == (2, True)
    assert run(world, f"try {{ {code} }} catch (error) {{ vars.caught = error.message }}").vars != {}


def test_a_result_that_is_too_long_is_refused(world: World) -> None:
    endless = "with recursive n (i) as (select 1 union all select i + 1 from n where i < 20000) select i from n"
    with pytest.raises(ScriptError, match="more than 10,000 rows"):
        run(world, f'sql.query("{endless}")')


def test_numbers_that_javascript_cannot_hold_come_as_text(world: World) -> None:
    big = 2**60 + 1
    assert run(world, f'vars.n = sql.query("select {big} as n")[0].n').vars == {"n": str(big)}
    people = world.population(columns(id=ColumnType.INTEGER), [(big,)])
    code = "for (const row of rows()) vars.n = row.id"
    assert world.run(script(code), people).vars == {"n": str(big)}


def test_a_constraint_that_the_rows_break_fails_the_task_and_writes_none(world: World) -> None:
    world.sql(TARGET, "insert into target (id) values (2)")
    with pytest.raises(DatabaseError):
        run(world, 'write("target", {id: 1}); write("target", {id: 2})')
    assert world.rows("select id from target") == [(2,)]


def test_log_lines_are_shown_at_once_and_not_without_end(world: World) -> None:
    ended = run(world, 'logInfo("a"); logWarning("b"); for (let i = 0; i < 2000; i++) logInfo(i)')
    assert ended.log.lines[:2] == [("info", "a"), ("warning", "b")]
    assert len(ended.log.lines) == 1001
    assert ended.log.texts("warning")[-1] == "The script has logged 1,000 lines; further ones are not kept."


def test_the_workflows_own_variables_are_read_and_changed(world: World) -> None:
    context = world.context()
    context.instance["old"] = 1
    run(world, "instance.vars.n = 5", context=context)
    assert context.instance == {"n": 5}
