"""What a change of a remote object means for the workflows: which use the field, and which can no longer run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from crosstie.app.versions import Version
from crosstie.errors import DefinitionError
from crosstie.model import RemoteObject
from crosstie.schema.changes import Change
from crosstie.schema.store import Schema
from crosstie.schema.tables import Difference
from crosstie.workflow.activity import Site
from crosstie.workflow.definition import read_definition
from crosstie.workflow.yaml_source import parse

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A workflow that names a field, and in which of its activities."""

    workflow: str
    activities: tuple[str, ...]

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.workflow} ({', '.join(self.activities)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A collected object beside what the CRM describes now. `described` is None when the CRM shows no such object any
    more. `uses` has the workflows that name a changed field, by its name; `mistakes` what validation will say of
    workflows that are valid now, by their names."""

    schema: Schema
    described: RemoteObject | None
    difference: Difference
    uses: Mapping[str, tuple[Use, ...]] = field(default_factory=dict)
    mistakes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def differs(self) -> bool:
        """Whether there is anything to see to."""
        return self.described is None or not self.difference.empty

    @property
    def workflows(self) -> tuple[str, ...]:
        """The workflows that the changes concern."""
        named = {use.workflow for uses in self.uses.values() for use in uses}
        return tuple(sorted(named | set(self.mistakes)))


def uses(versions: Iterable[Version], schema: Schema, change: Change) -> tuple[Use, ...]:
    """The workflows that name the field. What counts is the word, in a workflow that speaks of the object or of its
    local table: rather one too many than one too few."""
    words = {name.lower() for name in change.names}
    found = []
    for version in versions:
        activities = _activities(version.text)
        if _speaks_of(activities, schema):
            naming = tuple(name for name, keys in activities.items() if words & set(_words(keys)))
            if naming:
                found.append(Use(workflow=version.workflow, activities=naming))
    return tuple(found)


def concerned(versions: Iterable[Version], schema: Schema) -> tuple[str, ...]:
    """The workflows that speak of the object or of its local table."""
    return tuple(one.workflow for one in versions if _speaks_of(_activities(one.text), schema))


def imports(text: str, schema: Schema) -> bool:
    """Whether a definition imports the object."""
    about = (schema.account, schema.object.name.lower())
    return any(
        isinstance(keys, dict)
        and keys.get("type") == "crm_import"
        and (keys.get("account"), str(keys.get("object", "")).lower()) == about
        for keys in _activities(text).values()
    )


def _activities(text: str) -> Mapping[str, object]:
    try:
        top = parse("workflow", text).value
    except DefinitionError:
        return {}
    found = top.get("activities") if isinstance(top, dict) else None
    return found if isinstance(found, dict) else {}


def _speaks_of(activities: Mapping[str, object], schema: Schema) -> bool:
    about = (schema.account, schema.object.name.lower())
    named = [
        (str(keys.get("account", "")), str(keys.get("object", "")).lower())
        for keys in activities.values()
        if isinstance(keys, dict)
    ]
    return about in named or any(schema.table.lower() in _words(keys) for keys in activities.values())


def _words(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from (word.lower() for word in _WORD.findall(value))
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _words(str(name))
            yield from _words(one)
    elif isinstance(value, list):
        for one in value:
            yield from _words(one)


def new_mistakes(version: Version, before: Site, after: Site) -> tuple[str, ...]:
    """What validation would say of a workflow that it does not say now."""
    known = set(_mistakes(version, before))
    return tuple(text for text in _mistakes(version, after) if text not in known)


def _mistakes(version: Version, site: Site) -> tuple[str, ...]:
    # Here, because the activities bring in everything that only a run needs.
    from crosstie.activities import ACTIVITIES

    try:
        read_definition(version.workflow, version.text, ACTIVITIES, site)
    except DefinitionError as error:
        return tuple(f"line {one.line}: {one.path}: {one.message}" for one in error.mistakes)
    return ()
