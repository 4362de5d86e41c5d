"""The closed list of functions: how each is called, what it takes and gives. People read it in docs/expressions.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crosstie.db.expressions.agreement import (
    BOOLEAN,
    DATE,
    DECIMAL,
    FLOAT,
    INSTANT,
    INTEGER,
    SET,
    TEXT,
    unify,
    want,
)
from crosstie.db.expressions.casting import cast_to
from crosstie.db.expressions.nodes import (
    MOMENTS,
    NUMBERS,
    LiteralNode,
    MomentNode,
    Node,
    digits,
    operation,
    shown,
)
from crosstie.errors import ConfigError, MappingError

Build = Callable[[str, Sequence[Node]], Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function people may call. `usage` shows its arguments, `most` None means any number of them."""

    usage: str
    meaning: str
    build: Build
    least: int
    most: int | None


def text_of(node: Node, where: str) -> Node:
    """The node as text for joining: numbers, dates and booleans as `cast(… as text)` writes them."""
    return node if node.type in (TEXT, SET) else cast_to(node, TEXT, where)


def _text_function(name: str) -> Build:
    def build(where: str, given: Sequence[Node]) -> Node:
        value = want(given[0], (TEXT,), where)
        return operation(name, TEXT, value, *(want(one, (TEXT,), where) for one in given[1:]), length=value.length)

    return build


def _cut(name: str) -> Build:
    def build(where: str, given: Sequence[Node]) -> Node:
        counts = (operation("small", INTEGER, want(one, (INTEGER,), where)) for one in given[1:])
        value = want(given[0], (TEXT,), where)
        return operation(name, TEXT, value, *counts, length=value.length)

    return build


def _length(where: str, given: Sequence[Node]) -> Node:
    return operation("length", INTEGER, want(given[0], (TEXT,), where))


def _concat(where: str, given: Sequence[Node]) -> Node:
    parts = [text_of(one, where) for one in given]
    return operation("concat", TEXT, *parts, length=_sum_of_lengths(parts))


def _sum_of_lengths(parts: Sequence[Node]) -> int:
    return sum(one.length for one in parts) if all(one.length for one in parts) else 0


def _same_type(name: str) -> Build:
    def build(where: str, given: Sequence[Node]) -> Node:
        return settle(name, unify(given, where))

    return build


def settle(name: str, parts: Sequence[Node], *, leading: Sequence[Node] = ()) -> Node:
    """An operation that gives one of `parts`, all of one type; as long and as precise as the biggest of them."""
    lengths = [one.length for one in parts]
    first = parts[0].type
    assert first is not None, "unify gives every part a type"
    return operation(
        name, first, *leading, *parts, length=max(lengths) if all(lengths) else 0, scale=max(one.scale for one in parts)
    )


def _extreme(name: str) -> Build:
    def build(where: str, given: Sequence[Node]) -> Node:
        parts = unify(given, where)
        if parts[0].type in (BOOLEAN, SET):
            raise MappingError(f"{where} takes values that have an order, not {shown(parts[0])}.")
        if parts[0].type is TEXT:
            parts = [operation("ordered", TEXT, one, length=one.length) for one in parts]
        return settle(name, parts)

    return build


def _nullif(where: str, given: Sequence[Node]) -> Node:
    one, other = unify(given, where)
    left = operation("exact", TEXT, one, length=one.length) if one.type is TEXT else one
    assert one.type is not None, "unify gives every part a type"
    return operation("nullif", one.type, left, other, length=one.length, scale=one.scale)


def _abs(where: str, given: Sequence[Node]) -> Node:
    value = want(given[0], NUMBERS, where)
    assert value.type is not None, "want gives a type"
    return operation("abs_integer" if value.type is INTEGER else "abs", value.type, value, scale=value.scale)


def _round(where: str, given: Sequence[Node]) -> Node:
    value = want(given[0], NUMBERS, where)
    scale = 0
    if len(given) > 1:
        if not isinstance(given[1], LiteralNode) or not isinstance(given[1].value, int) or given[1].value > 15:
            raise MappingError(f"{where} takes the number of decimals, 0 to 15, as its second argument.")
        scale = given[1].value
    return value if value.type is INTEGER else operation("round", DECIMAL, exact(value), digits(scale), scale=scale)


def exact(value: Node) -> Node:
    """A number as a decimal; a float by its 15 significant digits."""
    return cast_to(value, DECIMAL, "number") if value.type is FLOAT else value


def _whole(name: str) -> Build:
    def build(where: str, given: Sequence[Node]) -> Node:
        value = want(given[0], NUMBERS, where)
        return value if value.type is INTEGER else operation(name, DECIMAL, exact(value))

    return build


def _today(where: str, given: Sequence[Node]) -> Node:
    return MomentNode(kind="today", type=DATE)


def _now(where: str, given: Sequence[Node]) -> Node:
    return MomentNode(kind="now", type=INSTANT)


def _date_add(where: str, given: Sequence[Node]) -> Node:
    moment = want(given[0], MOMENTS, where)
    days = operation("small", INTEGER, want(given[1], (INTEGER,), where))
    assert moment.type is not None, "want gives a type"
    return operation("add_days_date" if moment.type is DATE else "add_days_moment", moment.type, moment, days)


def as_date(node: Node, where: str) -> Node:
    """The date of a moment: an instant's in the zone in force."""
    return cast_to(want(node, MOMENTS, where), DATE, where)


def _days_between(where: str, given: Sequence[Node]) -> Node:
    return operation("days_between", INTEGER, as_date(given[0], where), as_date(given[1], where))


def _date_part(name: str) -> Build:
    def build(where: str, given: Sequence[Node]) -> Node:
        return operation(name, INTEGER, as_date(given[0], where))

    return build


def _to_date(where: str, given: Sequence[Node]) -> Node:
    if len(given) == 1:
        return cast_to(given[0], DATE, where)
    text, form = want(given[0], (TEXT,), where), given[1]
    pattern = form.value if isinstance(form, LiteralNode) else None
    if not isinstance(pattern, str) or any(pattern.count(part) != 1 for part in ("yyyy", "MM", "dd")):
        raise MappingError(
            f"{where} takes a form with yyyy, MM and dd, each once, like 'dd/MM/yyyy'; not {shown(form)}."
        )
    pieces: list[Node] = []
    for part in ("yyyy", "MM", "dd"):
        start, length = LiteralNode(value=pattern.index(part) + 1, type=INTEGER), len(part)
        sized = LiteralNode(value=length, type=INTEGER)
        counts = [operation("small", INTEGER, one) for one in (start, sized)]
        pieces += [LiteralNode(value="-", type=TEXT), operation("substr", TEXT, text, *counts)]
    rearranged = operation("concat", TEXT, *pieces[1:])
    mask = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    for part in ("yyyy", "MM", "dd"):
        mask = mask.replace(part, "_" * len(part))
    matches = operation("like", BOOLEAN, text, LiteralNode(value=mask, type=TEXT))
    # A text of another form goes on as it is, so that the refusal names it.
    return operation("to_date", DATE, operation("case", TEXT, matches, rearranged, text))


def _contains(where: str, given: Sequence[Node]) -> Node:
    value = want(given[1], (TEXT,), where)
    if isinstance(value, LiteralNode) and (";" in str(value.value) or not value.value):
        raise MappingError(f"{where}: {shown(value)} cannot be one value of a set.", hint="Ask for each value alone.")
    return operation("contains", BOOLEAN, _set(given[0], where), value)


def _has_any(where: str, given: Sequence[Node]) -> Node:
    return operation("or", BOOLEAN, *(_contains(where, (given[0], value)) for value in given[1:]))


def _set(node: Node, where: str) -> Node:
    if node.type not in (SET, None):
        raise MappingError(f"{where} takes a set, not {shown(node)}.", hint="A text is searched with like.")
    return want(node, (SET,), where)


def _function(usage: str, meaning: str, build: Build, least: int, most: int | None = -1) -> Function:
    return Function(usage=usage, meaning=meaning, build=build, least=least, most=least if most == -1 else most)


FUNCTIONS: dict[str, Function] = {
    "lower": _function("text", "lower case, character by character, all of Unicode", _text_function("lower"), 1),
    "upper": _function("text", "upper case, character by character, all of Unicode", _text_function("upper"), 1),
    "trim": _function(
        "text [, characters]", "without spaces (or those characters) at both ends", _text_function("trim"), 1, 2
    ),
    "ltrim": _function("text [, characters]", "the same at the beginning only", _text_function("ltrim"), 1, 2),
    "rtrim": _function("text [, characters]", "the same at the end only", _text_function("rtrim"), 1, 2),
    "length": _function("text", "number of characters", _length, 1),
    "substr": _function("text, start [, length]", "part of a text; the first character is 1", _cut("substr"), 2, 3),
    "left": _function("text, count", "the first characters; all but the last ones when negative", _cut("left"), 2),
    "right": _function("text, count", "the last characters; all but the first ones when negative", _cut("right"), 2),
    "replace": _function("text, what, by", "every occurrence replaced", _text_function("replace"), 3),
    "concat": _function("value, …", "all joined as text; null counts as nothing", _concat, 1, None),
    "coalesce": _function("value, …", "the first that is not null", _same_type("coalesce"), 1, None),
    "nullif": _function("value, other", "null when both are equal, else the value", _nullif, 2),
    "greatest": _function("value, …", "the greatest; nulls are left out", _extreme("greatest"), 1, None),
    "least": _function("value, …", "the least; nulls are left out", _extreme("least"), 1, None),
    "abs": _function("number", "without its sign", _abs, 1),
    "round": _function("number [, decimals]", "rounded, half away from zero, as a decimal", _round, 1, 2),
    "floor": _function("number", "the next whole number below", _whole("floor"), 1),
    "ceil": _function("number", "the next whole number above", _whole("ceil"), 1),
    "today": _function("", "the date of the task's start in the zone in force", _today, 0),
    "now": _function("", "the instant of the task's start", _now, 0),
    "date_add": _function("moment, days", "that many days later (24 hours each for an instant)", _date_add, 2),
    "date_diff_days": _function("later, earlier", "days from the earlier date to the later one", _days_between, 2),
    "year": _function("moment", "the year; of an instant, in the zone in force", _date_part("year"), 1),
    "month": _function("moment", "the month, 1 to 12", _date_part("month"), 1),
    "day": _function("moment", "the day of the month", _date_part("day"), 1),
    "to_date": _function("value [, form]", "as a date; a form is like 'dd/MM/yyyy'", _to_date, 1, 2),
    "contains": _function("set, value", "whether the value is in the set", _contains, 2),
    "has_any": _function("set, value, …", "whether at least one of the values is in the set", _has_any, 2, None),
}

# What people write from habit, and what it is called here.
SYNONYMS = {
    "ifnull": "coalesce", "isnull": "coalesce", "nvl": "coalesce", "len": "length", "char_length": "length",
    "character_length": "length", "substring": "substr", "mid": "substr", "ucase": "upper", "lcase": "lower",
    "btrim": "trim", "ceiling": "ceil", "current_date": "today", "curdate": "today", "getdate": "now",
    "current_timestamp": "now", "sysdate": "now", "dateadd": "date_add", "adddays": "date_add",
    "datediff": "date_diff_days", "date_diff": "date_diff_days", "todate": "to_date", "date": "to_date",
    "max": "greatest", "min": "least", "includes": "contains", "strpos": "contains", "instr": "like",
    "iif": "case", "if": "case", "decode": "case", "to_char": "cast", "to_number": "cast", "convert": "cast",
    "trunc": "floor", "iff": "case", "ilike": "lower", "string": "cast", "tostring": "cast",
}  # fmt: skip


def call(name: str, given: Sequence[Node]) -> Node:
    """The call of a function of the list. Raises ConfigError for a wrong number of arguments."""
    function = FUNCTIONS[name.lower()]
    where = f"{name.lower()}({function.usage})"
    if len(given) < function.least or (function.most is not None and len(given) > function.most):
        raise ConfigError(f"{where} was given {len(given)} arguments.")
    return function.build(where, given)


def unknown_function(name: str) -> ConfigError:
    """Names the function and the one that was probably meant."""
    from difflib import get_close_matches

    known = SYNONYMS.get(name.lower()) or next(iter(get_close_matches(name.lower(), FUNCTIONS, 1)), "")
    guess = f" Did you mean “{known}”?" if known else ""
    return ConfigError(
        f"“{name}” is not a function of expressions.{guess}",
        hint="The list is in docs/expressions.md; anything else belongs into an SQL code activity.",
    )
