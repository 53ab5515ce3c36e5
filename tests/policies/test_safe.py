"""Safe: an exact mixture of a policy and a baseline, by the share that the decision is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import ConfigError
from bandit_router.policies import bind_to_baseline, list_computed_signals, parse_policy, select_arms
from bandit_router.policies.bandit import Fixed, Tempered
from bandit_router.policies.heard import Heard
from bandit_router.policies.safe import Safe
from bandit_router.types import SAFETY_SHARE, Reason, Scores
from tests.contracts.policy import ORDINARY, some_scores

BOUND = Safe(Tempered(), "a1")


def told(scores: Scores, share: float) -> Scores:
    return scores._replace(signals={SAFETY_SHARE: share})


@given(scores=some_scores(), share=st.floats(0.0, 1.0))
def test_the_policy_has_its_share_and_the_baseline_the_rest(scores: Scores, share: float) -> None:
    q = Tempered().pmf(told(scores, share))
    mixed = [share * p + (1.0 - share) * (arm == "a1") for arm, p in zip(scores.arms, q, strict=True)]
    expected = mixed if "a1" in scores.arms else q
    assert BOUND.pmf(told(scores, share)) == pytest.approx(expected, abs=1e-12)


def test_where_all_may_be_lost_nothing_changes_to_the_digit() -> None:
    assert BOUND.pmf(told(ORDINARY, 1.0)) == Tempered().pmf(ORDINARY)


def test_where_nobody_says_what_may_be_lost_the_baseline_decides() -> None:
    assert BOUND.pmf(ORDINARY._replace(signals={}))[ORDINARY.arms.index("a1")] == 1.0
    assert BOUND.reason(ORDINARY._replace(signals={})) is Reason.GREEDY
    assert BOUND.reason(told(ORDINARY, 0.001)) is Reason.POLICY


def test_without_its_baseline_the_policy_decides() -> None:
    rest = select_arms(told(ORDINARY, 0.0), [0, 2])
    assert BOUND.pmf(rest) == Tempered().pmf(rest)


def test_no_signaller_has_to_make_the_share() -> None:
    assert BOUND.reads[0] == SAFETY_SHARE
    assert list_computed_signals(BOUND) == ()


@pytest.mark.parametrize("policy", [BOUND, Safe(Heard(Tempered(), 0.001), "gpt-4o")])
def test_its_spec_is_read_back(policy: Safe) -> None:
    assert parse_policy(policy.spec) == policy


@pytest.mark.parametrize("spec", ["safe:baseline=a1", "safe:large|tempered", "safe:baseline=|tempered"])
def test_a_spec_that_says_too_little_is_an_error(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"write safe:baseline=large\|POLICY"):
        parse_policy(spec)


def test_what_never_learns_is_not_bound() -> None:
    assert bind_to_baseline(Fixed("a1"), "a1") == Fixed("a1")
    assert bind_to_baseline(Tempered(), "a1") == BOUND
