"""Confidence sequences: the boundary against an integral, and coverage at all times together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from bandit_router.evaluation.confidence_sequence import (
    LEAST_ASYMPTOTIC,
    accumulate,
    asymptotic_intervals,
    bounded_intervals,
    find_boundary,
)

RUNS, N, ALPHA = 1_000, 2_000, 0.05
LOOKS = np.unique(np.geomspace(LEAST_ASYMPTOTIC, N, 30).astype(int)) - 1


def integrate_mixture(s: float, variance: float, rho: float) -> float:
    """∫ exp(λs − ψ(λ)V) f(λ) dλ, f ∝ (1 − λ)^(ρ − 1) e^(−ρ(1 − λ)) on [0, 1)."""

    def density(lam: float) -> float:
        return math.exp((rho - 1.0) * math.log(1.0 - lam) - rho * (1.0 - lam))

    def integrand(lam: float) -> float:
        return math.exp(lam * s - (-math.log(1.0 - lam) - lam) * variance) * density(lam)

    return float(quad(integrand, 0.0, 1.0)[0] / quad(density, 0.0, 1.0)[0])


@pytest.mark.parametrize("variance", [0.0, 1.0, 40.0, 300.0])
@pytest.mark.parametrize("alpha", [0.025, 0.001])
def test_at_the_boundary_the_mixture_is_one_over_alpha(variance: float, alpha: float) -> None:
    twice = -2.0 * math.log(alpha)
    rho = 25.0 / (twice + math.log(1.0 + twice))
    u = find_boundary(np.array([variance]), alpha)[0]
    assert integrate_mixture(u, variance, rho) == pytest.approx(1.0 / alpha, rel=1e-5)


def test_the_mean_the_weights_and_the_predictions_are_those_on_paper() -> None:
    sums = accumulate(np.array([1.0, 0.0, 1.0]), np.array([1.0, 2.0, 1.0]))
    assert sums.total / sums.weight == pytest.approx([1.0, 1.0 / 3.0, 0.5])
    assert sums.variance == pytest.approx([1.0, 1.0 + 4.0, 5.0 + (2.0 / 3.0) ** 2])


def count_missed(*, bounded: bool, skewed: bool) -> tuple[int, int]:
    """Of 1,000 runs, those whose interval misses the mean at a look: of the sequence, and of a fixed n."""
    rng, missed, missed_fixed = np.random.default_rng(7), 0, 0
    drift = np.linspace(0.2, 0.6, N)
    for _ in range(RUNS):
        values = rng.exponential(drift) if skewed else (rng.random(N) < drift).astype(float)
        at = accumulate(values, np.ones(N)).take(LOOKS)
        mean = (np.cumsum(drift) / np.arange(1, N + 1))[LOOKS]
        found = bounded_intervals(at, 1.0, ALPHA) if bounded else asymptotic_intervals(at, ALPHA)
        missed += bool(((mean < found.low) | (mean > found.high)).any())
        half = 1.96 * np.sqrt(at.variance) / at.weight
        missed_fixed += bool((np.abs(found.value - mean) > half).any())
    return missed, missed_fixed


@pytest.mark.parametrize(("bounded", "skewed"), [(True, False), (False, False), (False, True)])
def test_a_moving_mean_is_covered_at_all_looks_together(bounded: bool, skewed: bool) -> None:
    missed, missed_fixed = count_missed(bounded=bounded, skewed=skewed)
    assert missed <= ALPHA * RUNS
    assert missed_fixed > 3 * ALPHA * RUNS  # an interval for a fixed n does not survive peeking


def test_a_sequence_narrows_as_values_come() -> None:
    values = np.random.default_rng(1).random(10_000)
    found = bounded_intervals(accumulate(values, np.ones(10_000)).take(np.array([99, 9_999])), 1.0, ALPHA)
    half = (found.high - found.low) / 2.0
    assert half[1] < 0.02 < half[0]
