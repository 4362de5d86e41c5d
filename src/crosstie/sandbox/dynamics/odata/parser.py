"""Reads $filter, $orderby, $select and $expand.

Sources: Dataverse Web API guide, "Filter rows", "Order rows", "Join tables using OData"; OData 4.0 URL conventions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from crosstie.sandbox.dynamics.odata import lexer
from crosstie.sandbox.dynamics.odata.errors import QueryError, syntax_error
from crosstie.sandbox.dynamics.odata.lexer import Token, tokens
from crosstie.sandbox.dynamics.odata.syntax import (
    Both,
    Compare,
    Condition,
    Either,
    Expand,
    Literal,
    Not,
    Operand,
    Options,
    Order,
    Property,
    Quantifier,
    Related,
    Special,
    TextTest,
)

OPERATORS = ("eq", "ne", "gt", "ge", "lt", "le")
TEXT_TESTS = ("contains", "startswith", "endswith")
NAMESPACE = "Microsoft.Dynamics.CRM."
MAX_CONDITIONS = 500
"""As far as is known; the documentation names no number."""
MAX_EXPANDS = 15
_LITERALS = {lexer.STRING, lexer.GUID, lexer.DATETIME, lexer.DATE, lexer.NUMBER}
Aliases = Mapping[str, str]


def parse_filter(text: str, aliases: Aliases) -> Condition:
    """The condition of a $filter. `aliases` are the texts of the parameters `@p` of the same request."""
    parser = _Parser(text, aliases)
    condition = parser.either()
    parser.expect_end()
    return condition


def parse_order(text: str, aliases: Aliases) -> tuple[Order, ...]:
    """The expressions of an $orderby."""
    parser = _Parser(text, aliases)
    found = [parser.order()]
    while parser.take(","):
        found.append(parser.order())
    parser.expect_end()
    return tuple(found)


def parse_select(text: str) -> tuple[str, ...] | None:
    """The names of a $select; None for `*`."""
    names = tuple(name.strip() for name in text.split(","))
    if names == ("*",):
        return None
    for name in names:
        if not re.fullmatch(r"[\w/.]+", name):
            raise QueryError(f"Term '{text}' is not valid in a $select or $expand expression.")
    return names


def parse_expand(text: str) -> tuple[Expand, ...]:
    """The navigation properties of an $expand, each with its options. Parameter aliases are not known in there."""
    found = []
    for piece in split_outside(text, ","):
        match = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", piece, re.DOTALL)
        if match is None:
            raise QueryError(f"Term '{text}' is not valid in a $select or $expand expression.")
        given = _given(match[2] or "")
        found.append(Expand(match[1], _nested(given), tuple(given.items())))
    if len(found) > MAX_EXPANDS:
        raise QueryError(f"The number of $expand options exceeds the limit of {MAX_EXPANDS}.")
    return tuple(found)


def _given(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for piece in split_outside(text, ";"):
        name, sign, value = piece.strip().partition("=")
        if not sign:
            raise QueryError(f"Found an unexpected value '{piece.strip()}' inside an $expand expression.")
        given[name.strip()] = value
    unknown = given.keys() - {"$select", "$filter", "$orderby", "$top", "$expand"}
    if unknown:
        raise QueryError(f"The query option '{min(unknown)}' is not supported inside an $expand expression.")
    return given


def _nested(given: Mapping[str, str]) -> Options:
    return Options(
        select=parse_select(given["$select"]) if "$select" in given else None,
        filter=parse_filter(given["$filter"], {}) if "$filter" in given else None,
        order=parse_order(given["$orderby"], {}) if "$orderby" in given else (),
        top=parse_top(given["$top"]) if "$top" in given else None,
        expand=parse_expand(given["$expand"]) if "$expand" in given else (),
    )


def parse_top(text: str) -> int:
    """The number of a $top."""
    if not re.fullmatch(r"\d{1,9}", text.strip()):
        raise QueryError(
            f"Invalid value '{text}' for $top query option found. The $top query option requires a "
            "non-negative integer value."
        )
    return int(text)


def split_outside(text: str, separator: str) -> list[str]:
    """The pieces between separators that stand in no parentheses and no string; none for an empty text."""
    pieces, depth, start, quoted = [], 0, 0, False
    for at, character in enumerate(text):
        if character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == separator and depth == 0:
            pieces.append(text[start:at])
            start = at + 1
    pieces.append(text[start:])
    return [piece for piece in pieces if piece.strip()]


class _Parser:
    def __init__(self, text: str, aliases: Aliases) -> None:
        self._text = text
        self._aliases = aliases
        self._tokens = tokens(text)
        self._next = 0
        self._conditions = 0

    # -- tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _advance(self) -> Token:
        token = self._token
        self._next += token.kind != lexer.END
        return token

    def take(self, symbol: str) -> bool:
        """Whether the next token is this symbol, which is then behind us."""
        if self._token.kind == lexer.SYMBOL and self._token.text == symbol:
            self._next += 1
            return True
        return False

    def _word(self, word: str) -> bool:
        if self._token.kind == lexer.NAME and self._token.text == word:
            self._next += 1
            return True
        return False

    def _expect(self, symbol: str, wanted: str) -> None:
        if not self.take(symbol):
            raise QueryError(f"{wanted} expected at position {self._token.at} in '{self._text}'.")

    def expect_end(self) -> None:
        """Raises QueryError when something is left."""
        if self._token.kind != lexer.END:
            raise syntax_error(self._text, self._token.at)

    # -- conditions

    def either(self) -> Condition:
        """a or b or …"""
        parts = [self._both()]
        while self._word("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Condition:
        parts = [self._single()]
        while self._word("and"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _single(self) -> Condition:
        if self._word("not"):
            return Not(self._single())
        if self.take("("):
            inner = self.either()
            self._expect(")", "')' or operator")
            return inner
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise QueryError(f"The number of conditions in the query exceeds the limit of {MAX_CONDITIONS}.")
        if self._token.kind == lexer.NAME and self._token.text not in ("null", "true", "false"):
            return self._from_name()
        return self._comparison(self._literal())

    def _from_name(self) -> Condition:
        name = self._token.text
        if self._tokens[self._next + 1].text == "(" and "." not in name:
            return self._text_test()
        path = self._path()
        if path[-1].startswith(NAMESPACE) and self._token.text == "(":
            return self._special(path)
        if path[-1] in ("any", "all") and self.take("("):
            return self._related(path)
        return self._comparison(Property(path))

    def _path(self) -> tuple[str, ...]:
        names = [self._name()]
        while self.take("/"):
            names.append(self._name())
        return tuple(names)

    def _name(self) -> str:
        if self._token.kind != lexer.NAME:
            raise QueryError(f"Expression expected at position {self._token.at} in '{self._text}'.")
        return self._advance().text

    def _comparison(self, left: Operand) -> Condition:
        token = self._token
        if token.kind != lexer.NAME or token.text not in OPERATORS:
            # A bare boolean would be an expression too, but the service wants a comparison.
            raise syntax_error(self._text, token.at)
        self._next += 1
        return Compare(left, token.text, self._operand())

    def _operand(self) -> Operand:
        token = self._token
        if token.kind == lexer.NAME and token.text not in ("null", "true", "false"):
            return Property(self._path())
        return self._literal()

    def _literal(self) -> Literal:
        token = self._advance()
        if token.kind == lexer.ALIAS:
            return self._aliased(token)
        if token.kind == lexer.NAME and token.text == "null":
            return Literal("null", "")
        if token.kind == lexer.NAME and token.text in ("true", "false"):
            return Literal("boolean", token.text)
        if token.kind not in _LITERALS or token.text.startswith('"'):
            raise QueryError(f"Expression expected at position {token.at} in '{self._text}'.")
        return Literal(token.kind, _unquoted(token))

    def _aliased(self, token: Token) -> Literal:
        given = self._aliases.get(token.text)
        if given is None:
            # A parameter that is not given counts as null (OData 4.0, Part 1, "Parameter Aliases").
            return Literal("null", "")
        inner = _Parser(given, {})
        literal = inner._literal()
        inner.expect_end()
        return literal

    def _text_test(self) -> Condition:
        name = self._advance()
        if name.text not in TEXT_TESTS:
            raise QueryError(
                f"An unknown function with name '{name.text}' was found. This may also be a function import or a key "
                "lookup on a navigation property, which is not allowed."
            )
        self._expect("(", "'('")
        subject = Property(self._path())
        self._expect(",", "')' or ','")
        value = self._literal()
        self._expect(")", "')' or ','")
        if self._word("eq"):
            wanted = self._literal()
            test = TextTest(name.text, subject, value)
            return test if wanted.text == "true" else Not(test)
        return TextTest(name.text, subject, value)

    # -- query functions and lambdas

    def _special(self, path: tuple[str, ...]) -> Special:
        self._expect("(", "'('")
        arguments: dict[str, str | tuple[str, ...]] = {}
        while not self.take(")"):
            name = self._name()
            self._expect("=", "'='")
            arguments[name] = self._argument()
            if not self.take(","):
                self._expect(")", "')' or ','")
                break
        return Special(path[:-1], path[-1].removeprefix(NAMESPACE), arguments)

    def _argument(self) -> str | tuple[str, ...]:
        if self._token.kind == lexer.ALIAS:
            token = self._advance()
            inner = _Parser(self._aliases.get(token.text, ""), {})
            found = inner._argument()
            inner.expect_end()
            return found
        if not self.take("["):
            return self._element()
        values = []
        while not self.take("]"):
            values.append(self._element())
            if not self.take(","):
                self._expect("]", "']' or ','")
                break
        return tuple(values)

    def _element(self) -> str:
        token = self._advance()
        if token.kind not in _LITERALS and token.text not in ("true", "false", "null"):
            raise QueryError(f"Expression expected at position {token.at} in '{self._text}'.")
        return _unquoted(token)

    def _related(self, path: tuple[str, ...]) -> Related:
        quantifier = cast(Quantifier, path[-1])
        if self.take(")"):
            return Related(path[:-1], quantifier, "", None)
        variable = self._name()
        self._expect(":", "':'")
        inner = self.either()
        self._expect(")", "')' or operator")
        return Related(path[:-1], quantifier, variable, inner)

    # -- order

    def order(self) -> Order:
        """One expression of $orderby."""
        names = self._path()
        descending = self._word("desc")
        if not descending:
            self._word("asc")
        return Order(names, descending)


def _unquoted(token: Token) -> str:
    if token.kind != lexer.STRING:
        return token.text
    if token.text.startswith("'"):
        return token.text[1:-1].replace("''", "'")
    return re.sub(r"\\(.)", r"\1", token.text[1:-1])
