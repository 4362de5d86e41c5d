"""The calculated population of an import, as defined: the inbound column with the remote ids, and what to keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from crosstie.model import Column, ColumnType, find_column
from crosstie.workflow.activity import Problem, Shape
from crosstie.workflow.yaml_source import suggest


class KeptColumn(BaseModel):
    """An inbound column that goes on beside the imported fields, under its own name or another."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    column: str = Field(description="the inbound column")
    as_: str = Field(default="", alias="as", description="its name from here on; by default as it is")


class Population(BaseModel):
    """Import the records whose remote ids come from upstream; `keep` names inbound columns to carry along."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    ids: str = Field(description="the inbound column with the remote ids, a text")
    keep: tuple[KeptColumn, ...] = Field(
        (), description="inbound columns that go on beside the imported fields, each a name or {column, as}"
    )

    @field_validator("keep", mode="before", json_schema_input_type=tuple[str | KeptColumn, ...])
    @classmethod
    def _short(cls, value: Any) -> Any:
        return [{"column": one} if isinstance(one, str) else one for one in value] if isinstance(value, list) else value

    def kept(self, inbound: Shape) -> tuple[tuple[Column, Column], ...]:
        """The kept inbound columns that there are, each with the column that it becomes."""
        found = []
        for one in self.keep:
            column = find_column(inbound.columns, one.column)
            if column is not None:
                found.append((column, column.named(one.as_ or column.name)))
        return tuple(found)

    def key(self, inbound: Shape, remote_id: str) -> tuple[str, ...]:
        """What is unique in what goes on. With kept columns every inbound row goes on, so it is the inbound key where
        all of it is kept; without, each record once."""
        if not self.keep:
            return (remote_id,)
        names = {column.name: kept.name for column, kept in self.kept(inbound)}
        if inbound.key and set(inbound.key) <= set(names):
            return tuple(names[one] for one in inbound.key)
        ids = find_column(inbound.columns, self.ids)
        known = inbound.lineage is not None and ids is not None and inbound.lineage.remote_id == ids.name
        return (remote_id,) if known and ids is not None and inbound.key == (ids.name,) else ()

    def dimension(self, inbound: Shape) -> str:
        """The table of people's whose rows what goes on still identifies: its key is kept under its own names."""
        names = {column.name for column, kept in self.kept(inbound) if column.name == kept.name}
        return inbound.dimension if inbound.key and set(inbound.key) <= names else ""

    def problems(self, inbound: Shape | None, taken: Sequence[str]) -> Iterator[Problem]:
        """Columns that are not there, ids that are no text, names that collide; `taken` are the imported columns."""
        if inbound is None:
            yield Problem(path=("population",), message="nothing leads to this activity, so there is no population")
            return
        names = [column.name for column in inbound.columns]
        ids = find_column(inbound.columns, self.ids)
        if ids is None:
            yield Problem(path=("population", "ids"), message=_missing(self.ids, names))
        elif ids.type is not ColumnType.TEXT:
            yield Problem(
                path=("population", "ids"),
                message=f"inbound column {ids.name} is {ids.type.value}; remote ids are text",
            )
        imported = {one.lower() for one in taken}
        before: set[str] = set()
        for position, one in enumerate(self.keep):
            path = ("population", "keep", position)
            column = find_column(inbound.columns, one.column)
            if column is None:
                yield Problem(path=path, message=_missing(one.column, names))
                continue
            name = one.as_ or column.name
            if name.lower() in imported:
                yield Problem(
                    path=path,
                    message=f"the imported fields have a column {name} too; give one of them another name with “as:”",
                )
            elif name.lower() in before:
                yield Problem(path=path, message=f"two kept columns would be called {name}; leave one out or use “as:”")
            before.add(name.lower())


def _missing(name: str, names: Sequence[str]) -> str:
    return f"the inbound population has no column {name}.{suggest(name, names)} It has {', '.join(names)}"
