"""`<%= … %>` in the expressions of a query: each becomes a bound parameter, never a part of the SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from crosstie.errors import MappingError, ScriptError
from crosstie.script.engine import ScriptScope
from crosstie.script.template import Template, read_template

# A text in quotes may have templates in it, and these quotes of their own.
_PIECES = re.compile(r"(?P<text>'(?:<%=.*?%>|[^']|'')*')|(?P<template><%.*?%>)|\"(?:[^\"]|\"\")*\"|<%", re.DOTALL)


@dataclass(slots=True)
class Templates:
    """The templates of one query, by the names of the variables that stand for them."""

    found: dict[str, Template] = field(default_factory=dict)

    def replace(self, text: str) -> str:
        """The expression with a variable for each template; a text in quotes that has one is replaced as a whole.
        Raises MappingError for what is no JavaScript, or names what is not there."""
        return _PIECES.sub(self._replaced, text) if "<%" in text else text

    def _replaced(self, match: re.Match[str]) -> str:
        written = match[0]
        if match["text"] is not None:
            if "<%" not in written:
                return written
            written = written[1:-1].replace("''", "'")
        elif match["template"] is None and not written.startswith("<%"):
            return written
        try:
            template = read_template(written)
        except ScriptError as error:
            raise MappingError(f"{error.message} {error.hint}".strip()) from error
        name = f"template_{len(self.found) + 1}"
        self.found[name] = template
        return f"$(vars/@{name})"

    def values(self, scope: ScriptScope) -> dict[str, object]:
        """What they are now. Raises ScriptError."""
        return {name: template.value(scope) for name, template in self.found.items()}
