"""The refusals of the query engine, in the service's words."""

from __future__ import annotations

from crosstie.sandbox.dynamics.errors import ApiError

NO_CODE = "0x0"
"""What most mistakes in a query are answered with."""
INVALID_ARGUMENT = "0x80040203"


class QueryError(ApiError):
    """A query that Dataverse refuses."""

    def __init__(self, message: str, *, code: str = NO_CODE, status: int = 400) -> None:
        super().__init__(status, code, message)


def syntax_error(text: str, at: int) -> QueryError:
    """Something that the grammar has no place for."""
    return QueryError(f"Syntax error at position {at} in '{text}'.")


def incompatible(left: str, right: str, kind: str) -> QueryError:
    """A comparison of what can't be compared; `kind` is the operator's long name."""
    return QueryError(
        "A binary operator with incompatible types was detected. "
        f"Found operand types '{left}' and '{right}' for operator kind '{kind}'."
    )
