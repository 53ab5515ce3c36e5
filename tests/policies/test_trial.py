"""The share of traffic for new arms: its formula, its bounds, and what it leaves alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.policies import Trial, make_policy, parse_policy, reserve_trial_share
from bandit_router.policies.bandit import EpsilonGreedy, Fixed, Tempered, Uniform
from bandit_router.policies.trial import LEAST_PART
from bandit_router.types import Scores
from tests.contracts.policy import make_scores, some_scores, take

REWARDS = 10
_SHARES = st.floats(0.001, 1.0)


def split(scores: Scores) -> tuple[list[int], list[int]]:
    """The arms on trial, and the established ones."""
    assert scores.counted is not None
    rows = range(len(scores.arms))
    return [k for k in rows if scores.counted[k] < REWARDS], [k for k in rows if scores.counted[k] >= REWARDS]


@st.composite
def some_with_new_arms(draw: st.DrawFn) -> Scores:
    """Scores with at least one arm on trial beside at least one that is established."""
    return draw(some_scores().filter(lambda s: s.counted is not None and all(split(s))))


def on_paper(inner: list[float], alone: list[float], new: list[bool], share: float) -> list[float]:
    """The docstring's formula for the arms in order; ``alone`` is the PMF of the established ones."""
    wanted = math.fsum(p for p, is_new in zip(inner, new, strict=True) if is_new)
    least = LEAST_PART * share
    given_away = least if wanted < least else share if wanted > share else wanted
    rest = iter(alone)
    return [
        least / new.count(True) + (given_away - least) * (p / wanted if wanted else 0.0)
        if is_new
        else (1.0 - given_away) * next(rest)
        for p, is_new in zip(inner, new, strict=True)
    ]


@given(scores=some_with_new_arms(), share=_SHARES, epsilon=st.sampled_from([0.0, 0.005, 0.5]))
def test_the_pmf_is_the_formulas(scores: Scores, share: float, epsilon: float) -> None:
    inner, (trial, others) = Tempered(epsilon=epsilon), split(scores)
    new = [k in trial for k in range(len(scores.arms))]
    expected = on_paper(inner.pmf(scores), inner.pmf(take(scores, others)), new, share)
    assert Trial(inner, share, REWARDS).pmf(scores) == pytest.approx(expected, abs=1e-12)


@given(scores=some_with_new_arms(), share=_SHARES)
def test_new_arms_get_no_more_than_the_share_and_each_its_part_of_the_least(
    scores: Scores, share: float
) -> None:
    pmf, (trial, _) = Trial(Tempered(epsilon=0.0), share, REWARDS).pmf(scores), split(scores)
    assert math.fsum(pmf[k] for k in trial) <= share + 1e-12
    assert min(pmf[k] for k in trial) >= LEAST_PART * share / len(trial) - 1e-12
    assert math.fsum(pmf) == pytest.approx(1.0, abs=1e-12)


@given(scores=some_scores())
def test_with_nothing_or_everything_on_trial_the_pmf_is_the_policys_to_the_bit(scores: Scores) -> None:
    for counted in (None, [REWARDS] * len(scores.arms), [REWARDS - 1] * len(scores.arms)):
        these = scores._replace(counted=None if counted is None else np.array(counted))
        assert Trial(Tempered(), 0.25, REWARDS).pmf(these) == Tempered().pmf(these)


@pytest.mark.parametrize(
    ("utility", "expected"),
    [
        ([0.5, 0.6, 9.0], [0.0, 0.75, 0.25]),  # the cap: the rest is decided as if the new arm were not there
        ([0.5, 0.6, -9.0], [0.0, 0.95, 0.05]),  # the least: a fifth of the share
    ],
)
def test_a_greedy_policy_meets_the_cap_and_the_least(utility: list[float], expected: list[float]) -> None:
    scores = make_scores(utility, [0.0] * 3, counted=[100, 100, 0])
    assert Trial(EpsilonGreedy(epsilon=0.0), 0.25, REWARDS).pmf(scores) == pytest.approx(expected)


def test_between_least_and_share_one_new_arm_gets_what_the_policy_gives_it() -> None:
    scores = make_scores([0.5, 0.6, 0.55], [0.1] * 3, counted=[100, 100, 0])
    wanted = Tempered().pmf(scores)[2]
    assert 0.2 < wanted < 0.5
    assert Trial(Tempered(), 0.5, REWARDS).pmf(scores)[2] == pytest.approx(wanted)


def test_an_arm_is_established_with_its_last_reward() -> None:
    policy = Trial(EpsilonGreedy(epsilon=0.0), 0.25, REWARDS)
    before, after = (make_scores([0.5, 0.9], [0.0, 0.0], counted=[100, n]) for n in (REWARDS - 1, REWARDS))
    assert policy.pmf(before) == pytest.approx([0.75, 0.25])
    assert policy.pmf(after) == [0.0, 1.0]


def test_nothing_is_on_trial_before_some_arm_is_known_well() -> None:
    policy = Trial(EpsilonGreedy(epsilon=0.0), 0.25, REWARDS, beside=100)
    early, late = (make_scores([0.5, 0.9], [0.0, 0.0], counted=[n, 0]) for n in (99, 100))
    assert policy.pmf(early) == [0.0, 1.0]
    assert policy.pmf(late) == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("policy", [Uniform(), Fixed("a")], ids=["uniform", "fixed"])
def test_a_policy_that_learns_nothing_has_no_trials(policy: Uniform | Fixed) -> None:
    assert reserve_trial_share(policy, 0.25, 10) is policy


def test_zero_rewards_switch_trials_off_and_nothing_is_on_trial_twice() -> None:
    assert reserve_trial_share(Tempered(), 0.25, 0) == Tempered()
    once = reserve_trial_share(Tempered(), 0.25, 10)
    assert once == Trial(Tempered(), 0.25, 10)
    assert reserve_trial_share(once, 0.5, 20) is once


@pytest.mark.parametrize(("beside", "said"), [(0, ""), (100, ",beside=100")])
def test_the_spec_says_it_all(beside: int, said: str) -> None:
    policy = Trial(make_policy("linucb", {}), 0.1, 30, beside)
    assert policy.spec == f"trial:share=0.1,rewards=30{said}|linucb:alpha=1.0,epsilon=0.02"
    assert parse_policy(policy.spec) == policy


@pytest.mark.parametrize(
    "spec",
    [
        "trial",
        "trial:share=0.1,rewards=30",
        "trial:share=0.1|tempered",
        "trial:share=x,rewards=3|tempered",
        "trial:share=1e,rewards=3|tempered",
        "trial:share=2,rewards=3|tempered",
        "trial:share=0.1,rewards=3,beside=-1|tempered",
        "trial:share=0.1,rewards=3|nonsense",
    ],
)
def test_a_broken_spec_is_an_error_that_says_how_to_write_it(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"trial|nonsense"):
        parse_policy(spec)


@pytest.mark.parametrize(("share", "rewards"), [(0.0, 10), (1.5, 10), (math.nan, 10), (0.25, -1)])
def test_parameters_out_of_range_are_refused(share: float, rewards: int) -> None:
    with pytest.raises(InvalidInput, match="trial"):
        Trial(Tempered(), share, rewards)


def uncapped(inner: list[float], alone: list[float], new: list[bool], share: float) -> list[float]:
    del alone, new, share
    return inner


def capped_by_scaling(inner: list[float], alone: list[float], new: list[bool], share: float) -> list[float]:
    """Scales what the policy gave the others, which is hardly more than its floor."""
    del alone
    rest = math.fsum(p for p, is_new in zip(inner, new, strict=True) if not is_new)
    return [share if is_new else (1.0 - share) * p / rest for p, is_new in zip(inner, new, strict=True)]


@pytest.mark.parametrize("wrong", [uncapped, capped_by_scaling])
def test_the_oracle_tells_other_transforms_apart(wrong: Callable[..., list[float]]) -> None:
    scores = make_scores([0.5, 0.7, 2.0], [0.05] * 3, counted=[100, 100, 0])
    inner = Tempered()
    pmf, alone = inner.pmf(scores), inner.pmf(take(scores, [0, 1]))
    right = Trial(inner, 0.25, REWARDS).pmf(scores)
    assert right == pytest.approx(on_paper(pmf, alone, [False, False, True], 0.25), abs=1e-12)
    assert wrong(pmf, alone, [False, False, True], 0.25) != pytest.approx(right, abs=0.05)
