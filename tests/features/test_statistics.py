from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.features import STATISTIC_NAMES, query_from_text, text_statistics
from bandit_router.types import Query
from tests.features.conftest import TEXTS


def named(query: Query) -> dict[str, float]:
    return dict(zip(STATISTIC_NAMES, text_statistics(query).tolist(), strict=True))


def of(text: str) -> dict[str, float]:
    return named(query_from_text(text))


def half(n: float, h: float) -> float:
    return n / (n + h)


def test_every_statistic_has_a_name_of_its_own() -> None:
    statistics = text_statistics(query_from_text("Hello"))
    assert statistics.shape == (len(STATISTIC_NAMES),)
    assert statistics.dtype == np.float64
    assert len(set(STATISTIC_NAMES)) == len(STATISTIC_NAMES)


@given(
    TEXTS | st.just(""),
    st.integers(-5, 10**12),
    st.integers(-5, 10**12),
    st.sampled_from([None, "free", "gold"]),
)
def test_statistics_of_any_query_lie_between_zero_and_one(
    text: str, turn: int, chars: int, tier: str | None
) -> None:
    statistics = text_statistics(Query(text=text, turn=turn, prompt_chars=chars, user_tier=tier))
    assert np.all((statistics >= 0.0) & (statistics <= 1.0))


@given(TEXTS)
def test_shares_agree_with_counting_character_by_character(text: str) -> None:
    statistics = of(text)
    assert statistics["digits"] == pytest.approx(half(sum(c in "0123456789" for c in text) / len(text), 0.05))
    assert statistics["uppercase"] == pytest.approx(
        half(sum("A" <= c <= "Z" for c in text) / len(text), 0.05)
    )
    assert statistics["non_ascii"] == pytest.approx(half(sum(ord(c) > 127 for c in text) / len(text), 0.05))


def test_a_plain_sentence_has_size_and_no_marks() -> None:
    text = "the cat sat on the mat"
    assert of(text) == pytest.approx(
        dict.fromkeys(STATISTIC_NAMES, 0.0)
        | {
            "prompt_length": math.log1p(22) / math.log1p(200_000),
            "words": math.log1p(6) / math.log1p(5_000),
            "word_length": half(17 / 6, 5),
        }
    )


def test_the_prompt_length_is_of_everything_sent() -> None:
    query = Query(text="Why?", prompt_chars=9_999)
    assert named(query)["prompt_length"] == pytest.approx(math.log(10_000) / math.log1p(200_000))


def test_the_prompt_is_at_least_as_long_as_the_text() -> None:
    assert named(Query(text="Why?"))["prompt_length"] == of("Why?")["prompt_length"]


def test_sizes_stop_at_one() -> None:
    statistics = named(Query(text="a " * 6_000, prompt_chars=10**9, turn=10**6))
    assert [statistics[name] for name in ("prompt_length", "words", "turn")] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "name", "count", "h"),
    [
        ("What? Really?", "questions", 2, 1),
        ("one\ntwo\n\nthree", "newlines", 3, 5),
        ("```\nx\n```", "code_marks", 2, 3),
        ("int f() { g(); h(); }", "code_marks", 4, 3),
        ("def f(x):\n    return x", "code_marks", 3, 3),
        ("if x:\n\tpass", "code_marks", 1, 3),
        ("import os, default importance", "code_marks", 1, 3),
        ("2 + 2 = 4 and x^2 < 9", "math_marks", 4, 5),
        ("∫ x dx ≤ √π", "math_marks", 4, 5),
        ("Explain WHY, and how?", "reasoning_words", 3, 1),
        ("show the whys of anyhow", "reasoning_words", 0, 1),
        ("prove it, prove it", "reasoning_words", 1, 1),
        ("(A) one (B) two (C) three", "choice_marks", 3, 2),
        ("A) one\nB) two", "choice_marks", 2, 2),
        ("A. one\nB. two\nC: three\nD. four", "choice_marks", 4, 2),
        ("NASA) and USA. Both", "choice_marks", 0, 2),
        ("version 2A.1", "choice_marks", 0, 2),
    ],
)
def test_marks_are_counted_and_saturate(text: str, name: str, count: int, h: float) -> None:
    assert of(text)[name] == pytest.approx(half(count, h))


def test_the_first_turn_is_zero_and_later_turns_grow() -> None:
    turns = [named(Query(text="a", turn=turn))["turn"] for turn in (1, 2, 10)]
    assert turns == pytest.approx([0.0, math.log(2) / math.log1p(100), math.log(10) / math.log1p(100)])


@pytest.mark.parametrize(
    ("tier", "expected"),
    [("premium", (1, 0)), ("free", (0, 1)), ("gold", (0, 0)), ("Premium", (0, 0)), (None, (0, 0))],
)
def test_only_premium_and_free_are_tiers(tier: str | None, expected: tuple[int, int]) -> None:
    statistics = named(Query(text="a", user_tier=tier))
    assert (statistics["tier_premium"], statistics["tier_free"]) == expected


def test_words_of_other_scripts_are_words() -> None:
    assert of("почему небо синее")["words"] == of("why the sky")["words"]
