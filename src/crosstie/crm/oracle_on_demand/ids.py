"""Row ids: the company's prefix, a hyphen, digits to base 36 (`AAPA-2WJ5PW`)."""

from __future__ import annotations

import re

NO_MATCH = "No Match Row Id"
"""What the application gives for a reference that leads nowhere."""

_FORM = re.compile(r"[0-9A-Z]{1,15}-[0-9A-Z]{1,15}", re.ASCII)


def complete_id(text: str) -> str | None:
    """The id as the CRM answers it, of one in any case; None for what is none."""
    given = text.strip().upper()
    return given if _FORM.fullmatch(given) else None
