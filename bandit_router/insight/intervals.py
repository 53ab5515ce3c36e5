"""Intervals: 95% confidence intervals of shares, means and quantiles, from sums and counts.

- Of a share k of n, Wilson's: (p̂ + z²/2n ± z·√(p̂(1 − p̂)/n + z²/4n²)) / (1 + z²/n), with p̂ = k/n
  (Wilson, JASA 1927). It stays in [0, 1], and is of use for a share of 0 or 1.
- Of a mean, Student's: x̄ ± t₍ₙ₋₁₎·s/√n.
- Of a quantile q, the order statistics whose ranks are the 2.5% and 97.5% points of Binomial(n, q)
  (David & Nagaraja, Order Statistics, 2003, section 7.1); it assumes nothing of the distribution.

Values are taken for independent. Those of one user or one conversation are not, quite: then intervals are
too narrow.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr, bdtrik, ndtri, stdtrit

from bandit_router.posterior.latency import find_quantile
from bandit_router.types import IntArray

LEVEL = 0.95
_TAIL = (1.0 - LEVEL) / 2.0
Z95 = float(ndtri(1.0 - _TAIL))
"""Standard deviations of the half-width of a normal interval."""


class Estimate(NamedTuple):
    """A number, from ``n`` observations, with its interval; None where there are too few for one."""

    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


def estimate_share(successes: float, n: int) -> Estimate:
    """The share of n that are successes, with Wilson's interval."""
    if n <= 0:
        return Estimate(0)
    share = successes / n
    centre, scale = share + Z95**2 / (2 * n), 1.0 + Z95**2 / n
    half = Z95 * math.sqrt(max(0.0, share * (1.0 - share)) / n + Z95**2 / (4 * n * n))
    low = max(0.0, (centre - half) / scale) if successes > 0 else 0.0  # it is 0 but for rounding
    return Estimate(n, share, low, min(1.0, (centre + half) / scale))


def estimate_mean(n: int, total: float, squares: float) -> Estimate:
    """The mean of n values with these sums, with Student's interval; without one for a single value."""
    if n <= 0:
        return Estimate(0)
    mean = total / n
    if n == 1:
        return Estimate(n, mean)
    variance = max(0.0, squares - total * mean) / (n - 1)
    half = float(stdtrit(n - 1, 1.0 - _TAIL)) * math.sqrt(variance / n)
    return Estimate(n, mean, mean - half, mean + half)


def estimate_quantile(bins: IntArray | None, q: float) -> Estimate:
    """The quantile q of values in the bins of latencies, seconds, within 2.5%; its interval by ranks."""
    n = 0 if bins is None else int(bins.sum())
    if bins is None or n <= 0:
        return Estimate(0)
    counts = bins.astype(np.float64)
    value = find_quantile(counts, q)
    low, high = _find_rank(_TAIL, n, q), _find_rank(1.0 - _TAIL, n, q) + 1
    if low < 1 or high > n:
        return Estimate(n, value)
    return Estimate(n, value, find_quantile(counts, low / n), find_quantile(counts, high / n))


def _find_rank(p: float, n: int, q: float) -> int:
    """The smallest k with P(Binomial(n, q) ≤ k) ≥ p."""
    k = math.ceil(float(bdtrik(p, n, q)))
    return k - 1 if k >= 1 and bdtr(k - 1, n, q) >= p else k
