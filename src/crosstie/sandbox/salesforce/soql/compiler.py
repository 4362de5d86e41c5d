"""Compiles a parsed query to SQLite SQL and the layout of its records."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from crosstie.sandbox.fragments import Sql, quoted, sql_join
from crosstie.sandbox.salesforce.catalog import SObject
from crosstie.sandbox.salesforce.soql import expressions
from crosstie.sandbox.salesforce.soql.bounds import implied
from crosstie.sandbox.salesforce.soql.conditions import ConditionCompiler
from crosstie.sandbox.salesforce.soql.errors import SoqlError, too_complicated
from crosstie.sandbox.salesforce.soql.expressions import Value, value_of
from crosstie.sandbox.salesforce.soql.grouping import Grouping, is_grouped
from crosstie.sandbox.salesforce.soql.layout import Children, Node, Output, SelectItem
from crosstie.sandbox.salesforce.soql.scope import Column, Context, Scope, unknown_children, unsupported_object
from crosstie.sandbox.salesforce.soql.selection import Selection, bulk_refusal
from crosstie.sandbox.salesforce.soql.syntax import Call, Ordering, Path, Query, Selected, SemiJoin

MAX_PARAMETERS = 32_000
MAX_SQL_CHARACTERS = 900_000
MAX_CHILD_LEVELS = 4
_MAX_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A query as SQL. `node` is None for grouped queries, `counting` True for SELECT COUNT()."""

    sobject: SObject
    root_alias: str
    items: tuple[SelectItem, ...]
    columns: tuple[Sql, ...]
    node: Node | None
    counting: bool
    tables: Sql
    conditions: Sql
    order: Sql
    paging: Sql

    @property
    def body(self) -> Sql:
        """Everything between the SELECT list and ORDER BY."""
        return self.tables + self.conditions

    @property
    def statement(self) -> Sql:
        """The whole SELECT."""
        return Sql("SELECT ") + sql_join(", ", list(self.columns)) + self.body + self.order + self.paging

    @property
    def count_statement(self) -> Sql:
        """SELECT of the number of rows of `statement`."""
        columns = Sql("1") if self.node is not None else sql_join(", ", list(self.columns))
        return Sql("SELECT COUNT(*) FROM (SELECT ") + columns + self.body + self.paging + Sql(")")

    @property
    def ids_statement(self) -> Sql:
        """SELECT of the ids of the root's records only, in the order of `statement`."""
        return Sql(f'SELECT {self.root_alias}."Id"') + self.body + self.order + self.paging

    def rows_statement(self, ids: list[str]) -> Sql:
        """SELECT of the same columns for records given by id, whatever the conditions; the Id is added at the end."""
        columns = sql_join(", ", [*self.columns, Sql(f'{self.root_alias}."Id"')])
        chosen = Sql(f' WHERE {self.root_alias}."Id" IN (SELECT value FROM json_each(?))', (json.dumps(ids),))
        return Sql("SELECT ") + columns + self.tables + chosen


@dataclass(slots=True, kw_only=True)
class QueryCompiler:
    """Compiles one level of a query."""

    context: Context
    query: Query
    scope: Scope
    inner: bool = False
    level: int = 0

    @classmethod
    def of_root(cls, context: Context, query: Query) -> QueryCompiler:
        """A compiler for a whole query. Raises INVALID_TYPE for an unknown object."""
        source = query.sources[0]
        sobject = context.catalog.object(source.path.text)
        if sobject is None:
            raise unsupported_object(context, source.path.text, source.path.at)
        if not sobject.queryable:
            message = f"entity type {sobject.name} does not support query"
            raise SoqlError("INVALID_TYPE_FOR_OPERATION", message)
        scope = Scope.open(context, sobject)
        if source.alias is not None:
            scope.aliases[source.alias.lower()] = ()
        for more in query.sources[1:]:
            names = scope.expanded(more.path)
            parent = scope.parent(names, more.path.at)
            scope.aliases[(more.alias or names[-1]).lower()] = parent.path
        return cls(context=context, query=query, scope=scope)

    def compiled(self) -> Compiled:
        """The query as SQL. Raises SoqlError."""
        query, context = self.query, self.context
        grouped = is_grouped(query)
        if context.bulk and grouped:
            raise bulk_refusal("Aggregate Relationships not supported in Bulk Query")
        if context.bulk and query.offset is not None:
            raise bulk_refusal("OFFSET not supported in Bulk Query")
        where = self._where()
        if grouped:
            return self._compiled_grouped(where)
        selection = self._selection()
        order = self._order(query.order_by, self._value)
        by_id = f', {self.scope.root.targets[0].alias}."Id"'
        order = order + Sql(by_id) if order.text and not order.text.endswith(by_id) else order
        if context.bulk and not order.text:
            # Bulk cuts a query by ranges of its primary key, so results come by id although nobody may rely on it.
            # The plus keeps SQLite from walking the whole table by id where a condition has an index of its own.
            order = Sql(f" ORDER BY {'+' if where.text else ''}{by_id[2:]}")
        return self._finished(
            items=tuple(selection.items),
            output=selection.output,
            node=selection.root,
            counting=False,
            conditions=where,
            order=order,
        )

    def _compiled_grouped(self, where: Sql) -> Compiled:
        grouping = Grouping(scope=self.scope, query=self.query)
        grouping.check()
        output = Output(repeat=True)
        items = grouping.items(output)
        having = Sql("")
        if self.query.having is not None:
            compiler = ConditionCompiler(scope=self.scope, value=grouping.value, semi_join=None)
            having = Sql(" HAVING ") + compiler.condition(self.query.having)
        order = self._order(self.query.order_by, grouping.ordered)
        return self._finished(
            items=items,
            output=output,
            node=None,
            counting=grouping.counting,
            conditions=where + grouping.group_by() + having,
            order=order,
        )

    def _finished(
        self,
        *,
        items: tuple[SelectItem, ...],
        output: Output,
        node: Node | None,
        counting: bool,
        conditions: Sql,
        order: Sql,
    ) -> Compiled:
        compiled = Compiled(
            sobject=self.scope.sobject,
            root_alias=self.scope.root.targets[0].alias,
            items=items,
            columns=tuple(output.columns),
            node=node,
            counting=counting,
            tables=Sql(f" FROM {self.scope.from_sql}"),
            conditions=conditions,
            order=order,
            paging=self._paging(),
        )
        statement = compiled.statement
        if len(statement.params) > MAX_PARAMETERS or len(statement.text) > MAX_SQL_CHARACTERS:
            raise too_complicated()
        return compiled

    def _where(self) -> Sql:
        parts: list[Sql] = []
        if self.query.where is not None:
            compiler = ConditionCompiler(
                scope=self.scope, value=self._value, semi_join=None if self.inner else self._semi_join
            )
            parts.append(compiler.condition(self.query.where))
            parts.extend(implied(self.context, self._value, self.query.where))
        if self.scope.sobject.field("IsDeleted") and not self.context.include_deleted:
            # The plus sign keeps SQLite from choosing an index for a condition that nearly every row meets.
            parts.append(Sql(f'+{self.scope.root.targets[0].alias}."IsDeleted" = 0'))
        return Sql(" WHERE ") + sql_join(" AND ", parts) if parts else Sql(" WHERE 1")

    def _value(self, operand: Path | Call) -> Value:
        return value_of(self.scope, operand)

    def _selection(self) -> Selection:
        selection = Selection(scope=self.scope, children=self._children)
        for entry in self.query.select:
            selection.add(entry, self.query)
        return selection

    def _order(self, orderings: tuple[Ordering, ...], value: Callable[[Path | Call], Value]) -> Sql:
        keys = [key for ordering in orderings for key in self._order_keys(ordering, value(ordering.operand))]
        return Sql(" ORDER BY ") + sql_join(", ", keys) if keys else Sql("")

    def _order_keys(self, ordering: Ordering, value: Value) -> list[Sql]:
        """ORDER BY items: nulls come first unless the query says otherwise, in both directions.

        Source: SOQL and SOSL Reference, "ORDER BY": "By default, null values are sorted first."
        """
        field_ = value.column.field if value.column is not None else None
        if field_ is not None and (not field_.sortable or field_.is_compound):
            message = f"field '{value.name}' can not be sorted in a query call"
            raise self.context.error("MALFORMED_QUERY", ordering.at, message)
        direction = " DESC" if ordering.descending else ""
        of_root = value.column is not None and not value.column.parent.path
        never_null = of_root and field_ is not None and not field_.nillable
        first = ordering.nulls_first is not False
        nulls = "" if never_null or first != ordering.descending else f" NULLS {'FIRST' if first else 'LAST'}"
        return [key + Sql(direction + nulls) for key in value.sort_keys]

    def _paging(self) -> Sql:
        query = self.query
        if query.limit is None and query.offset is None:
            return Sql("")
        limit = _MAX_LIMIT if query.limit is None else min(query.limit, _MAX_LIMIT)
        return Sql(" LIMIT ? OFFSET ?", (limit, query.offset or 0))

    def _children(self, query: Query, at: int) -> tuple[str, Children]:
        """A child subquery. Its name may be written behind the parent's name or alias: `FROM Account.Contacts`."""
        path = query.sources[0].path
        name = self.scope.expanded(path)[-1]
        relationship = self.scope.sobject.child_relationship(name)
        child = self.context.catalog.object(relationship.child_object) if relationship else None
        key = child.field(relationship.field) if child is not None and relationship is not None else None
        if relationship is None or child is None or key is None:
            raise unknown_children(self.context, name, path.at)
        if self.level >= MAX_CHILD_LEVELS:
            message = "In each specified relationship, no more than five levels of parent-to-child can be specified."
            raise self.context.error("MALFORMED_QUERY", at, message)
        if is_grouped(query) or len(query.sources) > 1:
            message = "Aggregate expressions are not supported in child relationship queries"
            raise self.context.error("MALFORMED_QUERY", at, message)
        scope = Scope.open(self.context, child)
        if query.sources[0].alias is not None:
            scope.aliases[query.sources[0].alias.lower()] = ()
        scope.aliases.setdefault(name.lower(), ())
        compiler = QueryCompiler(context=self.context, query=query, scope=scope, level=self.level + 1)
        return str(relationship.relationship_name), compiler.as_children(key.name)

    def as_children(self, key: str) -> Children:
        """This query as a child subquery: its rows for many parents at once, the parent's id at the end of each."""
        where = self._where()
        selection = self._selection()
        order = self._order(self.query.order_by, self._value)
        alias = self.scope.root.targets[0].alias
        order = (order if order.text else Sql(" ORDER BY ")) + Sql(f'{", " if order.text else ""}{alias}."Id"')
        named = [column + Sql(f" AS c{place}") for place, column in enumerate(selection.output.columns)]
        parent = f"{alias}.{quoted(key)}"
        numbered = Sql(f"ROW_NUMBER() OVER (PARTITION BY {parent}") + order + Sql(") AS place")
        inner = Sql("SELECT ") + sql_join(", ", [*named, Sql(f"{parent} AS parent"), numbered])
        inner = inner + Sql(f" FROM {self.scope.from_sql}") + where
        # The limit is not bound, so that the parents' ids stay the last parameter.
        limit = "" if self.query.limit is None else f" WHERE place <= {min(self.query.limit, _MAX_LIMIT)}"
        outer = ", ".join([*(f"c{place}" for place in range(len(named))), "parent"])
        of_parents = Sql(f" AND {parent} IN (SELECT value FROM json_each(?)))")
        sql = Sql(f"SELECT {outer} FROM (") + inner + of_parents + Sql(f"{limit} ORDER BY parent, place")
        return Children(sql=sql, node=selection.root)

    def _semi_join(self, condition: SemiJoin) -> Sql:
        """The inner query of a semi-join as SQL of one column without nulls."""
        inner = condition.query
        compiler = QueryCompiler.of_root(self.context, inner)
        compiler.inner = True
        column = compiler.id_column()
        if compiler.scope.sobject is self.scope.sobject:
            message = "The inner and outer selects should not be on the same object type"
            raise self.context.error("MALFORMED_QUERY", condition.at, message)
        left = self.scope.column(condition.left) if isinstance(condition.left, Path) else None
        if left is not None and not _objects(left, self.scope) & _objects(column, compiler.scope):
            message = (
                f"The selected field '{column.field.name}' in the subquery and the left operand field in the where"
                f" expression in the outer query '{left.field.name}' should point to the same object type"
            )
            raise self.context.error("MALFORMED_QUERY", condition.at, message)
        where = compiler._where()
        chosen = Sql(f"SELECT {column.sql} FROM {compiler.scope.from_sql}")
        return chosen + where + Sql(f" AND {column.sql} IS NOT NULL")

    def id_column(self) -> Column:
        """The one id or reference that the inner query of a semi-join selects. Raises MALFORMED_QUERY."""
        entry = self.query.select[0]
        single = len(self.query.select) == 1 and isinstance(entry, Selected) and not self.query.group_by
        if not single or not isinstance(entry, Selected) or isinstance(entry.operand, Call):
            message = "Semi join sub-selects can only query one id field"
            raise self.context.error("MALFORMED_QUERY", self.query.at, message)
        column = self.scope.column(entry.operand)
        if expressions.kind_of(column.field) != expressions.ID or column.parent.path:
            message = f"Semi join sub-selects can only query id fields, cannot use: '{entry.operand.text}'"
            raise self.context.error("MALFORMED_QUERY", entry.at, message)
        return column


def _objects(column: Column, scope: Scope) -> frozenset[str]:
    """What an id points to: for an Id field, its own object."""
    names = frozenset(name.lower() for name in column.field.reference_to)
    return names or frozenset({scope.sobject.name.lower()})
