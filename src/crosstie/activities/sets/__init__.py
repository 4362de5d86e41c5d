"""What union, intersection and exclusion have in common: when rows of several populations count as the same."""

from crosstie.activities.sets.narrowing import narrowed
from crosstie.activities.sets.reading import Match, SetOperation, alike, unnumbered
from crosstie.activities.sets.rows import LeftOut, Presence, comparable, identified, view

__all__ = [
    "LeftOut",
    "Match",
    "Presence",
    "SetOperation",
    "alike",
    "comparable",
    "identified",
    "narrowed",
    "unnumbered",
    "view",
]
