"""The one error of the SOQL engine, in Salesforce's words."""

from __future__ import annotations

_WINDOW = 30
_BOUNDARIES = frozenset(" \t\r\n,")


class SoqlError(Exception):
    """A query that Salesforce refuses. `code` is the errorCode of the REST answer, `message` its whole text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def located(code: str, text: str, at: int, message: str) -> SoqlError:
    """An error that names a place: excerpt of the query, caret, row and column (both from 1), then the message.

    Salesforce prints about 30 characters on both sides of the place, cut at a blank or a comma (recorded answers in
    forcedotcom/cli#1356 and others).
    """
    at = min(at, len(text))
    row = text.count("\n", 0, at) + 1
    line_start = text.rfind("\n", 0, at) + 1
    line_end = text.find("\n", at)
    line_end = len(text) if line_end < 0 else line_end
    start = max(line_start, at - _WINDOW)
    while start > line_start and text[start - 1] not in _BOUNDARIES:
        start -= 1
    end = min(line_end, at + _WINDOW)
    while end < line_end and text[end] not in _BOUNDARIES:
        end += 1
    place = f"ERROR at Row:{row}:Column:{at - line_start + 1}"
    return SoqlError(code, f"\n{text[start:end]}\n{' ' * (at - start)}^\n{place}\n{message}")


def too_complicated() -> SoqlError:
    """The error for a query beyond the limits of what can be planned."""
    return SoqlError(
        "QUERY_TOO_COMPLICATED",
        "Query is either selecting too many fields or the filter conditions are too complicated.",
    )
