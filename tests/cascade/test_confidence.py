"""Four ways to a confidence, and what is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gmean

from bandit_router.cascade.confidence import (
    STATE_IT,
    of_logprobs,
    of_self_check,
    self_check,
    stated,
    yes_probability,
)
from bandit_router.errors import InvalidInput

probabilities = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=40)


@given(probabilities)
def test_the_mean_of_tokens_is_their_geometric_mean(tokens: list[float]) -> None:
    assert of_logprobs(np.log(tokens).tolist()) == pytest.approx(float(gmean(tokens)))


@given(probabilities)
def test_the_least_of_tokens_is_the_least(tokens: list[float]) -> None:
    logprobs = np.log(tokens).tolist()
    assert of_logprobs(logprobs, "min") == pytest.approx(min(tokens))
    assert 0.0 <= of_logprobs(logprobs, "min") <= of_logprobs(logprobs) + 1e-12 <= 1.0 + 1e-12


def test_a_token_that_cannot_be_has_no_confidence() -> None:
    assert of_logprobs([0.0, -math.inf]) == 0.0


@pytest.mark.parametrize("logprobs", [[], [0.5], [-1.0, math.nan], [math.inf]])
def test_what_are_no_logprobs_is_refused(logprobs: list[float]) -> None:
    with pytest.raises(InvalidInput, match="logprobs: "):
        of_logprobs(logprobs)


STATED = {
    "Paris.\nConfidence: 85%": 0.85,
    "confidence: 0.85": 0.85,
    "**Confidence:** 90 %": 0.9,
    "Confidence level: 85/100": 0.85,
    "Confidence score = 72": 0.72,
    "Confidence: .5": 0.5,
    "Confidence: 100%": 1.0,
    "Confidence: 1": 1.0,
    "Confidence: 1%": 0.01,
    "Confidence: 0%": 0.0,
    '{"answer": "B", "confidence": 0.62}': 0.62,
    "Confidence: 20% at first, on reflection\nconfidence: 95%": 0.95,
    "Confidence: 120%": None,
    "Confidence: high": None,
    "I am confident that 85% of them are.": None,
    "": None,
}


@pytest.mark.parametrize(("answer", "share"), STATED.items())
def test_a_stated_confidence_is_read(answer: str, share: float | None) -> None:
    assert stated(answer) == (None if share is None else pytest.approx(share))


def test_what_is_asked_for_is_understood() -> None:
    assert stated(STATE_IT) == 0.85


@given(st.text(max_size=200), st.integers(0, 100))
def test_the_last_line_counts_whatever_is_before(text: str, percent: int) -> None:
    assert stated(f"{text}\nConfidence: {percent}%") == pytest.approx(percent / 100)


@given(st.text(alphabet="confidence: *_=0123456789.%/", max_size=400))
def test_whatever_a_model_writes_is_a_share_or_nothing(text: str) -> None:
    found = stated(text)
    assert found is None or 0.0 <= found <= 1.0


def test_a_self_check_asks_about_this_answer() -> None:
    prompt = self_check("What is {x}?", "It is {y}.")
    assert "What is {x}?" in prompt
    assert "It is {y}." in prompt


@pytest.mark.parametrize(
    ("reply", "found"),
    [("Yes", 1.0), (" yes, it is.", 1.0), ("**No**", 0.0), ("no.", 0.0), ("Nothing", None), ("", None)],
)
def test_a_reply_to_a_self_check_is_read(reply: str, found: float | None) -> None:
    assert of_self_check(reply) == found


def test_the_probability_of_yes_is_among_yes_and_no() -> None:
    top = {" Yes": math.log(0.5), "yes": math.log(0.1), "No": math.log(0.2), "Maybe": math.log(0.2)}
    assert yes_probability(top) == pytest.approx(0.6 / 0.8)
    assert yes_probability({"Maybe": 0.0}) is None
    assert yes_probability({}) is None
