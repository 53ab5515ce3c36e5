"""The hierarchy against one large Gaussian that knows nothing of eliminating arms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal

from bandit_router.posterior.directions import DIRECTIONS, find_directions
from bandit_router.posterior.hierarchical import Solution, solve_hierarchy
from bandit_router.posterior.hierarchical_system import VARIANCE_FACTORS, Hyperprior, log_evidence
from bandit_router.posterior.regression_sums import (
    RegressionSums,
    add_sums,
    concatenate_sums,
    project_sums,
    scale_sums,
)
from bandit_router.posterior.warm_start_verdict import PRIOR_LOG_ODDS, WarmStartVerdict, judge_warm_start
from bandit_router.types import FloatArray
from tests.posterior.sums import make_sums

HYPER = Hyperprior(level_std=0.3, arm_std=0.15, common_variance=0.02, arm_variance=0.005, noise_std=0.3)
UNKNOWN = replace(HYPER, arm_variance_known=False)
SEEDS = st.integers(0, 2**32 - 1)


def rows_of(seed: int, k: int, d: int, most: int = 40) -> list[tuple[FloatArray, FloatArray]]:
    """Contexts (n, d) with a bias, and outcomes (n,), of each of k arms; some arms have none."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(k):
        n = int(rng.integers(0, most))
        x = np.column_stack([np.ones(n), 0.4 * rng.standard_normal((n, d - 1)) + 0.2])
        made.append((x, 0.5 + 0.2 * x[:, 1:].sum(axis=1) + 0.3 * rng.standard_normal(n)))
    return made


def sums_of(rows: list[tuple[FloatArray, FloatArray]], d: int) -> RegressionSums:
    second = np.array([x.T @ x for x, _ in rows]).reshape(len(rows), d, d)
    cross = np.array([y @ x for x, y in rows])
    return make_sums(
        second, cross, np.array([y @ y for _, y in rows]), np.array([float(len(y)) for _, y in rows])
    )


def joint(
    rows: list[tuple[FloatArray, FloatArray]],
    found: Solution,
    prior_mean: FloatArray,
    hyper: Hyperprior = HYPER,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """θ_0 (D,), θ (K, D) and each arm's level std given θ_0, from the joint density of (θ_0, θ_1, …, θ_K).

    The noise is the one found: it is what the linear algebra is conditional on.
    """
    k, dim = found.theta.shape
    shared = np.diag([hyper.level_std**-2.0] + [1 / hyper.common_variance] * (dim - 1))
    own = np.diag([hyper.arm_std**-2.0] + [1 / hyper.arm_variance] * (dim - 1))
    precision, target = np.zeros(((k + 1) * dim,) * 2), np.zeros((k + 1) * dim)
    first = np.eye(dim)[0]
    precision[:dim, :dim] = shared + k * own
    target[:dim] = shared @ first * prior_mean.mean() - own @ first * (prior_mean - prior_mean.mean()).sum()
    width = np.empty(k)
    for a, (x, y) in enumerate(rows):
        here = slice((a + 1) * dim, (a + 2) * dim)
        phi = x @ found.transform.T
        alone = phi.T @ phi / found.noise[a] + own
        precision[here, here], precision[here, :dim], precision[:dim, here] = alone, -own, -own
        target[here] = y @ phi / found.noise[a] + own @ first * (prior_mean[a] - prior_mean.mean())
        width[a] = np.sqrt(np.linalg.inv(alone)[0, 0])
    common, *theta = np.linalg.solve(precision, target).reshape(k + 1, dim)
    return common, np.array(theta), width


@settings(deadline=None)
@given(SEEDS, st.integers(1, 5), st.integers(1, 20))
def test_the_solution_is_that_of_the_joint_density(seed: int, k: int, d: int) -> None:
    rows = rows_of(seed, k, d) if d > 1 else [(np.ones((5, 1)), np.full(5, 0.3))] * k
    prior = np.random.default_rng(seed).uniform(0.4, 0.8, k)
    found = solve_hierarchy(sums_of(rows, d), prior, HYPER)
    _, theta, width = joint(rows, found, prior)
    np.testing.assert_allclose(found.theta, theta, atol=1e-8)
    np.testing.assert_allclose(found.width, width, rtol=1e-8)


def test_before_any_outcome_arms_are_what_they_are_expected_to_be() -> None:
    prior = np.array([0.3, 0.8])
    found = solve_hierarchy(sums_of([(np.empty((0, 4)), np.empty(0))] * 2, 4), prior, HYPER)
    np.testing.assert_allclose(found.mean(np.array([1.0, 2.0, -1.0, 0.5])), prior)
    np.testing.assert_allclose(found.width, 0.15)
    np.testing.assert_allclose(found.noise, 0.09)


def test_outcomes_of_one_arm_move_the_others_and_less() -> None:
    x, y = np.column_stack([np.ones(50), np.zeros((50, 2))]), np.full(50, 0.2)
    nothing = np.empty((0, 3)), np.empty(0)
    found = solve_hierarchy(sums_of([(x, y), nothing, nothing], 3), np.full(3, 0.7), HYPER)
    tried, *others = found.mean(np.array([1.0, 0.0, 0.0]))
    assert tried == pytest.approx(0.2, abs=0.02)
    assert all(0.2 < other < 0.45 for other in others)
    assert found.width[0] < found.width[1] / 3


def test_the_noise_of_an_arm_is_found() -> None:
    """Within a tenth of the truth, for 2,000 rows of each; arms differ threefold."""
    rng, rows = np.random.default_rng(0), []
    for sd in (0.1, 0.3):
        x = np.column_stack([np.ones(2000), rng.standard_normal((2000, 3))])
        rows.append((x, 0.6 + 0.02 * x[:, 1] + sd * rng.standard_normal(2000)))
    found = solve_hierarchy(sums_of(rows, 4), np.full(2, 0.5), HYPER)
    np.testing.assert_allclose(np.sqrt(found.noise), [0.1, 0.3], rtol=0.1)


@given(SEEDS, st.integers(2, 30))
def test_directions_are_centred_and_of_unit_size_on_average(seed: int, d: int) -> None:
    rows = rows_of(seed, 3, d, most=400)
    x = np.concatenate([x for x, _ in rows])
    n = len(x)
    if n < d:
        return
    sums = sums_of(rows, d)
    transform = find_directions(sums.second, sums.weight)
    phi = x @ transform.T
    assert transform.shape == (1 + min(DIRECTIONS, d - 1), d)
    np.testing.assert_allclose(phi[:, 0], 1.0)
    np.testing.assert_allclose(phi[:, 1:].mean(axis=0), 0.0, atol=1e-9)
    spread = n * np.cov(x[:, 1:].T, ddof=0).reshape(d - 1, d - 1) + np.eye(d - 1) * 20 / (d - 1)
    gram = transform[:, 1:] @ spread @ transform[:, 1:].T / (n + 20)  # 20 contexts of no direction
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0.0, atol=1e-9)
    assert np.trace(gram) == pytest.approx(1.0)


def test_rare_contexts_without_spread_are_no_trouble() -> None:
    x = np.tile([1.0, 0.5, 0.0], (30, 1))
    found = solve_hierarchy(sums_of([(x, np.full(30, 0.9))], 3), np.array([0.5]), HYPER)
    assert np.isfinite(found.theta).all()
    assert found.mean(x[0])[0] == pytest.approx(0.9, abs=0.02)


# -- warm starts ----------------------------------------------------------------------------------


def candidates(hyper: Hyperprior) -> list[Hyperprior]:
    """What ``hyper`` leaves open, spelt out."""
    factors = (1.0,) if hyper.arm_variance_known else VARIANCE_FACTORS
    return [replace(hyper, arm_variance=f * hyper.arm_variance, arm_variance_known=True) for f in factors]


def log_density(
    rows: list[tuple[FloatArray, FloatArray]],
    transform: FloatArray,
    noise: FloatArray,
    hyper: Hyperprior = HYPER,
) -> float:
    """log N of all outcomes together, θ integrated out; the level expected of every arm is 0.6."""
    if not any(len(y) for _, y in rows):
        return 0.0
    phis = [x @ transform.T for x, _ in rows]
    phi, arm = np.concatenate(phis), np.repeat(np.arange(len(rows)), [len(x) for x, _ in rows])
    d = phi.shape[1]
    shared = np.diag([hyper.level_std**2] + [hyper.common_variance] * (d - 1))
    own = np.diag([hyper.arm_std**2] + [hyper.arm_variance] * (d - 1))
    covariance = phi @ shared @ phi.T + (phi @ own @ phi.T) * (arm[:, None] == arm) + np.diag(noise[arm])
    y = np.concatenate([y for _, y in rows])
    return float(multivariate_normal(np.full(len(y), 0.6), covariance).logpdf(y))


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(1, 4), st.integers(2, 8), st.sampled_from([HYPER, UNKNOWN]), st.data())
def test_a_warm_start_is_taken_for_what_makes_the_outcomes_most_probable(
    seed: int, k: int, d: int, hyper: Hyperprior, data: st.DataObject
) -> None:
    """Of the same arms, of as many strangers, or nothing: by the joint densities of all outcomes."""
    own, made = rows_of(seed, k, d, most=15), rows_of(seed + 1, k, d, most=15)
    off = data.draw(st.lists(st.sampled_from([0.0, -0.5, 0.5, 3.0]), min_size=k, max_size=k))
    warm = [(x, y + by) for (x, y), by in zip(made, off, strict=True)]
    nobody = [(x[:0], y[:0]) for x, y in own]
    noise = np.linspace(0.05, 0.2, k)
    together = [
        (np.concatenate([x, wx]), np.concatenate([y, wy])) for (x, y), (wx, wy) in zip(own, warm, strict=True)
    ]
    transform = find_directions(sums_of(together, d).second, sums_of(together, d).weight)

    def density(rows: list[tuple[FloatArray, FloatArray]]) -> float:
        noises = np.resize(noise, len(rows))
        found = logsumexp([log_density(rows, transform, noises, one) for one in candidates(hyper)])
        return float(found - np.log(len(candidates(hyper))))

    exact = {
        WarmStartVerdict.SAME: density(together) - density(warm) + PRIOR_LOG_ODDS,
        WarmStartVerdict.STRANGERS: density(own + warm) - density(nobody + warm),
        WarmStartVerdict.NOTHING: density(own),
    }
    projected = [project_sums(sums_of(rows, d), transform) for rows in (own, warm)]
    mine, theirs = projected
    verdict = judge_warm_start(mine, theirs, noise, 0.6, hyper)
    assert exact[verdict] == pytest.approx(max(exact.values()), abs=1e-7)
    constant = 0.5 * np.log(2 * np.pi) * sum(len(y) for _, y in own)
    of_all, of_warm = (
        log_evidence(concatenate_sums(one, theirs), np.resize(noise, 2 * k), 0.6, hyper)
        for one in (mine, scale_sums(0.0, mine))
    )
    assert of_all - of_warm - constant == pytest.approx(exact[WarmStartVerdict.STRANGERS], abs=1e-7)


def world(seed: int, levels: list[float], rows: int) -> RegressionSums:
    rng, d = np.random.default_rng(seed), 4
    made = []
    for level in levels:
        x = np.column_stack([np.ones(rows), rng.standard_normal((rows, d - 1))])
        made.append((x, level + 0.3 * rng.standard_normal(rows)))
    return sums_of(made, d)


def test_a_warm_start_is_prior_evidence() -> None:
    """Before the first outcome it is all there is; beside outcomes that bear it out it counts in full."""
    levels, prior = [0.3, 0.6, 0.9], np.full(3, 0.6)
    nothing, warm, own = world(0, levels, 0), world(1, levels, 100), world(2, levels, 100)
    for mine, together in ((nothing, warm), (own, add_sums(own, warm))):
        found, expected = solve_hierarchy(mine, prior, HYPER, warm), solve_hierarchy(together, prior, HYPER)
        assert (found.verdict, expected.verdict) == (WarmStartVerdict.SAME, None)
        np.testing.assert_allclose(found.theta, expected.theta)
        np.testing.assert_allclose(found.width, expected.width)


def test_a_warm_start_of_other_models_is_unlearned() -> None:
    prior, own = np.full(3, 0.6), world(2, [0.3, 0.6, 0.9], 60)
    wrong = world(1, [0.9, 0.6, 0.3], 300)
    found, alone = solve_hierarchy(own, prior, HYPER, wrong), solve_hierarchy(own, prior, HYPER)
    believed = solve_hierarchy(add_sums(own, wrong), prior, HYPER)
    assert found.verdict is WarmStartVerdict.STRANGERS
    assert believed.theta[:, 0].argmax() == 0
    np.testing.assert_allclose(found.theta[:, 0], alone.theta[:, 0], atol=0.02)
    np.testing.assert_allclose(found.width, alone.width, rtol=0.02)


def test_labels_of_other_models_tell_which_queries_are_hard_and_not_which_model_is_good() -> None:
    """Only the first arm was tried, 60 times. Whatever its label says, the others are as open as before."""
    rng, weak, slope = np.random.default_rng(4), 0.45, np.array([0.0, 0.15, -0.1])

    def answers(levels: list[float], counts: list[int]) -> RegressionSums:
        rows = []
        for level, n in zip(levels, counts, strict=True):
            x = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
            rows.append((x, level + x @ slope + 0.3 * rng.standard_normal(n)))
        return sums_of(rows, 3)

    own, prior = answers([weak, 0.7, 0.9], [60, 0, 0]), np.full(3, 0.6)
    wrong = answers([0.9, weak, 0.7], [400] * 3)
    found, believed = (
        solve_hierarchy(own, prior, HYPER, wrong),
        solve_hierarchy(add_sums(own, wrong), prior, HYPER),
    )
    assert believed.width[1] < 0.03
    assert found.width[1:].min() > 0.1
    assert found.theta[0, 0] == pytest.approx(weak, abs=0.1)
    effect = found.theta @ found.transform  # of a step along each feature
    np.testing.assert_allclose(effect[:, 1:], np.tile(slope[1:], (3, 1)), atol=0.08)
    alone = solve_hierarchy(own, prior, HYPER)
    far = np.abs(alone.theta @ alone.transform - found.theta @ found.transform)[1:, 1:]
    assert far.max() > 0.02, "the labels added nothing"


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_features_apart_are_directions_of_their_own_whatever_the_scale_of_the_others(scale: float) -> None:
    rng = np.random.default_rng(2)
    x = np.column_stack([np.ones(5_000), scale * rng.standard_normal((5_000, 3)), rng.random((5_000, 2))])
    transform = find_directions((x.T @ x)[None], np.array([5_000.0]), 2)
    phi = x @ transform.T
    assert transform.shape == (6, 6)
    np.testing.assert_allclose(phi[:, 4:].mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose((phi[:, 4:] ** 2).mean(axis=0), 0.5, rtol=0.05)  # 1 together
    assert not transform[1:4, 4:].any()
    assert not transform[4:, 1:4].any()
    alone = find_directions((x[:, :4].T @ x[:, :4])[None], np.array([5_000.0]))
    np.testing.assert_allclose(np.abs(transform[1:4, :4]), np.abs(alone[1:]), rtol=1e-6, atol=1e-9 / scale)


# -- how much arms differ -------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(1, 4), st.integers(2, 8))
def test_what_is_unknown_of_the_arms_is_averaged_over(seed: int, k: int, d: int) -> None:
    """θ_0 is that of a mixture of joint densities over ``VARIANCE_FACTORS``; each arm is one around it."""
    offset = np.random.default_rng(seed).uniform(-0.2, 0.2, k)
    offset -= offset.mean()
    given_rows = rows_of(seed, k, d)
    found = solve_hierarchy(sums_of(given_rows, d), 0.6 + offset, UNKNOWN)
    rows = [(x, y - own) for (x, y), own in zip(given_rows, offset, strict=True)]
    p = softmax([log_density(rows, found.transform, found.noise, one) for one in candidates(UNKNOWN)])
    common = p @ [joint(rows, found, np.full(k, 0.6), one)[0] for one in candidates(UNKNOWN)]
    for a, (x, y) in enumerate(rows):
        phi, noise = x @ found.transform.T, found.noise[a] * np.eye(len(y))
        fits = []
        for one in candidates(UNKNOWN):
            own = np.diag([HYPER.arm_std**2] + [one.arm_variance] * (phi.shape[1] - 1))
            spread = phi @ own @ phi.T + noise
            gain = own @ phi.T @ np.linalg.inv(spread)
            likely = multivariate_normal(phi @ common, spread).logpdf(y) if len(y) else 0.0
            fits.append((likely, common + gain @ (y - phi @ common), (own - gain @ phi @ own)[0, 0]))
        p = softmax([likely for likely, _, _ in fits])
        theta = p @ [mean for _, mean, _ in fits]
        np.testing.assert_allclose(found.theta[a] - offset[a] * np.eye(len(theta))[0], theta, atol=1e-7)
        mixture = p @ [variance + (mean[0] - theta[0]) ** 2 for _, mean, variance in fits]
        assert found.width[a] ** 2 == pytest.approx(mixture, rel=1e-6)


@pytest.mark.parametrize("differ", [0.0, 0.05, 0.2])
def test_outcomes_say_how_much_arms_differ(differ: float) -> None:
    """Eight arms of 500 rows: of five who are sure, each of a candidate, at most two have a smaller error."""
    rng, rows, slopes = np.random.default_rng(0), [], 0.1 + np.zeros((8, 3))
    slopes += differ * rng.standard_normal(slopes.shape)
    for own in slopes:
        x = np.column_stack([np.ones(500), rng.standard_normal((500, 3))])
        rows.append((x, 0.5 + x[:, 1:] @ own + 0.3 * rng.standard_normal(500)))
    sums, prior = sums_of(rows, 4), np.full(8, 0.5)

    def error(hyper: Hyperprior) -> float:
        found = solve_hierarchy(sums, prior, hyper)
        return float((((found.theta @ found.transform)[:, 1:] - slopes) ** 2).sum())

    assert error(UNKNOWN) < sorted(error(one) for one in candidates(UNKNOWN))[2]


def test_what_arms_differ_in_is_no_noise() -> None:
    """Four arms of 300 rows that differ sixty times as much as expected: the noise is within a fifth."""
    rng, rows = np.random.default_rng(0), []
    for _ in range(4):
        x = np.column_stack([np.ones(300), rng.standard_normal((300, 6))])
        rows.append((x, 0.5 + x[:, 1:] @ (0.1 * rng.standard_normal(6)) + 0.1 * rng.standard_normal(300)))
    found = solve_hierarchy(sums_of(rows, 7), np.full(4, 0.5), replace(UNKNOWN, arm_variance=0.001))
    np.testing.assert_allclose(found.noise, 0.01, rtol=0.2)
