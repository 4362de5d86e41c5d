"""What pydantic finds wrong with an activity's keys, in words for people: what stands there and what is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from crosstie.workflow.yaml_source import Path, Source, suggest

_Models = tuple[type[BaseModel], ...]

_EXPECTED: Mapping[str, str] = {
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
}
_CHOICES = ("literal_error", "enum")


def explain(source: Source, path: Path, error: ValidationError, model: type[BaseModel]) -> None:
    """Notes each mistake once, at its place; where a key can be several things, one mistake for all of them."""
    found: dict[Path, list[ErrorDetails]] = {}
    for one in error.errors(include_url=False):
        found.setdefault(_place(source, path, one), []).append(one)
    for place, errors in found.items():
        # A value that is nearly one of several things is not told that it is none of the others.
        nearer = any(other[: len(place)] == place and len(other) > len(place) for other in found)
        misfits = [one for one in errors if _is_misfit(one)]
        messages = [_plain(one, place, model) for one in errors if one not in misfits]
        if misfits and not nearer and not messages:
            messages.append(_misfit(misfits, model))
        for message in dict.fromkeys(messages):
            source.mistake(place, message)


def _is_misfit(error: ErrorDetails) -> bool:
    return error["type"] in _EXPECTED or error["type"] in ("model_type", "model_attributes_type", *_CHOICES)


def _plain(error: ErrorDetails, place: Path, model: type[BaseModel]) -> str:
    match error["type"]:
        case "extra_forbidden":
            key = str(place[-1])
            known = _keys(_models_at(model, error["loc"][:-1]))
            return f"“{key}” is not a key here.{suggest(key, known)} Known: {', '.join(known)}"
        case "missing":
            return f"“{error['loc'][-1]}” is missing"
        case "too_short":
            return "this needs at least one value"
        case "too_long":
            most = error.get("ctx", {}).get("max_length")
            return f"this takes {'one value' if most == 1 else f'{most} values'} at most"
        case "greater_than_equal":
            return f"{_shown(error['input'])} is too small: it is at least {error.get('ctx', {}).get('ge')}"
        case _:
            return error["msg"].removeprefix("Value error, ")


def _misfit(errors: Sequence[ErrorDetails], model: type[BaseModel]) -> str:
    """What stands there is none of what could."""
    value = errors[0]["input"]
    choices = [one for one in errors if one["type"] in _CHOICES]
    expected = list(dict.fromkeys(_expected(one, model) for one in errors))
    guess = ""
    if isinstance(value, str) and choices:
        words = [word.strip("' ") for one in choices for part in _expected(one, model).split(" or ")
                 for word in part.split(",")]  # fmt: skip
        guess = suggest(value, words)
    if len(choices) == len(errors) and value is not None:
        return f"{_shown(value)} is not known here.{guess} It can be {' or '.join(expected)}"
    if value is None:
        return f"this key is empty. It takes {' or '.join(expected)}"
    way_out = ""
    if "text" in expected and isinstance(value, bool | int | float):
        way_out = f'. Text that looks like something else stands in quotes: "{_text(value)}"'
    elif "a list" in expected and isinstance(value, str):
        way_out = ", in [brackets] or with a dash before each"
    return f"{_shown(value)} can't stand here.{guess} It takes {' or '.join(expected)}{way_out}"


def _expected(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["type"] in _CHOICES:
        return str(error.get("ctx", {}).get("expected", ""))
    if error["type"] in _EXPECTED:
        return _EXPECTED[error["type"]]
    return f"the keys {', '.join(_keys(_models_at(model, error['loc'])))}"


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return f"keys with values ({', '.join(str(key) for key in value)})" if value else "an empty {}"
    if isinstance(value, list | tuple):
        return "a list"
    return f"“{_text(value)}”"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _keys(models: _Models) -> tuple[str, ...]:
    """The keys as people write them."""
    return tuple(dict.fromkeys(info.alias or name for model in models for name, info in model.model_fields.items()))


def _models_at(model: type[BaseModel], location: Sequence[int | str]) -> _Models:
    """The models that may stand at a place. Keys of a mapping, positions and names of union members lead nowhere."""
    here: _Models = (model,)
    for part in location:
        fields = [
            info
            for one in here
            for name, info in one.model_fields.items()
            if part == (info.alias or name) or part == name
        ]
        here = tuple(dict.fromkeys(inner for info in fields for inner in _models_in(info.annotation))) or here
    return here


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not get_args(annotation):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _place(source: Source, path: Path, error: ErrorDetails) -> Path:
    """The written path nearest to a pydantic location, which also names union members that nobody wrote."""
    here = path
    location = error["loc"]
    for part in location:
        if (*here, part) in source.places:
            here = (*here, part)
    if len(location) == 1 and isinstance(location[0], str) and here[-1:] != location:
        return (*here, location[0])
    return here
