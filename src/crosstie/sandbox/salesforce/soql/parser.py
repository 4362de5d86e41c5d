"""Reads the tokens of a SOQL query into its syntax tree.

Grammar and clause order: SOQL and SOSL Reference, "SOQL SELECT Syntax"; what doesn't fit is MALFORMED_QUERY with the
token that was not expected, as the service says it.
"""

from __future__ import annotations

from crosstie.sandbox.salesforce.soql import lexer
from crosstie.sandbox.salesforce.soql.condition_parser import ConditionParser
from crosstie.sandbox.salesforce.soql.errors import SoqlError, located
from crosstie.sandbox.salesforce.soql.reader import CLAUSES
from crosstie.sandbox.salesforce.soql.syntax import (
    AGGREGATES,
    Call,
    Condition,
    Operand,
    Ordering,
    Path,
    Query,
    Selected,
    SelectedChildren,
    SelectedFields,
    SelectedTypeof,
    SelectEntry,
    Source,
    TypeofBranch,
)

MAX_OFFSET = 2_000


def parse(text: str) -> Query:
    """The syntax tree of a query. Raises SoqlError (MALFORMED_QUERY, NUMBER_OUTSIDE_VALID_RANGE and others)."""
    parser = QueryParser(text)
    query = parser.query(nested=False)
    parser.expect_end()
    return query


class QueryParser(ConditionParser):
    """Reads a query and the queries nested in it."""

    def query(self, *, nested: bool, inner: bool = False) -> Query:
        """A query; `nested` inside parentheses (no FOR, no ALL ROWS), `inner` as the right side of a semi-join."""
        self.deeper()
        at = self.current.at
        self.expect_word("SELECT")
        select = self._select_list()
        self.expect_word("FROM")
        sources = self._sources()
        if self.accept_word("USING"):
            self.expect_word("SCOPE")
            if self.current.word != "EVERYTHING":
                raise self.unexpected()
            self.advance()
        where: Condition | None = self.condition() if self.accept_word("WHERE") else None
        group_by: tuple[Path | Call, ...] = ()
        having: Condition | None = None
        mode: str | None = None
        if self.accept_word("GROUP"):
            mode, group_by = self._grouping()
            having = self.condition() if self.accept_word("HAVING") else None
        order_by = () if inner else self._order_by()
        limit = self._limit() if not inner else None
        offset_at = self.current.at
        offset = self._offset() if not nested else None
        all_rows = False if nested else self._tail()
        self.shallower()
        return Query(
            select=select,
            sources=sources,
            where=where,
            group_by=group_by,
            group_mode=mode,
            having=having,
            order_by=order_by,
            limit=limit,
            offset=offset,
            offset_at=offset_at,
            all_rows=all_rows,
            at=at,
        )

    def _select_list(self) -> tuple[SelectEntry, ...]:
        entries = [self._select_entry()]
        while self.accept(","):
            entries.append(self._select_entry())
        return tuple(entries)

    def _select_entry(self) -> SelectEntry:
        token = self.current
        if self.accept("("):
            query = self.query(nested=True)
            self.expect(")")
            return SelectedChildren(query=query, at=token.at)
        if token.word == "TYPEOF" and self.following.kind == lexer.NAME:
            return self._typeof()
        if token.word == "FIELDS" and self.following.text == "(":
            self.advance()
            self.advance()
            kind = self.expect_word("ALL", "STANDARD", "CUSTOM")
            self.expect(")")
            return SelectedFields(kind=kind, at=token.at)
        operand = self.operand()
        alias = None
        if self.current.kind == lexer.NAME and self.current.word not in CLAUSES and "." not in self.current.text:
            alias = self.advance().text
        return Selected(operand=operand, alias=alias, at=token.at)

    def _typeof(self) -> SelectedTypeof:
        at = self.advance().at
        relationship = self.path()
        branches: list[TypeofBranch] = []
        while self.current.word == "WHEN":
            when = self.advance()
            name = self.path().text
            if any(name.lower() == branch.object_name.lower() for branch in branches):
                message = f"WHEN clause operand [{name}] is not unique"
                raise located("MALFORMED_QUERY", self.text, when.at, message)
            self.expect_word("THEN")
            branches.append(TypeofBranch(object_name=name, fields=self._names(), at=when.at))
        if not branches:
            raise self.unexpected()
        otherwise = self._names() if self.accept_word("ELSE") else ()
        self.expect_word("END")
        return SelectedTypeof(relationship=relationship, branches=tuple(branches), otherwise=otherwise, at=at)

    def _names(self) -> tuple[Path, ...]:
        names = [self.path()]
        while self.accept(","):
            names.append(self.path())
        return tuple(names)

    def _sources(self) -> tuple[Source, ...]:
        sources = [self._source()]
        while self.accept(","):
            sources.append(self._source())
        return tuple(sources)

    def _source(self) -> Source:
        path = self.path()
        self.accept_word("AS")
        alias = None
        if self.current.kind == lexer.NAME and self.current.word not in CLAUSES and "." not in self.current.text:
            alias = self.advance().text
        return Source(path=path, alias=alias)

    def _grouping(self) -> tuple[str | None, tuple[Path | Call, ...]]:
        self.expect_word("BY")
        if self.current.word in ("ROLLUP", "CUBE") and self.following.text == "(":
            mode = self.advance().word
            self.advance()
            items = self._operands()
            self.expect(")")
            return mode, items
        return None, self._operands()

    def _operands(self) -> tuple[Path | Call, ...]:
        items = [self.operand()]
        while self.accept(","):
            items.append(self.operand())
        return tuple(items)

    def _order_by(self) -> tuple[Ordering, ...]:
        if not self.accept_word("ORDER"):
            return ()
        self.expect_word("BY")
        items = [self._ordering()]
        while self.accept(","):
            items.append(self._ordering())
        return tuple(items)

    def _ordering(self) -> Ordering:
        at = self.current.at
        operand = self.operand()
        descending = self.accept_word("ASC", "DESC") == "DESC"
        nulls_first: bool | None = None
        if self.accept_word("NULLS"):
            nulls_first = self.expect_word("FIRST", "LAST") == "FIRST"
        return Ordering(operand=operand, descending=descending, nulls_first=nulls_first, at=at)

    def _limit(self) -> int | None:
        return self.integer() if self.accept_word("LIMIT") else None

    def _offset(self) -> int | None:
        if not self.accept_word("OFFSET"):
            return None
        offset = self.integer()
        if offset > MAX_OFFSET:
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MAX_OFFSET}")
        return offset

    def _tail(self) -> bool:
        """FOR VIEW, FOR REFERENCE, FOR UPDATE, UPDATE TRACKING|VIEWSTAT change nothing here; ALL ROWS does."""
        while self.accept_word("FOR"):
            self.expect_word("VIEW", "REFERENCE", "UPDATE")
        if self.accept_word("UPDATE"):
            self.expect_word("TRACKING", "VIEWSTAT")
            while self.accept(","):
                self.expect_word("TRACKING", "VIEWSTAT")
        if self.accept_word("ALL"):
            self.expect_word("ROWS")
            return True
        return False


def is_aggregate(operand: Operand) -> bool:
    """True for COUNT, SUM and the like."""
    return isinstance(operand, Call) and operand.name in AGGREGATES
