"""The keys of file load: what the file is, what its columns are, what becomes of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crosstie.activities.files.formats import date_pieces
from crosstie.model import Column, ColumnType

Kind = Literal["text", "integer", "decimal", "float", "boolean", "date", "instant", "wall_clock", "time", "set"]
_DATED = ("date", "instant", "wall_clock")


class FileColumn(BaseModel):
    """A column of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    type: Kind = Field(default="text", description="what it holds")
    from_: str = Field(default="", alias="from", description="what the file calls it; by default the same")
    length: int = Field(default=0, ge=0, description="the most characters of a text; 0 for no limit")
    scale: int = Field(default=2, ge=0, le=15, description="the decimals of a decimal")
    format: str = Field(default="", description="how a date is written, like dd/MM/yyyy; by default yyyy-MM-dd")
    mandatory: bool = Field(default=False, description="an empty value refuses the row")
    default: str | int | float | bool | None = Field(default=None, description="what stands for an empty value")

    @field_validator("format")
    @classmethod
    def _pattern(cls, value: str) -> str:
        if value:
            date_pieces(value)
        return value

    @model_validator(mode="after")
    def _dated(self) -> FileColumn:
        if self.format and self.type not in _DATED:
            raise ValueError("“format” is for columns of type date, instant and wall_clock")
        return self

    def column(self, name: str) -> Column:
        """The column of the work table."""
        kind = ColumnType(self.type)
        scale = self.scale if kind is ColumnType.DECIMAL else 0
        return Column(name=name, type=kind, length=self.length if kind is ColumnType.TEXT else 0, scale=scale)

    @property
    def default_text(self) -> str | None:
        """The default as a file would write it."""
        if isinstance(self.default, bool):
            return "true" if self.default else "false"
        return None if self.default is None else str(self.default)


def as_columns(value: Any) -> Any:
    """A type for each name is the short form of a column."""
    if isinstance(value, dict):
        return {name: {"type": one} if isinstance(one, str) else one for name, one in value.items()}
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return {name: {} for name in value}
    return value
