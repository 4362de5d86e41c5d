"""The proof that no remote id was loaded twice, against the plain truth."""

from __future__ import annotations

from random import Random

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from crosstie.activities.receiving.pipeline import Uniqueness

IDS = st.lists(st.lists(st.text("0Aa", min_size=1, max_size=3), max_size=6), max_size=6)


@given(IDS)
def test_it_never_claims_what_is_not_so(batches: list[list[str]]) -> None:
    unique = Uniqueness()
    for batch in batches:
        unique.add(pa.array(batch, pa.string()))
    every = [one for batch in batches for one in batch]
    assert not unique.holds() or len(set(every)) == len(every)


@given(st.sets(st.text("0Aa", min_size=1, max_size=4), max_size=30), st.integers(1, 7), st.randoms())
def test_it_holds_for_ascending_chunks_in_any_order(ids: set[str], size: int, random: Random) -> None:
    ordered = sorted(ids)
    chunks = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    random.shuffle(chunks)
    unique = Uniqueness()
    for chunk in chunks:
        unique.add(pa.array(chunk, pa.string()))
    assert unique.holds()
