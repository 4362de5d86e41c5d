"""Texts with JavaScript between `<%=` and `%>`; the rest is literal.

A key of an activity that is a template has the type `Templated`: then validation refuses what is no JavaScript and what
no script knows. When the task runs, `Template(activity.key).render(context.scope())` is the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from crosstie.errors import ScriptError
from crosstie.script.engine import EXPRESSION_LIMITS, ScriptLimits, ScriptScope, check_syntax, evaluate, unknown_name
from crosstie.script.values import Value, number_text

_OPEN, _CLOSE = "<%=", "%>"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expression:
    source: str
    line: int
    column: int


class Template:
    """A parsed template. Parsing raises ScriptError for a bracket that is not closed, empty, or not `<%=`, and for an
    expression that is not JavaScript."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = _parse(text)
        for part in self._parts:
            if isinstance(part, _Expression):
                _check(part)

    @property
    def is_literal(self) -> bool:
        """Whether there is nothing to evaluate."""
        return all(isinstance(part, str) for part in self._parts)

    @property
    def is_expression(self) -> bool:
        """Whether the whole text is exactly one expression, so that it has a value of its own type."""
        return len(self._parts) == 1 and isinstance(self._parts[0], _Expression)

    def refuse_unknown(self, known: tuple[str, ...] = ()) -> None:
        """Raises ScriptError for a word that no script knows, nor is among `known`."""
        for part in self._parts:
            name = unknown_name(part.source, known) if isinstance(part, _Expression) else ""
            if name and isinstance(part, _Expression):
                raise ScriptError(
                    f"In <%={part.source}%> there is no “{name}”.",
                    hint=f"A variable is written vars.{name}, text in quotes.",
                    line=part.line,
                    column=part.column,
                )

    def render(self, scope: ScriptScope, limits: ScriptLimits = EXPRESSION_LIMITS) -> str:
        """The text with each expression's value in it; dates as `yyyy/MM/dd hh:mm:ss` in the scope's zone, null as ''.

        The result is text for people and names; it is never put into SQL. Raises ScriptError, line and column being
        those of the template."""
        return "".join(
            part if isinstance(part, str) else value_text(_evaluate(part, scope, limits), scope.zone)
            for part in self._parts
        )

    def value(self, scope: ScriptScope, limits: ScriptLimits = EXPRESSION_LIMITS) -> Value:
        """The value of a template that is exactly one expression, else the rendered text."""
        only = self._parts[0] if self.is_expression else ""
        return self.render(scope, limits) if isinstance(only, str) else _evaluate(only, scope, limits)


def read_template(text: str, known: tuple[str, ...] = ()) -> Template:
    """The template, for validation: raises ScriptError also for a word that no script knows, nor is among `known`."""
    template = Template(text)
    template.refuse_unknown(known)
    return template


def _valid(text: str) -> str:
    try:
        read_template(text)
    except ScriptError as error:
        raise ValueError(f"{error.message} {error.hint}".strip()) from error
    return text


Templated = Annotated[str, AfterValidator(_valid), WithJsonSchema({"type": "string"})]


def value_text(value: Value, zone: tzinfo) -> str:
    """How a value appears in text: a date as `yyyy/MM/dd hh:mm:ss` (24 h) in `zone`, null as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        local = value.astimezone(zone)
        return f"{local.year:04d}/{local:%m/%d %H:%M:%S}"
    return value if isinstance(value, str) else number_text(value)


def _check(part: _Expression) -> None:
    try:
        check_syntax(part.source)
    except ScriptError as error:
        raise _placed(error, part) from error


def _evaluate(part: _Expression, scope: ScriptScope, limits: ScriptLimits) -> Value:
    try:
        return evaluate(part.source, scope, limits)
    except ScriptError as error:
        raise _placed(error, part) from error


def _placed(error: ScriptError, part: _Expression) -> ScriptError:
    """The error of an expression, at its place in the template."""
    line, column = max(error.line, 1), max(error.column, 1)
    return ScriptError(
        error.message,
        hint=error.hint,
        line=part.line + line - 1,
        column=part.column + column - 1 if line == 1 else column,
    )


def _parse(text: str) -> tuple[str | _Expression, ...]:
    parts: list[str | _Expression] = []
    end = 0
    while (start := text.find("<%", end)) >= 0:
        line, column = _position(text, start)
        if not text.startswith(_OPEN, start):
            raise ScriptError(
                f"“{text[start : start + 12]}” is not an expression.", hint="Write <%= … %>.", line=line, column=column
            )
        close = text.find(_CLOSE, start)
        if close < 0:
            raise ScriptError("The expression that begins with <%= has no %>.", line=line, column=column)
        source = text[start + len(_OPEN) : close]
        if not source.strip():
            raise ScriptError("There is no expression between <%= and %>.", line=line, column=column)
        if start > end:
            parts.append(text[end:start])
        parts.append(_Expression(source=source, line=line, column=column + len(_OPEN)))
        end = close + len(_CLOSE)
    if end < len(text) or not parts:
        parts.append(text[end:])
    return tuple(parts)


def _position(text: str, index: int) -> tuple[int, int]:
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1
