"""Primary keys: GUIDs, 36 characters in lower case (Dataverse Web API guide, "Primary keys")."""

from __future__ import annotations

import re
import uuid

_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def complete_id(text: str) -> str | None:
    """The GUID as the service answers it, of one in any case, perhaps in braces; None for what is none."""
    given = text.strip().removeprefix("{").removesuffix("}").lower()
    return given if _FORM.fullmatch(given) else None


def new_id() -> str:
    """A random primary key for a record that is to be made. It is never derived from anything: two copies of a
    database would make the same one."""
    return str(uuid.uuid4())
