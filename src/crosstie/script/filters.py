"""The filter tree of a definition: read, checked without evaluating anything, and built into a connector's condition.

Campaign's rules for CRM filters hold: one logical operator on each level, no EXCEPT, a field of the object on the left,
no joins. Values on the right are JavaScript, evaluated once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches

from crosstie.crm.connector import Comparison, Condition, Group, Operator
from crosstie.errors import MappingError, ScriptError
from crosstie.model import FieldType, RemoteField, RemoteObject
from crosstie.script.engine import check_syntax, unknown_name

Path = tuple[str | int, ...]

_NUMBERS = (FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT)
_DATES = (FieldType.DATE, FieldType.DATETIME, FieldType.WALL_CLOCK)
_KEYS = (FieldType.ID, FieldType.REFERENCE)
_TEXTS = (FieldType.TEXT, FieldType.ENUMERATION, FieldType.OTHER)
_ANY = tuple(FieldType)
_WITHOUT_VALUE = (Operator.EMPTY, Operator.NOT_EMPTY)
_SEVERAL = (Operator.ONE_OF, Operator.INCLUDES)
_ORDERED = (*_NUMBERS, *_DATES, *_TEXTS)

# Which fields each operator is for.
_FITS: dict[Operator, tuple[FieldType, ...]] = {
    Operator.EMPTY: _ANY,
    Operator.NOT_EMPTY: _ANY,
    Operator.EQUAL: (*_ORDERED, *_KEYS, FieldType.BOOLEAN, FieldType.SET),
    Operator.NOT_EQUAL: (*_ORDERED, *_KEYS, FieldType.BOOLEAN, FieldType.SET),
    Operator.LESS: _ORDERED,
    Operator.AT_MOST: _ORDERED,
    Operator.GREATER: _ORDERED,
    Operator.AT_LEAST: _ORDERED,
    Operator.BEFORE: _DATES,
    Operator.AFTER: _DATES,
    Operator.STARTS_WITH: _TEXTS,
    Operator.CONTAINS: _TEXTS,
    Operator.ONE_OF: (*_NUMBERS, *_TEXTS, *_KEYS),
    Operator.INCLUDES: (FieldType.SET,),
}

# What people write from habit.
_SYNONYMS = {
    "=": Operator.EQUAL, "==": Operator.EQUAL, "is": Operator.EQUAL, "equals": Operator.EQUAL,
    "<>": Operator.NOT_EQUAL, "!=": Operator.NOT_EQUAL, "different from": Operator.NOT_EQUAL,
    "<": Operator.LESS, "<=": Operator.AT_MOST, "less than or equal to": Operator.AT_MOST,
    ">": Operator.GREATER, ">=": Operator.AT_LEAST, "greater than or equal to": Operator.AT_LEAST,
    "null": Operator.EMPTY, "is null": Operator.EMPTY, "is empty": Operator.EMPTY,
    "not null": Operator.NOT_EMPTY, "is not null": Operator.NOT_EMPTY, "is not empty": Operator.NOT_EMPTY,
    "like": Operator.CONTAINS, "in": Operator.ONE_OF, "begins with": Operator.STARTS_WITH,
    "on or after": Operator.AT_LEAST, "on or before": Operator.AT_MOST, "later than": Operator.AFTER,
    "earlier than": Operator.BEFORE,
}  # fmt: skip
_EXCEPTIONS = ("except", "not", "none", "but not")
_TEST_KEYS = ("field", "is", "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterTest:
    """One comparison as written: `operator` is the text after `is`, `values` JavaScript sources (several for a list,
    none without value). `path` leads to it from the filter's top."""

    path: Path
    field: str
    operator: str
    values: tuple[str, ...] = ()
    listed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterMistake:
    """A part that is not a filter at all; `filter_problems` reports it."""

    path: Path
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterGroup:
    """A level: all of its items must hold, or any of them."""

    path: Path
    all: bool
    items: tuple[FilterTest | FilterGroup | FilterMistake, ...]


Item = FilterTest | FilterGroup | FilterMistake


def read_filter(value: object) -> FilterGroup:
    """The tree of a filter as it stands in the definition. Never raises: mistakes stay in the tree, each with its path,
    until `filter_problems` asks for them."""
    top = _read(value, ())
    return top if isinstance(top, FilterGroup) else FilterGroup(path=(), all=True, items=(top,))


def _read(value: object, path: Path) -> Item:
    if not isinstance(value, Mapping):
        return FilterMistake(
            path=path, message=f"{_shown(value)} is not a filter. Write {{field: …, is: …, value: …}}, or all: or any:"
        )
    keys = [str(key) for key in value]
    levels = [key for key in keys if key in ("all", "any")]
    excepted = next((key for key in keys if key.lower() in _EXCEPTIONS), None)
    if excepted is not None:
        return FilterMistake(
            path=(*path, excepted),
            message=f"“{excepted}” (EXCEPT) can't be sent to a CRM. Turn the tests round, like is: not equal to",
        )
    if len(levels) > 1:
        return FilterMistake(
            path=path,
            message="a level has one logical operator: all or any, not both. Put one of them inside the other",
        )
    if levels and len(keys) > 1:
        other = next(key for key in keys if key not in levels)
        return FilterMistake(path=(*path, other), message=f"“{other}” can't stand beside {levels[0]}. Put it inside")
    return _read_level(value[levels[0]], levels[0], path) if levels else _read_test(value, path)


def _read_level(value: object, word: str, path: Path) -> Item:
    if not isinstance(value, list) or not value:
        return FilterMistake(path=(*path, word), message=f"{word}: takes a list of at least one test")
    items = tuple(_read(one, (*path, word, position)) for position, one in enumerate(value))
    return FilterGroup(path=path, all=word == "all", items=items)


def _read_test(value: Mapping[object, object], path: Path) -> Item:
    for key in value:
        if key not in _TEST_KEYS:
            return FilterMistake(
                path=(*path, str(key)),
                message=f"“{key}” is not a key of a test.{_guess(str(key), (*_TEST_KEYS, 'all', 'any'))}"
                " It has field, is and value",
            )
    missing = next((key for key in ("field", "is") if not isinstance(value.get(key), str)), None)
    if missing is not None:
        return FilterMistake(path=path, message=f"a test needs “{missing}:”, as text")
    given = value.get("value")
    listed = isinstance(given, list)
    sources = given if isinstance(given, list) else [given] if "value" in value else []
    return FilterTest(
        path=path,
        field=str(value["field"]).strip(),
        operator=str(value["is"]).strip(),
        values=tuple(_source(one) for one in sources),
        listed=listed,
    )


def _source(value: object) -> str:
    """The JavaScript of a value; YAML has already made numbers, booleans and dates of some."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, datetime | date):
        return f"new Date('{value.isoformat()}')"
    return str(value)


def filter_problems(tree: FilterGroup, remote: RemoteObject, *, strict: bool) -> Iterator[tuple[Path, str]]:
    """Every mistake, as path from the filter's top and message, without evaluating a value.

    `strict` allows only what Campaign allows: null tests, and comparisons of numbers and dates."""
    for item in tree.items:
        if isinstance(item, FilterMistake):
            yield item.path, item.message
        elif isinstance(item, FilterGroup):
            yield from filter_problems(item, remote, strict=strict)
        else:
            yield from _test_problems(item, remote, strict)
            yield from _script_problems(item)


def _test_problems(test: FilterTest, remote: RemoteObject, strict: bool) -> Iterator[tuple[Path, str]]:
    operator = _operator(test.operator)
    if operator is None:
        yield (*test.path, "is"), _unknown_operator(test.operator)
    field = remote.field(test.field)
    if field is None:
        yield (*test.path, "field"), _unknown_field(test.field, remote)
        return
    if not field.filterable or field.type is FieldType.COMPOUND:
        parts = f" Use {' or '.join(field.parts)}" if field.parts else ""
        yield (*test.path, "field"), f"{remote.name} can't be filtered by {field.name}.{parts}"
        return
    if operator is None:
        return
    if field.type not in _FITS[operator]:
        fitting = ", ".join(one.value for one in Operator if field.type in _FITS[one])
        yield (*test.path, "is"), f"“{operator}” is not for {field.name} ({field.type.value}). It can be {fitting}"
    elif strict and operator not in _WITHOUT_VALUE and field.type not in (*_NUMBERS, *_DATES):
        yield (
            (*test.path, "is"),
            f"strict allows only null tests, numbers and dates; {field.name} is {field.type.value}. Filter it after the"
            " import, or leave strict out",
        )
    yield from _value_problems(test, operator)


def _value_problems(test: FilterTest, operator: Operator) -> Iterator[tuple[Path, str]]:
    path = (*test.path, "value")
    if operator in _WITHOUT_VALUE:
        if test.values:
            yield path, f"“{operator}” takes no value"
    elif not test.values:
        yield test.path, f"“{operator}” needs a “value:”" + (", or a list of them" if operator in _SEVERAL else "")
    elif test.listed and operator not in _SEVERAL:
        yield path, f"“{operator}” takes one value. A list is for {' and '.join(_SEVERAL)}"
    elif any(source.strip() in ("", "null") for source in test.values):
        yield path, "nothing is compared with null. Ask is: empty or is: not empty"


def _script_problems(test: FilterTest) -> Iterator[tuple[Path, str]]:
    """Values that are not JavaScript, or a word that JavaScript does not know, which mostly is text without quotes."""
    for position, source in enumerate(test.values):
        if source.strip() in ("", "null"):
            continue
        path = (*test.path, "value", *((position,) if test.listed else ()))
        words = source.strip()
        quoted = '"' + "'" + words.replace("'", "\\\\'") + "'" + '"'
        try:
            check_syntax(source)
        except ScriptError as error:
            plain = all(one.isalnum() or one in " .,@_-" for one in words) and any(one.isalpha() for one in words)
            meant = f" If text is meant, write quotes inside the quotes: {quoted}" if plain else ""
            yield path, f"{_shown(words)} is not JavaScript: {error.message}.{meant}"
            continue
        if unknown_name(source):
            yield path, f"JavaScript knows no {_shown(words)}. Text needs quotes inside the quotes: {quoted}"


def _operator(word: str) -> Operator | None:
    folded = " ".join(word.lower().split())
    return next((one for one in Operator if one.value == folded), None)


def _unknown_operator(word: str) -> str:
    folded = " ".join(word.lower().split())
    names = [one.value for one in Operator]
    meant = _SYNONYMS.get(folded)
    guess = f" Did you mean “{meant}”?" if meant else _guess(folded, names)
    return f"“{word}” is not an operator.{guess or ' It can be ' + ', '.join(names)}"


def _unknown_field(name: str, remote: RemoteObject) -> str:
    names = [one.name for one in remote.fields]
    if labelled := remote.name_by_label(name):
        return f"{remote.name} has no field “{name}”. Did you mean “{labelled}”?"
    if "." in name and name.replace(".", "").replace("_", "").isalnum():
        return f"“{name}” leads to another object. A filter can't join; it takes fields of {remote.name} only"
    if not name.replace("_", "").isalnum():
        return f"“{name}” is not a field. The left side is one field of {remote.name}, not an expression"
    return f"{remote.name} has no field “{name}”.{_guess(name, names)}"


def _guess(word: str, known: tuple[str, ...] | list[str]) -> str:
    lower = {one.lower(): one for one in known}
    found = get_close_matches(word.lower(), lower, 1, 0.6)
    return f" Did you mean “{lower[found[0]]}”?" if found else ""


def _shown(value: object) -> str:
    text = str(value)
    return f"“{text if len(text) <= 40 else text[:39] + '…'}”"


def build_condition(tree: FilterGroup, remote: RemoteObject, evaluate: Callable[[str], object]) -> Condition:
    """The condition for the connector; each value is evaluated once, in the order of the file.

    Call it only for a tree without problems. Raises MappingError for a value of the wrong type, ScriptError for one
    that cannot be evaluated; both say where."""
    items = tuple(_build(item, remote, evaluate) for item in tree.items)
    return items[0] if len(items) == 1 else Group(all=tree.all, items=items)


def _build(item: Item, remote: RemoteObject, evaluate: Callable[[str], object]) -> Condition:
    if isinstance(item, FilterGroup):
        return build_condition(item, remote, evaluate)
    if isinstance(item, FilterMistake):
        raise MappingError(f"{_place(item.path)}: {item.message}.")
    problem = next(_test_problems(item, remote, strict=False), None)
    if problem is not None:
        raise MappingError(f"{_place(problem[0])}: {problem[1]}.")
    operator, field = _operator(item.operator), remote.field(item.field)
    assert operator is not None and field is not None, "a test without problems has both"
    if operator in _WITHOUT_VALUE:
        return Comparison(field=field.name, operator=operator)
    values = tuple(_value(source, item, field, evaluate) for source in item.values)
    return Comparison(field=field.name, operator=operator, value=values if operator in _SEVERAL else values[0])


def _value(source: str, test: FilterTest, field: RemoteField, evaluate: Callable[[str], object]) -> object:
    place = _place((*test.path, "value"))
    try:
        value = evaluate(source)
    except ScriptError as error:
        raise ScriptError(f"{place}: {error.message}", hint=error.hint, line=error.line, column=error.column) from error
    fitted = _fitted(value, field.type)
    if fitted is None:
        if value is None:
            raise MappingError(f"{place}: “{source}” gives null.", hint="Ask is: empty or is: not empty.")
        raise MappingError(
            f"{place}: “{source}” gives {_kind(value)}, but {field.name} is {field.type.value}.",
            hint=_HINTS.get(field.type, "Write text in quotes inside the quotes: \"'text'\"."),
        )
    return fitted


_HINTS = {
    **dict.fromkeys(_DATES, "Write a date like new Date('2012-07-31')."),
    **dict.fromkeys(_NUMBERS, "Write a number, without quotes of its own."),
    FieldType.BOOLEAN: "Write true or false.",
}


def _fitted(value: object, type: FieldType) -> object:
    """The value as the field needs it, or None. A date is the UTC date of the instant, as JavaScript reads it; what a
    wall clock shows is the instant in UTC."""
    if isinstance(value, bool):
        return value if type is FieldType.BOOLEAN else None
    if isinstance(value, datetime):
        whole = type in (FieldType.DATETIME, FieldType.WALL_CLOCK)
        return value if whole else value.date() if type is FieldType.DATE else None
    if isinstance(value, int):
        return value if type in _NUMBERS else None
    if isinstance(value, float):
        return value if type in (FieldType.DECIMAL, FieldType.FLOAT) else None
    return value if isinstance(value, str) and type in (*_TEXTS, *_KEYS, FieldType.SET) else None


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, datetime):
        return "a date"
    return f"the text “{value}”" if isinstance(value, str) else f"the number {value}"


def _place(path: Path) -> str:
    text = "filter"
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text
