"""Walks over the tokens of a query and reads fields, functions and literals."""

from __future__ import annotations

from crosstie.sandbox.salesforce.soql import lexer
from crosstie.sandbox.salesforce.soql.errors import SoqlError, located, too_complicated
from crosstie.sandbox.salesforce.soql.lexer import Token
from crosstie.sandbox.salesforce.soql.syntax import Call, Literal, Operand, Path

MAX_DEPTH = 100
CLAUSES = frozenset(
    {"FROM", "USING", "WHERE", "WITH", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FOR", "UPDATE", "ALL", "SET"}
)
_LITERAL_KINDS = {
    lexer.NUMBER: "number",
    lexer.DATE: "date",
    lexer.DATETIME: "datetime",
    lexer.TIME: "time",
    lexer.KEYWORD_N: "keyword",
}


class TokenReader:
    """Walks over the tokens; everything that reads a piece of a query starts here."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = lexer.tokens(text)
        self._next = 0
        self._depth = 0

    @property
    def current(self) -> Token:
        """The token not yet consumed."""
        return self._tokens[self._next]

    @property
    def following(self) -> Token:
        """The token after the current one (the end stays the end)."""
        return self._tokens[min(self._next + 1, len(self._tokens) - 1)]

    def advance(self) -> Token:
        """Consume the current token."""
        token = self.current
        if token.kind != lexer.END:
            self._next += 1
        return token

    def unexpected(self, token: Token | None = None) -> SoqlError:
        """The error for a token that can't stand where it stands."""
        token = token or self.current
        if token.text == ":":
            return located("MALFORMED_QUERY", self.text, token.at, "Bind variables only allowed in Apex code")
        return located("MALFORMED_QUERY", self.text, token.at, f"unexpected token: '{token.text}'")

    def accept_word(self, *words: str) -> str | None:
        """Consume the current token if it is one of these keywords, and say which."""
        if self.current.word in words:
            return self.advance().word
        return None

    def expect_word(self, *words: str) -> str:
        """Consume one of these keywords or raise."""
        found = self.accept_word(*words)
        if found is None:
            raise self.unexpected()
        return found

    def accept(self, symbol: str) -> bool:
        """Consume the symbol if it comes next."""
        if self.current.kind == lexer.SYMBOL and self.current.text == symbol:
            self.advance()
            return True
        return False

    def expect(self, symbol: str) -> None:
        """Consume the symbol or raise."""
        if not self.accept(symbol):
            raise self.unexpected()

    def expect_end(self) -> None:
        """Raise unless everything was consumed."""
        if self.current.kind != lexer.END:
            raise self.unexpected()

    def integer(self) -> int:
        """Consume a number without sign, fraction or exponent."""
        if self.current.kind != lexer.NUMBER or not self.current.text.isdigit():
            raise self.unexpected()
        return int(self.advance().text)

    def deeper(self) -> None:
        """Enter a nested part; raises when the query is nested beyond what is ever sensible."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise too_complicated()

    def shallower(self) -> None:
        """Leave a nested part."""
        self._depth -= 1


class OperandParser(TokenReader):
    """Reads fields, functions and literals."""

    def path(self) -> Path:
        """A dotted name."""
        if self.current.kind != lexer.NAME or self.current.word in CLAUSES:
            raise self.unexpected()
        token = self.advance()
        return Path(names=tuple(token.text.split(".")), at=token.at)

    def operand(self) -> Path | Call:
        """A field or a function over fields."""
        path = self.path()
        if not (self.current.text == "(" and self.current.kind == lexer.SYMBOL):
            return path
        self.deeper()
        self.advance()
        arguments: list[Operand] = []
        if not self.accept(")"):
            arguments.append(self.argument())
            while self.accept(","):
                arguments.append(self.argument())
            self.expect(")")
        self.shallower()
        return Call(name=path.text.upper(), arguments=tuple(arguments), at=path.at)

    def argument(self) -> Operand:
        """One argument of a function."""
        if self.current.kind == lexer.NAME:
            return self.operand()
        return self.literal()

    def literal(self) -> Literal:
        """A literal of any kind; names are TRUE, FALSE, NULL or a date literal such as TODAY."""
        token = self.current
        if token.kind == lexer.STRING:
            self.advance()
            characters = tuple(lexer.literal_characters(token, self.text))
            value = "".join(character for character, _ in characters)
            return Literal(kind="string", text=token.text, at=token.at, value=value, characters=characters)
        if token.kind == lexer.NAME and "." not in token.text and token.word not in CLAUSES:
            self.advance()
            kind = {"TRUE": "boolean", "FALSE": "boolean", "NULL": "null"}.get(token.word, "keyword")
            return Literal(kind=kind, text=token.text, at=token.at)
        if token.kind in _LITERAL_KINDS:
            self.advance()
            return Literal(kind=_LITERAL_KINDS[token.kind], text=token.text, at=token.at)
        raise self.unexpected()
