"""The JSON schema accepts what validation accepts, and refuses what is not in the shape of it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import fastjsonschema
import pytest
from pydantic import ValidationError

from crosstie.activities import ACTIVITIES
from crosstie.activities.crm_import import CrmImport
from crosstie.script.filters import FilterGroup, FilterMistake
from crosstie.workflow.json_schema import workflow_schema
from crosstie.workflow.yaml_source import parse
from tests.contract.activities.documented import DOCS, workflows
from tests.e2e.project import WORKFLOW

ROOT = DOCS.parents[1]
# What a key is replaced by; no text that looks like a number or true, which validation takes too.
OTHERS: tuple[Any, ...] = (None, "certainly not this", 7, [], ["one", "two"], [7], {}, {"not_a_key": "text"}, 0.5)
# What validation says beyond the shape: which keys exclude one another, what a text means.
BEYOND = ("value_error", "assertion_error")


@pytest.fixture(scope="module")
def accepts() -> Callable[[Any], bool]:
    """Whether the schema accepts a definition."""
    check = fastjsonschema.compile(workflow_schema(ACTIVITIES))

    def accepted(value: Any) -> bool:
        try:
            check(value)
        except fastjsonschema.JsonSchemaValueException:
            return False
        return True

    return accepted


def written() -> Iterator[tuple[str, str]]:
    """Every workflow file of the documentation, the demo and the end-to-end tests."""
    for page in sorted(DOCS.glob("*.md")):
        for number, text in enumerate(workflows(page)):
            yield f"{page.stem}-{number}", text
    for page in (*DOCS.parent.glob("*.md"), ROOT / "README.md", DOCS / "crm-import.md"):
        blocks = re.findall(r"^```yaml\n(workflow: .*?)^```$", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        for number, text in enumerate(blocks):
            yield f"page-{page.stem}-{number}", text
    for file in sorted((ROOT / "demo").rglob("*.yaml")):
        yield str(file.relative_to(ROOT).with_suffix("")), file.read_text(encoding="utf-8")
    yield "reference", WORKFLOW.format(road="auto")


WRITTEN = dict(written())


def value(text: str) -> Any:
    return parse("a file", text).value


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_documented_is_accepted(name: str, accepts: Callable[[Any], bool]) -> None:
    assert accepts(value(WRITTEN[name]))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("type: end", "type: ending"),
        ("type: end", "typ: end"),
        ("operation: insert or update", "operation: upsert"),
        ("by: [Id]", "by: []"),
        ("by: [Id]", "by: 7"),
        ("into: recipient", "onto: recipient"),
        ("one-each:", "one each:"),
        ("time_zone: Europe/Paris", "time_zome: Europe/Paris"),
        ("workflow: contact-import", "workflow: contact import"),
        ("index: {field: SystemModstamp}", "index: {field: SystemModstamp, guard: a minute}"),
        ("- FirstName", "- {feild: FirstName}"),
    ],
)
def test_what_is_wrong_is_refused(before: str, after: str, accepts: Callable[[Any], bool]) -> None:
    assert before in WRITTEN["reference"]

    assert not accepts(value(WRITTEN["reference"].replace(before, after)))


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to everything inside."""
    if isinstance(tree, dict | list):
        for key, one in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield (*path, key)
            yield from places(one, (*path, key))


def altered(keys: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """An activity's keys with one thing taken away, replaced or added."""
    for path in list(places(keys)):
        if path == ("type",):
            continue
        for other in (*OTHERS, "taken away", "added"):
            changed = copy.deepcopy(keys)
            inside = changed
            for part in path[:-1]:
                inside = inside[part]
            if other == "taken away":
                del inside[path[-1]]
            elif other != "added":
                inside[path[-1]] = other
            elif isinstance(inside[path[-1]], dict):
                inside[path[-1]]["not_a_key"] = "text"
            yield f"{path}: {other!r}", changed


def shape_mistakes(kind: str, keys: dict[str, Any]) -> list[str] | None:
    """What is wrong with the shape of an activity's keys; None where more than that is wrong."""
    try:
        read = ACTIVITIES[kind].model_validate(keys, by_alias=True, by_name=False)
    except ValidationError as error:
        # Of a key that may be several things, one may be right in shape and wrong beyond it.
        beyond = any(one["type"] in BEYOND for one in error.errors())
        return None if beyond else [f"{one['loc']} {one['type']}" for one in error.errors()]
    return list(filter_mistakes(read.filter)) if isinstance(read, CrmImport) and read.filter is not None else []


def filter_mistakes(level: FilterGroup) -> Iterator[str]:
    """What of a filter could not be read."""
    for item in level.items:
        if isinstance(item, FilterMistake):
            yield item.message
        elif isinstance(item, FilterGroup):
            yield from filter_mistakes(item)


def test_it_accepts_exactly_what_validation_does(accepts: Callable[[Any], bool]) -> None:
    """Every documented activity, altered in each place."""
    seen: dict[str, dict[str, Any]] = {
        repr(keys): keys for text in WRITTEN.values() for keys in value(text)["activities"].values()
    }
    too_strict, too_lax, tried = [], [], 0
    for keys in seen.values():
        for what, changed in altered(keys):
            mistakes = shape_mistakes(keys["type"], changed)
            if mistakes is None:
                continue
            tried += 1
            accepted = accepts({"workflow": "altered", "activities": {"one": changed}})
            if accepted and mistakes:
                too_lax.append(f"{keys['type']} {what}: {mistakes}")
            if not accepted and not mistakes:
                too_strict.append(f"{keys['type']} {what}")

    assert (sorted(set(too_strict)), sorted(set(too_lax))) == ([], [])
    assert tried > 5000
