"""An expression, parsed and typed: what activities hold and put into their statements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC

from crosstie.db.database import Dialect
from crosstie.db.expressions.agreement import TEXT
from crosstie.db.expressions.nodes import (
    ColumnNode,
    LiteralNode,
    MomentNode,
    Node,
    NullNode,
    OperationNode,
    VariableNode,
)
from crosstie.db.expressions.rendering import Renderer
from crosstie.db.expressions.scope import Scope
from crosstie.db.expressions.values import Binding, fit_variable, storage
from crosstie.errors import ConfigError, MappingError
from crosstie.model import Column, ColumnType

# Far beyond what people write; the databases' own parsers give up at a thousand.
_DEEPEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A parsed expression. `text` is what the person wrote, `root` its typed tree."""

    text: str
    root: Node

    @property
    def type(self) -> ColumnType:
        """The type of the value."""
        return self.root.type or TEXT

    @property
    def columns(self) -> tuple[tuple[str, Column], ...]:
        """The columns used, each once, with the scope's qualifier ('' for none), in order of appearance."""
        found = ((node.qualifier, node.column) for node in _walk(self.root) if isinstance(node, ColumnNode))
        return tuple(dict.fromkeys(found))

    @property
    def is_column(self) -> str:
        """The column's name when the expression is nothing but a column, else ''."""
        return self.root.column.name if isinstance(self.root, ColumnNode) else ""

    @property
    def variables(self) -> tuple[tuple[str, str], ...]:
        """The variables used, as (path, name); the path is `vars` or `instance/vars`."""
        found = ((node.path, node.name) for node in _walk(self.root) if isinstance(node, VariableNode))
        return tuple(dict.fromkeys(found))

    @property
    def needs_binding(self) -> bool:
        """Whether the task's clock, zone or variables are part of it, so that `params` needs a Binding."""
        return any(isinstance(node, MomentNode | VariableNode) for node in _walk(self.root))

    def column(self, name: str) -> Column:
        """The column of a work table that holds the value: type, length and scale are those of the expression."""
        if isinstance(self.root, ColumnNode):
            return self.root.column.named(name)
        return Column(name=name, type=self.type, length=self.root.length, scale=self.root.scale)

    def sql(self, dialect: Dialect, qualifiers: Mapping[str, str] | None = None, *, prefix: str = "p") -> str:
        """The SQL, with parameters `:p0`, `:p1` …; `qualifiers` gives the SQL alias of each qualifier of the scope.

        Expressions that stand in one statement take different prefixes. Nothing of a person's text is in the SQL but
        names of columns that exist, quoted."""
        return self._rendered(dialect, qualifiers or {}, prefix)[0]

    def params(self, dialect: Dialect, binding: Binding | None = None, *, prefix: str = "p") -> dict[str, object]:
        """The values of those parameters. Raises ConfigError for a variable that is not set or does not fit."""
        bound = self._rendered(dialect, {}, prefix)[1]
        return {name: _value(node, dialect, binding) for name, node in bound.items()}

    def _rendered(self, dialect: Dialect, qualifiers: Mapping[str, str], prefix: str) -> tuple[str, dict[str, Node]]:
        renderer = Renderer(dialect=dialect, qualifiers=qualifiers, prefix=prefix)
        text = renderer.write(self.root, top=True)
        return text, renderer.bound


def parse_expression(text: str, scope: Scope) -> Expression:
    """Parses an expression against the columns in scope.

    Raises ConfigError for what cannot be read or is not in the closed list (naming it), MappingError for an unknown
    column (with close matches and the list) or types that do not go together."""
    from crosstie.db.expressions.parsing import read

    try:
        root = read(text, scope)
    except RecursionError as error:
        raise _too_deep(text) from error
    if _depth(root) > _DEEPEST:
        raise _too_deep(text)
    if root.type is None:
        root = NullNode(type=TEXT) if isinstance(root, NullNode) else _as_text(root)
    return Expression(text=text, root=root)


def parse_condition(text: str, scope: Scope) -> Expression:
    """The same, for what must be true or false. Raises MappingError when it is not."""
    parsed = parse_expression(text, scope)
    if parsed.type is not ColumnType.BOOLEAN:
        raise MappingError(
            f"“{text}” is not a condition: it gives {parsed.type.value}.",
            hint="Compare it, like … = … or … is not null.",
        )
    return parsed


def _too_deep(text: str) -> ConfigError:
    return ConfigError(
        f"The expression “{text[:60]}…” is nested more than {_DEEPEST} levels deep.", hint="Split it up."
    )


def _depth(root: Node) -> int:
    deepest, pending = 0, [(root, 1)]
    while pending:
        node, depth = pending.pop()
        deepest = max(deepest, depth)
        if isinstance(node, OperationNode):
            pending += [(part, depth + 1) for part in node.parts]
    return deepest


def _as_text(node: Node) -> Node:
    assert isinstance(node, VariableNode), "only a null and a variable have no type of their own"
    return VariableNode(path=node.path, name=node.name, type=TEXT)


def _walk(node: Node) -> Iterator[Node]:
    pending = [node]
    while pending:
        one = pending.pop()
        yield one
        if isinstance(one, OperationNode):
            pending += reversed(one.parts)


def _value(node: Node, dialect: Dialect, binding: Binding | None) -> object:
    if isinstance(node, LiteralNode):
        return storage(node.value, dialect, "the expression")
    if binding is None:
        raise ConfigError("The expression needs the task's clock, zone or variables, and none are given here.")
    if isinstance(node, MomentNode):
        if node.kind == "zone":
            return binding.zone.key
        local = binding.now.astimezone(binding.zone)
        return storage(local.date() if node.kind == "today" else binding.now.astimezone(UTC), dialect, node.kind)
    assert isinstance(node, VariableNode), "the renderer binds nothing else"
    name = f"$({node.path}/@{node.name})"
    value = fit_variable(binding.variable(node.path, node.name), node.type or TEXT, name, binding.zone)
    return storage(value, dialect, f"The variable {name}")
