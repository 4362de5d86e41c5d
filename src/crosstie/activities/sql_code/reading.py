"""People's SQL, cut into statements: variables and templates become bound values, the product's own tables are refused.

This finds slips. Who may write SQL code may do everything that the database's user may.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from crosstie.errors import ScriptError
from crosstie.script.template import Template, read_template

_PIECES = re.compile(
    r"""
      (?P<text>(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'|'(?:<%=.*?%>|[^']|'')*')
    | (?P<body>(?<!\w)(?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag))
    | (?P<quoted>"(?:[^"]|"")*"|`[^`]*`|\[[A-Za-z_][^\]]*\])
    | (?P<comment>--[^\n]*|/\*.*?\*/)
    | \$\(\s*(?:(?P<path>instance/vars|(?:event/)?vars)/@?(?P<name>\w+)|(?P<inbound>inbound))\s*\)
    | (?P<template><%=.*?%>)
    | (?P<end>;)
    | ::
    | (?P<colon>(?<![\w:]):[A-Za-z_]\w*)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<open>\$\(|<%|'|"|/\*)
    """,
    re.VERBOSE | re.DOTALL,
)
_OURS = re.compile(r"(?<![A-Za-z0-9_])crosstie(?![A-Za-z0-9])", re.IGNORECASE)
# These would leave the transaction, or a connection that others use after us, in another state.
_REFUSED = {
    **dict.fromkeys(
        ("begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "prepare"),
        "a transaction is begun and ended by the activity itself",
    ),
    **dict.fromkeys(
        ("attach", "detach", "pragma", "reset", "discard", "listen", "unlisten"),
        "it would change a connection that others use after it",
    ),
}
_BODIED = re.compile(r"create\s+(?:or\s+replace\s+)?(?:temp\w*\s+)?(?:trigger|function|procedure)\b", re.IGNORECASE)


@dataclass(slots=True)
class Statement:
    """One statement: `parts` are SQL, or what stands for it when it runs."""

    parts: list[str | Variable | Inbound | Template] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its SQL, without what comes in from outside."""
        return "".join(part if isinstance(part, str) else "?" for part in self.parts).strip()

    @property
    def takes_inbound(self) -> bool:
        """Whether it reads the inbound population."""
        return any(isinstance(part, Inbound) for part in self.parts)

    def bound(self, inbound: str, value: Callable[[Variable | Template], object]) -> tuple[str, Mapping[str, object]]:
        """The statement and its values."""
        written: list[str] = []
        values: dict[str, object] = {}
        for part in self.parts:
            if isinstance(part, str):
                written.append(part)
            elif isinstance(part, Inbound):
                written.append(f"crosstie.{inbound}")
            else:
                name = f"given_{len(values) + 1}"
                values[name] = value(part)
                written.append(f" :{name} ")
        return "".join(written).strip(), values


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """`$(vars/x)`: path and name."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class Inbound:
    """`$(inbound)`: the work table that came in."""


@dataclass(slots=True)
class Reading:
    """The statements found, and what is wrong with them."""

    statements: list[Statement] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)


def read_statements(text: str) -> Reading:
    """Cuts SQL at the semicolons between statements; one in a text, a comment or the body of a trigger or function
    cuts nothing."""
    reading = Reading()
    current = Statement()
    depth = done = 0

    def take(end: int) -> None:
        if end > done:
            current.parts.append(text[done:end])

    for found in _PIECES.finditer(text):
        take(found.start())
        done = found.end()
        if found["end"] is not None and not (depth and _BODIED.match(current.text)):
            _add(reading, current)
            current, depth = Statement(), 0
            continue
        if found["word"] is not None:
            depth = max(0, depth + _deepens(found["word"].lower()))
        current.parts.extend(_pieces(reading, found))
    take(len(text))
    _add(reading, current)
    if not reading.statements and not reading.mistakes:
        reading.mistakes.append("there is no statement in it")
    return reading


def _deepens(word: str) -> int:
    return {"begin": 1, "case": 1, "end": -1}.get(word, 0)


def _pieces(reading: Reading, found: re.Match[str]) -> list[str | Variable | Inbound | Template]:
    """What one piece of the text becomes."""
    if found["comment"] is not None:
        return [" "]
    if found["name"] is not None:
        return [Variable(path=found["path"].removeprefix("event/"), name=found["name"])]
    if found["inbound"] is not None:
        return [Inbound()]
    if found["template"] is not None:
        return _template(reading, found[0])
    if found["text"] is not None and "<%" in found[0]:
        return _template(reading, found[0][1:-1].replace("''", "'"))
    if found["open"] is not None:
        reading.mistakes.append(_opened(found[0]))
    elif found["colon"] is not None:
        name = found[0][1:]
        reading.mistakes.append(f"“{found[0]}” stands for nothing. A variable is written $(vars/{name})")
    elif any(found[one] is not None for one in ("word", "quoted", "body")) and _OURS.search(found[0]):
        reading.mistakes.append(
            f"{_shown(found[0])} is one of Crosstie's own tables, which SQL code leaves alone. The inbound population"
            " is written $(inbound)"
        )
    return [found[0]]


def _template(reading: Reading, written: str) -> list[str | Variable | Inbound | Template]:
    try:
        return [read_template(written)]
    except ScriptError as error:
        reading.mistakes.append(f"{error.message} {error.hint}".strip())
        return []


def _opened(mark: str) -> str:
    if mark == "$(":
        return "after $( comes vars/name, instance/vars/name or inbound, and then )"
    return f"{mark} is opened and never closed"


def _shown(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


def _add(reading: Reading, statement: Statement) -> None:
    text = statement.text
    if not text:
        return
    reading.statements.append(statement)
    words = text.lower().split(None, 2)
    reason = _REFUSED.get(words[0])
    if words[0] == "set" and words[1:2] != ["local"]:
        reason = "it would change a connection that others use after it; set local is for this transaction only"
    if reason is not None:
        reading.mistakes.append(f"“{_shown(text)}” cannot be used here: {reason}")
