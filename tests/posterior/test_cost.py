"""What calls cost beside their list price: learned, positive, and right on average."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.posterior.base import Posterior
from bandit_router.posterior.cost import (
    COST_HYPERPRIOR,
    LARGEST_COST_ROOT,
    compute_cost_root,
    make_cost_prior,
    predict_cost_ratios,
    predict_high_cost_ratios,
)
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.types import FloatArray

DIM = 5
LISTED = np.array([1e-4, 2e-3])


def expected_costs(posterior: Posterior, x: FloatArray, listed: FloatArray) -> FloatArray:
    """What calls at these list prices are expected to cost, (K,)."""
    return listed * predict_cost_ratios(posterior, x)


def nothing_known() -> SufficientStatistics:
    return SufficientStatistics.empty(
        dict.fromkeys(("cheap", "dear"), make_cost_prior(DIM)),
        schema_id="test",
        noise_variance=COST_HYPERPRIOR.noise_std**2,
        hyperprior=COST_HYPERPRIOR,
    )


def contexts(n: int, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    return np.column_stack([np.ones(n), rng.random((n, DIM - 1))])


def test_before_any_cost_is_known_the_list_price_holds() -> None:
    for x in contexts(20):
        np.testing.assert_allclose(expected_costs(nothing_known().solve(), x, LISTED), LISTED, rtol=1e-9)


def test_answers_of_different_length_are_told_apart() -> None:
    """Log-normal costs whose size depends on the query; 3,000 calls. On fresh queries the expectation is
    within 5% of the truth in total for each arm, and three quarters of what queries explain is found."""
    rng, statistics = np.random.default_rng(1), nothing_known()

    def true_mean(x: FloatArray) -> FloatArray:
        mean: FloatArray = np.column_stack([0.5 + 2.0 * x[:, 1], 0.2 + 1.0 * x[:, 2]]) * LISTED
        return mean

    for i, (x, mean) in enumerate(zip(contexts(3000), true_mean(contexts(3000)), strict=True)):
        k = i % 2
        cost = mean[k] * rng.lognormal(-0.125, 0.5)
        root = compute_cost_root(cost, float(LISTED[k]))
        assert root is not None
        statistics.observe(("cheap", "dear")[k], x, root)
    fresh = contexts(500, seed=2)
    posterior = statistics.solve()
    found = np.array([expected_costs(posterior, x, LISTED) for x in fresh])
    truth = true_mean(fresh)
    np.testing.assert_allclose(found.mean(axis=0), truth.mean(axis=0), rtol=0.05)
    error = ((found - truth) ** 2).mean(axis=0) / truth.var(axis=0)
    assert (error < 0.25).all()


def test_few_calls_cost_more_than_they_may_well_do() -> None:
    """Normal roots, so that 2.3% should; of 4,000 calls 0.95% to 3.65% (five standard errors)."""
    rng, statistics = np.random.default_rng(3), nothing_known()

    def draw(x: FloatArray) -> float:
        return float(max(0.0, 0.8 + 0.5 * x[1] + rng.normal(0.0, 0.25)) ** 2)

    for x in contexts(3000):
        root = compute_cost_root(draw(x), 1.0)
        assert root is not None
        statistics.observe("dear", x, root)
    posterior = statistics.solve()
    above = [draw(x) > predict_high_cost_ratios(posterior, x)[1] for x in contexts(4000, seed=4)]
    assert 0.0095 <= np.mean(above) <= 0.0365
    assert (
        predict_high_cost_ratios(posterior, contexts(1)[0]) > predict_cost_ratios(posterior, contexts(1)[0])
    ).all()


@given(st.floats(0, 1e6), st.floats(1e-12, 1e6), st.integers(0, 9))
def test_expectations_are_positive_and_finite_whatever_was_reported(
    cost: float, listed: float, seed: int
) -> None:
    statistics = nothing_known()
    x = contexts(1, seed)[0]
    root = compute_cost_root(cost, listed)
    assert root is not None
    assert 0 <= root <= LARGEST_COST_ROOT
    statistics.observe("cheap", x, root)
    expected = expected_costs(statistics.solve(), x, LISTED)
    assert (expected > 0).all()
    assert np.isfinite(expected).all()


@pytest.mark.parametrize(("cost", "listed"), [(None, 1.0), (1.0, None), (1.0, 0.0)])
def test_without_a_price_or_a_cost_there_is_nothing_to_learn(
    cost: float | None, listed: float | None
) -> None:
    assert compute_cost_root(cost, listed) is None


def test_a_changed_price_acts_at_once() -> None:
    statistics, x = nothing_known(), contexts(1)[0]
    for _ in range(50):
        statistics.observe("dear", x, 0.5)
    posterior = statistics.solve()
    before, after = (expected_costs(posterior, x, LISTED * factor) for factor in (1.0, 0.1))
    np.testing.assert_allclose(after, 0.1 * before)
