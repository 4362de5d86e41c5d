"""Update data: writes an inbound population into a table of people's, or deletes its rows there, with their ties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crosstie.activities.update_data.reading import read_update
from crosstie.activities.update_data.writing import Update, outcome_shape
from crosstie.db.merge.phrases import OrderLine
from crosstie.db.merge.plan import Occasion, Operation
from crosstie.errors import MappingError
from crosstie.sync.conflicts import OnConflict
from crosstie.workflow.activity import OK, REJECTS, Activity, Context, Done, Problem, Shape, Site
from crosstie.workflow.refusing import with_reasons


class Line(BaseModel):
    """One value for a column: an expression, under which condition and at which occasion it is taken into account."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    from_: str = Field(alias="from", description="the expression over the inbound columns")
    when: str | None = Field(None, description="taken into account only where this condition holds")
    on: Occasion = Field("both", description="insert: for new rows only; update: for known rows only")
    empty: Literal["clear", "keep"] | None = Field(None, description="what an empty value does to the column")
    on_conflict: OnConflict | None = Field(
        None, description="whose value the column gets when both sides have changed it; by default the activity's"
    )


class Stamps(BaseModel):
    """The table's columns that say when and by whom a row was made and changed; what is under “set” is left to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    created_at: str | None = Field(None, description="takes the moment when a row is inserted")
    created_by: str | None = Field(None, description="takes the workflow's name when a row is inserted")
    updated_at: str | None = Field(None, description="takes the moment when a row is inserted or updated")
    updated_by: str | None = Field(None, description="takes the workflow's name when a row is inserted or updated")

    def named(self) -> Iterable[tuple[str, str]]:
        """Each kind with its column."""
        for kind in type(self).model_fields:
            column = getattr(self, kind)
            if column is not None:
                yield kind, column


class UpdateData(Activity):
    """Writes the inbound rows into a table: compares first, writes only what differs. Or deletes them there."""

    summary: ClassVar[str] = "inserts, updates or deletes rows of a table, writing only what differs"
    acts_outside: ClassVar[bool] = True
    effect_is_long: ClassVar[bool] = True

    type: Literal["update_data"]
    into: str = Field(description="the table to write into")
    operation: Operation = Field("insert or update", description="insert or update, insert, update, or delete")
    identify: str | dict[str, str] | None = Field(
        None,
        description="how an inbound row finds its row: “link NAME” (made by an enrichment), “dimension”, or pairs"
        " inbound expression: expression over the table; with operation insert it may be left out",
    )
    set: dict[str, tuple[Line, ...]] | Literal["same names"] = Field(
        "same names",
        description="column: expression, or {from, when, on, empty}, or a list of these, the last one that applies"
        " wins; “same names” takes the inbound columns of the same name",
    )
    empty: Literal["clear", "keep"] = Field("clear", description="what an empty value does to a column: clear or keep")
    on_conflict: OnConflict = Field(
        "crm",
        description="of a remote field that both sides have changed since they last agreed: crm takes the CRM's value,"
        " local keeps the row's own, newest takes what was changed last, reject refuses the row",
    )
    ignore_same_target: bool = Field(
        False, description="of several inbound rows for the same row use the first by “order”, instead of refusing all"
    )
    order: tuple[OrderLine, ...] = Field((), description="which comes first; ties are broken by the inbound key")
    stamps: Stamps = Field(
        default_factory=lambda: Stamps.model_validate({}),
        description="columns for when and by whom a row was made and changed",
    )
    batch: int = Field(0, ge=0, description="rows per transaction; 0: all in one, with the end of the task")
    ties: bool | None = Field(
        None,
        description="remember which remote record each row stands for; by default where “identify” or a key that is set"
        " tells which row that is",
    )
    outcome: bool = Field(
        False, description="the outbound population: the rows written, deleted or unchanged, with a column “outcome”"
    )

    @field_validator(
        "set",
        mode="before",
        json_schema_input_type=dict[str, str | Line | tuple[str | Line, ...]] | Literal["same names"],
    )
    @classmethod
    def _lines(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            column: [
                one if isinstance(one, dict) else {"from": one}
                for one in (lines if isinstance(lines, list) else [lines])
            ]
            for column, lines in value.items()
        }

    @field_validator("order", mode="before", json_schema_input_type=OrderLine | tuple[OrderLine, ...])
    @classmethod
    def _orders(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _deletes(self) -> UpdateData:
        given = [name for name in ("set", "empty", "stamps", "on_conflict") if name in self.model_fields_set]
        if self.operation == "delete" and given:
            raise ValueError(
                f"operation “delete” writes no values: leave out {' and '.join(f'“{one}”' for one in given)}"
            )
        return self

    def keeps_ties(self, *, key_written: bool) -> bool:
        """Whether ties are to be written: asked for, or, where nothing is said, when it is told which row of the table
        an inbound one is, by `identify` or because the table's key is among what is written. A row that is just
        appended may be one of many for its record."""
        if self.ties is not None:
            return self.ties
        return self.identify is not None or key_written

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown table, columns, link; types that do not go together; nothing to identify a row by."""
        found = read_update(self, inputs[0] if inputs else None, site.table(self.into), site.tables())
        yield from (Problem(path=place, message=message) for place, message in found.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The outcome of each row when asked for, and the refused rows with their reasons."""
        inbound = inputs[0]
        return {
            OK: outcome_shape(inbound) if self.outcome else None,
            REJECTS: with_reasons(inbound),
        }

    def run(self, context: Context) -> Done:
        """Prepares outside the lock; compares and writes in the commit that ends the task."""
        inbound = context.input
        table = context.site.table(self.into)
        found = read_update(self, Shape.of(inbound), table, context.site.tables())
        if found.mistakes or table is None:
            raise MappingError(
                f"{context.activity}: " + "; ".join(message for _, message in found.mistakes),
                hint="The table has changed since the workflow was validated: see crosstie workflow validate.",
            )
        return Update(definition=self, read=found, table=table, context=context).run()
