"""Reads people's SQL expressions. sqlglot does the grammar; whatever it understands beyond the closed list is refused.

Imports sqlglot, which takes a third of a second: only `expression.parse_expression` imports this module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from crosstie.db.expressions.aggregates import AGGREGATES, AggregateCall
from crosstie.db.expressions.agreement import BOOLEAN, DECIMAL, FLOAT, INTEGER, SET, TEXT, become, unify, want
from crosstie.db.expressions.casting import TYPE_WORDS, cast_to
from crosstie.db.expressions.functions import FUNCTIONS, call, settle, text_of, unknown_function
from crosstie.db.expressions.marking import MARK, VARIABLE, Marked, mark
from crosstie.db.expressions.nodes import (
    MOMENTS,
    NUMBERS,
    UNKNOWN_SCALE,
    LiteralNode,
    Node,
    NullNode,
    VariableNode,
    digits,
    literal,
    operation,
    shown,
    type_word,
)
from crosstie.db.expressions.scope import Scope
from crosstie.db.sqlite_functions import DECIMAL_DIGITS, DIVISION_SCALE, like_pattern
from crosstie.errors import ConfigError, MappingError

_INTEGER_LIMIT = 2**63
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def read(text: str, scope: Scope) -> Node:
    """The typed tree of an expression. Raises ConfigError for what is not in the closed list or cannot be parsed,
    MappingError for an unknown column or types that do not go together."""
    if not text.strip():
        raise ConfigError("The expression is empty.")
    marked = mark(text)
    try:
        trees = [tree for tree in sqlglot.parse(marked.text, read="postgres") if tree is not None]
    except ParseError as error:
        found = error.errors[0] if error.errors else {}
        raise _unreadable(text, marked, found) from error
    except TokenError as error:
        raise ConfigError(f"The expression “{text}” cannot be read: a quote is not closed.") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Expression):
        raise ConfigError(f"“{text}” is not one expression.", hint="Write exactly one, without “;”.")
    return _Reader(scope=scope, variables=marked.variables).node(trees[0])


def _unreadable(text: str, marked: Marked, found: dict[str, object]) -> ConfigError:
    column, line = found.get("col"), found.get("line")
    if not isinstance(column, int) or not isinstance(line, int):
        return ConfigError(f"The expression “{text}” cannot be read.")
    lines = marked.text.split("\n")
    offset = sum(len(one) + 1 for one in lines[: line - 1]) + column
    place = max(marked.original(offset) - len(str(found.get("highlight") or "")), 0)
    rest = text[place:].strip()
    where = f"near “{rest[:20]}”" if rest else "at its end"
    return ConfigError(f"The expression “{text}” cannot be read {where} (character {min(place, len(text)) + 1}).")


_COMPARISONS: dict[type[exp.Expression], tuple[str, str]] = {
    exp.EQ: ("equal", "="),
    exp.NEQ: ("not_equal", "<>"),
    exp.LT: ("less", "<"),
    exp.LTE: ("less_equal", "<="),
    exp.GT: ("greater", ">"),
    exp.GTE: ("greater_equal", ">="),
}
_ARITHMETIC: dict[type[exp.Expression], tuple[str, str]] = {
    exp.Add: ("add", "+"),
    exp.Sub: ("subtract", "-"),
    exp.Mul: ("multiply", "*"),
    exp.Div: ("divide", "/"),
}
_KINDS = {INTEGER: "integers", DECIMAL: "decimals", FLOAT: "floats"}
# Which parts of a sqlglot node are understood; a node with any other part set says something we would lose.
_UNDERSTOOD: dict[type[exp.Expression], frozenset[str]] = {
    exp.Is: frozenset({"this", "expression", "negate"}),
    exp.Like: frozenset({"this", "expression", "negate"}),
    exp.In: frozenset({"this", "expressions"}),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.Case: frozenset({"this", "ifs", "default"}),
    exp.Cast: frozenset({"this", "to"}),
    exp.TryCast: frozenset({"this", "to", "safe"}),
    exp.Anonymous: frozenset({"this", "expressions"}),
    exp.Column: frozenset({"this", "table", "db", "catalog"}),
    exp.Div: frozenset({"this", "expression", "typed", "safe"}),
    exp.DPipe: frozenset({"this", "expression", "safe"}),
    exp.Concat: frozenset({"expressions", "coalesce", "safe"}),
}
_BINARY = frozenset({"this", "expression"})


class _Reader:
    """Walks a sqlglot tree and builds ours."""

    def __init__(self, *, scope: Scope, variables: Sequence[tuple[str, str]]) -> None:
        self._scope = scope
        self._variables = variables
        self._readers: dict[type[exp.Expression], Callable[[exp.Expression], Node]] = {
            exp.Paren: lambda tree: self.node(tree.this),
            exp.Column: self._column,
            exp.Parameter: self._column,
            exp.Placeholder: self._variable,
            exp.Literal: _literal,
            exp.Boolean: lambda tree: literal(bool(tree.this), BOOLEAN),
            exp.Null: lambda tree: NullNode(type=None),
            exp.And: self._logic,
            exp.Or: self._logic,
            exp.Not: self._not,
            exp.Is: self._is,
            exp.In: self._in,
            exp.Between: self._between,
            exp.Like: self._like,
            exp.Neg: self._negative,
            exp.DPipe: self._joined,
            exp.Case: self._case,
            exp.Cast: self._cast,
            exp.TryCast: self._cast,
            exp.Anonymous: self._call,
            **dict.fromkeys(_COMPARISONS, self._comparison),
            **dict.fromkeys(_ARITHMETIC, self._arithmetic),
        }

    def node(self, tree: exp.Expression) -> Node:
        """Our node for a sqlglot node of the closed list."""
        kind = type(tree)
        reader = self._readers.get(kind)
        understood = _UNDERSTOOD.get(kind, _BINARY)
        if reader is None or not {name for name, value in tree.args.items() if value} <= understood | {"is_string"}:
            raise _refused(tree)
        return reader(tree)

    def condition(self, tree: exp.Expression, where: str) -> Node:
        """A part that must be true or false."""
        node = self.node(tree)
        if node.type not in (BOOLEAN, None):
            raise MappingError(f"{where} takes conditions, not {shown(node)}.", hint="Compare it with something.")
        return become(node, BOOLEAN)

    def _column(self, tree: exp.Expression) -> Node:
        # Each but the last leads on to the next: company.country.name.
        leading = [tree.args[part].name for part in ("catalog", "db", "table") if tree.args.get(part) is not None]
        name = tree.this
        while isinstance(name, exp.Parameter):
            name = name.this
        if not isinstance(name, exp.Identifier | exp.Var):
            raise _refused(tree)
        return self._scope.resolve(".".join(leading) or None, name.name)

    def _variable(self, tree: exp.Expression) -> Node:
        name = str(tree.this or "")
        if not name.startswith(VARIABLE):
            raise ConfigError(
                f"“{tree.sql('postgres')}” is not part of expressions.", hint="Write a variable as $(vars/@name)."
            )
        path, variable = self._variables[int(name.removeprefix(VARIABLE))]
        return VariableNode(path=path, name=variable, type=None)

    def _logic(self, tree: exp.Expression) -> Node:
        word = "and" if isinstance(tree, exp.And) else "or"
        # A long chain leans to the left, deeper than Python's stack; it is read as one list.
        branches = list(_flattened(tree, type(tree)))
        return operation(word, BOOLEAN, *(self.condition(branch, word) for branch in branches))

    def _not(self, tree: exp.Expression) -> Node:
        inner = tree.this
        if isinstance(inner, exp.In) and {name for name, value in inner.args.items() if value} <= _UNDERSTOOD[exp.In]:
            return self._in(inner, name="not_in")
        return operation("not", BOOLEAN, self.condition(inner, "not"))

    def _comparison(self, tree: exp.Expression) -> Node:
        name, symbol = _COMPARISONS[type(tree)]
        return _compare(name, symbol, self.node(tree.this), self.node(tree.args["expression"]))

    def _is(self, tree: exp.Expression) -> Node:
        node, negate = self.node(tree.this), bool(tree.args.get("negate"))
        what = tree.args["expression"]
        if isinstance(what, exp.Null):
            known = become(node, TEXT) if node.type is None else node
            return operation("is_not_null" if negate else "is_null", BOOLEAN, known)
        if isinstance(what, exp.Boolean):
            truth = operation("is_true" if what.this else "is_false", BOOLEAN, self.condition(tree.this, "is"))
            return operation("not", BOOLEAN, truth) if negate else truth
        raise _refused(tree)

    def _in(self, tree: exp.Expression, name: str = "in") -> Node:
        parts = unify([self.node(tree.this), *(self.node(one) for one in tree.expressions)], "in")
        left = operation("exact", TEXT, parts[0]) if parts[0].type is TEXT else parts[0]
        return operation(name, BOOLEAN, left, *parts[1:])

    def _between(self, tree: exp.Expression) -> Node:
        value, low, high = unify(
            [self.node(tree.this), self.node(tree.args["low"]), self.node(tree.args["high"])], "between"
        )
        return operation(
            "and", BOOLEAN, _compare("greater_equal", ">=", value, low), _compare("less_equal", "<=", value, high)
        )

    def _like(self, tree: exp.Expression) -> Node:
        text = want(self.node(tree.this), (TEXT,), "like")
        pattern = want(self.node(tree.args["expression"]), (TEXT,), "like")
        if isinstance(pattern, LiteralNode):
            try:
                like_pattern(str(pattern.value))
            except ValueError as error:
                raise MappingError(f"{str(error).capitalize()}.") from error
        return operation("not_like" if tree.args.get("negate") else "like", BOOLEAN, text, pattern)

    def _arithmetic(self, tree: exp.Expression) -> Node:
        name, symbol = _ARITHMETIC[type(tree)]
        one, other = self.node(tree.this), self.node(tree.args["expression"])
        for node in (one, other):
            if node.type in MOMENTS and symbol in "+-":
                hint = (
                    "date_diff_days(later, earlier)"
                    if one.type in MOMENTS and other.type in MOMENTS
                    else "date_add(date, days)"
                )
                raise MappingError(f"“{symbol}” does not take {shown(node)}.", hint=f"Write {hint}.")
            if node.type not in (*NUMBERS, None):
                hint = (
                    "Join texts with ||."
                    if node.type is TEXT and symbol == "+"
                    else "Convert it first, like cast(… as integer)."
                )
                raise MappingError(f"“{symbol}” takes numbers, not {shown(node)}.", hint=hint)
        one, other = unify([one, other], f"“{symbol}”", otherwise=DECIMAL)
        assert one.type is not None, "unify gives every part a type"
        scale = {
            "add": max(one.scale, other.scale),
            "subtract": max(one.scale, other.scale),
            "multiply": min(one.scale + other.scale, 2 * UNKNOWN_SCALE),
            "divide": DIVISION_SCALE,
        }[name]
        return operation(f"{name}_{_KINDS[one.type]}", one.type, one, other, scale=scale if one.type is DECIMAL else 0)

    def _negative(self, tree: exp.Expression) -> Node:
        if isinstance(tree.this, exp.Literal) and not tree.this.is_string:
            return _number(f"-{tree.this.this}")
        value = want(self.node(tree.this), NUMBERS, "“-”")
        assert value.type is not None, "want gives a type"
        return operation("negate_integer" if value.type is INTEGER else "negate", value.type, value, scale=value.scale)

    def _joined(self, tree: exp.Expression) -> Node:
        one, other = (text_of(self.node(part), "||") for part in (tree.this, tree.args["expression"]))
        length = one.length + other.length if one.length and other.length else 0
        return operation("joined", TEXT, one, other, length=length)

    def _case(self, tree: exp.Expression) -> Node:
        subject = self.node(tree.this) if tree.this is not None else None
        conditions, results = [], []
        for branch in tree.args["ifs"]:
            if subject is None:
                conditions.append(self.condition(branch.this, "case"))
            else:
                conditions.append(_compare("equal", "=", subject, self.node(branch.this)))
            results.append(self.node(branch.args["true"]))
        default = tree.args.get("default")
        if default is not None:
            results.append(self.node(default))
        results = unify(results, "case")
        settled = settle("case", results)
        pairs = [part for pair in zip(conditions, results, strict=False) for part in pair]
        last = results[len(conditions) :]
        assert settled.type is not None, "unify gives every part a type"
        return operation("case", settled.type, *pairs, *last, length=settled.length, scale=settled.scale)

    def _cast(self, tree: exp.Expression) -> Node:
        lenient = isinstance(tree, exp.TryCast)
        to = tree.args["to"]
        word = _type_name(to)
        type = TYPE_WORDS.get(word)
        sizes = [int(size.name) for size in to.expressions if isinstance(size, exp.DataTypeParam)]
        if type is None or (sizes and type is not DECIMAL):
            known = ", ".join(dict.fromkeys(TYPE_WORDS))
            raise ConfigError(f"cast cannot make “{to.sql('postgres').lower()}”.", hint=f"It can make: {known}.")
        node = cast_to(self.node(tree.this), type, "try_cast" if lenient else "cast", lenient=lenient)
        if not sizes:
            return node
        precision, scale = sizes[0], sizes[1] if len(sizes) > 1 else 0
        if not 0 <= scale <= precision <= 38:
            raise ConfigError(
                f"decimal({precision}, {scale}) is not a type: at most 38 digits, of which some are decimals."
            )
        return operation("fit", DECIMAL, node, digits(precision), digits(scale), scale=scale)

    def _call(self, tree: exp.Expression) -> Node:
        name = str(tree.this)
        if not name.startswith(MARK):
            raise _refused(tree)
        word = name.removeprefix(MARK)
        if word.lower() in AGGREGATES and self._scope.aggregates:
            return self._scope.aggregate(self._aggregate(word.lower(), tree))
        if word.lower() not in FUNCTIONS:
            raise unknown_function(word)
        return call(word, [self.node(one) for one in tree.expressions])

    def _aggregate(self, name: str, tree: exp.Expression) -> AggregateCall:
        arguments = tree.expressions
        if len(arguments) == 1 and isinstance(arguments[0], exp.Star):
            arguments = []
        path: tuple[str, ...] = ()
        if arguments and type(arguments[0]) is exp.Column:
            parts = [arguments[0].args.get(part) for part in ("catalog", "db", "table", "this")]
            path = tuple(part.name for part in parts if part is not None)
        return AggregateCall(name=name, path=path, arguments=tuple(self._over(one) for one in arguments))

    def _over(self, tree: exp.Expression) -> Callable[[Scope], Node]:
        return lambda scope: _Reader(scope=scope, variables=self._variables).node(tree)


def _flattened(tree: exp.Expression, kind: type[exp.Expression]) -> Iterator[exp.Expression]:
    pending = [tree]
    while pending:
        one = pending.pop()
        if type(one) is kind:
            pending += [one.args["expression"], one.this]
        else:
            yield one


def _type_name(to: exp.Expression) -> str:
    if not isinstance(to, exp.DataType):
        return ""
    if to.args.get("nested") or any(not isinstance(one, exp.DataTypeParam) for one in to.expressions):
        return ""
    kind = to.args.get("kind")
    return kind.name.lower() if isinstance(kind, exp.Expression) else to.this.value.lower()


def _literal(tree: exp.Expression) -> Node:
    return literal(str(tree.this), TEXT) if tree.args.get("is_string") else _number(str(tree.this))


def _number(text: str) -> Node:
    if not _NUMBER.fullmatch(text):
        raise ConfigError(f"“{text}” is not a number.", hint="Write numbers like 12, 1.5 or 1e6.")
    if "e" in text.lower():
        if math.isinf(float(text)):
            raise ConfigError(f"{text} is too big for a number.")
        return literal(float(text), FLOAT)
    number = Decimal(text)
    if "." not in text and -_INTEGER_LIMIT <= number < _INTEGER_LIMIT:
        return literal(int(number), INTEGER)
    if len(number.normalize().as_tuple().digits) > DECIMAL_DIGITS:
        raise ConfigError(
            f"{text} has more than {DECIMAL_DIGITS} significant digits, the most that both databases keep."
        )
    return literal(number, DECIMAL)


def _compare(name: str, symbol: str, one: Node, other: Node) -> Node:
    one, other = unify([one, other], f"“{symbol}”")
    ordering = name not in ("equal", "not_equal")
    if ordering and one.type in (BOOLEAN, SET):
        raise MappingError(f"“{symbol}” does not take {type_word(one)}, which has no order.")
    if one.type is TEXT:
        one = operation("ordered" if ordering else "exact", TEXT, one)
    return operation(name, BOOLEAN, one, other)


_SUGGESTIONS: dict[str, str] = {
    "CurrentDate": "Write today().",
    "CurrentTimestamp": "Write now().",
    "ILike": "Write lower(a) like lower(b).",
    "Select": "Use a query or an enrichment activity to look at other tables.",
    "Subquery": "Use a query or an enrichment activity to look at other tables.",
    "Interval": "Write date_add(date, days).",
    "Mod": "It differs between databases for negative numbers.",
    "NullSafeEQ": "Write a = b or (a is null and b is null).",
    "NullSafeNEQ": "Write it with is null.",
    "Extract": "Write year(…), month(…) or day(…).",
    "Alias": "A name is given beside the expression, not in it.",
    "Array": "A column's name with blanks stands in double quotes.",
    "RegexpLike": "Write like.",
    "Tuple": "Compare one value with one value.",
    "Concat": "Join texts with ||.",
}


def _refused(tree: exp.Expression) -> ConfigError:
    shown_text = tree.sql("postgres").replace(MARK, "").replace(MARK.upper(), "")
    if isinstance(tree, exp.Dot) and isinstance(tree.args.get("expression"), exp.Anonymous):
        return unknown_function(shown_text.split("(")[0])
    hint = _SUGGESTIONS.get(type(tree).__name__, "")
    return ConfigError(
        f"“{shown_text}” is not part of expressions.",
        hint=f"{hint} The closed list is in docs/expressions.md.".strip(),
    )
