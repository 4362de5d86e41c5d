"""Enrichment: links each inbound row to rows of people's tables, and adds columns; the rows stay the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from crosstie.activities.enrichment.finding import Enriching
from crosstie.activities.enrichment.reading import read_enrichment
from crosstie.db.merge.phrases import OrderLine, Phrases
from crosstie.errors import MappingError
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site


class LinkTo(BaseModel):
    """A reconciliation: searches one row of a table for each inbound row and stores its key."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    to: str = Field(description="the table to search in")
    first_of: tuple[dict[str, str], ...] = Field(
        min_length=1,
        description="pairs inbound expression: expression over the table, that must all be equal; a list of such"
        " mappings is tried in this order",
    )
    order: tuple[OrderLine, ...] = Field((), description="which row is taken when several are found")
    as_: str = Field("", alias="as", description="the column for the key; by default LINK_KEY, like recipient_id")

    @field_validator("first_of", "order", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value


class Enrichment(Activity):
    """Adds links to rows of tables, columns of the linked rows, and computed columns."""

    summary: ClassVar[str] = "adds links to rows of other tables, and columns; the rows stay the same"

    type: Literal["enrichment"]
    links: dict[str, LinkTo] = Field(default_factory=dict, description="name: where it leads and how it is found")
    add: dict[str, str] = Field(
        default_factory=dict, description="column: expression over the inbound columns and, as LINK.column, the linked"
    )
    columns: tuple[str, ...] | Literal["all"] = Field(
        "all", description="which inbound columns go on: all, or a list; keys always do"
    )

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Unknown tables and columns, types that never are equal, names that collide, nothing to do."""
        phrases = Phrases()
        if not self.links and not self.add and self.columns == "all":
            phrases.refuse((), "this enrichment adds nothing: write “links” or “add”")
        read_enrichment(self, phrases, inputs[0] if inputs else None, site)
        yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The chosen inbound columns, the keys of the links, the columns added. Raises MappingError where mistakes
        hide some of them."""
        read = read_enrichment(self, Phrases(), inputs[0], site)
        if not read.complete:
            raise MappingError("The columns of this enrichment cannot be told before its mistakes are mended.")
        return {OK: read.shape(inputs[0])}

    def run(self, context: Context) -> Done:
        """Finds the links into a small table beside the inbound one; a view joins the two."""
        phrases = Phrases()
        read = read_enrichment(self, phrases, Shape.of(context.input), context.site)
        if phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        return Enriching(context=context, read=read).run()
