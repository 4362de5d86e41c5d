"""Test: takes the transition of the first condition that is true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from crosstie.errors import ScriptError
from crosstie.script.engine import check_syntax, evaluate, unknown_name
from crosstie.workflow.activity import ERRORS, OK, REJECTS, Activity, Context, Done, Overlap, Problem, Shape, Site

DEFAULT = "default"
_RESERVED = (OK, REJECTS, ERRORS, DEFAULT)


class Test(Activity):
    """Tries conditions in their order and goes on by the first that is true, with what it receives."""

    # Nothing for pytest to collect.
    __test__: ClassVar[bool] = False

    summary: ClassVar[str] = "goes on by the first of its conditions that is true"
    min_inputs: ClassVar[int] = 0
    has_default_next: ClassVar[bool] = False
    default_overlap: ClassVar[Overlap] = "allow"

    type: Literal["test"]
    conditions: dict[str, str] = Field(
        min_length=1,
        description="JavaScript expressions by the name of their transition, tried in this order; vars.recCount is the"
        " number of inbound rows",
    )

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Conditions that are not JavaScript, and those that lead nowhere."""
        for name, condition in self.conditions.items():
            path = ("conditions", name)
            if name in _RESERVED:
                yield Problem(path=path, message=f"“{name}” has a meaning of its own: give the condition another name")
            elif message := _mistake(condition):
                yield Problem(path=path, message=message)
        if self.next is not None and not isinstance(self.next, dict):
            example = ", ".join(f"{name}: activity" for name in (*self.conditions, DEFAULT))
            yield Problem(path=("next",), message=f"a test says where each condition leads: next: {{{example}}}")
        elif isinstance(self.next, dict) and OK in self.next:
            known = ", ".join((*self.conditions, DEFAULT))
            yield Problem(path=("next", OK), message=f"test has no transition “ok”. It has: {known}")

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What comes in goes on, by one of the transitions."""
        return dict.fromkeys((*self.conditions, DEFAULT), inputs[0] if inputs else None)

    def run(self, context: Context) -> Done:
        """Goes on by one transition, or, when no condition is true and there is no default, not at all."""
        table = context.inputs[0] if context.inputs else None
        scope = context.scope()
        scope = replace(scope, vars={**scope.vars, "recCount": table.rows if table is not None else 0})
        for name, condition in self.conditions.items():
            if evaluate(condition, scope):
                context.log.info(f"“{name}” is true: {condition.strip()}")
                return Done(tables={name: table})
        if isinstance(self.next, dict) and DEFAULT in self.next:
            context.log.info("No condition is true: the default transition is taken.")
            return Done(tables={DEFAULT: table})
        context.log.info("No condition is true, and there is no default transition: this branch ends.")
        return Done(tables={})


def _mistake(condition: str) -> str:
    """What is wrong with a condition, '' when nothing is."""
    if not condition.strip():
        return "the condition is empty"
    try:
        check_syntax(condition)
    except ScriptError as error:
        return f"this is not JavaScript: {error.message}"
    name = unknown_name(condition)
    return f"there is no “{name}” here; a variable is written vars.{name}" if name else ""
