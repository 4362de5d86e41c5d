"""JavaScript code: one script with variables, options, rows and the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from crosstie.activities.javascript.asking import Asking
from crosstie.db.database import Transaction, instant_text
from crosstie.errors import ScriptError
from crosstie.script.engine import ScriptLimits, ScriptResult, check_syntax, run_script
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site
from crosstie.workflow.durations import WrittenDuration, parse_duration


class JavaScript(Activity):
    """Runs a script. What it receives goes on unchanged; `vars` that it sets go to the following activities."""

    summary: ClassVar[str] = "runs a script that sees and sets variables and options, reads and writes rows"
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
        """Runs the script. Its log lines are shown at once; its variables and options, and what it writes, take effect
        in the commit that ends the task. After a kill it is executed again as if for the first time."""
        asking = Asking(context)
        try:
            result = run_script(self.code, context.scope(), ScriptLimits(time=self.time_limit), asking)
            if result.error is not None:
                raise ScriptError(f"The script ended itself: {result.error}")
            asking.finish()
        finally:
            asking.close()
        context.vars.clear()
        context.instance.clear()
        context.instance.update(result.instance_vars)

        def effect(transaction: Transaction) -> Done:
            _set_options(transaction, context, result)
            changed = sum(write(transaction) for write in asking.effects)
            return done(counts={"written": changed} if asking.effects else {})

        def done(counts: Mapping[str, int]) -> Done:
            table = context.inputs[0] if context.inputs else None
            return Done(tables={OK: table}, vars=dict(result.vars), counts=counts)

        return replace(done(counts={}), effect=effect)


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
