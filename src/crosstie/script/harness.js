// Builds the world of one script. Called as harness(scopeJson, source); answers JSON, so that nothing but text passes.
// A value travels as [kind, payload]: "t" text, "n" number as text, "b" boolean, "d" milliseconds, "z" null.
(function () {
  "use strict";
  const world = globalThis, NativeDate = Date, run = eval, keep = JSON.stringify, read = JSON.parse;
  const isInteger = Number.isSafeInteger, finite = Number.isFinite, text = String;
  const time = Function.prototype.call.bind(NativeDate.prototype.getTime);
  const ask = world.crosstieCall, isArray = Array.isArray, owned = Object.hasOwn;
  delete world.crosstieCall;
  const define = Object.defineProperty, keys = Object.keys, kindOf = Function.prototype.call.bind(Object.prototype.toString);

  for (const name of ["performance", "queueMicrotask", "SharedArrayBuffer", "Atomics", "WeakRef",
    "FinalizationRegistry", "DOMException", "btoa", "atob"]) delete world[name];

  // The clock is the task's, and every zone-less reading is UTC, whatever the machine's zone.
  function tame(now) {
    const proto = NativeDate.prototype;
    const zoned = (value) => typeof value === "string" && !/(Z|[+-]\d\d:?\d\d|GMT|UTC)\s*$/i.test(value)
      && !/^\s*[+-]?\d+(-\d\d)?(-\d\d)?\s*$/.test(value);
    const parse = (value) => {
      const given = text(value);
      if (!zoned(given)) return NativeDate.parse(given);
      const iso = NativeDate.parse(given + "Z");
      return finite(iso) ? iso : NativeDate.parse(given + " UTC");
    };
    class TaskDate extends NativeDate {
      constructor(...given) {
        if (given.length === 0) super(now);
        else if (given.length > 1) super(NativeDate.UTC(...given));
        else if (given[0] instanceof NativeDate) super(time(given[0]));
        else if (typeof given[0] === "string") super(parse(given[0]));
        else super(given[0]);
      }
      static now() { return now; }
      static parse(value) { return parse(value); }
    }
    for (const part of ["FullYear", "Month", "Date", "Day", "Hours", "Minutes", "Seconds", "Milliseconds"]) {
      for (const verb of ["get", "set"]) {
        const method = proto[verb + "UTC" + part];
        if (method) define(proto, verb + part, { value: method, writable: true, configurable: true });
      }
    }
    const local = { getTimezoneOffset() { return 0; }, toString: proto.toUTCString, toLocaleString: proto.toISOString,
      toDateString() { return proto.toISOString.call(this).slice(0, 10); },
      toTimeString() { return proto.toISOString.call(this).slice(11); } };
    local.toLocaleDateString = local.toDateString;
    local.toLocaleTimeString = local.toTimeString;
    for (const name of keys(local)) define(proto, name, { value: local[name], writable: true, configurable: true });
    define(TaskDate, "name", { value: "Date" });
    const shown = new Proxy(TaskDate, { apply() { return text(new TaskDate()); } });
    define(proto, "constructor", { value: shown, writable: true, configurable: true });
    define(world, "Date", { value: shown, writable: true, configurable: true });
    let seed = now >>> 0;
    Math.random = function random() {
      seed = (seed + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  }

  function name(value) {
    if (value === undefined) return "undefined";
    if (value === null) return "null";
    if (typeof value === "number") return text(value);
    if (typeof value === "object") {
      const given = kindOf(value).slice(8, -1).toLowerCase();
      return /^[aeiou]/.test(given) ? "an " + given : "a " + given;
    }
    return "a " + typeof value;
  }

  function refuse(message) {
    const error = new TypeError(message);
    error.refused = true;
    return error;
  }

  function encode(value, what, wide) {
    if (typeof value === "string") return ["t", value];
    if (typeof value === "number" && finite(value)) return ["n", isInteger(value) ? text(value + 0) : text(value)];
    if (value instanceof NativeDate) {
      if (!finite(time(value))) throw refuse(what + " is an invalid date");
      return ["d", time(value)];
    }
    if (wide && typeof value === "boolean") return ["b", value];
    if (wide && (value === null || value === undefined)) return ["z"];
    throw refuse(what + " is " + name(value) + (wide ? "; only text, a number, true or false, a date, or null can be used"
      : "; a variable holds text, a number or a date"));
  }

  function decode([kind, payload]) {
    if (kind === "d") return new world.Date(payload);
    if (kind === "n") return Number(payload);
    return kind === "z" ? null : payload;
  }

  // What is `shown` beside the variables themselves goes with the event's population, and is never kept.
  function variables(given, path, shown) {
    const store = Object.create(null);
    for (const key of keys(given)) store[key] = decode(given[key]);
    const proxy = new Proxy(store, {
      get(target, key) { return key in target || typeof key !== "string" || !owned(shown, key) ? target[key] : shown[key]; },
      has(target, key) { return key in target || (typeof key === "string" && owned(shown, key)); },
      set(target, key, value) {
        const coded = encode(value, path + "." + text(key), false);
        target[key] = coded[0] === "d" ? new world.Date(coded[1]) : value;
        return true;
      },
      defineProperty(target, key, property) {
        if (!("value" in property)) throw refuse(path + "." + text(key) + " is an accessor; a variable holds text, a number or a date");
        const coded = encode(property.value, path + "." + text(key), false);
        return Reflect.defineProperty(target, key, { value: coded[0] === "d" ? new world.Date(coded[1]) : property.value,
          writable: true, enumerable: true, configurable: true });
      },
      setPrototypeOf() { return false; },
    });
    const read = () => {
      const coded = {};
      for (const key of keys(store)) coded[key] = encode(store[key], path + "." + key, false);
      return coded;
    };
    return [proxy, read];
  }

  let speaks = false;
  function call(name, ...given) {
    if (!speaks && name !== "formatDate" && name !== "parseDate")
      throw refuse("rows and tables cannot be used here; a JavaScript activity can use them");
    const answer = read(ask(name, keep(given)));
    if (owned(answer, "error")) throw refuse(answer.error);
    return answer.value;
  }

  function values(given, what) {
    if (given === undefined || given === null) return {};
    if (typeof given !== "object" || isArray(given)) throw refuse(what + " is " + name(given) + "; it takes {name: value}");
    const coded = Object.create(null);
    for (const key of keys(given)) coded[key] = encode(given[key], what + "." + key, true);
    return coded;
  }

  function object(names, coded) {
    const row = Object.create(null);
    for (let place = 0; place < names.length; place++) row[names[place]] = decode(coded[place]);
    return row;
  }

  function words(given, what) {
    if (typeof given !== "string") throw refuse(what + " is " + name(given) + "; it takes text");
    return given;
  }

  function* rows() {
    const number = call("rows");
    for (let page; (page = call("page", number)) !== null;)
      for (let place = 0; place < page.rows.length; place++) yield object(page.names, page.rows[place]);
  }

  function place(given) {
    define(world, given[0], { value: given[1], writable: false, configurable: false, enumerable: true });
  }

  return function harness(scopeJson, source) {
    const scope = read(scopeJson);
    tame(scope.now);
    speaks = scope.speaks;
    const logs = [], changed = Object.create(null), options = Object.assign(Object.create(null), scope.options);
    let ended = null;
    const first = scope.events[0];
    const [vars, readVars] = variables(scope.vars, "vars",
      { tableName: first.tableName, schema: first.schema, recCount: first.recCount });
    const [instanceVars, readInstance] = variables(scope.instance_vars, "instance.vars", {});
    const [taskVars, readTask] = variables(scope.task_vars, "task.vars", {});
    const freeze = Object.freeze;
    const events = freeze(scope.events.map((one) => freeze({ ...one, vars })));
    const log = (level, message) => { if (speaks) call("log", level, message); else logs.push([level, message]); };
    const objects = {
      vars, activityName: scope.activity,
      instance: freeze({ name: scope.workflow, internalName: scope.workflow, label: scope.label, run: scope.run,
        vars: instanceVars }),
      task: freeze({ id: scope.task, creationDate: new world.Date(scope.task_created), vars: taskVars }),
      activity: freeze({ name: scope.activity, internalName: scope.activity, label: scope.activity_label }),
      event: events[0], events,
      sql: freeze({
        query(statement, params) {
          const found = call("query", words(statement, "the statement"), values(params, "params"));
          return found.rows.map((row) => object(found.names, row));
        },
        execute(statement, params) { call("execute", words(statement, "the statement"), values(params, "params")); },
      }),
      rows() { return rows(); },
      write(table, row) { call("write", words(table, "the table"), values(row, "row")); },
      formatDate(date, pattern, zone) {
        return call("formatDate", encode(date, "the date", false), pattern ?? null, zone ?? null);
      },
      parseDate(written, pattern, zone) {
        return decode(call("parseDate", words(written, "the date"), pattern ?? null, zone ?? null));
      },
      logInfo(message) { log("info", text(message)); },
      logWarning(message) { log("warning", text(message)); },
      logError(message) { ended = text(message); logs.push(["error", ended]); throw new Error(ended); },
      getOption(option) { const key = text(option); return key in options ? options[key] : null; },
      setOption(option, value) {
        const coded = encode(value, "option " + text(option), false);
        const plain = coded[0] === "d" ? new NativeDate(coded[1]).toISOString().replace(/^(\d+)-(\d+)-(\d+)T(\d+:\d+:\d+).*$/, "$1/$2/$3 $4") : text(value);
        options[text(option)] = changed[text(option)] = plain;
      },
    };
    for (const key of keys(objects)) place([key, objects[key]]);
    for (const key of keys(scope.names)) place([key, decode(scope.names[key])]);
    let failure = null, answer = ["z"];
    try {
      const result = run(source);
      if (scope.wants_value) answer = encode(result, "the result", true);
    } catch (error) {
      if (error === null) failure = { message: "", stack: "", memory: true };
      else {
        let stack = "";
        try { stack = text(error.stack || ""); } catch { stack = ""; }
        let message = "";
        try { message = text(error); } catch { message = "an error that cannot be shown"; }
        failure = { message: error && error.refused === true ? text(error.message) : message, stack, memory: false };
      }
    }
    try {
      return keep({ value: answer, failure, ended, logs, options: changed,
        vars: readVars(), instance_vars: readInstance(), task_vars: readTask() });
    } catch (error) {
      return keep({ failure: { message: text(error && error.message), stack: "", memory: error === null } });
    }
  };
})()
