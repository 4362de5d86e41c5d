"""Record ids: checksums of the fact sheet, order, and refusal of malformed ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstie.sandbox.salesforce.ids import ALPHABET, checksum, make_id, to_18

id15 = st.text(alphabet=ALPHABET, min_size=15, max_size=15)


@pytest.mark.parametrize(
    ("short", "suffix"), [("001R0000005hDFY", "IA2"), ("005R0000000UyrW", "IAS"), ("750R0000000zxr8", "IAA")]
)
def test_checksums_of_the_fact_sheet(short: str, suffix: str) -> None:
    assert checksum(short) == suffix


@given(id15)
def test_short_ids_complete_and_complete_ones_stay(short: str) -> None:
    complete = to_18(short)
    assert complete is not None
    assert to_18(complete) == complete


@given(id15, st.integers(0, 2), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"))
def test_a_wrong_checksum_is_malformed(short: str, place: int, other: str) -> None:
    right = checksum(short)
    wrong = right[:place] + other + right[place + 1 :]
    assert (to_18(short + wrong) is not None) == (wrong == right)


@given(st.integers(0, 62**5 - 2))
def test_ids_ascend_with_their_numbers(number: int) -> None:
    assert make_id("003", number) < make_id("003", number + 1)
