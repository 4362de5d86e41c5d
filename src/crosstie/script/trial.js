// Tries an expression where each name of the script's world stands for anything, and gives the first name that is
// nobody's. The language's own names mean what they mean.
(function (source, known) {
  const ours = new Set([...Object.keys(globalThis), ...known]), set = Object.create(null);
  let number = 1;
  const anything = new Proxy(function () {}, {
    get(target, key) {
      if (key === Symbol.toPrimitive) return (hint) => (hint === "string" ? String(number) : number);
      if (key === Symbol.iterator) return function* () {};
      return typeof key === "symbol" ? undefined : anything;
    },
    has() { return true; }, set() { return true; }, apply() { return anything; }, construct() { return anything; },
    deleteProperty() { return true; }, defineProperty() { return true; },
  });
  let missing = "";
  const world = new Proxy({}, {
    has(target, key) { return typeof key === "string" && key !== "arguments" && (ours.has(key) || !(key in globalThis)); },
    get(target, key) {
      if (typeof key === "symbol") return undefined;
      if (ours.has(key)) return anything;
      if (key in set) return set[key];
      if (!missing) missing = key;
      return anything;
    },
    set(target, key, value) { set[key] = value; return true; },
  });
  const tried = new Function("world", "with (world) {\n" + source + "\n}");
  for (number of [1, 1e9, -1]) {
    try { tried(world); } catch { /* it fails on what stands for values */ }
    if (missing) break;
  }
  return missing;
})
