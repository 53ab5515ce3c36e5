"""P(arm is the argmax), held against mpmath, scipy's adaptive quadrature, Monte Carlo and its own symmetries."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad_vec
from scipy.special import ndtr
from scipy.stats import chisquare

from bandit_router.errors import InvalidInput
from bandit_router.propensity import argmax_probabilities
from bandit_router.types import FloatArray

CONTRACT = 1e-6
MEASURED = 1e-9
"""The contract is 1e-6; the integral does far better, and a change that loses that should be noticed."""

Solver = Callable[[FloatArray, FloatArray], FloatArray]


def check_accuracy(solver: Solver, mean: FloatArray, std: FloatArray, exact: FloatArray, atol: float) -> None:
    np.testing.assert_allclose(solver(mean, std), exact, rtol=0.0, atol=atol)


def arms(k: int, ratio: float, layout: str) -> tuple[FloatArray, FloatArray]:
    """k arms whose widths run from 1 to 1 / ratio in random order."""
    rng = np.random.default_rng([k, int(ratio)])
    std = rng.permutation(np.geomspace(1.0, 1.0 / ratio, k))
    means = {
        "equal": np.zeros(k),
        "random": rng.normal(size=k),
        "in reach": rng.normal(size=k) * std,
        "leaning": -2.0 * std,
        "far apart": 3.0 * np.arange(k),
    }
    return means[layout], std


def breakpoints(mean: FloatArray, std: FloatArray, above: float = -math.inf) -> list[float]:
    """Every mean ± whole widths where there is mass, without those within half a width of the one before."""
    low, high = max((mean - 12.0 * std).max(), above), (mean + 12.0 * std).max()
    grid = sorted((m + i * s, s) for m, s in zip(mean, std, strict=True) for i in range(-12, 13))
    kept = [float(low)]
    for point, width in grid:
        if low < point < high and point - kept[-1] >= 0.5 * width:
            kept.append(float(point))
    return [*kept, float(high)]


def by_mpmath(mean: FloatArray, std: FloatArray, above: float = -math.inf) -> FloatArray:
    """The defining integral, arm by arm, with 30 digits. Below the first breakpoint lies less than 1e-32."""
    with mp.workdps(30):
        m, s = [mp.mpf(v) for v in mean.tolist()], [mp.mpf(v) for v in std.tolist()]
        points = breakpoints(mean, std, above)

        @cache  # all arms share their nodes
        def at(t: mp.mpf) -> list[mp.mpf]:
            below = [mp.ncdf(t, mu, width) for mu, width in zip(m, s, strict=True)]
            product = mp.fprod(below)
            return [mp.npdf(t, *arm) * product / b for *arm, b in zip(m, s, below, strict=True)]

        def integral(i: int) -> float:
            value, error = mp.quad(lambda t: at(t)[i], points, method="gauss-legendre", error=True)
            assert error < 1e-15
            return float(value)

        return np.array([integral(i) for i in range(len(m))])


def by_adaptive_quadrature(mean: FloatArray, std: FloatArray) -> FloatArray:
    """The same integral in double precision by scipy's adaptive Gauss-Kronrod, each factor multiplied out."""
    others = ~np.eye(mean.size, dtype=bool)

    def integrand(t: float) -> FloatArray:
        z = (t - mean) / std
        density: FloatArray = np.exp(-0.5 * z * z) / (math.sqrt(2.0 * math.pi) * std)
        return density * np.where(others, ndtr(z), 1.0).prod(axis=1)

    points = breakpoints(mean, std)
    value, _ = quad_vec(integrand, points[0], points[-1], points=points[1:-1], epsabs=1e-12, epsrel=0.0)
    return np.asarray(value)


MPMATH_CASES = [
    (2, 1e4, "in reach"),
    (3, 1e3, "in reach"),
    (3, 1e12, "in reach"),
    (5, 1e4, "equal"),
    (5, 1e2, "random"),
    (8, 10.0, "far apart"),
    (8, 1e4, "leaning"),
    (20, 1.0, "random"),
    (20, 1e4, "in reach"),
    (50, 1.0, "random"),
    (50, 1e4, "random"),
]


@pytest.mark.parametrize(("k", "ratio", "layout"), MPMATH_CASES)
def test_agrees_with_thirty_digit_quadrature(k: int, ratio: float, layout: str) -> None:
    mean, std = arms(k, ratio, layout)
    check_accuracy(argmax_probabilities, mean, std, by_mpmath(mean, std), MEASURED)


@pytest.mark.parametrize(("k", "ratio", "layout"), [(3, 1e3, "in reach"), (8, 1e4, "leaning"), (20, 1.0, "random")])
def test_the_double_precision_reference_agrees_with_thirty_digits(k: int, ratio: float, layout: str) -> None:
    mean, std = arms(k, ratio, layout)
    check_accuracy(by_adaptive_quadrature, mean, std, by_mpmath(mean, std), 1e-11)


@pytest.mark.parametrize("layout", ["equal", "random", "in reach", "leaning", "far apart"])
@pytest.mark.parametrize("ratio", [1.0, 10.0, 1e2, 1e3, 1e4])
@pytest.mark.parametrize("k", [2, 3, 5, 8, 20, 50])
def test_agrees_with_adaptive_quadrature(k: int, ratio: float, layout: str) -> None:
    mean, std = arms(k, ratio, layout)
    check_accuracy(argmax_probabilities, mean, std, by_adaptive_quadrature(mean, std), MEASURED)
