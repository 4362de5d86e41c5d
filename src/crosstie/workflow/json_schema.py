"""The JSON schema of a workflow file, made of the descriptions that validation reads too: the fields of the models.

Editors complete and check with it. What a schema cannot say (which columns there are, which keys exclude one another)
is left to `crosstie workflow validate`. JSON Schema draft 7, which editors' YAML servers know best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from crosstie.workflow.activity import Activity
from crosstie.workflow.settings import WorkflowSettings

DRAFT = "http://json-schema.org/draft-07/schema#"
_NAME = "^[A-Za-z0-9_-]+$"
_REFERENCE = "#/definitions/{model}"


def workflow_schema(catalogue: Mapping[str, type[Activity]]) -> dict[str, Any]:
    """The schema of a workflow file whose activities are those of the catalogue."""
    models: list[type[BaseModel]] = [WorkflowSettings, *catalogue.values()]
    references, described = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REFERENCE, by_alias=True
    )
    definitions = {name: _tidied(one) for name, one in described["$defs"].items()}
    named = {model: references[model, "validation"]["$ref"].rpartition("/")[2] for model in models}
    settings = definitions.pop(named[WorkflowSettings])
    for model in catalogue.values():
        definitions[named[model]]["description"] = model.summary
    schema = {
        "$schema": DRAFT,
        "title": "Crosstie workflow",
        "type": "object",
        "required": ["workflow", "activities"],
        "additionalProperties": False,
        "properties": {
            **{name: one if name == "workflow" else _or_empty(one) for name, one in settings["properties"].items()},
            "workflow": {**settings["properties"]["workflow"], "pattern": _NAME},
            "activities": {
                "description": "the activities by name; where nothing else is said, one leads to the next",
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": _NAME},
                "additionalProperties": _activity({kind: named[model] for kind, model in catalogue.items()}, catalogue),
            },
        },
    }
    return {**schema, "definitions": _used(definitions, schema)}


def _used(definitions: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Those definitions to which a reference leads: a model may have another one for what people write."""
    found: dict[str, Any] = {}
    waiting = list(_referenced(schema))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = definitions[name]
            waiting.extend(_referenced(definitions[name]))
    return {name: found[name] for name in sorted(found)}


def _referenced(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for one in schema.values():
            yield from _referenced(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from _referenced(one)


def _activity(named: Mapping[str, str], catalogue: Mapping[str, type[Activity]]) -> dict[str, Any]:
    """An activity is checked by the keys of its type alone, so that an editor tells what is wrong in those."""
    return {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {
                "description": "which activity this is",
                "oneOf": [{"const": kind, "description": model.summary} for kind, model in catalogue.items()],
            }
        },
        "allOf": [
            {
                "if": {"required": ["type"], "properties": {"type": {"const": kind}}},
                "then": {"$ref": _REFERENCE.format(model=name)},
            }
            for kind, name in named.items()
        ],
    }


def _or_empty(schema: dict[str, Any]) -> dict[str, Any]:
    """A key above the activities may be left empty, as if it were not there."""
    described = {"description": schema["description"]} if "description" in schema else {}
    return {**described, "anyOf": [{key: one for key, one in schema.items() if key != "description"}, {"type": "null"}]}


def _tidied(schema: Any) -> Any:
    """Without titles that only repeat names, and without defaults in a form that nobody writes."""
    if isinstance(schema, list):
        return [_tidied(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = dict(_tidied_items(schema))
    if isinstance(kept.get("properties"), dict):
        kept["properties"] = {name: _tidied(one) for name, one in schema["properties"].items()}
    return kept


def _is_written_so(default: object) -> bool:
    """Whether people write a default as it stands; ISO 8601 durations they don't."""
    return isinstance(default, bool | int | float) or (
        isinstance(default, str) and default != "" and not default.startswith(("P", "-P"))
    )


def _tidied_items(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, one in schema.items():
        if key == "title" or (key == "default" and not _is_written_so(one)):
            continue
        if key == "description" and schema.get("type") == "object" and "properties" in schema:
            yield key, cast("str", one).partition("\n")[0]  # the first line of a docstring is for people
            continue
        yield key, one if key in ("properties", "enum", "const", "examples") else _tidied(one)
