"""The JavaScript engine: quickjs-ng with limits on time, memory and stack, and nothing to reach outside of it.

One call is one fresh context: scripts share no state. The language has no file, network or process; the clock is the
task's, local time is UTC and `Math.random` follows from the clock, so that the same call gives the same answer. What a
script does (variables, options, log lines) is collected and returned; the runner applies it in its own transaction.

The time limit is CPU seconds of the whole process, as the engine measures it (C `clock()`): other busy threads use it
up too. What a script asks of Python (`Calls`) passes as JSON text.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from importlib import resources
from typing import Any, TypeVar

from crosstie.errors import ScriptError
from crosstie.script.dates import DEFAULT_PATTERN, format_date, parse_date, zone_of
from crosstie.script.values import Value, Variable, clean_text, decode, decode_variables, encode, encode_all

_T = TypeVar("_T")
# Answers what a script asks: the name of the question and what was given, both plain JSON. Raises ScriptError.
Calls = Callable[[str, list[Any]], object]

_PLACE = re.compile(r"<input>:(\d+):(\d+)")
_ASKS = re.compile("formatDate|parseDate")
_EXCERPT = 80
_HARNESS_LINE = 100_000
_ARMINGS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptLimits:
    """What one script may use. `time` zero or less means no limit; a script is stopped after 1 hour unless set."""

    time: timedelta = timedelta(hours=1)
    memory_bytes: int = 64 * 1024 * 1024
    stack_bytes: int = 256 * 1024


# Filter values and templates are evaluated while somebody waits; 10 CPU seconds is far beyond any sensible one.
EXPRESSION_LIMITS = ScriptLimits(time=timedelta(seconds=10))
_TRIAL_LIMITS = ScriptLimits(time=timedelta(seconds=0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventScope:
    """What a script sees of an event: by which transition of which activity it came, and its population, if any."""

    source: str = ""
    transition: str = ""
    table: str = ""
    dimension: str = ""
    rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptScope:
    """What a script sees. `now` is aware; `zone` governs how dates appear as text, not what JavaScript computes.

    `events` begins with the main one. `names` are further read-only globals. `options` are all options by name, for
    `getOption`."""

    now: datetime
    workflow: str = ""
    label: str = ""
    run: int = 0
    activity: str = ""
    activity_label: str = ""
    task: int = 0
    task_created: datetime | None = None
    events: tuple[EventScope, ...] = (EventScope(),)
    zone: tzinfo = UTC
    vars: Mapping[str, Variable] = field(default_factory=dict)
    instance_vars: Mapping[str, Variable] = field(default_factory=dict)
    task_vars: Mapping[str, Variable] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """What `logInfo`, `logWarning` or `logError` said; `level` is info, warning or error."""

    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptResult:
    """What a script left behind, for the runner to apply: whole new variables, log lines in order, options it set.

    `error` is the text of `logError`, or None: the log lines before it count, the variables and options do not."""

    vars: Mapping[str, Variable]
    instance_vars: Mapping[str, Variable]
    task_vars: Mapping[str, Variable]
    logs: tuple[LogLine, ...]
    options_set: Mapping[str, str]
    error: str | None = None


def evaluate(source: str, scope: ScriptScope, limits: ScriptLimits = EXPRESSION_LIMITS) -> Value:
    """The value of an expression: text, number (int when integral and exact), boolean, aware UTC instant or None.

    What the expression does to variables and options is forgotten. Raises ScriptError with line and column."""
    answer = _call(source, scope, limits, wants_value=True)
    return _understood(lambda: decode(answer["value"], "the result"))


def run_script(
    source: str, scope: ScriptScope, limits: ScriptLimits | None = None, calls: Calls | None = None
) -> ScriptResult:
    """Runs a script and returns what it left behind. A script ended by `logError` is a result with `error` set;
    any other failure raises ScriptError with line and column. `calls` answers what the script asks of rows and tables,
    and takes its log lines at once; an error of it that is no ScriptError ends the script and is raised as it is."""
    answer = _call(source, scope, limits or ScriptLimits(), wants_value=False, calls=calls)
    return _understood(lambda: _left_behind(answer))


def _left_behind(answer: Mapping[str, Any]) -> ScriptResult:
    return ScriptResult(
        vars=decode_variables(answer["vars"], "vars."),
        instance_vars=decode_variables(answer["instance_vars"], "instance.vars."),
        task_vars=decode_variables(answer["task_vars"], "task.vars."),
        logs=tuple(LogLine(level=level, text=clean_text(text, "a log line")) for level, text in answer["logs"]),
        options_set={
            clean_text(n, "an option's name"): clean_text(v, f"option {n}") for n, v in answer["options"].items()
        },
        error=None if answer["ended"] is None else clean_text(answer["ended"], "the error"),
    )


def _understood(read: Callable[[], _T]) -> _T:
    """What was read. A script can change the language that its world is made of, and with it what it leaves behind."""
    try:
        return read()
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ScriptError(
            "The script has changed the language so far that what it left behind cannot be read.",
            hint="Leave the prototypes of Object and Array as they are.",
        ) from error


def check_syntax(source: str) -> None:
    """Compiles a script without running it. Raises ScriptError with line and column where it is not JavaScript."""
    import quickjs

    _refuse_nul(source)
    # The first statement ends the run, after all has been compiled and before anything of the source happens.
    given = json.dumps("throw 0;\n" + source)
    try:
        quickjs.Context().eval(f"(0, eval)({given})")
    except quickjs.JSException as error:
        message, _, stack = str(error).partition("\n")
        if message.startswith("SyntaxError"):
            line, column = _place(stack)
            line -= 1
            raise ScriptError(f"{message}{_at(source, line, column)}", line=line, column=column) from error


@lru_cache(maxsize=512)
def unknown_name(source: str, known: tuple[str, ...] = ()) -> str:
    """The first word of an expression that no script knows, nor is among `known`, else ''.

    The expression is tried with values that stand for anything, so that a word behind a condition that is not met, or
    in what takes too long, is not found; none is found that is not there."""
    given = ", ".join(json.dumps(one) for one in (source, list(known)))
    try:
        found = evaluate(f"({_trial()})({given})", ScriptScope(now=datetime(1970, 1, 1, tzinfo=UTC)), _TRIAL_LIMITS)
    except ScriptError:
        return ""
    return str(found)


def _refuse_nul(source: str) -> None:
    if "\x00" in source:
        raise ScriptError("The script contains a NUL character.", line=source[: source.index("\x00")].count("\n") + 1)


@cache
def _trial() -> str:
    return resources.files("crosstie.script").joinpath("trial.js").read_text(encoding="utf-8")


@cache
def _harness() -> str:
    """The harness, behind so many empty lines that a frame's line tells it from a person's source."""
    source = resources.files("crosstie.script").joinpath("harness.js").read_text(encoding="utf-8")
    return "\n" * _HARNESS_LINE + source


def _call(
    source: str, scope: ScriptScope, limits: ScriptLimits, *, wants_value: bool, calls: Calls | None = None
) -> dict[str, Any]:
    """One run in a context of its own; the harness's answer, if the source did not fail."""
    import quickjs

    given = _given(scope, wants_value, speaks=calls is not None)
    _refuse_nul(source)
    context = quickjs.Context()
    bridge = _Bridge(scope, calls)
    context.add_callable("crosstieCall", bridge.answer)
    harness = context.eval(_harness())
    context.set_memory_limit(limits.memory_bytes)
    context.set_max_stack_size(limits.stack_bytes)
    if limits.time > timedelta(0):
        if calls is not None or _ASKS.search(source):
            _limit_time(context, limits.time)
        else:
            context.set_time_limit(limits.time.total_seconds())
    began = time.process_time()
    try:
        answer: dict[str, Any] = _understood(lambda: json.loads(harness(given, source)))
    except quickjs.JSException as error:
        bridge.raise_failure()
        raise _stopped(str(error), source, limits) from error
    bridge.raise_failure()
    if timedelta(0) < limits.time < timedelta(seconds=time.process_time() - began):
        raise _stopped("interrupted", source, limits)  # a promise catches even that, and the script had ended then
    failure = _understood(lambda: answer["failure"])
    if failure is not None and (wants_value or answer.get("ended") is None):
        raise _understood(lambda: _failed(failure, source, limits))
    return answer


def _given(scope: ScriptScope, wants_value: bool, *, speaks: bool) -> str:
    """The world of a script, as JSON."""
    return json.dumps(
        {
            "now": _milliseconds(scope.now),
            "workflow": scope.workflow,
            "label": scope.label or scope.workflow,
            "run": scope.run,
            "activity": scope.activity,
            "activity_label": scope.activity_label or scope.activity,
            "task": scope.task,
            "task_created": _milliseconds(scope.task_created or scope.now),
            "events": [
                {
                    "source": one.source,
                    "transition": one.transition,
                    "tableName": one.table,
                    "schema": one.dimension,
                    "recCount": one.rows,
                }
                for one in scope.events
            ],
            "vars": encode_all(scope.vars, "vars."),
            "instance_vars": encode_all(scope.instance_vars, "instance.vars."),
            "task_vars": encode_all(scope.task_vars, "task.vars."),
            "options": dict(scope.options),
            "names": encode_all(scope.names, ""),
            "wants_value": wants_value,
            "speaks": speaks,
        }
    )


def _milliseconds(instant: datetime) -> int:
    return (instant.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


class _Bridge:
    """Answers what a script asks of Python. A ScriptError becomes one of the script's own; any other ends it."""

    def __init__(self, scope: ScriptScope, calls: Calls | None) -> None:
        self._scope = scope
        self._calls = calls
        self._failure: Exception | None = None

    def answer(self, name: str, given: str) -> str:
        """The answer as JSON. Never raises: the engine could not go on."""
        try:
            return json.dumps({"value": self._ask(name, json.loads(given))})
        except ScriptError as error:
            return json.dumps({"error": f"{error.message} {error.hint}".strip()})
        except Exception as error:  # noqa: BLE001 - carried past the engine, and raised by raise_failure
            self._failure = error
            return json.dumps({"error": "The script is ended."})

    def raise_failure(self) -> None:
        """Raises what ended the script, whatever it did after that."""
        if self._failure is not None:
            raise self._failure

    def _ask(self, name: str, given: list[Any]) -> object:
        if self._failure is not None:
            raise ScriptError("The script is ended.")
        if name == "formatDate":
            value, pattern, zone = given
            instant = decode(value, "the date")
            if not isinstance(instant, datetime):
                raise ScriptError("formatDate takes a date.")
            return format_date(instant, str(pattern or DEFAULT_PATTERN), zone_of(zone, self._scope.zone))
        if name == "parseDate":
            text, pattern, zone = given
            parsed = parse_date(str(text), str(pattern or DEFAULT_PATTERN), zone_of(zone, self._scope.zone))
            return encode(parsed, "the date")
        assert self._calls is not None, "the harness asks nothing else of those who have no calls"
        return self._calls(name, given)


def _limit_time(context: Any, limit: timedelta) -> None:
    """Sets the time limit, counted from now, so that the script can call Python all the same.

    The engine's binding refuses calls while a limit is set, but its clock goes on for a script that is at work while
    the limit is lifted (quickjs-ng for Python 0.17, module.c: setup_time_limit, js_python_function_call). So it is
    lifted, from another thread, while a loop tries to call. The loop must have failed to: then it had begun with the
    limit. Raises ScriptError when that can't be had."""
    context.add_callable("crosstieProbe", lambda: True)
    spin = context.eval(
        "(function (probe) { delete globalThis.crosstieProbe; return function () { let failures = 0;"
        " while (true) { try { probe(); return failures; } catch { failures++; } } }; })(crosstieProbe)"
    )

    def lift() -> None:
        time.sleep(0.0001)  # the loop is to begin first; when it did not, all is done again
        context.set_time_limit(-1)

    for _ in range(_ARMINGS):
        context.set_time_limit(limit.total_seconds())
        lifting = threading.Thread(target=lift, name="script-limit")
        lifting.start()
        failures = spin()
        lifting.join()
        if failures:
            return
    raise ScriptError("The time limit of the script could not be set.", hint="Run it again.")


def _stopped(text: str, source: str, limits: ScriptLimits) -> ScriptError:
    """The engine itself gave up: time, memory, or an answer that could not be built."""
    if "interrupted" in text:
        line, column = _place(text)
        return ScriptError(
            f"The script was stopped after {limits.time.total_seconds():g} seconds{_at(source, line, column)}.",
            hint="Make it do less, or set a longer limit.",
            line=line,
            column=column,
        )
    return _failed({"message": text.split("\n")[0], "stack": text, "memory": text.startswith("null")}, source, limits)


def _failed(failure: Mapping[str, Any], source: str, limits: ScriptLimits) -> ScriptError:
    message = str(failure["message"])
    line, column = _place(str(failure["stack"]))
    if failure["memory"] or "out of memory" in message:
        limit = limits.memory_bytes // (1024 * 1024)
        return ScriptError(f"The script used more than {limit} MiB of memory, or threw null.", line=line, column=column)
    return ScriptError(f"{message}{_at(source, line, column)}", line=line, column=column)


def _place(stack: str) -> tuple[int, int]:
    """Line and column of the innermost frame in the person's own source; 0, 0 if unknown."""
    frames = ((int(found[1]), int(found[2])) for found in _PLACE.finditer(stack))
    return next((frame for frame in frames if frame[0] <= _HARNESS_LINE), (0, 0))


def _at(source: str, line: int, column: int) -> str:
    """The place and an excerpt, to append to a message."""
    lines = source.splitlines()
    if not 1 <= line <= len(lines):
        return ""
    text = lines[line - 1].strip()
    excerpt = text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"
    return f" (line {line}, column {column}: {excerpt})"
