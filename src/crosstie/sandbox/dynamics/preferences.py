"""What a request prefers, and which annotations it wants.

Source: Dataverse Web API guide, "Compose HTTP requests", Preference headers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

FORMATTED = "OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
NAVIGATION = "Microsoft.Dynamics.CRM.associatednavigationproperty"
TOTAL = "Microsoft.Dynamics.CRM.totalrecordcount"
TOTAL_EXCEEDED = "Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"
FETCH_COOKIE = "Microsoft.Dynamics.CRM.fetchxmlpagingcookie"
MORE_RECORDS = "Microsoft.Dynamics.CRM.morerecords"
MAX_PAGE_SIZE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """The Prefer header. `page_size` is None when it is not named; `annotations` are patterns such as `*`."""

    page_size: int | None = None
    annotations: tuple[str, ...] = ()
    representation: bool = False
    continue_on_error: bool = False
    track_changes: bool = False

    def wants(self, annotation: str) -> bool:
        """Whether rows and pages shall carry this annotation. A pattern with a minus before it takes it away."""
        return _wanted(self.annotations, annotation)

    @property
    def applied(self) -> dict[str, str]:
        """The header that says what was heeded."""
        words = ["return=representation"] if self.representation else []
        words += ["odata.track-changes"] if self.track_changes else []
        words += [f"odata.maxpagesize={self.page_size}"] if self.page_size is not None else []
        words += [f'odata.include-annotations="{",".join(self.annotations)}"'] if self.annotations else []
        return {"Preference-Applied": ",".join(words)} if words else {}


def read_preferences(given: Mapping[str, str]) -> Preferences:
    """What the preferences of a request mean, by their names in lower case; what is not known is ignored."""
    size = given.get("odata.maxpagesize", "")
    listed = given.get("odata.include-annotations", "")
    return Preferences(
        page_size=min(int(size), MAX_PAGE_SIZE) if size.isdigit() and int(size) else None,
        annotations=tuple(word.strip() for word in listed.split(",") if word.strip()),
        representation=given.get("return") == "representation",
        continue_on_error="odata.continue-on-error" in given,
        track_changes="odata.track-changes" in given,
    )


@lru_cache(maxsize=512)
def _wanted(patterns: tuple[str, ...], annotation: str) -> bool:
    wanted = False
    for pattern in patterns:
        takes_away = pattern.startswith("-")
        bare = re.escape(pattern.lstrip("-")).replace(r"\*", ".*")
        if re.fullmatch(bare, annotation):
            wanted = not takes_away
    return wanted
