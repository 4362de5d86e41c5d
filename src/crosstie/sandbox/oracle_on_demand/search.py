"""Search specifications, and the expressions that a field's element may hold, as trees.

The grammar is that of the Web Services On Demand Guide, "Query Syntax" (fact sheet, section 2.3): terms that AND or OR
joins stand in parentheses, a lone term does not. Clients in the field leave the parentheses away and are understood,
so that is refused only when `strict`. AND binds tighter than OR.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

COMPARISONS = ("=", "~=", "<", "<=", ">", ">=", "<>", "LIKE", "~LIKE")
_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | \[(?P<field>[^\[\]]*)\]
  | '(?P<literal>(?:[^']|'')*)'
  | (?P<word>~?[A-Za-z]+)
  | (?P<sign>~=|<=|>=|<>|=|<|>)
  | (?P<bracket>[()])
    """,
    re.VERBOSE,
)
_MAX_DEPTH = 50
_KEYWORDS = frozenset({"AND", "OR", "NOT", "EXISTS", "IS", "NULL", "LIKE", "~LIKE"})


class MalformedSearch(ValueError):
    """A text that is not a search specification."""


@dataclass(frozen=True, slots=True)
class Compare:
    """`[tag] operator 'literal'`; the literal without its quotes."""

    tag: str
    operator: str
    literal: str


@dataclass(frozen=True, slots=True)
class IsNull:
    """`[tag] IS NULL`, or IS NOT NULL."""

    tag: str
    negated: bool


@dataclass(frozen=True, slots=True)
class Exists:
    """Whether a child list holds a record, or none, that meets a condition."""

    part: Condition
    negated: bool


@dataclass(frozen=True, slots=True)
class Joined:
    """Several conditions by one word."""

    word: Literal["AND", "OR"]
    parts: tuple[Condition, ...]


Condition = Compare | IsNull | Exists | Joined


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class _Term:
    """A condition, and whether it stood in parentheses."""

    condition: Condition
    wrapped: bool


_END = _Token("end", "")


def parse_search(text: str, *, strict: bool = False) -> Condition:
    """The tree of a `searchspec` attribute. Raises MalformedSearch."""
    return _Parser(_tokens(text), None, strict=strict).whole()


def parse_content(tag: str, text: str, *, strict: bool = False) -> Condition:
    """The tree of what a field's element holds: `>= '5'`, `IS NULL`, `(= 'a') OR (= 'b')`, all about that field.

    Raises MalformedSearch.
    """
    return _Parser(_tokens(text), tag, strict=strict).whole()


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise MalformedSearch(f"nothing can begin with {text[at]!r} at position {at}")
        kind = str(match.lastgroup)
        if kind == "literal":
            found.append(_Token(kind, match["literal"].replace("''", "'")))
        elif kind == "word":
            word = match["word"].upper()
            if word not in _KEYWORDS:
                raise MalformedSearch(f"{match['word']!r} is no word of the language")
            found.append(_Token("sign" if word in ("LIKE", "~LIKE") else "word", word))
        elif kind != "space":
            found.append(_Token(kind, match[kind]))
        at = match.end()
    return found


class _Parser:
    """Recursive descent; `about` is the field of an element's content, which names none itself."""

    def __init__(self, tokens: list[_Token], about: str | None, *, strict: bool) -> None:
        self._tokens = tokens
        self._about = about
        self._strict = strict
        self._at = 0
        self._depth = 0

    def whole(self) -> Condition:
        condition = self._expression()
        if self._peek() is not _END:
            raise MalformedSearch(f"{self._peek().text!r} follows a whole condition")
        return condition

    def _peek(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _take(self, kind: str, text: str | None = None) -> _Token | None:
        token = self._peek()
        if token.kind != kind or (text is not None and token.text != text):
            return None
        self._at += 1
        return token

    def _need(self, kind: str, text: str | None = None) -> _Token:
        found = self._take(kind, text)
        if found is None:
            raise MalformedSearch(f"{text or 'a ' + kind} was expected, not {self._peek().text or 'the end'!r}")
        return found

    def _expression(self) -> Condition:
        alternatives = [self._conjunction()]
        while self._take("word", "OR"):
            alternatives.append(self._conjunction())
        terms = [term for group in alternatives for term in group]
        if self._strict and any(term.wrapped is (len(terms) == 1) for term in terms):
            raise MalformedSearch("joined terms stand in parentheses, a lone one does not")
        return _join("OR", [_join("AND", [term.condition for term in group]) for group in alternatives])

    def _conjunction(self) -> list[_Term]:
        terms = [self._term()]
        while self._take("word", "AND"):
            terms.append(self._term())
        return terms

    def _term(self) -> _Term:
        if self._take("bracket", "("):
            return _Term(self._closed(), wrapped=True)
        if self._take("word", "NOT"):
            self._need("word", "EXISTS")
            return _Term(self._exists(negated=True), wrapped=False)
        if self._take("word", "EXISTS"):
            return _Term(self._exists(negated=False), wrapped=False)
        return _Term(self._condition(), wrapped=False)

    def _closed(self) -> Condition:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise MalformedSearch(f"more than {_MAX_DEPTH} parentheses within each other")
        condition = self._expression()
        self._need("bracket", ")")
        self._depth -= 1
        return condition

    def _exists(self, *, negated: bool) -> Exists:
        if self._about is not None:
            raise MalformedSearch("EXISTS has no place within an element")
        self._need("bracket", "(")
        return Exists(self._closed(), negated)

    def _condition(self) -> Condition:
        tag = self._about if self._about is not None else self._need("field").text
        if self._take("word", "IS"):
            negated = self._take("word", "NOT") is not None
            self._need("word", "NULL")
            return IsNull(tag, negated)
        operator = self._need("sign").text
        return Compare(tag, operator, self._need("literal").text)


def _join(word: Literal["AND", "OR"], parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))
