"""How far a test goes: `make test` is bounded, `make soak` does everything."""

import os

SOAK = os.environ.get("CROSSTIE_SOAK") == "1"


def examples(test: int, soak: int) -> int:
    """The number of examples of a property: so many in `make test`, so many in `make soak`."""
    return soak if SOAK else test
