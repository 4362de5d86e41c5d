"""The JavaScript engine: values, limits, what a script can reach, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstie.errors import DatabaseError, ScriptError
from crosstie.script.engine import (
    EventScope,
    LogLine,
    ScriptLimits,
    ScriptScope,
    check_syntax,
    evaluate,
    run_script,
    unknown_name,
)
from crosstie.script.values import MAX_SAFE_INTEGER, Value

NOW = datetime(2026, 11, 23, 8, 0, 0, 123000, tzinfo=UTC)
SCOPE = ScriptScope(now=NOW, workflow="contact-import", activity="contacts", vars={"count": 5, "text": "é"})
QUICK = ScriptLimits(time=timedelta(seconds=0.2), memory_bytes=8 * 1024 * 1024)

OURS = (
    "vars instance task activity event events activityName logInfo logWarning logError getOption setOption"
    " sql rows write formatDate parseDate"
)
LANGUAGE = """
AggregateError Array ArrayBuffer AsyncDisposableStack BigInt BigInt64Array BigUint64Array Boolean DataView Date
DisposableStack Error EvalError Float16Array Float32Array Float64Array Function Infinity Int16Array Int32Array Int8Array
InternalError Iterator JSON Map Math NaN Number Object Promise Proxy RangeError ReferenceError Reflect RegExp Set String
SuppressedError Symbol SyntaxError TypeError URIError Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap
WeakSet decodeURI decodeURIComponent encodeURI encodeURIComponent escape eval globalThis isFinite isNaN parseFloat
parseInt undefined unescape
"""


def value(source: str, names: Mapping[str, Value] | None = None) -> Value:
    return evaluate(source, ScriptScope(now=NOW, names=names or {}), QUICK)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("10 * 5", 50),
        ("1.5", 1.5),
        ("2 ** 40", 2**40),
        ("-0", 0),
        ("1e21", 1e21),
        ("'Ünal 😀'", "Ünal 😀"),
        ("1 < 2", True),
        ("null", None),
        ("undefined", None),
        ("new Date('2012-07-31')", datetime(2012, 7, 31, tzinfo=UTC)),
        ("new Date(2012, 6, 31, 10)", datetime(2012, 7, 31, 10, tzinfo=UTC)),
        ("new Date('2012-07-31T10:00')", datetime(2012, 7, 31, 10, tzinfo=UTC)),
        ("new Date('2012-07-31T10:00:00+02:00')", datetime(2012, 7, 31, 8, tzinfo=UTC)),
        ("new Date('July 31, 2012 10:00')", datetime(2012, 7, 31, 10, tzinfo=UTC)),
        ("new Date()", NOW),
        ("Date.now() === new Date().getTime()", True),
        ("new Date(2012, 6, 31).getTimezoneOffset()", 0),
        ("new Date(0).getHours() + ' ' + new Date(0)", "0 Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Date()", "Mon, 23 Nov 2026 08:00:00 GMT"),
        ("new Date() instanceof Date && Date.name === 'Date'", True),
        ("var a = 1; a + 1", 2),
    ],
)
def test_a_value_comes_back_as_text_number_boolean_date_or_null(source: str, expected: Value) -> None:
    found = value(source)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("[1]", "the result is an array"),
        ("({a: 1})", "the result is an object"),
        ("(() => 1)", "the result is a function"),
        ("Symbol('x')", "the result is a symbol"),
        ("10n", "the result is a bigint"),
        ("NaN", "the result is NaN"),
        ("1 / 0", "the result is Infinity"),
        ("new Date('x')", "the result is an invalid date"),
        ("(async () => 1)()", "the result is a promise"),
        ("new Date(8.64e15)", "outside the years 1 to 9999"),
        ("'a\\0b'", "NUL character"),
        ("'\\ud83d'", "half of a surrogate pair"),
    ],
)
def test_anything_else_is_refused_by_name(source: str, what: str) -> None:
    with pytest.raises(ScriptError, match=what):
        value(source)


@given(
    given=st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
        st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(  # noqa: DTZ001 - made aware below
            lambda moment: moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
        ),
    )
)
@settings(max_examples=150, deadline=None)
def test_a_value_goes_in_and_comes_back_unchanged(given: Value) -> None:
    assert value("given", {"given": given}) == given


def test_a_date_goes_in_as_its_midnight_in_utc() -> None:
    names: dict[str, object] = {"day": date(2012, 7, 31)}
    scope = ScriptScope(now=NOW, names=names)  # type: ignore[arg-type]
    assert evaluate("day.getTime() === new Date('2012-07-31').getTime()", scope) is True


@pytest.mark.parametrize(
    ("given", "what"),
    [(2**53, "cannot hold exactly"), (float("nan"), "not a number"), ([1], "a list"), (datetime(2026, 1, 1), "zone")],  # noqa: DTZ001
)
def test_a_value_that_javascript_cannot_hold_does_not_go_in(given: Value, what: str) -> None:
    with pytest.raises(ScriptError, match=what):
        value("given", {"given": given})


def test_an_error_tells_line_column_and_the_line() -> None:
    with pytest.raises(ScriptError) as caught:
        value("1 +\n  missing.thing")
    assert (caught.value.line, caught.value.column) == (2, 3)
    assert "missing is not defined (line 2, column 3: missing.thing)" in caught.value.message


def test_a_syntax_error_tells_its_place() -> None:
    with pytest.raises(ScriptError, match="SyntaxError") as caught:
        value("1 + ;")
    assert (caught.value.line, caught.value.column) == (1, 5)


def test_an_endless_loop_is_stopped_even_behind_a_catch() -> None:
    with pytest.raises(ScriptError, match=r"stopped after 0.2 seconds"):
        value("try { while (true); } catch (error) { 1 } finally { while (true); }")


def test_a_runaway_regular_expression_is_stopped() -> None:
    with pytest.raises(ScriptError, match="stopped after"):
        value("/(a+)+$/.test('a'.repeat(60) + 'b')")


def test_memory_is_limited() -> None:
    with pytest.raises(ScriptError, match="8 MiB of memory"):
        value("var all = []; while (true) all.push('x'.repeat(1000) + all.length)")


def test_the_stack_is_limited() -> None:
    with pytest.raises(ScriptError, match="call stack"):
        value("function again() { again() } again()")


def test_nothing_but_the_language_can_be_reached() -> None:
    names = value("Object.getOwnPropertyNames(globalThis).sort().join(' ')")
    assert isinstance(names, str)
    assert set(names.split()) == set(OURS.split()) | set(LANGUAGE.split())


def test_the_same_call_gives_the_same_answer() -> None:
    assert value("Math.random()") == value("Math.random()")
    assert value("Math.random() !== Math.random()") is True


def test_a_script_leaves_variables_options_and_log_lines_behind() -> None:
    result = run_script(
        "vars.count = vars.count + 1; vars.when = new Date(); delete vars.text;"
        " instance.vars.name = instance.internalName + '/' + activityName; task.vars.n = 1.5; event.vars.also = 'x';"
        " logInfo('got ' + getOption('a')); logWarning(getOption('missing') === null);"
        " setOption('a', 2); setOption('b', new Date(0)); logInfo(getOption('a'))",
        ScriptScope(now=NOW, workflow="w", activity="a", vars={"count": 5, "text": "é"}, options={"a": "1"}),
    )
    assert result.vars == {"count": 6, "when": NOW, "also": "x"}
    assert result.instance_vars == {"name": "w/a"}
    assert result.task_vars == {"n": 1.5}
    assert result.options_set == {"a": "2", "b": "1970/01/01 00:00:00"}
    assert result.logs == (
        LogLine(level="info", text="got 1"),
        LogLine(level="warning", text="true"),
        LogLine(level="info", text="2"),
    )
    assert result.error is None


@pytest.mark.parametrize("bad", ["true", "null", "[1]", "{}", "() => 1", "NaN", "undefined"])
def test_a_variable_holds_text_a_number_or_a_date(bad: str) -> None:
    with pytest.raises(ScriptError, match=r"vars\.x is") as caught:
        run_script(f"1;\nvars.x = ({bad})", SCOPE)
    assert caught.value.line == 2


def test_a_variable_cannot_be_made_an_accessor() -> None:
    with pytest.raises(ScriptError, match="accessor"):
        run_script("Object.defineProperty(vars, 'x', { get() { return {} } })", SCOPE)


def test_log_error_ends_the_script_and_keeps_the_log() -> None:
    result = run_script("logInfo('before'); logError('no contacts'); logInfo('after')", SCOPE)
    assert result.error == "no contacts"
    assert [line.text for line in result.logs] == ["before", "no contacts"]


def test_log_error_counts_even_when_it_is_caught() -> None:
    assert run_script("try { logError('no') } catch (error) {}", SCOPE).error == "no"


def test_what_describes_the_task_is_read_only() -> None:
    with pytest.raises(ScriptError, match="read-only"):
        run_script("'use strict'; instance.internalName = 'other'", SCOPE)
    with pytest.raises(ScriptError, match="read-only"):
        run_script("'use strict'; activityName = 'other'", SCOPE)


def test_scripts_share_nothing() -> None:
    run_script("globalThis.left = 1; Array.prototype.left = 1", SCOPE)
    assert value("typeof left + typeof [].left") == "undefinedundefined"


def test_a_failed_script_leaves_nothing_behind() -> None:
    with pytest.raises(ScriptError, match="boom"):
        run_script("setOption('a', 'b'); throw new Error('boom')", SCOPE)


def test_syntax_is_checked_without_running_anything() -> None:
    check_syntax("while (true) {}\nlet x = 1; function f() { return x; }")
    with pytest.raises(ScriptError, match="SyntaxError") as caught:
        check_syntax("let x = 1;\nlet y = ;")
    assert (caught.value.line, caught.value.column) == (2, 9)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (" Smith ", "Smith"),
        ("vars.count + recCount", "recCount"),
        ("vars.name.trim().split(',')[0] + nome", "nome"),
        ("getOptoin('x')", "getOptoin"),
        ("vars.a > 1 && b", "b"),
        ("`${instance.label} ${lable}`", "lable"),
        ("new Dat()", "Dat"),
        ("[1, 2].map(function (x) { return x + y })", "y"),
    ],
)
def test_a_word_that_no_script_knows_is_found(source: str, name: str) -> None:
    assert unknown_name(source) == name


@pytest.mark.parametrize(
    "source",
    [
        "vars", "logInfo", "Date", "Infinity", "true", "'Smith'", "vars.Smith", "3", "undefined", "this", "arguments",
        "vars.a.b.c.d('x')[0] + instance.vars.n * task.id", "x = 1; x + 1", "let y = 2; y", "var z = vars.a; z + z",
        "[1, 2].map((n) => n * 2).join()", "function f(a) { return a } f(1)", "while (vars.more) {}", "throw vars.x",
        "formatDate(new Date(), 'yyyy') + parseDate(vars.x).getTime()", "({a: 1, b}) => b", "known + 1",
        "for (const one of vars.list) one; for (const key in vars) key", "const {a, ...rest} = vars; a + rest",
        "events.length && event.recCount > 0 ? sql.query('x').length : rows", "/a/.test(vars.b)", "1 +",
    ],
)  # fmt: skip
def test_nothing_unknown_is_found_where_there_is_none(source: str) -> None:
    assert unknown_name(source, ("known",)) == ""


def test_a_script_that_asks_python_is_limited_too() -> None:
    asked: list[str] = []

    def calls(name: str, given: list[Any]) -> object:
        asked.append(name)
        return None

    with pytest.raises(ScriptError, match=r"stopped after 0.2 seconds \(line 2, column") as caught:
        run_script(
            "logInfo('begins'); let n = 0;\nwhile (true) { try { n = Math.sqrt(n) } catch {} }", SCOPE, QUICK, calls
        )
    assert caught.value.line == 2
    with pytest.raises(ScriptError, match="stopped after"):
        run_script("while (true) logInfo('again')", SCOPE, QUICK, calls)
    assert len(asked) > 1


def test_what_ends_a_script_cannot_be_caught_by_it() -> None:
    def calls(name: str, given: list[Any]) -> object:
        raise DatabaseError("the hold was lost")

    with pytest.raises(DatabaseError, match="the hold was lost"):
        run_script("try { logInfo('a') } catch (error) { vars.x = 'went on' }", SCOPE, QUICK, calls)


def test_rows_are_only_for_scripts() -> None:
    with pytest.raises(ScriptError, match="rows and tables cannot be used here"):
        value("sql.query('select 1')")


def test_a_script_sees_what_it_belongs_to() -> None:
    scope = ScriptScope(
        now=NOW,
        workflow="w",
        label="A flow",
        run=7,
        activity="a",
        activity_label="An activity",
        task=9,
        task_created=NOW,
        events=(
            EventScope(source="q", transition="young", table="crosstie.w_7_8_young", dimension="recipient", rows=3),
        ),
        vars={"n": 1},
        instance_vars={"shared": "x"},
    )
    told = (
        "[instance.name, instance.label, instance.run, instance.vars.shared, activity.name, activity.label, task.id,"
        " task.creationDate.getTime() === Date.now(), event.source, event.transition, event.recCount, event.tableName,"
        " event.schema, event.vars.n, events.length, events[0] === event, vars.recCount, vars.tableName, vars.schema,"
        " Object.keys(vars)].join()"
    )
    assert evaluate(told, scope, QUICK) == (
        "w,A flow,7,x,a,An activity,9,true,q,young,3,crosstie.w_7_8_young,recipient,1,1,true,3,crosstie.w_7_8_young,"
        "recipient,n"
    )
    assert run_script("vars.m = vars.recCount", scope).vars == {"n": 1, "m": 3}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("formatDate(new Date('2026-07-01T22:30:15.042Z'))", "2026/07/02 00:30:15"),
        ("formatDate(new Date('2026-07-01T22:30:15.042Z'), 'dd.MM.yyyy, hh h mm SSS', 'Asia/Tokyo')",
         "02.07.2026, 07 h 30 042"),
        ("parseDate('2026/07/02 00:30:15')", datetime(2026, 7, 1, 22, 30, 15, tzinfo=UTC)),
        ("parseDate('31.12.2026', 'dd.MM.yyyy', 'UTC')", datetime(2026, 12, 31, tzinfo=UTC)),
        ("parseDate('2026/10/25 02:30:00')", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("parseDate('2026/03/29 02:30:00')", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_dates_are_written_and_read_in_the_zone_in_force(source: str, expected: Value) -> None:
    assert evaluate(source, ScriptScope(now=NOW, zone=ZoneInfo("Europe/Paris")), QUICK) == expected


@pytest.mark.parametrize("source", ["parseDate('2026/02/30 00:00:00')", "parseDate('1', 'dd dd')", "formatDate('x')"])
def test_a_date_that_is_none_is_refused(source: str) -> None:
    with pytest.raises(ScriptError):
        value(source)


@pytest.mark.parametrize(
    "source",
    [
        "Object.prototype.toJSON = () => ({value: ['t', 'x']}); vars.x = 1",
        "Object.prototype.toJSON = () => 5",
        "Object.prototype.toJSON = function () { return {failure: null, ended: null, vars: {x: ['n', 'no']}, logs: [],"
        " options: {}, instance_vars: {}, task_vars: {}} }",
        "Array.prototype.toJSON = () => null; setOption('a', 'b')",
    ],
)
def test_a_script_that_forges_what_it_leaves_behind_is_refused(source: str) -> None:
    with pytest.raises(ScriptError):
        run_script(source, SCOPE, QUICK)
