"""Generated expressions have equal values on SQLite and PostgreSQL."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstie.db.sqlite_functions import simple_lower, simple_upper
from tests.contract.expressions.conftest import REFUSED, Both

COMPARISONS = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
EQUALITY = st.sampled_from(["=", "<>"])
# Letters of several scripts whose case mapping is old, marks, and what SQL cares about.
CHARACTERS = st.sampled_from("aAzZéÉßüÜñİıΣσςжЖאक日😀\u0301 '%_\\;\"0-.:")
TEXTS = st.text(CHARACTERS, max_size=5).map(lambda text: "'" + text.replace("'", "''") + "'")
PATTERNS = st.text(st.sampled_from("aA%_éÜ \\0"), max_size=4).filter(
    lambda text: not text.replace("\\\\", "").endswith("\\")
)


def _call(name: str, *arguments: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*arguments).map(lambda given: f"{name}({', '.join(given)})")


def _infix(
    left: st.SearchStrategy[str], word: st.SearchStrategy[str], right: st.SearchStrategy[str]
) -> st.SearchStrategy[str]:
    return st.tuples(left, word, right).map(lambda given: f"({given[0]} {given[1]} {given[2]})")


def _case(condition: st.SearchStrategy[str], value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(condition, value, value).map(
        lambda given: f"case when {given[0]} then {given[1]} else {given[2]} end"
    )


SMALL = st.integers(-6, 6).map(str)
BOOLEAN: st.SearchStrategy[str] = st.deferred(lambda: BOOLEANS)
INTEGER: st.SearchStrategy[str] = st.deferred(lambda: INTEGERS)
DECIMAL: st.SearchStrategy[str] = st.deferred(lambda: DECIMALS)
TEXT: st.SearchStrategy[str] = st.deferred(lambda: ALL_TEXTS)
DATE: st.SearchStrategy[str] = st.deferred(lambda: DATES)
INSTANT: st.SearchStrategy[str] = st.deferred(lambda: INSTANTS)
ARITHMETIC = st.sampled_from(["+", "-", "*", "/"])
INTEGERS: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(["n", "m", "id", "nullif(n, n)", "length(name)", "cast($(vars/@number) as integer)"]),
    st.integers(-(10**6), 10**6).map(str),
    _infix(INTEGER, ARITHMETIC, INTEGER),
    _call("abs", INTEGER),
    _call("coalesce", INTEGER, INTEGER),
    _call("nullif", INTEGER, INTEGER),
    _call("greatest", INTEGER, INTEGER),
    _call("least", INTEGER, INTEGER),
    _call("length", TEXT),
    _call("year", DATE),
    _call("month", INSTANT),
    _call("day", DATE),
    _call("date_diff_days", DATE, INSTANT),
    _case(BOOLEAN, INTEGER),
    st.sampled_from(
        ["try_cast(name as integer)", "try_cast(other as integer)", "cast(d as integer)", "cast(b as integer)"]
    ),
)
DECIMALS: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(["d", "e", "0.5", "12.25", "$(instance/vars/@half)", "try_cast(other as decimal)"]),
    st.decimals(-1000, 1000, places=2, allow_nan=False).map(str),
    _infix(DECIMAL, ARITHMETIC, DECIMAL),
    _infix(DECIMAL, ARITHMETIC, INTEGER),
    _call("round", DECIMAL, st.integers(0, 5).map(str)),
    _call("floor", DECIMAL),
    _call("ceil", DECIMAL),
    _call("abs", DECIMAL),
    _call("coalesce", DECIMAL, INTEGER),
    _call("least", DECIMAL, INTEGER),
    _case(BOOLEAN, DECIMAL),
    st.sampled_from(["cast(f as decimal)", "round(f, 2)", "cast(e as decimal(9, 3))"]),
)
FLOATS = st.one_of(
    st.sampled_from(["f", "1e3", "-2.5e-1", "cast(d as float)", "cast(n as float)"]),
    _infix(st.just("f"), ARITHMETIC, st.sampled_from(["n", "d", "f", "2", "0"])),
)
ALL_TEXTS: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(["name", "other", "$(vars/@text)", "cast(day as text)", "cast(at as text)", "cast(d as text)"]),
    TEXTS,
    _infix(TEXT, st.just("||"), TEXT),
    _call("concat", TEXT, INTEGER, st.sampled_from(["b", "null", "d", "clock", "wall"])),
    _call("lower", TEXT),
    _call("upper", TEXT),
    _call("trim", TEXT),
    _call("ltrim", TEXT, TEXTS),
    _call("rtrim", TEXT),
    _call("left", TEXT, SMALL),
    _call("right", TEXT, SMALL),
    _call("substr", TEXT, SMALL),
    _call("substr", TEXT, SMALL, st.integers(0, 6).map(str)),
    _call("replace", TEXT, TEXTS, TEXTS),
    _call("coalesce", TEXT, TEXT),
    _call("nullif", TEXT, TEXT),
    _call("greatest", TEXT, TEXT),
    _case(BOOLEAN, TEXT),
)
DATES: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(
        ["day", "today()", "cast(at as date)", "cast(wall as date)", "$(vars/@date)", "try_cast(other as date)"]
    ),
    st.sampled_from(["cast('2024-02-29' as date)", "to_date('31/12/2025', 'dd/MM/yyyy')"]),
    _call("date_add", st.sampled_from(["day", "today()"]), st.integers(-300, 300).map(str)),
    _call("coalesce", st.just("day"), DATE),
)
INSTANTS: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(
        ["at", "now()", "cast(wall as instant)", "cast(day as instant)", "cast('2026-03-29T01:00:00Z' as instant)"]
    ),
    _call("date_add", st.sampled_from(["at", "now()"]), st.integers(-300, 300).map(str)),
)
BOOLEANS: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(
        ["b", "c", "true", "false", "cast(n as boolean)", "contains(likes, 'a')", "has_any(likes, 'b', 'c')"]
    ),
    _infix(INTEGER, COMPARISONS, DECIMAL),
    _infix(TEXT, COMPARISONS, TEXT),
    _infix(DATE, COMPARISONS, DATE),
    _infix(INSTANT, COMPARISONS, DATE),
    _infix(FLOATS, COMPARISONS, INTEGER),
    _infix(st.just("likes"), EQUALITY, st.sampled_from(["'b;a'", "'c'", "''"])),
    _infix(TEXT, st.sampled_from(["like", "not like"]), PATTERNS.map(lambda text: f"'{text}'")),
    _infix(BOOLEAN, st.sampled_from(["and", "or"]), BOOLEAN),
    BOOLEAN.map(lambda text: f"(not {text})"),
    TEXT.map(lambda text: f"({text} is null)"),
    INTEGER.map(lambda text: f"({text} is not null)"),
    BOOLEAN.map(lambda text: f"({text} is not true)"),
    st.tuples(INTEGER, INTEGER, DECIMAL).map(lambda given: f"({given[0]} between {given[1]} and {given[2]})"),
    st.tuples(TEXT, TEXT, TEXT).map(lambda given: f"({given[0]} in ({given[1]}, {given[2]}))"),
    st.tuples(INTEGER, INTEGER).map(lambda given: f"({given[0]} not in ({given[1]}, 7))"),
)
EVERYTHING = st.one_of(BOOLEANS, INTEGERS, DECIMALS, FLOATS, ALL_TEXTS, DATES, INSTANTS)
GENERATED = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@GENERATED
@given(text=EVERYTHING)
def test_a_generated_expression_has_equal_values(both: Both, text: str) -> None:
    found = both.values(text)
    # SQLite refuses a decimal of more than 15 digits, which PostgreSQL can hold; it never rounds one.
    if found["sqlite"] != [REFUSED]:
        assert found["sqlite"] == found["postgresql"]


def test_case_mapping_agrees_for_every_letter_in_use(both: Both) -> None:
    # ƛ and ɤ got a capital in Unicode 16, which not every server and Python knows.
    known = (chr(code) for code in range(0x80, 0x2000) if code not in (0x19B, 0x264))
    letters = [letter for letter in known if letter.isalpha() and letter.isprintable()]
    assert len(letters) > 4000
    with both.postgresql.reading() as transaction:
        rows = transaction.rows(
            "select letter, crosstie.lower(letter), crosstie.upper(letter)"
            " from unnest(string_to_array(CAST(:letters AS text), ' ')) letter",
            {"letters": " ".join(letters)},
        )
    different = [
        (letter, lower, upper)
        for letter, lower, upper in rows
        if (lower, upper) != (simple_lower(letter), simple_upper(letter))
    ]
    assert different == []
