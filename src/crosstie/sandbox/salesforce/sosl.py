"""SOSL: what a search asks for.

Source: "SOSL Syntax", "FIND {SearchQuery}", SOQL and SOSL Reference. Clauses that need what the sandbox's org does not
have (divisions, data categories, networks, snippets) are refused.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crosstie.sandbox.salesforce.errors import ApiError

MOST_ROWS = 2000
_FIND = re.compile(r"\s*FIND\s*\{((?:\\.|[^}\\])*)\}(.*)", re.IGNORECASE | re.DOTALL)
_CLAUSES = re.compile(
    r"\s*(?:IN\s+(?P<group>ALL|NAME|EMAIL|PHONE|SIDEBAR)\s+FIELDS)?"
    r"\s*(?:RETURNING\s+(?P<returning>.*?))?"
    r"\s*(?:LIMIT\s+(?P<limit>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_SPEC = re.compile(r"\s*(?P<object>\w+)\s*(?:\((?P<inner>.*)\))?\s*", re.DOTALL)
_INNER = re.compile(
    r"\s*(?P<fields>.*?)(?:\s+WHERE\s+(?P<where>.*?))?(?:\s+ORDER\s+BY\s+(?P<order>.*?))?"
    r"(?:\s+LIMIT\s+(?P<limit>\d+))?(?:\s+OFFSET\s+(?P<offset>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_TERM = re.compile(r'\s*(?:(?P<sign>[()])|"(?P<phrase>(?:\\.|[^"\\])*)"|(?P<word>(?:\\.|[^\s()"])+))')

FIELD_END = "\x1f"
"""What stands between two fields in a text that is searched: no phrase goes over it."""
_GAP = rf"[^\w{FIELD_END}]+"
Finds = Callable[[str], bool]
"""Whether a text in `str.casefold` form holds what is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """One object of RETURNING: what to show of its hits, as SOQL says it."""

    object: str
    fields: tuple[str, ...] = ("Id",)
    where: str | None = None
    order: str | None = None
    limit: int | None = None
    offset: int | None = None

    def soql(self, ids: list[str]) -> str:
        """The query of these hits."""
        listed = ",".join(f"'{each}'" for each in ids)
        text = f"SELECT {','.join(self.fields)} FROM {self.object} WHERE Id IN ({listed})"
        text += f" AND ({self.where})" if self.where else ""
        text += f" ORDER BY {self.order or 'Id'}"
        text += f" LIMIT {self.limit}" if self.limit is not None else ""
        return text + (f" OFFSET {self.offset}" if self.offset is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search: what to find, in which fields (`ALL`, `NAME`, …), and what to return; nothing means all objects."""

    finds: Finds
    group: str = "ALL"
    returning: tuple[Returned, ...] = ()
    limit: int = MOST_ROWS


def parse_search(text: str) -> Search:
    """Reads SOSL. Raises ApiError with MALFORMED_SEARCH."""
    match = _FIND.fullmatch(text)
    if match is None or not match[1].strip():
        raise _malformed("No search term found. The search term must be enclosed in braces.")
    rest = match[2]
    clauses = _CLAUSES.fullmatch(_masked(rest))
    if clauses is None:
        raise _malformed(f"unexpected token: {rest.strip()[:40]}")
    returning: tuple[Returned, ...] = ()
    if clauses["returning"] is not None:
        start, end = clauses.span("returning")
        returning = tuple(_returned(piece) for piece in _pieces(rest[start:end]))
    return Search(
        finds=parse_terms(match[1]),
        group=(clauses["group"] or "ALL").upper(),
        returning=returning,
        limit=min(int(clauses["limit"] or MOST_ROWS), MOST_ROWS),
    )


def parse_terms(text: str) -> Finds:
    """Reads what stands between the braces: words, phrases, wildcards, AND, OR, AND NOT and parentheses."""
    tokens = list(_tokens(text))
    found, rest = _either(tokens)
    if rest:
        raise _malformed(f"unexpected token: {rest[0][1]}")
    return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    text = text.strip()
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None:
            raise _malformed(f"unexpected token: {text[at:]}")
        at = match.end()
        kind = match.lastgroup or ""
        token = match[kind]
        if kind == "word" and token.upper() in ("AND", "OR", "NOT"):
            yield "sign", token.upper()
        else:
            yield kind, token


Tokens = list[tuple[str, str]]


def _either(tokens: Tokens) -> tuple[Finds, Tokens]:
    left, rest = _both(tokens)
    while rest and rest[0] == ("sign", "OR"):
        right, rest = _both(rest[1:])
        left = _or(left, right)
    return left, rest


def _both(tokens: Tokens) -> tuple[Finds, Tokens]:
    left, rest = _single(tokens)
    while rest and rest[0] not in (("sign", "OR"), ("sign", ")")):
        if rest[0] == ("sign", "AND"):
            rest = rest[1:]
        # Words one after the other are joined by AND.
        right, rest = _single(rest)
        left = _and(left, right)
    return left, rest


def _single(tokens: Tokens) -> tuple[Finds, Tokens]:
    if not tokens:
        raise _malformed("unexpected end of the search term")
    kind, token = tokens[0]
    if (kind, token) == ("sign", "NOT"):
        inner, rest = _single(tokens[1:])
        return (lambda text: not inner(text)), rest
    if (kind, token) == ("sign", "("):
        inner, rest = _either(tokens[1:])
        if not rest or rest[0] != ("sign", ")"):
            raise _malformed("missing closing parenthesis")
        return inner, rest[1:]
    if kind == "sign":
        raise _malformed(f"unexpected token: {token}")
    return _word(token), tokens[1:]


def _and(left: Finds, right: Finds) -> Finds:
    return lambda text: left(text) and right(text)


def _or(left: Finds, right: Finds) -> Finds:
    return lambda text: left(text) or right(text)


def _word(text: str) -> Finds:
    """Whole words, in the order given; `*` stands for any ending or middle, `?` for one character."""
    plain = re.sub(r"\\(.)", r"\1", text)
    if len(plain.strip("*?")) < 2:
        raise _malformed(f"search term must be longer than one character: {plain}")
    pieces = re.findall(r"\\.|[\w*?]+", text.casefold())
    words = [re.escape(piece).replace(r"\*", r"\w*").replace(r"\?", r"\w") for piece in pieces if piece[0] != "\\"]
    pattern = re.compile(r"(?<!\w)" + _GAP.join(words) + r"(?!\w)")
    return lambda folded: pattern.search(folded) is not None


def _masked(text: str) -> str:
    """The text with quoted strings and what parentheses hold blanked, so that keywords in them are none."""
    text = re.sub(r"'(?:\\.|[^'\\])*'", lambda match: "x" * len(match[0]), text)
    depth = 0
    shown = []
    for character in text:
        depth -= character == ")"
        shown.append("x" if depth > 0 else character)
        depth += character == "("
    return "".join(shown)


def _pieces(text: str) -> Iterator[str]:
    """Cuts at the commas outside of parentheses and quotes."""
    start = 0
    masked = _masked(text)
    for at, character in enumerate(masked):
        if character == ",":
            yield text[start:at]
            start = at + 1
    yield text[start:]


def _returned(text: str) -> Returned:
    match = _SPEC.fullmatch(text)
    if match is None:
        raise _malformed(f"unexpected token: {text.strip()[:40]}")
    inner = match["inner"]
    if inner is None:
        return Returned(object=match["object"])
    parts = _INNER.fullmatch(_masked(inner))
    if parts is None or not parts["fields"]:
        raise _malformed(f"unexpected token: {inner.strip()[:40]}")

    def piece(name: str) -> str | None:
        start, end = parts.span(name)
        return None if start < 0 else inner[start:end]

    return Returned(
        object=match["object"],
        fields=tuple(field.strip() for field in _pieces(piece("fields") or "")),
        where=piece("where"),
        order=piece("order"),
        limit=None if parts["limit"] is None else int(parts["limit"]),
        offset=None if parts["offset"] is None else int(parts["offset"]),
    )


def _malformed(message: str) -> ApiError:
    return ApiError(400, "MALFORMED_SEARCH", message)
