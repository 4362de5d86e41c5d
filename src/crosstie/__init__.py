"""Crosstie keeps a marketing database and its CRM in step, in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crosstie.app import App

__all__ = ["App"]


def __getattr__(name: str) -> object:
    """Loads `App` when it is first asked for, so that importing `crosstie` costs nothing."""
    if name == "App":
        from crosstie.app import App

        return App
    raise AttributeError(f"module 'crosstie' has no attribute {name!r}")
