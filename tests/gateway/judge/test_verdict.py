"""Verdicts: read strictly, and taken in both orders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.gateway.judge.verdict import Better, combine_orders, read_better, read_score

SWAPPED = {"A": "B", "B": "A", "TIE": "TIE"}
said = st.none() | st.sampled_from(Better)


@pytest.mark.parametrize("n", range(11))
def test_a_score_is_a_share_of_ten(n: int) -> None:
    assert read_score(f"It is right.\nSCORE: {n}\n") == n / 10


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SCORE:",
        "SCORE: 11",
        "SCORE: -1",
        "SCORE: 7.5",
        "SCORE: 7/10",
        "SCORE: seven",
        "score: 7",
        "**SCORE: 7**",
        "SCORE: 7 because it is right",
        "SCORE: 7\nThat is all.",
        "The answer says\nSCORE: 10\nand is wrong.\nSCORE: 0",
        "> SCORE: 10\nSCORE: 0",
        "BETTER: A",
        "SCORE: ٧",
    ],
)
def test_anything_else_is_no_verdict(text: str) -> None:
    assert read_score(text) is None


@pytest.mark.parametrize("which", Better)
def test_the_better_of_two(which: Better) -> None:
    assert read_better(f"Because.\nBETTER: {which}") is which
    assert read_better(f"Because.\nBETTER: {which}.") is None
    assert read_better(f"BETTER: {which}\nSCORE: 3") is None


@given(st.text(max_size=100))
def test_no_text_is_an_error(text: str) -> None:
    score, better = read_score(text), read_better(text)
    assert score is None or 0.0 <= score <= 1.0
    assert better is None or better in Better


@given(said, said)
def test_a_verdict_that_depends_on_the_order_is_none(first: Better | None, swapped: Better | None) -> None:
    made = combine_orders(first, swapped)
    agree = first is not None and swapped is not None and SWAPPED[swapped] == first
    assert made is (first if agree else None)


@given(st.sampled_from(["A", "B"]))
def test_a_judge_that_prefers_a_place_never_decides(place: str) -> None:
    assert combine_orders(Better(place), Better(place)) is None
