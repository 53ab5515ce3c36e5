"""Confidence sequences: intervals that hold at all times at once, so that looking every day is allowed.

Values come one after another; X_i has the mean μ_i given the past, which may differ from value to value, and
each a weight w_i > 0 that is known beforehand. After n values the sequence covers Σ w_i μ_i / Σ w_i, for
every n together with probability at least 1 − α::

    Σ w_i X_i / Σ w_i  ±  u(V_n) / Σ w_i,    V_n = Σ (w_i X_i − w_i x̂_i)²

x̂_i is the mean of the values before. Neither independence nor one common mean is assumed, so a candidate may
learn meanwhile.

*Bounded* values, |w_i (X_i − x̂_i)| ≤ c: u is the gamma-exponential mixture boundary, for which Σ w_i (X_i −
μ_i) is sub-exponential with variance V_n and scale c (Howard, Ramdas, McAuliffe & Sekhon 2021, Time-uniform,
nonparametric, nonasymptotic confidence sequences, theorem 4 and proposition 9). It holds for any n.

*Unbounded* values, such as costs: u is Robbins' normal mixture with the estimated variance, which holds
asymptotically (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Time-uniform central limit theory and
asymptotic confidence sequences, theorem 2.2).

Betting (Waudby-Smith & Ramdas 2024) is tighter where all means are equal, which they are not here. The
package confseq has the same boundary, and is on PyPI as source alone; scipy suffices.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import gammainc, gammaln

from bandit_router.types import FloatArray, IntArray

_TUNED_VARIANCE = 25.0
"""The V_n / c² at which the boundary is about as narrow as it can be."""

_TUNED_COUNT = 2_000.0
"""The number of unbounded values at which theirs is."""

LEAST_ASYMPTOTIC = 100
"""Values without a bound before which there is no interval."""

_BISECTIONS = 40


class RunningSums(NamedTuple):
    """What an interval follows from, after each of n values: their number, Σ w, Σ w X and V; each (n,)."""

    n: FloatArray
    weight: FloatArray
    total: FloatArray
    variance: FloatArray

    def take(self, places: IntArray) -> RunningSums:
        """The sums at these places (m,), each (m,)."""
        return RunningSums(*(column[places] for column in self))


class Intervals(NamedTuple):
    """Estimates with their intervals, each (n,)."""

    value: FloatArray
    low: FloatArray
    high: FloatArray


def accumulate(values: FloatArray, weights: FloatArray, most: float = math.inf) -> RunningSums:
    """The sums after each value (n,), with these weights (n,); the predictions x̂ stay within ± ``most``."""
    weighted = weights * values
    weight, total = np.cumsum(weights), np.cumsum(weighted)
    predicted = np.zeros_like(values)
    np.divide(total[:-1], weight[:-1], out=predicted[1:])
    np.clip(predicted, -most, most, out=predicted)
    variance = np.cumsum((weighted - weights * predicted) ** 2)
    return RunningSums(np.arange(1.0, len(values) + 1.0), weight, total, variance)


def bounded_intervals(sums: RunningSums, scale: float, alpha: float) -> Intervals:
    """The intervals of values with |w (X − x̂)| ≤ ``scale``, missed at any time with probability ≤ α."""
    return _make_intervals(sums, scale * find_boundary(sums.variance / scale**2, alpha / 2.0))


def asymptotic_intervals(sums: RunningSums, alpha: float) -> Intervals:
    """The intervals of values without a bound; they hold from some :data:`LEAST_ASYMPTOTIC` values on."""
    n, deviation = sums.n, np.sqrt(sums.variance / sums.n)
    rho = _tune(_TUNED_COUNT, alpha / 2.0)
    return _make_intervals(sums, deviation * np.sqrt((n + rho) * np.log((n + rho) / (rho * alpha**2))))


def find_boundary(variance: FloatArray, alpha: float) -> FloatArray:
    """The u for which a sub-exponential sum of scale 1 exceeds u(V) at any time with probability ≤ α.

    ``variance`` V is (n,). Where the mixture supermartingale m(s, V) is 1/α, found by bisection.
    """
    rho, target = _tune(_TUNED_VARIANCE, alpha), -math.log(alpha)
    low = np.zeros_like(variance)
    high = 2.0 * np.sqrt((variance + rho) * 2.0 * target) + 4.0 * target + rho
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        is_below = _log_mixture(middle, variance, rho) < target
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    return high


def _log_mixture(s: FloatArray, variance: FloatArray, rho: float) -> FloatArray:
    """log m(s, V), m = ∫ exp(λs − ψ(λ)V) dF(λ) over [0, 1), ψ(λ) = −log(1 − λ) − λ; F has the parameter ρ."""
    y, z = variance + rho, s + variance + rho
    constant = rho * math.log(rho) - float(gammaln(rho)) - math.log(float(gammainc(rho, rho)))
    log_m: FloatArray = constant + gammaln(y) + np.log(gammainc(y, z)) - y * np.log(z) + z - rho
    return log_m


def _tune(variance: float, alpha: float) -> float:
    """The ρ that makes a mixture boundary narrow at this variance."""
    twice = -2.0 * math.log(alpha)
    return variance / (twice + math.log(1.0 + twice))


def _make_intervals(sums: RunningSums, radius: FloatArray) -> Intervals:
    value, half = sums.total / sums.weight, radius / sums.weight
    return Intervals(value, value - half, value + half)
