"""Exploration by what is heard: the width by the share of answers rated, and where no rating will come."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import ConfigError
from bandit_router.policies import explore_where_heard, list_computed_signals, make_policy, parse_policy
from bandit_router.policies.bandit import EpsilonGreedy, Fixed, Tempered, Thompson
from bandit_router.policies.heard import Heard
from bandit_router.policies.tier import Tier
from bandit_router.types import RATED_SHARE, WILL_BE_RATED, Reason, Scores
from tests.contracts.policy import ORDINARY, some_scores


def told(scores: Scores, **signals: float) -> Scores:
    """The same query with these signals and no other."""
    return scores._replace(signals=signals)


@given(scores=some_scores())
def test_where_every_answer_is_rated_nothing_changes_to_the_digit(scores: Scores) -> None:
    plain = Tempered(rated_exponent=0.0).pmf(told(scores))
    for signals in ({}, {RATED_SHARE: 1.0}):
        assert Tempered().pmf(told(scores, **signals)) == plain


@given(scores=some_scores(), share=st.floats(0.001, 0.999), exponent=st.sampled_from([0.2, 0.5, 1.0]))
def test_the_width_is_scaled_by_the_share_the_more_the_better_an_arm_is_known(
    scores: Scores, share: float, exponent: float
) -> None:
    width = scores.std * np.minimum(1.0, 0.5 + 5.0 * scores.std)
    for k in range(len(width)):
        n = math.inf if scores.counted is None else float(scores.counted[k])
        width[k] *= math.exp(math.log(share) * exponent * (1.0 - 2.0 / (n + 3.0)))
    narrowed = Thompson(v=1.0, epsilon=0.005).pmf(scores._replace(std=width))
    policy = Tempered(rated_exponent=exponent)
    assert policy.pmf(told(scores, rated_share=share)) == pytest.approx(narrowed, abs=1e-12)


def test_an_exponent_of_zero_hears_nothing_of_the_share() -> None:
    policy = make_policy("tempered", {"rated_exponent": 0})
    assert policy.pmf(told(ORDINARY, rated_share=0.01)) == policy.pmf(ORDINARY)
    assert Tempered().pmf(told(ORDINARY, rated_share=0.01)) != Tempered().pmf(ORDINARY)


def test_no_signaller_has_to_make_these_signals() -> None:
    assert Heard(Tempered(), 0.001).reads == (WILL_BE_RATED, RATED_SHARE)
    assert list_computed_signals(Heard(Tempered(), 0.001)) == ()


# -- exploring where it will be heard --------------------------------------------------------------


def test_where_a_rating_will_come_the_policy_decides_as_ever() -> None:
    rated = told(ORDINARY, will_be_rated=1.0)
    assert Heard(Tempered(), 0.001).pmf(rated) == Tempered().pmf(rated)
    assert Heard(Tempered(), 0.001).reason(rated) is Reason.POLICY


@pytest.mark.parametrize("signals", [{}, {WILL_BE_RATED: 0.0}])
def test_elsewhere_it_takes_the_best_known_arm_with_its_own_floor(signals: dict[str, float]) -> None:
    policy, scores = Heard(Tempered(), 0.001), told(ORDINARY, **signals)
    assert policy.pmf(scores) == pytest.approx([0.0002, 0.0002, 0.0002, 0.9992, 0.0002], abs=1e-15)
    assert policy.reason(scores) is Reason.GREEDY


def test_only_policies_that_learn_explore_where_it_is_heard() -> None:
    tiers = Tier({"premium": "a1", "free": "a0", "else": "a2"})
    assert explore_where_heard(Fixed("a1"), 0.001) == Fixed("a1")
    assert explore_where_heard(tiers, 0.001) == tiers
    mixed = parse_policy("tier:premium=a1,else=[epsilon-greedy]")
    assert explore_where_heard(mixed, 0.5) == Tier({"premium": "a1", "else": Heard(EpsilonGreedy(), 0.5)})


@pytest.mark.parametrize(
    "spec",
    ["heard:epsilon=0.001", "heard:epsilon=2|tempered", "heard:epsilon=x|tempered", "heard:share=1|tempered"],
)
def test_a_malformed_spec_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"^policy 'heard:.*(write heard:epsilon=|epsilon)"):
        parse_policy(spec)
