"""P(arm is the argmax), held against mpmath, scipy's quadrature, Monte Carlo and its own symmetries."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from random import Random

import mpmath as mp  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad_vec
from scipy.special import ndtr
from scipy.stats import chisquare

from bandit_router.errors import InvalidInput
from bandit_router.policies.gaussian_argmax import argmax_probabilities
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
        def at(t: mp.mpf) -> dict[int, mp.mpf]:
            near = [i for i in range(len(m)) if t < m[i] + 12 * s[i]]  # the others are below t but for 1e-32
            below = {i: mp.ncdf(t, m[i], s[i]) for i in near}
            product = mp.fprod(below.values())
            return {i: mp.npdf(t, m[i], s[i]) * product / below[i] for i in near}

        def integral(i: int) -> float:
            nothing = mp.mpf(0)
            value, error = mp.quad(
                lambda t: at(t).get(i, nothing), points, method="gauss-legendre", error=True
            )
            assert error < 1e-15
            return float(value)

        return np.array([integral(i) for i in range(len(m))])


def by_adaptive_quadrature(mean: FloatArray, std: FloatArray) -> FloatArray:
    """The same integral in double precision by scipy's adaptive Gauss-Kronrod, each factor multiplied out."""
    others = ~np.eye(mean.size, dtype=bool)

    def integrand(t: float) -> FloatArray:
        z = (t - mean) / std
        density: FloatArray = np.exp(-0.5 * z * z) / (math.sqrt(2.0 * math.pi) * std)
        others_below: FloatArray = np.where(others, ndtr(z), 1.0).prod(axis=1)
        return density * others_below

    points = breakpoints(mean, std)
    value, _ = quad_vec(integrand, points[0], points[-1], points=points[1:-1], epsabs=1e-12, epsrel=0.0)
    return np.asarray(value)


def by_gauss_hermite(nodes: int) -> Solver:
    """The tempting shortcut: standard nodes around each arm's own mean, blind to every other width."""

    def solve(mean: FloatArray, std: FloatArray) -> FloatArray:
        x, w = np.polynomial.hermite.hermgauss(nodes)
        t = mean[:, None] + math.sqrt(2.0) * std[:, None] * x
        below = ndtr((t[:, :, None] - mean) / std)
        below[np.arange(mean.size), :, np.arange(mean.size)] = 1.0
        pmf: FloatArray = below.prod(axis=2) @ w
        return np.asarray(pmf / pmf.sum())

    return solve


@cache
def exact(k: int, ratio: float, layout: str) -> FloatArray:
    return by_mpmath(*arms(k, ratio, layout))


@pytest.mark.parametrize(
    ("k", "ratio", "layout"),
    [
        (2, 1e4, "in reach"),
        (3, 1e3, "in reach"),
        (3, 1e12, "in reach"),
        (5, 1e2, "random"),
        (5, 1e4, "equal"),
        (8, 10.0, "far apart"),
        (8, 1e4, "leaning"),
        (20, 1.0, "random"),
        (20, 1e4, "in reach"),
        (50, 1.0, "random"),
        (50, 1e4, "random"),
    ],
)
def test_agrees_with_thirty_digit_quadrature(k: int, ratio: float, layout: str) -> None:
    check_accuracy(argmax_probabilities, *arms(k, ratio, layout), exact(k, ratio, layout), MEASURED)


@pytest.mark.parametrize(
    ("k", "ratio", "layout"),
    [(3, 1e3, "in reach"), (8, 1e4, "leaning"), (20, 1.0, "random"), (50, 1.0, "random")],
)
def test_the_double_precision_reference_agrees_with_thirty_digits(k: int, ratio: float, layout: str) -> None:
    check_accuracy(by_adaptive_quadrature, *arms(k, ratio, layout), exact(k, ratio, layout), 1e-11)


@pytest.mark.parametrize("layout", ["equal", "random", "in reach", "leaning", "far apart"])
@pytest.mark.parametrize("ratio", [1.0, 10.0, 1e2, 1e3, 1e4])
@pytest.mark.parametrize("k", [2, 3, 5, 8, 20, 50])
def test_agrees_with_adaptive_quadrature(k: int, ratio: float, layout: str) -> None:
    mean, std = arms(k, ratio, layout)
    check_accuracy(argmax_probabilities, mean, std, by_adaptive_quadrature(mean, std), MEASURED)


def crowd(lean: float) -> tuple[FloatArray, FloatArray]:
    """The hardest case known: the best of 49 narrow arms peaks sharper than any of them."""
    std = np.append(np.full(49, 0.01), 1.0)
    return np.append(np.random.default_rng(49).normal(-1.0, 0.05, 49), lean) * std, std


@pytest.mark.parametrize("lean", [-2.0, -0.5, 0.0, 1.0])
def test_a_crowd_of_narrow_arms_beside_a_wide_one_agrees_with_adaptive_quadrature(lean: float) -> None:
    mean, std = crowd(lean)
    check_accuracy(argmax_probabilities, mean, std, by_adaptive_quadrature(mean, std), MEASURED)


@pytest.mark.parametrize("lean", [-2.0, -0.5, 0.0, 1.0])
def test_the_sum_is_one_even_where_the_integral_is_least_exact(lean: float) -> None:
    assert abs(argmax_probabilities(*crowd(lean)).sum() - 1.0) <= 1e-12


@pytest.mark.parametrize("nodes", [16, 32])
@pytest.mark.parametrize(("k", "ratio", "layout"), [(3, 1e3, "in reach"), (8, 1e4, "leaning")])
def test_gauss_hermite_nodes_fail_the_same_check(k: int, ratio: float, layout: str, nodes: int) -> None:
    with pytest.raises(AssertionError):
        check_accuracy(by_gauss_hermite(nodes), *arms(k, ratio, layout), exact(k, ratio, layout), CONTRACT)


def test_gauss_hermite_nodes_pass_the_check_when_widths_are_equal() -> None:
    """So that the failures above are about the widths, not about a slip in the shortcut."""
    mean, std = arms(3, 1.0, "random")
    check_accuracy(by_gauss_hermite(32), mean, std, by_mpmath(mean, std), CONTRACT)


DRAWS = 200_000


def observed_wins(mean: FloatArray, std: FloatArray) -> FloatArray:
    draws = np.random.default_rng(20).normal(mean, std, size=(DRAWS, mean.size))
    return np.bincount(draws.argmax(axis=1), minlength=mean.size).astype(float)


MIXED = np.array([0.0, 0.1, -0.3, 0.05, -2.0]), np.array([1.0, 0.01, 0.6, 0.1, 2.0])


def test_the_argmax_of_gaussian_draws_follows_the_probabilities() -> None:
    # A correct implementation fails for 1 seed in 10,000.
    assert chisquare(observed_wins(*MIXED), DRAWS * argmax_probabilities(*MIXED)).pvalue > 1e-4


def test_the_draws_would_expose_probabilities_that_are_off_by_one_in_a_hundred() -> None:
    wrong = argmax_probabilities(*MIXED) + np.array([0.01, -0.01, 0.0, 0.0, 0.0])
    assert chisquare(observed_wins(*MIXED), DRAWS * wrong).pvalue < 1e-4


# Means and shifts are multiples of 1/64, so that shifting them is exact and ties stay ties.
sixty_fourths = st.integers(-320, 320).map(lambda n: n / 64.0)
widths = st.one_of(st.just(0.0), st.floats(1e-6, 10.0), st.floats(-6.0, 1.0).map(lambda e: 10.0**e))


@st.composite
def gaussians(draw: st.DrawFn) -> tuple[FloatArray, FloatArray]:
    pairs = draw(st.lists(st.tuples(sixty_fourths, widths), min_size=1, max_size=8))
    mean, std = np.array(pairs).T
    return mean, std


@given(gaussians())
def test_probabilities_are_nonnegative_and_sum_to_one(both: tuple[FloatArray, FloatArray]) -> None:
    pmf = argmax_probabilities(*both)
    assert pmf.shape == both[0].shape
    assert (pmf >= 0.0).all()
    assert abs(pmf.sum() - 1.0) <= 1e-12


@given(st.lists(st.tuples(st.floats(-1e149, 1e149), st.floats(0.0, 1e149)), min_size=1, max_size=6))
def test_any_finite_arms_give_a_distribution(pairs: list[tuple[float, float]]) -> None:
    pmf = argmax_probabilities(*np.array(pairs).T)
    assert (pmf >= 0.0).all()
    assert abs(pmf.sum() - 1.0) <= 1e-12


@given(gaussians(), st.randoms(use_true_random=False))
def test_permuting_the_arms_permutes_the_probabilities(
    both: tuple[FloatArray, FloatArray], random: Random
) -> None:
    mean, std = both
    order = random.sample(range(mean.size), mean.size)
    permuted = argmax_probabilities(mean[order], std[order])
    np.testing.assert_allclose(permuted, argmax_probabilities(mean, std)[order], rtol=0.0, atol=1e-12)


@given(gaussians(), sixty_fourths)
def test_shifting_every_mean_changes_nothing(both: tuple[FloatArray, FloatArray], shift: float) -> None:
    mean, std = both
    shifted = argmax_probabilities(mean + shift, std)
    np.testing.assert_allclose(shifted, argmax_probabilities(mean, std), rtol=0.0, atol=1e-12)


@given(gaussians(), st.floats(1e-3, 1e3))
def test_a_change_of_unit_changes_nothing(both: tuple[FloatArray, FloatArray], scale: float) -> None:
    mean, std = both
    scaled = argmax_probabilities(scale * mean, scale * std)
    np.testing.assert_allclose(scaled, argmax_probabilities(mean, std), rtol=0.0, atol=1e-9)


@given(gaussians(), st.integers(0, 7), st.floats(0.0, 5.0))
def test_raising_a_mean_never_lowers_that_arms_probability(
    both: tuple[FloatArray, FloatArray], index: int, rise: float
) -> None:
    mean, std = both
    arm = index % mean.size
    raised = mean.copy()
    raised[arm] += rise
    assert argmax_probabilities(raised, std)[arm] >= argmax_probabilities(mean, std)[arm] - 1e-10


def test_one_arm_always_wins() -> None:
    assert argmax_probabilities(np.array([-3.0]), np.array([0.5])).tolist() == [1.0]


@pytest.mark.parametrize("k", [2, 3, 50])
@pytest.mark.parametrize("width", [0.0, 0.3])
def test_equal_arms_share_evenly(k: int, width: float) -> None:
    pmf = argmax_probabilities(np.full(k, 0.7), np.full(k, width))
    np.testing.assert_allclose(pmf, 1.0 / k, rtol=1e-12)


def test_two_arms_follow_the_closed_form() -> None:
    pmf = argmax_probabilities(np.array([1.0, 0.0]), np.array([3.0, 4.0]))
    np.testing.assert_allclose(pmf, [ndtr(0.2), ndtr(-0.2)], rtol=1e-14)


def test_arms_hopelessly_far_apart_leave_one_winner() -> None:
    pmf = argmax_probabilities(np.array([0.0, 1e6, -1e6, 5.0]), np.array([1.0, 0.1, 2.0, 0.0]))
    assert pmf.tolist() == [0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("k", [2, 3, 6])
def test_without_any_width_the_tied_largest_means_share(k: int) -> None:
    mean = np.array([2.0, 2.0, 1.0, 0.0, -1.0, 1.5])[:k]
    assert argmax_probabilities(mean, np.zeros(k)).tolist() == [0.5, 0.5, 0.0, 0.0, 0.0, 0.0][:k]


@pytest.mark.parametrize(("mean", "pmf"), [([1.0, 0.0], [1.0, 0.0]), ([0.0, 1.0], [0.0, 1.0])])
def test_the_larger_of_two_point_masses_wins(mean: list[float], pmf: list[float]) -> None:
    assert argmax_probabilities(np.array(mean), np.zeros(2)).tolist() == pmf


def test_a_point_mass_wins_when_every_other_arm_is_below_it() -> None:
    mean, std = np.array([0.0, 0.5, -0.4, 0.2]), np.array([1.0, 0.0, 0.7, 0.01])
    pmf = argmax_probabilities(mean, std)
    assert pmf[1] == pytest.approx(ndtr(0.5) * ndtr(0.9 / 0.7), abs=1e-12)


def test_arms_beside_a_point_mass_win_only_above_it() -> None:
    mean, std = np.array([0.0, 0.5, -0.4, 0.6]), np.array([1.0, 0.0, 0.7, 0.1])
    wide = np.array([0, 2, 3])
    expected = by_mpmath(mean[wide], std[wide], above=0.5)
    np.testing.assert_allclose(argmax_probabilities(mean, std)[wide], expected, rtol=0.0, atol=MEASURED)


def test_point_masses_that_tie_share_what_the_point_wins() -> None:
    pmf = argmax_probabilities(np.array([0.0, 0.5, 0.5, 0.4]), np.array([1.0, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(pmf, [ndtr(-0.5), ndtr(0.5) / 2, ndtr(0.5) / 2, 0.0], rtol=0.0, atol=1e-12)


def test_a_width_of_zero_is_the_limit_of_small_widths() -> None:
    mean = np.array([0.0, 0.3, -0.2])
    small = argmax_probabilities(mean, np.array([1.0, 1e-12, 0.5]))
    np.testing.assert_allclose(
        argmax_probabilities(mean, np.array([1.0, 0.0, 0.5])), small, rtol=0.0, atol=1e-11
    )


def test_widths_below_a_googolth_of_the_widest_count_as_zero() -> None:
    pmf = argmax_probabilities(np.array([0.0, 0.0, 4e-101]), np.array([1.0, 1e-101, 1e-101]))
    np.testing.assert_allclose(pmf, [0.5, 0.0, 0.5], rtol=0.0, atol=1e-12)


def test_inputs_are_left_unchanged() -> None:
    mean, std = np.array([0.0, 0.5, -9.0, 0.5]), np.array([1.0, 0.0, 0.1, 2.0])
    mean.flags.writeable = std.flags.writeable = False
    argmax_probabilities(mean, std)
    assert mean.tolist() == [0.0, 0.5, -9.0, 0.5]
    assert std.tolist() == [1.0, 0.0, 0.1, 2.0]


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", math.nan),
        ("mean", math.inf),
        ("mean", -math.inf),
        ("mean", 1e200),
        ("std", math.nan),
        ("std", math.inf),
        ("std", -1e-9),
        ("std", 1e200),
    ],
)
def test_a_number_that_is_not_allowed_is_refused_by_name(name: str, value: float, k: int) -> None:
    arguments = {"mean": np.zeros(k), "std": np.ones(k)}
    arguments[name][-1] = value
    with pytest.raises(InvalidInput) as caught:
        argmax_probabilities(**arguments)
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("mean", "std", "name"),
    [
        (np.zeros(0), np.zeros(0), "mean"),
        (np.zeros((2, 2)), np.ones((2, 2)), "mean"),
        (np.zeros(2), np.ones((2, 1)), "std"),
        (np.zeros(3), np.ones(2), "std"),
    ],
)
def test_a_wrong_shape_is_refused_by_name(mean: FloatArray, std: FloatArray, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        argmax_probabilities(mean, std)
    assert caught.value.field == name
