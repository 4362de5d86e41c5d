"""Time zones by their IANA names."""

from __future__ import annotations

from zoneinfo import ZoneInfo


def zone_named(name: str) -> ZoneInfo:
    """The zone of that name. Raises ValueError, in words for people, where there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"“{name}” is not a time zone. Use an IANA name like Europe/Paris or UTC") from error
