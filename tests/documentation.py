"""The tables of keys in the documentation, made of the JSON schema. `make docs` writes them anew:
`python -m tests.documentation`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crosstie.activities import ACTIVITIES
from crosstie.workflow.activity import Activity
from crosstie.workflow.json_schema import workflow_schema

DOCS = Path(__file__).parents[1] / "docs"
SCHEMA = workflow_schema(ACTIVITIES)
_MARKED = re.compile(r"<!-- keys of (\S+) -->\n.*?<!-- end of keys -->\n", flags=re.DOTALL)
_COMMON = [info.alias or name for name, info in Activity.model_fields.items()]
_HEADER = "| key | takes | meaning |\n| --- | --- | --- |\n"


def page_of(kind: str) -> Path:
    """The page of an activity."""
    return DOCS / "activities" / f"{kind.replace('_', '-')}.md"


def with_tables(text: str) -> str:
    """A page with its marked tables as they have to be."""
    return _MARKED.sub(lambda found: marked(found[1]), text)


def marked(name: str) -> str:
    """The table of an activity, of `workflow` (the keys above the activities) or `activity` (those of every one)."""
    return f"<!-- keys of {name} -->\n{_HEADER}{''.join(_lines(name))}<!-- end of keys -->\n"


def _lines(name: str) -> Iterator[str]:
    if name == "workflow":
        kept = {key: one for key, one in SCHEMA["properties"].items() if key != "activities"}
        yield from _rows({"properties": kept, "required": SCHEMA["required"]}, "", [])
        return
    described = _described(name if name in ACTIVITIES else next(iter(ACTIVITIES)))
    common = name == "activity"
    kept = {key: one for key, one in described["properties"].items() if (key in _COMMON) == common and key != "type"}
    if not common and "from" in described["properties"] and ACTIVITIES[name].max_inputs > 1:
        kept = {"from": described["properties"]["from"], **kept}
    if not common and described["properties"]["from"] != _described("end")["properties"]["from"]:
        kept = {"from": described["properties"]["from"], **kept}
    yield from _rows({**described, "properties": kept}, "", [])


def _described(kind: str) -> dict[str, Any]:
    model = ACTIVITIES[kind].__name__
    described: dict[str, Any] = SCHEMA["definitions"][model]
    return described


def _rows(described: dict[str, Any], before: str, seen: list[str]) -> Iterator[str]:
    for key, one in described["properties"].items():
        needed = " (needed)" if key in described.get("required", []) and not before else ""
        meaning = str(one.get("description", "")).replace("|", "\\|")
        default = one.get("default") or next(
            (each["default"] for each in one.get("anyOf", ()) if "default" in each), None
        )
        said = f"; by default `{str(default).lower() if isinstance(default, bool) else default}`" if default else ""
        yield f"| `{before}{key}`{needed} | {_takes(one)} | {meaning}{said} |\n"
        for model, path in _models(one, f"{before}{key}"):
            if model not in seen:
                seen.append(model)
                yield from _rows(SCHEMA["definitions"][model], f"{path}.", seen)


def _models(schema: Any, path: str) -> Iterator[tuple[str, str]]:
    """The models within, each with the path that leads to its keys."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if "properties" in SCHEMA["definitions"][name]:
            yield name, path
    for one in schema.get("anyOf", ()):
        yield from _models(one, path)
    if isinstance(schema.get("items"), dict):
        yield from _models(schema["items"], path)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _models(schema["additionalProperties"], f"{path}.NAME")


def _takes(schema: dict[str, Any]) -> str:
    """What may be written, in words."""
    if "anyOf" in schema:
        found = [_takes(one) for one in schema["anyOf"] if one.get("type") != "null" and one != {"const": 0}]
        return " or ".join(dict.fromkeys(found))
    if "$ref" in schema:
        definition = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
        return "keys" if "properties" in definition else _takes(definition)
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    if "examples" in schema:
        return f"text like `{schema['examples'][0]}`"
    match schema.get("type"):
        case "string":
            return "text"
        case "boolean":
            return "true or false"
        case "integer":
            return "a whole number"
        case "number":
            return "a number"
        case "array":
            return f"a list of {_plural(_takes(schema.get('items', {})))}"
        case "object":
            inner = schema.get("additionalProperties")
            return f"names with {_plural(_takes(inner))}" if isinstance(inner, dict) else "keys"
        case _:
            return "any value"


def _plural(words: str) -> str:
    return " or ".join(
        {"text": "texts", "a whole number": "whole numbers"}.get(one, one) for one in words.split(" or ")
    )


def main() -> None:
    """Writes the tables of all pages anew."""
    for page in sorted(DOCS.rglob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = with_tables(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"{page.relative_to(DOCS.parent)}: tables of keys written anew")


if __name__ == "__main__":
    main()
