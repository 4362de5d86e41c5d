"""Salesforce ids as people have them: 15 characters, 18, and 18 that lost their case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstie.crm.salesforce.ids import complete_id

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


# The examples of the SOAP API guide.
@pytest.mark.parametrize(
    ("short", "marks"), [("001R0000005hDFY", "IA2"), ("005R0000000UyrW", "IAS"), ("750R0000000zxr8", "IAA")]
)
def test_fifteen_characters_become_eighteen(short: str, marks: str) -> None:
    assert complete_id(short) == short + marks
    assert complete_id(short + marks) == short + marks
    assert complete_id(f" {short}{marks.lower()}\n") == short + marks


@given(st.text(ALPHABET, min_size=15, max_size=15))
def test_a_checksum_brings_the_case_back(short: str) -> None:
    complete = complete_id(short)
    assert complete is not None
    assert complete[:15] == short
    assert {complete_id(complete.lower()), complete_id(complete.upper()), complete_id(complete)} == {complete}


@pytest.mark.parametrize(
    "text",
    [
        *("", "   ", "001R0000005hDF", "001R0000005hDFYIA", "001R0000005hDFYIA2x", "001R0000005hDF-", "ab" * 20),
        "001R0000005hDFYIA3",
        "001r0000005hDFYIA2",
        "001R0000005hDFYIA9",
        "٠٠١R0000005hDFY",
        "someone@x.org 1",
    ],
)
def test_what_is_no_id_is_none(text: str) -> None:
    assert complete_id(text) is None


@given(st.text(max_size=20))
def test_any_text_is_an_id_or_none(text: str) -> None:
    found = complete_id(text)
    assert found is None or complete_id(found) == found
