"""The query options of a request.

Source: Dataverse Web API guide, "Query data using the Web API": which system query options there are, and which not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crosstie.sandbox.dynamics.odata.errors import QueryError
from crosstie.sandbox.dynamics.odata.parser import parse_expand, parse_filter, parse_order, parse_select, parse_top
from crosstie.sandbox.dynamics.odata.syntax import Options

KNOWN = frozenset(
    {"$select", "$filter", "$orderby", "$top", "$count", "$expand", "$apply", "$skiptoken", "$deltatoken"}
)
_TRACKING_REFUSES = ("$filter", "$orderby", "$expand", "$top")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of a request for a collection. The tokens are decoded once, as the query string was."""

    options: Options
    skip_token: str | None = None
    delta_token: str | None = None

    @property
    def tracked(self) -> bool:
        """Whether a link says that this is a read with change tracking, whatever the request prefers."""
        return self.delta_token is not None or 'istracking="True"' in (self.skip_token or "")


def read_options(query: Mapping[str, str]) -> Asked:
    """Reads the options. Their names are exact, case included. Raises QueryError for what is not supported."""
    for name in query:
        if name.startswith("$") and name not in KNOWN:
            if name == "$skip":
                raise QueryError("Skip Clause is not supported in CRM", code="0x80060888")
            raise QueryError(f"The query parameter {name} is not supported.", code="0x80060888")
    if "$apply" in query:
        raise QueryError("Aggregation by $apply is not implemented.", code="0x80060888", status=501)
    aliases = {name: value for name, value in query.items() if name.startswith("@")}
    count = query.get("$count", "false")
    if count not in ("true", "false"):
        raise QueryError(f"Invalid value '{count}' for $count query option found. Valid values are 'true' and 'false'.")
    filtered, ordered, top = query.get("$filter"), query.get("$orderby"), query.get("$top")
    return Asked(
        options=Options(
            select=parse_select(query["$select"]) if query.get("$select") else None,
            filter=parse_filter(filtered, aliases) if filtered is not None else None,
            order=parse_order(ordered, aliases) if ordered else (),
            top=parse_top(top) if top is not None else None,
            count=count == "true",
            expand=parse_expand(query["$expand"]) if query.get("$expand") else (),
        ),
        skip_token=query.get("$skiptoken"),
        delta_token=query.get("$deltatoken"),
    )


def refuse_with_tracking(query: Mapping[str, str]) -> None:
    """Raises QueryError for an option that change tracking can't be combined with."""
    for name in _TRACKING_REFUSES:
        if name in query:
            raise QueryError(
                f"The {name} query option is not supported when Change Tracking is enabled.", code="0x80060888"
            )
