"""What expressions accept, what type they have, and what they refuse in which words."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstie.db.database import Dialect
from crosstie.db.expressions import Binding, Scope, parse_condition, parse_expression
from crosstie.db.expressions.functions import FUNCTIONS, SYNONYMS
from crosstie.db.expressions.rendering import OPERATIONS
from crosstie.db.sqlite_functions import register_sqlite_functions, take_function_error
from crosstie.errors import ConfigError, CrosstieError, MappingError
from crosstie.model import Column, ColumnType

COLUMNS = (
    Column(name="id", type=ColumnType.INTEGER),
    Column(name="Email", type=ColumnType.TEXT, length=80),
    Column(name="name", type=ColumnType.TEXT, length=40),
    Column(name="score", type=ColumnType.DECIMAL, scale=2),
    Column(name="ratio", type=ColumnType.FLOAT),
    Column(name="active", type=ColumnType.BOOLEAN),
    Column(name="birth date", type=ColumnType.DATE),
    Column(name="seen", type=ColumnType.INSTANT),
    Column(name="local", type=ColumnType.WALL_CLOCK),
    Column(name="opens", type=ColumnType.TIME),
    Column(name="interests", type=ColumnType.SET),
    Column(name="picture", type=ColumnType.BINARY),
)
SCOPE = Scope.of(COLUMNS, "table recipient")
BINDING = Binding(
    now=datetime(2026, 11, 22, 23, 30, tzinfo=UTC),
    zone=ZoneInfo("Europe/Paris"),
    vars={"least": 5, "word": "it's", "flag": [1], "half": 0.5},
)


@pytest.mark.parametrize(
    ("text", "type", "length", "scale"),
    [
        ("Email", ColumnType.TEXT, 80, 0),
        ("@email", ColumnType.TEXT, 80, 0),
        ("lower(Email)", ColumnType.TEXT, 80, 0),
        ("name || ' ' || Email", ColumnType.TEXT, 121, 0),
        ("coalesce(name, Email)", ColumnType.TEXT, 80, 0),
        ("coalesce(name, $(vars/@word))", ColumnType.TEXT, 0, 0),
        ("'abc'", ColumnType.TEXT, 3, 0),
        ("score", ColumnType.DECIMAL, 0, 2),
        ("score + 0.125", ColumnType.DECIMAL, 0, 3),
        ("score * score", ColumnType.DECIMAL, 0, 4),
        ("score / 3", ColumnType.DECIMAL, 0, 6),
        ("round(score, 1)", ColumnType.DECIMAL, 0, 1),
        ("id / 2", ColumnType.INTEGER, 0, 0),
        ("id + score", ColumnType.DECIMAL, 0, 2),
        ("id + ratio", ColumnType.FLOAT, 0, 0),
        ("id > 5", ColumnType.BOOLEAN, 0, 0),
        ("case when active then id else 1.5 end", ColumnType.DECIMAL, 0, 1),
        ("date_add(today(), -30)", ColumnType.DATE, 0, 0),
        ("now()", ColumnType.INSTANT, 0, 0),
        ("date_diff_days(today(), seen)", ColumnType.INTEGER, 0, 0),
        ('"birth date"', ColumnType.DATE, 0, 0),
        ("interests", ColumnType.SET, 0, 0),
        ("$(vars/@word)", ColumnType.TEXT, 0, 0),
        ("null", ColumnType.TEXT, 0, 0),
        ("cast(name as decimal(9, 3))", ColumnType.DECIMAL, 0, 3),
    ],
)
def test_an_expression_knows_its_column(text: str, type: ColumnType, length: int, scale: int) -> None:
    column = parse_expression(text, SCOPE).column("result")
    assert (column.name, column.type, column.length, column.scale) == ("result", type, length, scale)


def test_a_bare_column_is_told_apart_and_columns_are_listed_once() -> None:
    assert parse_expression("email", SCOPE).is_column == "Email"
    assert parse_expression("lower(email)", SCOPE).is_column == ""
    used = parse_expression("email || name || lower(Email)", SCOPE).columns
    assert [(qualifier, column.name) for qualifier, column in used] == [("", "Email"), ("", "name")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("emial", "table recipient has no column emial. Did you mean “Email”?"),
        ("lowr(name)", "“lowr” is not a function of expressions. Did you mean “lower”?"),
        ("isnull(name)", "Did you mean “coalesce”?"),
        ("count(*)", "“count” is not a function"),
        ("id > '3'", "id (an integer) and '3' (text) do not go together"),
        ("id > '3'", "Write a number without quotes."),
        ("name = 5", "name (text) and 5 (an integer)"),
        ("\"birth date\" > '2026-02-30'", "Write a date as '2026-01-31'."),
        ("seen = local", "Say which zone is meant"),
        ("name + 1", "Join texts with ||."),
        ("seen - \"birth date\"", "date_diff_days(later, earlier)"),
        ("\"birth date\" + 1", "date_add(date, days)"),
        ("id and active", "and takes conditions, not id (an integer)"),
        ("not id", "not takes conditions"),
        ("active < true", "which has no order"),
        ("interests < 'a'", "which has no order"),
        ("interests = name", "contains(set, value)"),
        ("contains(name, 'a')", "takes a set, not name (text)"),
        ("contains(interests, 'a;b')", "cannot be one value of a set"),
        ("name like 'x\\'", "ends with a backslash"),
        ("name ilike 'x'", "Write lower(a) like lower(b)."),
        ("current_date", "Write today()."),
        ("id % 2", "“id % 2” is not part of expressions"),
        ("select 1", "“SELECT 1” is not part of expressions"),
        ("id in (select 1)", "is not part of expressions"),
        ("exists (select 1)", "is not part of expressions"),
        ("lower(count(distinct name))", "“count” is not a function"),
        ("lower(distinct name)", "is not part of expressions"),
        ("sum(id) over ()", "is not part of expressions"),
        ("name similar to 'x'", "is not part of expressions"),
        ("name is distinct from 'x'", "is not part of expressions"),
        ("name collate \"C\"", "is not part of expressions"),
        ("name like any (array['x'])", "is not part of expressions"),
        ("id between symmetric 1 and 2", "is not part of expressions"),
        ("E'x'", "is not part of expressions"),
        ("id as other", "is not part of expressions"),
        (":x", "Write a variable as $(vars/@name)."),
        ("$1", "is not part of expressions"),
        ("a.b.c", "there is nothing called a.b here"),
        ("pg_catalog.lower(name)", "is not a function of expressions"),
        ("id; id", "is not one expression"),
        ("", "The expression is empty."),
        ("name ||", "cannot be read near “||” (character 6)"),
        ("lower(name) + lower(name", "cannot be read"),
        ("'it", "a quote is not closed"),
        ("lower(name, 2)", "lower(text) was given 2 arguments"),
        ("round(score, id)", "0 to 15"),
        ("cast(id as bogus)", "cast cannot make “bogus”"),
        ("cast(id as varchar(5))", "cast cannot make"),
        ("cast(id as int[])", "cast cannot make"),
        ("cast(score as decimal(40, 2))", "at most 38 digits"),
        ("cast(ratio as text)", "Convert it to a decimal first."),
        ("cast('x' as integer)", "'x' (text) cannot be read as integer"),
        ("to_date(name, 'dd/MM')", "yyyy, MM and dd, each once"),
        ("12345678901234567890.5", "more than 15 significant digits"),
        ("1e", "“1e” is not a number"),
        ("1e999", "too big for a number"),
        ("greatest(active, true)", "values that have an order"),
        ("x.Email", "there is nothing called x here"),
        ("(" * 900 + "id" + ")" * 900, "levels deep"),
        (" + ".join(["id"] * 900), "levels deep"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_expression(text, SCOPE)
    assert message in str(caught.value)


def test_an_unknown_column_shows_the_list() -> None:
    with pytest.raises(MappingError, match="It has id, Email, name, score") as caught:
        parse_expression("crm_id", SCOPE)
    assert "table recipient has no column crm_id." in caught.value.message


def test_a_condition_must_be_true_or_false() -> None:
    assert parse_condition("id = 1", SCOPE).type is ColumnType.BOOLEAN
    with pytest.raises(MappingError, match="“name” is not a condition: it gives text"):
        parse_condition("name", SCOPE)


def test_qualifiers_lead_to_their_columns() -> None:
    scope = Scope(columns={"": COLUMNS, "Recipient": (Column(name="crm_id", type=ColumnType.TEXT), COLUMNS[1])})
    expression = parse_expression("recipient.email = Email and crm_id is null", scope)
    assert expression.sql("postgresql", {"": "w", "Recipient": "r"}) == (
        '((CAST("r"."Email" AS text) = CAST("w"."Email" AS text)) AND (CAST("r"."crm_id" AS text) IS NULL))'
    )
    two = Scope(columns={"a": COLUMNS, "b": COLUMNS})
    with pytest.raises(MappingError, match="stands for several columns") as caught:
        parse_expression("Email", two)
    assert caught.value.hint == "Write a.Email or b.Email."


def test_columns_that_differ_only_in_case_need_their_exact_case() -> None:
    scope = Scope.of((Column(name="Id", type=ColumnType.TEXT), Column(name="ID", type=ColumnType.INTEGER)))
    assert parse_expression("ID", scope).type is ColumnType.INTEGER
    with pytest.raises(MappingError, match="could be Id or ID"):
        parse_expression("id", scope)


def test_literals_and_variables_are_bound_and_never_text() -> None:
    expression = parse_expression(
        "name = 'x''; drop table t --' and name <> $(vars/@word) and name <> 'x''; drop table t --'", SCOPE
    )
    dialects: tuple[Dialect, ...] = ("sqlite", "postgresql")
    for dialect in dialects:
        sql = expression.sql(dialect, prefix="k")
        assert "drop" not in sql
        assert sql.count(":k0") == 2
    assert expression.params("sqlite", BINDING, prefix="k") == {"k0": "x'; drop table t --", "k1": "it's"}


def test_column_names_are_quoted() -> None:
    scope = Scope.of((Column(name='we"ird; --', type=ColumnType.TEXT),))
    assert parse_expression('"we""ird; --"', scope).sql("sqlite") == '"we""ird; --"'


def test_variables_fit_their_place_or_are_refused() -> None:
    expression = parse_expression("id > $(vars/@half) and score < $( vars/@least )", SCOPE)
    assert expression.variables == (("vars", "half"), ("vars", "least"))
    assert expression.params("sqlite", BINDING) == {"p0": 0.5, "p1": 5}
    with pytest.raises(ConfigError, match=r"\$\(vars/@missing\) is not set") as caught:
        parse_expression("name = $(vars/@missing)", SCOPE).params("sqlite", BINDING)
    assert "Set are: flag, half, least, word." in caught.value.hint
    with pytest.raises(ConfigError, match="cannot be used as date"):
        parse_expression('"birth date" = $(vars/@word)', SCOPE).params("sqlite", BINDING)
    with pytest.raises(ConfigError, match="cannot be used as text"):
        parse_expression("name = $(vars/@flag)", SCOPE).params("sqlite", BINDING)
    with pytest.raises(ConfigError, match="none are given"):
        parse_expression("today()", SCOPE).params("sqlite")


def test_a_variable_in_quotes_is_plain_text() -> None:
    assert parse_expression("'$(vars/@word) lower(x)'", SCOPE).params("sqlite") == {"p0": "$(vars/@word) lower(x)"}


def test_comments_are_left_out() -> None:
    assert parse_expression("id /* upper( */ -- $(vars/@x)", SCOPE).sql("sqlite") == '"id"'


def test_the_clock_and_zone_are_those_of_the_task() -> None:
    assert parse_expression("today()", SCOPE).params("sqlite", BINDING) == {"p0": "2026-11-23"}
    assert parse_expression("now()", SCOPE).params("sqlite", BINDING) == {"p0": "2026-11-22T23:30:00.000000Z"}
    assert parse_expression("cast(seen as date)", SCOPE).params("postgresql", BINDING) == {"p0": "Europe/Paris"}


def test_a_long_chain_of_conditions_runs() -> None:
    connection = sqlite3.connect(":memory:")
    expression = parse_expression(" or ".join(f"id = {number}" for number in range(2000)), SCOPE)
    connection.execute("create table t (id integer)")
    connection.execute("insert into t values (1999), (2000)")
    found = connection.execute(f"select id from t where {expression.sql('sqlite')}", expression.params("sqlite"))
    assert found.fetchall() == [(1999,)]
    connection.close()


def test_a_declared_collation_does_not_change_equality_and_an_index_is_used() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (Email text collate nocase, name text)")
    connection.execute("create index t_name on t (name)")
    connection.execute("insert into t values ('A', 'n')")
    by_mail, by_name = parse_expression("Email = 'a'", SCOPE), parse_expression("name = 'n'", SCOPE)
    assert connection.execute(f"select {by_mail.sql('sqlite')} from t", by_mail.params("sqlite")).fetchone() == (0,)
    query = f"explain query plan select 1 from t where {by_name.sql('sqlite')}"
    plan = connection.execute(query, by_name.params("sqlite"))
    assert "USING COVERING INDEX t_name" in str(plan.fetchall())
    connection.close()


def test_why_a_function_refused_can_be_asked_once() -> None:
    connection = sqlite3.connect(":memory:")
    register_sqlite_functions(connection)
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("select ct_to_integer('abc')").fetchone()
    assert take_function_error() == "“abc” cannot be read as integer"
    assert take_function_error() == ""
    connection.close()


@given(st.text(st.sampled_from("ab'\"();,-+*/<>=|$@:.% \n\\01ENOTLIKEISCAST"), max_size=25))
@settings(max_examples=200, deadline=None)
def test_any_text_is_either_an_expression_or_a_clear_refusal(text: str) -> None:
    scope = Scope.of((Column(name="a", type=ColumnType.TEXT), Column(name="b", type=ColumnType.INTEGER)))
    try:
        expression = parse_expression(text, scope)
    except CrosstieError as error:
        assert error.message
        return
    connection = sqlite3.connect(":memory:")
    register_sqlite_functions(connection)
    connection.execute("create table t (a text, b integer)")
    connection.execute(f"select {expression.sql('sqlite')} from t", expression.params("sqlite", BINDING)).fetchall()
    connection.close()


def test_every_synonym_leads_to_something_that_exists() -> None:
    assert set(SYNONYMS.values()) <= set(FUNCTIONS) | {"case", "cast", "like"}
    assert not set(SYNONYMS) & set(FUNCTIONS)


def test_every_operation_has_a_form_in_both_dialects() -> None:
    for name, templates in OPERATIONS.items():
        assert templates.sqlite.count("(") == templates.sqlite.count(")"), name
        assert templates.postgresql.count("(") == templates.postgresql.count(")"), name


def test_importing_expressions_does_not_import_sqlglot() -> None:
    code = "import sys, crosstie.db.expressions; print('sqlglot' in sys.modules, 'pyarrow' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False False"
