"""What every policy promises. Each check raises AssertionError when its promise is not kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st
from scipy.stats import chisquare

from bandit_router.errors import NoEligibleArm
from bandit_router.policies import Policy, parse_policy, sample
from bandit_router.types import NO_SIGNALS, Scores, Signals

_ACCURACY = 1e-9  # of a probability that an integral gives

NEEDS: dict[str, dict[str, Any]] = {
    "fixed": {"arm": "a1"},
    "caller": {"otherwise": "a1"},
    "cascade": {"cheap": "a1", "expensive": "a2"},
    "heuristic": {"cheap": "a0", "expensive": "a1"},
    "classifier": {"cheap": "a0", "expensive": "a1"},
    "tier": {"tiers": "premium=a1,standard=[heuristic:cheap=a2,expensive=a3],else=[tempered]"},
}
"""The parameters without a default, by policy."""


def make_scores(
    utility: npt.ArrayLike,
    std: npt.ArrayLike,
    cost_weight: float = 2.0,
    signals: Signals = NO_SIGNALS,
    counted: Sequence[int] | None = None,
) -> Scores:
    """Scores of arms a0, a1, … with these utilities, widths and numbers of rewards."""
    u, width = np.array(utility, dtype=float), np.array(std, dtype=float)
    cost = np.linspace(0.001, 0.1, u.size)
    names = tuple(f"a{k}" for k in range(u.size))
    rewards = None if counted is None else np.array(counted, dtype=np.int64)
    return Scores(names, np.array([1.0, 0.5]), u + cost_weight * cost, width, cost, u, signals, rewards)


SIGNALS: dict[str, st.SearchStrategy[float | str]] = {
    "tier": st.sampled_from(["premium", "standard", "free"]),
    "complexity": st.floats(0.0, 1.0),
    "p_complex": st.floats(0.0, 1.0),
    "rated_share": st.floats(0.001, 1.0),
    "safety_share": st.sampled_from([0.0, 0.001, 0.3, 1.0]),
    "will_be_rated": st.sampled_from([0.0, 1.0]),
    "incumbent": st.sampled_from(["a0", "a2"]),
}
"""Every signal there is; a query may lack any of them."""


@st.composite
def some_scores(draw: st.DrawFn) -> Scores:
    """1 to 8 arms, some of them new; widths from 0 to 2, many far apart, some utilities tied, signals."""
    arms = draw(st.integers(1, 8))
    utilities = st.floats(-2.0, 2.0) | st.sampled_from([0.0, 0.5])
    widths = st.floats(0.0, 2.0) | st.sampled_from([0.0, 1e-9, 1e-4, 0.1])
    return make_scores(
        draw(st.lists(utilities, min_size=arms, max_size=arms)),
        draw(st.lists(widths, min_size=arms, max_size=arms)),
        signals=draw(st.fixed_dictionaries({}, optional=SIGNALS)),
        counted=draw(
            st.none() | st.lists(st.sampled_from([0, 2, 3, 9, 10, 500]), min_size=arms, max_size=arms)
        ),
    )


ORDINARY = make_scores(
    [0.50, 0.55, 0.45, 0.60, 0.52], [0.10, 0.20, 0.15, 0.10, 0.30], counted=[40, 0, 900, 10, 3]
)


def take(scores: Scores, rows: Sequence[int]) -> Scores:
    """The scores of some arms only, in the order given."""
    index = np.array(rows, dtype=int)
    names = ("mean", "std", "cost_usd", "utility", "counted")
    vectors = {name: v[index] for name in names if (v := getattr(scores, name)) is not None}
    return scores._replace(arms=tuple(scores.arms[row] for row in rows), **vectors)


def check_distribution(policy: Policy, scores: Scores) -> None:
    """One probability per given arm, and they sum to 1."""
    pmf = policy.pmf(scores)
    assert len(pmf) == len(scores.arms)
    assert all(0.0 <= p <= 1.0 for p in pmf)
    assert abs(math.fsum(pmf) - 1.0) <= 1e-12


def check_eligibility(policy: Policy, scores: Scores, eligible: Sequence[int]) -> None:
    """All probability is on the eligible arms, whichever those are."""
    check_distribution(policy, take(scores, eligible))


def check_floor(policy: Policy, scores: Scores, epsilon: float) -> None:
    """No arm gets less than ε/k, give or take the last digit."""
    assert min(policy.pmf(scores)) >= epsilon / len(scores.arms) * (1 - 1e-15)


def check_ties(policy: Policy, arms: int, utility: float, std: float) -> None:
    """Arms that cannot be told apart get equal shares."""
    pmf = policy.pmf(make_scores([utility] * arms, [std] * arms))
    assert pmf == pytest.approx([1.0 / arms] * arms, abs=_ACCURACY)


def check_permutation(policy: Policy, scores: Scores, order: Sequence[int]) -> None:
    """An arm's probability does not depend on its place in the list."""
    pmf = policy.pmf(scores)
    assert policy.pmf(take(scores, order)) == pytest.approx([pmf[row] for row in order], abs=_ACCURACY)


def check_input_unchanged(policy: Policy, scores: Scores) -> None:
    """A policy reads its input and no more, even where the arrays could be written to."""
    before = deepcopy(scores)
    policy.pmf(scores)
    for part, copy in zip(scores, before, strict=True):
        np.testing.assert_array_equal(np.array(part), np.array(copy))


def check_one_arm(policy: Policy) -> None:
    """With one eligible arm there is nothing to choose."""
    assert policy.pmf(make_scores([0.3], [0.2])) == [1.0]
    assert policy.pmf(make_scores([-5.0], [0.0])) == [1.0]


def check_no_arm(policy: Policy) -> None:
    """Without an eligible arm there is no distribution."""
    with pytest.raises(NoEligibleArm):
        policy.pmf(make_scores([], []))


def check_deterministic(policy: Policy, scores: Scores) -> None:
    """The PMF is a function of the scores; only sampling draws, and a seed fixes its draws."""
    pmf = policy.pmf(scores)
    assert policy.pmf(scores) == pmf
    one, two = np.random.default_rng(7), np.random.default_rng(7)
    assert [sample(pmf, one) for _ in range(200)] == [sample(policy.pmf(scores), two) for _ in range(200)]


def check_samples(policy: Policy, scores: Scores, draws: int = 20_000) -> None:
    """Actions come as often as the PMF says: χ² at 1e-6, and never an arm of probability 0.

    A right policy fails one seed in a million.
    """
    pmf, rng = np.array(policy.pmf(scores)), np.random.default_rng(3)
    seen = np.bincount([sample(pmf.tolist(), rng) for _ in range(draws)], minlength=pmf.size)
    possible = pmf > 0
    assert seen[~possible].sum() == 0
    if possible.sum() > 1:
        assert chisquare(seen[possible], pmf[possible] * draws).pvalue > 1e-6


def check_spec(policy: Policy) -> None:
    """The logged name reads back as the same policy, so that a log can be recomputed."""
    assert parse_policy(policy.spec) == policy
    assert parse_policy(policy.spec).spec == policy.spec
