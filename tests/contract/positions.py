"""The sandbox's unsure facts, in both positions.

What is called other is everything flipped at once: that a client works in both ways then means that it depends on
none of them. `SINGLE` has each fact alone, for short proofs that find which one it is.
"""

from crosstie.sandbox.salesforce.switches import UNSURE

_CLOSES_A_DOOR = frozenset({"password_flow"})
"""A sign-in that the org does not offer: no client can work with it, it can only be told so."""
OTHER: dict[str, object] = {name: value for name, value in UNSURE.items() if name not in _CLOSES_A_DOOR}
POSITIONS: dict[str, dict[str, object]] = {"believed": {}, "other": OTHER}
SINGLE: dict[str, dict[str, object]] = {name: {name: value} for name, value in OTHER.items()}
