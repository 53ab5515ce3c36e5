"""Intervals are those of scipy, and cover what they should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bandit_router.insight.intervals import Estimate, estimate_mean, estimate_quantile, estimate_share
from tests.insight.examples import count_bins


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 30), (7, 30), (30, 30), (12_345, 1_000_000)])
def test_a_share_has_wilsons_interval(k: int, n: int) -> None:
    low, high = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert estimate_share(k, n) == pytest.approx((n, k / n, low, high))


@pytest.mark.parametrize("n", [2, 3, 50, 5_000])
def test_a_mean_has_students_interval(n: int) -> None:
    values = np.random.default_rng(n).gamma(2.0, 1e-3, n)
    expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    estimate = estimate_mean(n, float(values.sum()), float(np.square(values).sum()))
    assert estimate == pytest.approx((n, values.mean(), *expected))


def test_values_that_are_all_alike_have_no_width() -> None:
    assert estimate_mean(3, 0.3, 0.03) == pytest.approx((3, 0.1, 0.1, 0.1), abs=1e-8)


@pytest.mark.parametrize(("n", "q"), [(20, 0.5), (100, 0.5), (100, 0.95), (3_000, 0.95)])
def test_a_quantile_has_the_order_statistics_of_binomial_ranks(n: int, q: float) -> None:
    values = np.sort(np.random.default_rng(n).lognormal(size=n))
    low, high = (int(rank) for rank in stats.binom.ppf([0.025, 0.975], n, q))
    estimate = estimate_quantile(count_bins(values.tolist()), q)
    expected = (values[int(np.ceil(n * q)) - 1], values[low - 1])
    assert estimate[1:3] == pytest.approx(expected, rel=0.025)
    if high < n:
        assert estimate.high == pytest.approx(values[high], rel=0.025)
    else:
        assert estimate.low is estimate.high is None


def test_nothing_says_nothing() -> None:
    assert estimate_share(0, 0) == estimate_mean(0, 0.0, 0.0) == estimate_quantile(None, 0.5) == Estimate(0)
    assert estimate_mean(1, 0.5, 0.25) == Estimate(1, 0.5)
    assert estimate_quantile(count_bins([1.0]), 0.95).high is None


def test_intervals_cover_what_they_should() -> None:
    """Of 1,000 intervals at 95%, between 93% and 97% hold the truth: three standard errors of that share."""
    rng = np.random.default_rng(11)
    covered = np.zeros(3)
    for _ in range(1_000):
        uniform = rng.random(60)
        share = estimate_share(float((uniform < 0.3).sum()), 60)
        mean = estimate_mean(60, float(uniform.sum()), float(np.square(uniform).sum()))
        median = estimate_quantile(count_bins(uniform.tolist()), 0.5)
        for i, (estimate, truth) in enumerate(((share, 0.3), (mean, 0.5), (median, 0.5))):
            assert estimate.low is not None
            assert estimate.high is not None
            slack = 0.025 * truth * (i == 2)  # of the bins
            covered[i] += estimate.low - slack <= truth <= estimate.high + slack
    assert (covered / 1_000 >= 0.93).all(), covered
    assert (covered[:2] / 1_000 <= 0.97).all(), covered
