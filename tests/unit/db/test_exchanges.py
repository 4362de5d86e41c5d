"""Which rows wait for each other in a circle."""

from __future__ import annotations

from crosstie.db.merge.exchanges import rings


def test_what_leads_to_a_ring_or_to_nothing_belongs_to_none() -> None:
    swap = [(1, 2), (2, 1)]
    rotation = [(3, 4), (4, 5), (5, 3)]
    chain_to_ring = [(6, 1), (7, 6)]
    chain_to_nothing = [(8, 9), (9, 10)]
    found = rings([*swap, *rotation, *chain_to_ring, *chain_to_nothing])
    assert [sorted(ring) for ring in found] == [[1, 2], [3, 4, 5]]


def test_without_a_ring_there_is_none() -> None:
    assert rings([]) == []
    assert rings([(1, 2), (2, 3)]) == []
