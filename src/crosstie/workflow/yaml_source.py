"""Reads a YAML text into plain values, remembering where each value stands."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from crosstie.errors import DefinitionError, Mistake

Path = tuple[str | int, ...]

_BOOLEANS = {"true": True, "false": False}


@dataclass(slots=True)
class Source:
    """A parsed text: its values, and line and column (from 1) of each path's key and value."""

    name: str
    value: object = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def mistake(self, path: Path, message: str) -> None:
        """Notes a mistake at the nearest known place on the way to `path`."""
        known = path
        while known and known not in self.places:
            known = known[:-1]
        line, column = self.places.get(known, (1, 1))
        self.mistakes.append(
            Mistake(line=line, column=column, path=path_text(path), message=" ".join(message.split("\n")))
        )

    def value_at(self, path: Path) -> object:
        """The value at a path, None where there is none."""
        here: Any = self.value
        for part in path:
            try:
                here = here[part]
            except (KeyError, IndexError, TypeError):
                return None
        return here

    def is_mistaken(self, path: Path) -> bool:
        """Whether a mistake was noted at the path or within it."""
        text = path_text(path)
        return any(one.path == text or one.path.startswith((f"{text}.", f"{text}[")) for one in self.mistakes)

    def refuse_if_mistaken(self) -> None:
        """Raises DefinitionError with all mistakes noted so far, if any."""
        if self.mistakes:
            raise DefinitionError(self.name, self.mistakes)


def path_text(path: Path) -> str:
    """`contacts.filter.all[1].is`, without the leading `activities`."""
    text = ""
    for part in path[1:] if len(path) > 1 and path[0] == "activities" else path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "file"


def suggest(word: str, known: Iterable[str]) -> str:
    """` Did you mean “x”?` when something close is known, else nothing."""
    close = difflib.get_close_matches(word.lower(), {one.lower(): one for one in known}, n=1, cutoff=0.6)
    if not close:
        return ""
    exact = next(one for one in known if one.lower() == close[0])
    return f" Did you mean “{exact}”?"


class _Loader(yaml.SafeLoader):
    """Safe, and without YAML 1.1's surprises: yes/no/on/off, 12:30:45 and 2026-01-02 stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))


def parse(name: str, text: str) -> Source:
    """Parses the text. Raises DefinitionError where it is not YAML, or a key stands twice."""
    source = Source(name)
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = (error.problem or "cannot be read").strip()
        raise DefinitionError(
            name,
            [Mistake(line=place[0], column=place[1], path="file", message=f"this is not readable YAML: {problem}")],
        ) from error
    except yaml.YAMLError as error:
        raise DefinitionError(
            name, [Mistake(line=1, column=1, path="file", message=f"this is not readable YAML: {error}")]
        ) from error
    if node is not None:
        source.value = _value(source, node, ())
    return source


def _value(source: Source, node: yaml.Node, path: Path) -> object:
    source.places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        return _mapping(source, node, path)
    if isinstance(node, yaml.SequenceNode):
        return [_value(source, item, (*path, index)) for index, item in enumerate(node.value)]
    return _scalar(node)


def _mapping(source: Source, node: yaml.MappingNode, path: Path) -> dict[str, object]:
    values: dict[str, object] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
        here = (*path, key)
        if not key:
            source.mistake(path, "a key must be a plain word")
            continue
        if key in values:
            source.places[here] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            source.mistake(here, "this key stands twice; the first one would be lost")
        source.places[here] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        values[key] = _value(source, value_node, here)
    return values


def _scalar(node: yaml.Node) -> object:
    text = str(node.value)
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "null":
            return None
        case "bool":
            return _BOOLEANS[text]
        case "int":
            return int(text)
        case "float":
            return float(text.replace("_", ""))
        case _:
            return text
