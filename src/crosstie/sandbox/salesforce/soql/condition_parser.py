"""Reads the conditions of WHERE and HAVING.

Salesforce's grammar has no precedence between AND and OR: one level holds one operator, and NOT stands alone or in
parentheses ("SOQL SELECT Syntax", conditionExpression), so `a AND b OR c` and `a AND NOT b` are MALFORMED_QUERY.
"""

from __future__ import annotations

from abc import abstractmethod

from crosstie.sandbox.salesforce.soql import lexer
from crosstie.sandbox.salesforce.soql.reader import OperandParser
from crosstie.sandbox.salesforce.soql.syntax import (
    Call,
    Comparison,
    Condition,
    Inclusion,
    Junction,
    Literal,
    Membership,
    Negation,
    Path,
    Query,
    SemiJoin,
)

_OPERATORS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


class ConditionParser(OperandParser):
    """Reads conditions; the queries inside them are read by the class that knows whole queries."""

    @abstractmethod
    def query(self, *, nested: bool, inner: bool = False) -> Query:
        """A query; `nested` inside parentheses, `inner` as the right side of a semi-join."""

    def condition(self) -> Condition:
        """A condition up to the closing parenthesis or the next clause."""
        if self.accept_word("NOT"):
            return Negation(part=self._simple())
        parts = [self._simple()]
        operator = self.accept_word("AND", "OR")
        if operator is None:
            return parts[0]
        parts.append(self._simple())
        while self.accept_word(operator):
            parts.append(self._simple())
        return Junction(operator=operator, parts=tuple(parts))

    def _simple(self) -> Condition:
        if self.current.word == "NOT":
            raise self.unexpected()
        if self.accept("("):
            self.deeper()
            inside = self.condition()
            self.expect(")")
            self.shallower()
            return inside
        return self._field_condition()

    def _field_condition(self) -> Condition:
        at = self.current.at
        left = self.operand()
        word = self.accept_word("LIKE", "IN", "NOT", "INCLUDES", "EXCLUDES")
        if word == "LIKE":
            return Comparison(left=left, operator="LIKE", value=self.literal(), at=at)
        if word in ("INCLUDES", "EXCLUDES"):
            return Inclusion(left=left, negated=word == "EXCLUDES", values=self._values(), at=at)
        if word in ("IN", "NOT"):
            if word == "NOT":
                self.expect_word("IN")
            return self._membership(left, word == "NOT", at)
        if self.current.kind == lexer.SYMBOL and self.current.text in _OPERATORS:
            operator = _OPERATORS[self.advance().text]
            return Comparison(left=left, operator=operator, value=self.literal(), at=at)
        raise self.unexpected()

    def _membership(self, left: Path | Call, negated: bool, at: int) -> Condition:
        if self.current.text == "(" and self.following.word == "SELECT":
            self.expect("(")
            query = self.query(nested=True, inner=True)
            self.expect(")")
            return SemiJoin(left=left, negated=negated, query=query, at=at)
        return Membership(left=left, negated=negated, values=self._values(), at=at)

    def _values(self) -> tuple[Literal, ...]:
        self.expect("(")
        values = [self.literal()]
        while self.accept(","):
            values.append(self.literal())
        self.expect(")")
        return tuple(values)
