"""Enrichment: links each inbound row to rows of tables or of another population, and adds columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crosstie.activities.enrichment.finding import Enriching
from crosstie.activities.enrichment.reading import read_enrichment
from crosstie.db.merge.phrases import OrderLine, Phrases
from crosstie.errors import MappingError
from crosstie.workflow.activity import OK, REJECTS, Activity, Context, Done, Problem, Shape, Site
from crosstie.workflow.refusing import with_reasons


class LinkTo(BaseModel):
    """A link: for each inbound row the row of a table that it belongs to, searched by values, or the rows."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    to: str = Field("", description="the table that it leads to, or another inbound activity named under “from”")
    link: str | None = Field(
        None, description="instead of “to”, a link of the table that the population is of, as crosstie links shows it"
    )
    on: dict[str, str] | None = Field(
        None, description="pairs inbound expression: expression over the table, that must all be equal"
    )
    cardinality: Literal["0-1", "1-1", "1-N"] = Field(
        "0-1",
        description="0-1: there may be no row; 1-1: an inbound row without one is refused; 1-N: a collection, of which"
        " only aggregates are added unless it is flattened",
    )
    first_of: tuple[dict[str, str], ...] = Field(
        (),
        description="instead of “on”, such pairs, or a list of such mappings, which are tried in this order",
    )
    order: tuple[OrderLine, ...] = Field((), description="which row is taken when several are found")
    as_: str = Field("", alias="as", description="the column for the key; by default LINK_KEY, like recipient_id")

    @field_validator("first_of", mode="before", json_schema_input_type=dict[str, str] | tuple[dict[str, str], ...])
    @classmethod
    def _mappings(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    @field_validator("order", mode="before", json_schema_input_type=OrderLine | tuple[OrderLine, ...])
    @classmethod
    def _orders(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_way(self) -> LinkTo:
        if self.link is not None:
            if self.to or self.on is not None or self.first_of or self.order:
                raise ValueError("a “link” says where it leads and how: leave “to”, “on”, “first_of” and “order” out")
            return self
        if not self.to:
            raise ValueError("write “to” with a table, or “link” with a link of the table that the population is of")
        if (self.on is None) == (not self.first_of):
            raise ValueError("write “on” with pairs like {Email: email}, or “first_of” with a list of such pairs")
        if self.cardinality == "1-N" and (self.first_of or self.order):
            raise ValueError("a collection has all rows that fit: write “on”, and leave “first_of” and “order” out")
        return self

    def alternatives(self) -> Iterable[tuple[tuple[str | int, ...], dict[str, str]]]:
        """The mappings to try, each with its place."""
        if self.on is not None:
            return [(("on",), self.on)]
        return [(("first_of", number), pairs) for number, pairs in enumerate(self.first_of)]


class Enrichment(Activity):
    """Adds links to rows of tables, columns of the linked rows, and computed columns."""

    summary: ClassVar[str] = "adds links to rows of other tables, and columns; the rows stay the same"
    max_inputs: ClassVar[int] = 9

    type: Literal["enrichment"]
    links: dict[str, LinkTo] = Field(default_factory=dict, description="name: where it leads and how it is found")
    add: dict[str, str] = Field(
        default_factory=dict,
        description="column: expression over the inbound columns, as LINK.column over the linked ones, and of"
        " collections aggregates like count(LINK) and sum(LINK.column, condition)",
    )
    flatten: str | None = Field(
        None, description="a collection: a row goes out for each of its rows, and one for an inbound row without any"
    )
    dimension: str | None = Field(None, description="a link: the rows that it found are what the population is now of")
    columns: tuple[str, ...] | Literal["all"] = Field(
        "all", description="which inbound columns go on: all, or a list; keys always do"
    )

    def joins(self) -> bool:
        """It waits for all that “from” names."""
        return len(self.default_sources()) > 1

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown tables and columns, types that never are equal, names that collide, nothing to do."""
        phrases = Phrases()
        if not self.links and not self.add and self.columns == "all":
            phrases.refuse((), "this enrichment adds nothing: write “links” or “add”")
        if inputs and len(inputs) < len(self.default_sources()):
            phrases.refuse(("from",), "not all of these carry a population")
        read_enrichment(self, phrases, inputs, site)
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The chosen inbound columns, the keys of the links, the columns added; and the refused rows, where a link must
        find something. Raises MappingError where mistakes hide some of them."""
        read = read_enrichment(self, Phrases(), inputs, site)
        if not read.complete:
            raise MappingError("The columns of this enrichment cannot be told before its mistakes are mended.")
        shapes: dict[str, Shape | None] = {OK: read.shape(inputs[0])}
        if any(link.required for link in read.links):
            shapes[REJECTS] = with_reasons(inputs[0])
        return shapes

    def run(self, context: Context) -> Done:
        """Finds the links into small tables beside the inbound one; a view joins them."""
        phrases = Phrases()
        read = read_enrichment(self, phrases, tuple(Shape.of(one) for one in context.inputs), context.site)
        if phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        return Enriching(context=context, read=read).run()
