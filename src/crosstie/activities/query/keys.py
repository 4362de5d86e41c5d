"""The keys of a query's definition that have keys of their own."""

from __future__ import annotations

from typing import Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crosstie.db.merge.phrases import OrderLine


class Tree(BaseModel):
    """A branch of a tree of conditions."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    all: tuple[Condition, ...] | None = Field(None, description="conditions that must all hold")
    any: tuple[Condition, ...] | None = Field(None, description="conditions of which at least one must hold")
    except_: tuple[Condition, ...] | None = Field(
        None, alias="except", description="a condition that must not hold, or a list of them; unknown is not true"
    )
    exists: str | None = Field(None, description="a link: rows of it must be there")
    where: Condition | None = Field(None, description="with exists: which rows of it count")
    at_least: int | None = Field(None, ge=1, description="with exists: how many rows must be there, 1 by default")
    at_most: int | None = Field(None, ge=0, description="with exists: how many rows may be there")

    @field_validator(
        "except_", mode="before", json_schema_input_type=Union[str, "Tree", tuple[Union[str, "Tree"], ...], None]
    )
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | dict) else value

    @model_validator(mode="after")
    def _one_word(self) -> Tree:
        words = {"all": self.all, "any": self.any, "except": self.except_, "exists": self.exists}
        given = [word for word, value in words.items() if value is not None]
        if len(given) != 1:
            raise ValueError("write one of all, any, except and exists on each level; put others inside a list")
        if self.exists is None and (self.where is not None or self.at_least is not None or self.at_most is not None):
            raise ValueError("where, at_least and at_most go with exists")
        listed = {"all": self.all, "any": self.any, "except": self.except_}.get(given[0])
        if listed == ():
            raise ValueError(f"{given[0]} takes at least one condition")
        return self


Condition = Union[str, Tree]  # noqa: UP007 - the tree contains itself


class Collect(BaseModel):
    """Columns of the rows of a collection."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    of: str = Field(description="the link to the collection, perhaps over links to one row: company.orders")
    columns: dict[str, str] = Field(
        description="name: expression over the rows of the collection, or a list of its columns"
    )
    where: Condition | None = Field(None, description="which rows of it count")
    order: tuple[OrderLine, ...] = Field((), description="which rows come first; the key breaks a tie")
    first: int | Literal["all"] = Field(
        1, description="how many rows: their columns are numbered when they are several; all: an output row for each"
    )

    @field_validator("columns", mode="before", json_schema_input_type=str | tuple[str, ...] | dict[str, str])
    @classmethod
    def _named(cls, value: Any) -> Any:
        return by_name(value)

    @field_validator("order", mode="before", json_schema_input_type=OrderLine | tuple[OrderLine, ...])
    @classmethod
    def _ordered(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    @field_validator("columns")
    @classmethod
    def _some(cls, value: dict[str, str]) -> dict[str, str]:
        if not value:
            raise ValueError("name at least one column")
        return value

    @field_validator("first")
    @classmethod
    def _few(cls, value: int | str) -> int | str:
        if isinstance(value, int) and not 1 <= value <= 50:
            raise ValueError("first is a number from 1 to 50, or all")
        return value


def by_name(value: Any) -> Any:
    """A list of columns, or of paths like `company.name`, as a mapping from the last name to the whole."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return {one.rpartition(".")[2].strip().strip('"').removeprefix("@"): one for one in value}
    return value


Tree.model_rebuild()
