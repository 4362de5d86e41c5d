"""JavaScript code: one script with the variables of the event, the options and the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from crosstie.db.database import Transaction, instant_text
from crosstie.errors import ScriptError
from crosstie.script.engine import ScriptLimits, ScriptResult, check_syntax, run_script
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site
from crosstie.workflow.durations import WrittenDuration, parse_duration


class JavaScript(Activity):
    """Runs a script. What it receives goes on unchanged; `vars` that it sets go to the following activities."""

    summary: ClassVar[str] = "runs a script that sees and sets variables and options, and writes to the log"
    min_inputs: ClassVar[int] = 0

    type: Literal["javascript"]
    code: str = Field(description="the script")
    time_limit: timedelta = Field(timedelta(hours=1), description="the CPU time after which it is stopped; 0 for none")

    @field_validator("time_limit", mode="before", json_schema_input_type=WrittenDuration)
    @classmethod
    def _duration(cls, value: object) -> object:
        return parse_duration(value)

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """An empty script, or one that is not JavaScript."""
        if not self.code.strip():
            yield Problem(path=("code",), message="the script is empty")
            return
        try:
            check_syntax(self.code)
        except ScriptError as error:
            yield Problem(path=("code",), message=f"this is not JavaScript: {error.message}")

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What comes in goes out."""
        return {OK: inputs[0] if inputs else None}

    def run(self, context: Context) -> Done:
        """Runs the script. Its log lines are shown at once; its options are set in the commit that ends the task."""
        result = run_script(self.code, context.scope(), ScriptLimits(time=self.time_limit))
        for line in result.logs:
            {"info": context.log.info, "warning": context.log.warning}.get(line.level, context.log.error)(line.text)
        if result.error is not None:
            raise ScriptError(f"The script ended itself: {result.error}")
        context.vars.clear()
        return Done(
            tables={OK: context.inputs[0] if context.inputs else None},
            vars=dict(result.vars),
            effect=lambda transaction: _set_options(transaction, context, result),
        )


def _set_options(transaction: Transaction, context: Context, result: ScriptResult) -> None:
    for name, value in result.options_set.items():
        transaction.execute(
            "insert into crosstie.option (name, label, type, value, changed_at, changed_by)"
            " values (:name, '', 'text', :value, :now, :who) on conflict (name) do update set"
            " value = excluded.value, changed_at = excluded.changed_at, changed_by = excluded.changed_by",
            {
                "name": name,
                "value": value,
                "now": instant_text(context.now()),
                "who": f"script {context.workflow}/{context.activity}",
            },
        )
