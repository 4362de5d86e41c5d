"""$filter of metadata: its definitions are no rows, so conditions are evaluated on them one by one."""

from typing import Any

from crosstie.sandbox.dynamics.definitions import Definition
from crosstie.sandbox.dynamics.odata.errors import QueryError
from crosstie.sandbox.dynamics.odata.syntax import (
    Both,
    Compare,
    Condition,
    Either,
    Literal,
    Not,
    Operand,
    TextTest,
)


def matches(condition: Condition, one: Definition) -> bool:
    """Whether a definition meets a condition. Raises QueryError for what metadata can't be filtered by."""
    match condition:
        case Both(parts):
            return all(matches(part, one) for part in parts)
        case Either(parts):
            return any(matches(part, one) for part in parts)
        case Not(part):
            return not matches(part, one)
        case Compare(left, operator, right):
            return _compared(_value(left, one), operator, _value(right, one))
        case TextTest(function, subject, value):
            text = str(_value(subject, one) or "").lower()
            wanted = value.text.lower()
            tests = {"contains": wanted in text, "startswith": text.startswith(wanted)}
            return tests.get(function, text.endswith(wanted))
        case _:
            raise QueryError("Definitions can't be filtered by query functions.")


def _value(operand: Operand, one: Definition) -> Any:
    if isinstance(operand, Literal):
        return _literal(operand)
    found: Any = one
    for name in operand.names:
        if not isinstance(found, dict) or name not in found:
            raise QueryError(
                f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.EntityMetadata'."
            )
        found = found[name]
    if isinstance(found, dict):
        raise QueryError(f"Definitions can't be filtered by {'/'.join(operand.names)}.")
    return found


def _literal(literal: Literal) -> Any:
    if literal.kind == "null":
        return None
    if literal.kind == "boolean":
        return literal.text.lower() == "true"
    return int(literal.text) if literal.kind == "number" else literal.text


def _compared(left: Any, operator: str, right: Any) -> bool:
    if operator in ("eq", "ne"):
        return (left == right) is (operator == "eq")
    if left is None or right is None:
        return False
    results = {"gt": left > right, "ge": left >= right, "lt": left < right, "le": left <= right}
    return bool(results[operator])
