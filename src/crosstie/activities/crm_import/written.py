"""What people write for the filter of an import, for the JSON schema; it is read by `script.filters`."""

from __future__ import annotations

from typing import Annotated, Any, Union

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from crosstie.crm.connector import Operator

_Operator = Annotated[
    str,
    WithJsonSchema({"anyOf": [{"enum": [one.value for one in Operator]}, {"type": "string"}]}),
]


class WrittenTest(BaseModel):
    """One comparison."""

    model_config = ConfigDict(extra="forbid")

    field: str = Field(description="a field of the object")
    is_: _Operator = Field(alias="is", description="the comparison")
    value: Any = Field(
        None, description="JavaScript, evaluated once per run; a list where the comparison takes several"
    )


class AllOf(BaseModel):
    """All of these must hold."""

    model_config = ConfigDict(extra="forbid")

    all: Annotated[list[WrittenFilter], Field(min_length=1)] = Field(description="tests, or levels of their own")


class AnyOf(BaseModel):
    """At least one of these must hold."""

    model_config = ConfigDict(extra="forbid")

    any: Annotated[list[WrittenFilter], Field(min_length=1)] = Field(description="tests, or levels of their own")


WrittenFilter = Union[WrittenTest, AllOf, AnyOf]  # noqa: UP007 - it contains itself
