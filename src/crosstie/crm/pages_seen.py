"""Pages that came before, so that none is given twice."""

from __future__ import annotations


class PagesSeen:
    """Which locator's page begins with which record, for the life of a connector: a page that is served twice under
    two locators would otherwise hide the one whose place it took."""

    def __init__(self) -> None:
        self._locators: dict[tuple[str, str], str] = {}

    def is_new(self, chain: str, first_id: str, locator: str) -> bool:
        """Whether no other locator of the job, or chain of pages, gave a page that begins with that record."""
        return self._locators.setdefault((chain, first_id), locator) == locator
