"""Attempts to leave the engine, to stay in it for ever, or to fill the machine: all end, and nothing is reached."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstie.errors import ScriptError
from crosstie.script.engine import ScriptLimits, ScriptScope, evaluate, run_script

SCOPE = ScriptScope(now=datetime(2026, 11, 23, tzinfo=UTC), vars={"x": "given"}, options={"o": "1"})
LIMITS = ScriptLimits(time=timedelta(seconds=0.15), memory_bytes=16 * 1024 * 1024)

ENDLESS = [
    "for (;;);",
    "do { try { null.x } catch {} finally { continue } } while (true)",
    "(function f() { try { f() } finally { f() } })()",
    "/(a|a)*$/.test('a'.repeat(40) + 'b')",
    "/^(([a-z])+.)+[A-Z]([a-z])+$/.test('a'.repeat(60))",
    "'x'.repeat(1000).replace(/(x+x+)+y/, '')",
    "[...(function* () { while (true) yield 1 })()].length",
    "[...{ [Symbol.iterator]() { return { next: () => ({ value: 1, done: false }) } } }]",
    "new Promise(function again(resolve) { while (true) resolve() })",
    "({ get x() { while (true); } }).x",
    "new Proxy({}, { get() { while (true); } }).x",
    "[3, 1, 2].sort(() => { while (true); })",
    "`${{ toString() { while (true); } }}`",
    "throw { get stack() { while (true); } }",
    "throw { toString() { while (true); } }",
    "vars.x = { valueOf() { while (true); } } + 1",
    "eval('while (true);')",
    "new Function('while (true);')()",
    "(async () => { while (true); })()",
    "JSON.stringify({ toJSON() { while (true); } })",
    "Array.from({ length: 2 ** 32 - 1 }, () => 1)",
    "10n ** 10n ** 10n",
]
LARGE = [
    "'x'.repeat(2 ** 29)",
    "'x'.padEnd(2 ** 29)",
    "new Array(2 ** 26).fill('x').join('yyyyyyyy')",
    "new ArrayBuffer(2 ** 31)",
    "new Uint8Array(2 ** 30)",
    "let s = 'x'; while (true) s += s",
    "let a = []; while (true) a.push(new Date())",
    "let m = new Map(); for (let i = 0; ; i++) m.set(i, 'x'.repeat(100))",
    "let o = null; while (true) o = { o }",
    "vars.x = 'x'; while (true) vars['k' + Object.keys(vars).length] = 'x'.repeat(10000)",
    "while (true) setOption('k' + Math.random(), 'x'.repeat(10000))",
    "while (true) logInfo('x'.repeat(10000))",
]
DEEP = [
    "(function f() { return f() + 1 })()",
    "JSON.parse('['.repeat(200000))",
    "eval('('.repeat(100000) + ')'.repeat(100000))",
    "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; JSON.stringify(a)",
    "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p.x",
    "let s = 'x'; s.replace(/x/, function r() { return s.replace(/x/, r) })",
    "new RegExp('('.repeat(100000))",
    "class A { constructor() { return new A() } } new A()",
    "let o = { toString() { return '' + o } }; '' + o",
]


@pytest.mark.parametrize("source", [*ENDLESS, *LARGE, *DEEP])
def test_what_would_not_end_by_itself_ends_in_an_error(source: str) -> None:
    began = time.process_time()
    with pytest.raises(ScriptError) as caught:
        run_script(source, SCOPE, LIMITS)
    assert caught.value.message
    assert time.process_time() - began < 30 * LIMITS.time.total_seconds()


WAYS_OUT = [
    "this.constructor.constructor('return process')()",
    "globalThis.process",
    "(() => {}).constructor('return globalThis')().require",
    "vars.constructor",
    "vars.__proto__",
    "instance.vars.constructor",
    "Object.getPrototypeOf(vars)",
    "globalThis.crosstieCall || globalThis.crosstieProbe",
    "globalThis.std || globalThis.os || globalThis.print || globalThis.console || globalThis.scriptArgs",
    "globalThis.fetch || globalThis.XMLHttpRequest || globalThis.WebSocket || globalThis.setTimeout",
    "globalThis.WebAssembly || globalThis.Worker || globalThis.SharedArrayBuffer || globalThis.load",
    "Error.prepareStackTrace",
    "(function () { return this === undefined || this === globalThis ? null : this })()",
    "(function f() { return f.caller })()",
]


@pytest.mark.parametrize("source", WAYS_OUT)
def test_there_is_no_way_out(source: str) -> None:
    try:
        found = evaluate(f"const found = ({source}); found ? String(found) : null", SCOPE, LIMITS)
    except ScriptError:
        return
    assert found is None


@pytest.mark.parametrize("source", ["import('fs')", "import fs from 'fs'", "import.meta", "await 1", "require('fs')"])
def test_nothing_can_be_imported(source: str) -> None:
    with pytest.raises(ScriptError):
        evaluate(source, SCOPE, LIMITS)


CHANGES = [
    "Object.prototype.x = 1",
    "Object.defineProperty(Object.prototype, 'x', { get() { return 'got' } })",
    "Array.prototype.push = () => 0",
    "Array.prototype[Symbol.iterator] = function* () { yield 'forged' }",
    "JSON.stringify = () => '{}'",
    "JSON.parse = () => ({})",
    "Object.keys = () => ['forged']",
    "Object.hasOwn = () => true",
    "Date.prototype.getTime = () => 0",
    "Number.isSafeInteger = () => true",
    "String.prototype.toString = () => 'forged'",
    "Reflect.defineProperty = () => true",
    "delete globalThis.vars",
    "Object.freeze = (x) => x",
    "globalThis.undefined = 1",
    "vars.__proto__ = { forged: 1 }",
    "Object.setPrototypeOf(vars, { forged: 1 })",
    "instance.internalName = 'forged'",
    "activity.name = 'forged'",
    "event.recCount = 7",
    "getOption = () => 'forged'",
]


@given(changes=st.lists(st.sampled_from(CHANGES), max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_world_turned_upside_down_leaves_only_what_may_be_left_behind(changes: list[str]) -> None:
    tried = "".join(f"try {{ {one} }} catch {{ }}\n" for one in changes)
    told: list[Any] = []
    try:
        result = run_script(
            f"{tried} vars.y = 1; setOption('p', 'q')", SCOPE, LIMITS, lambda name, given: told.append((name, given))
        )
    except ScriptError:
        return
    assert all(isinstance(value, str | int | float | datetime) for value in result.vars.values())
    assert all(isinstance(value, str) for value in result.options_set.values())
    assert told == []
    assert evaluate("vars.x + typeof forged + [1, 2].length", SCOPE, LIMITS) == "givenundefined2"
