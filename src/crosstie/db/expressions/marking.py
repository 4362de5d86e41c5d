"""Prepares the text of an expression for sqlglot, so that it leaves function names and variables alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

# sqlglot turns many functions into something else. Behind this mark it leaves name and arguments alone.
MARK = "ct__"
VARIABLE = "ctvar_"
_PIECES = re.compile(
    r"""(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/)"""
    r"""|\$\(\s*(?P<path>instance/vars|(?:event/)?vars)/@?(?P<name>\w+)\s*\)"""
    r"""|(?P<word>(?<![\w.$@])[A-Za-z_]\w*)(?=\s*\()""",
    re.DOTALL,
)
# Words that may stand before a bracket without being functions.
_SUBQUERY = re.compile(r"\s*\(\s*(?:select|with)\b", re.IGNORECASE)
_KEYWORDS = frozenset(
    ("and", "or", "not", "in", "like", "between", "is", "case", "when", "then", "else", "cast", "try_cast")
) | frozenset(
    ("any", "all", "some", "interval", "array", "row", "over", "decimal", "numeric", "varchar", "char", "float", "time")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """The text handed to sqlglot, the variables in it, and where each insertion was (position, characters added)."""

    text: str
    variables: tuple[tuple[str, str], ...]
    insertions: tuple[tuple[int, int], ...]

    def original(self, position: int) -> int:
        """The position in the person's own text."""
        return position - sum(added for start, added in self.insertions if start < position)


def mark(text: str) -> Marked:
    """Puts MARK before function names and a placeholder for each variable, outside of quotes and comments."""
    variables: list[tuple[str, str]] = []
    insertions: list[tuple[int, int]] = []
    parts: list[str] = []
    end = length = 0
    for found in _PIECES.finditer(text):
        if found["text"] is not None or (found["word"] or "").lower() in _KEYWORDS:
            continue
        if (found["word"] or "").lower() == "exists" and _SUBQUERY.match(text, found.end()):
            continue
        parts.append(text[end : found.start()])
        length += len(parts[-1])
        if found["word"] is not None:
            parts.append(MARK + found["word"])
            insertions.append((length, len(MARK)))
        else:
            parts.append(f":{VARIABLE}{len(variables)} ")
            variables.append((found["path"].removeprefix("event/"), found["name"]))
            insertions.append((length, len(parts[-1]) - len(found[0])))
        length += len(parts[-1])
        end = found.end()
    parts.append(text[end:])
    return Marked(text="".join(parts), variables=tuple(variables), insertions=tuple(insertions))
