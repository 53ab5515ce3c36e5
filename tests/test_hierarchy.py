"""The hierarchy against one large Gaussian that knows nothing of eliminating arms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit_router.hierarchy import DIRECTIONS, Hyperprior, Solution, Sums, directions, solve
from bandit_router.types import FloatArray

HYPER = Hyperprior(level_std=0.3, arm_std=0.15, common_variance=0.02, arm_variance=0.005, noise_std=0.3)
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


def sums_of(rows: list[tuple[FloatArray, FloatArray]], d: int) -> Sums:
    second = np.array([x.T @ x for x, _ in rows]).reshape(len(rows), d, d)
    cross = np.array([y @ x for x, y in rows])
    return Sums(second, cross, np.array([y @ y for _, y in rows]), np.array([float(len(y)) for _, y in rows]))


def joint(
    rows: list[tuple[FloatArray, FloatArray]], found: Solution, prior_mean: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """θ (K, D) and each arm's level std given θ_0, from the joint density of (θ_0, θ_1, …, θ_K).

    The noise is the one found: it is what the linear algebra is conditional on.
    """
    k, dim = found.theta.shape
    shared = np.diag([HYPER.level_std**-2.0] + [1 / HYPER.common_variance] * (dim - 1))
    own = np.diag([HYPER.arm_std**-2.0] + [1 / HYPER.arm_variance] * (dim - 1))
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
    return np.linalg.solve(precision, target)[dim:].reshape(k, dim), width


@settings(deadline=None)
@given(SEEDS, st.integers(1, 5), st.integers(1, 20))
def test_the_solution_is_that_of_the_joint_density(seed: int, k: int, d: int) -> None:
    rows = rows_of(seed, k, d) if d > 1 else [(np.ones((5, 1)), np.full(5, 0.3))] * k
    prior = np.random.default_rng(seed).uniform(0.4, 0.8, k)
    found = solve(sums_of(rows, d), prior, HYPER)
    theta, width = joint(rows, found, prior)
    np.testing.assert_allclose(found.theta, theta, atol=1e-8)
    np.testing.assert_allclose(found.width, width, rtol=1e-8)


def test_before_any_outcome_arms_are_what_they_are_expected_to_be() -> None:
    prior = np.array([0.3, 0.8])
    found = solve(sums_of([(np.empty((0, 4)), np.empty(0))] * 2, 4), prior, HYPER)
    np.testing.assert_allclose(found.mean(np.array([1.0, 2.0, -1.0, 0.5])), prior)
    np.testing.assert_allclose(found.width, 0.15)
    np.testing.assert_allclose(found.noise, 0.09)


def test_outcomes_of_one_arm_move_the_others_and_less() -> None:
    x, y = np.column_stack([np.ones(50), np.zeros((50, 2))]), np.full(50, 0.2)
    nothing = np.empty((0, 3)), np.empty(0)
    found = solve(sums_of([(x, y), nothing, nothing], 3), np.full(3, 0.7), HYPER)
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
    found = solve(sums_of(rows, 4), np.full(2, 0.5), HYPER)
    np.testing.assert_allclose(np.sqrt(found.noise), [0.1, 0.3], rtol=0.1)


@given(SEEDS, st.integers(2, 30))
def test_directions_are_centred_and_of_unit_size_on_average(seed: int, d: int) -> None:
    rows = rows_of(seed, 3, d, most=400)
    x = np.concatenate([x for x, _ in rows])
    n = len(x)
    if n < d:
        return
    sums = sums_of(rows, d)
    transform = directions(sums.second, sums.weight)
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
    found = solve(sums_of([(x, np.full(30, 0.9))], 3), np.array([0.5]), HYPER)
    assert np.isfinite(found.theta).all()
    assert found.mean(x[0])[0] == pytest.approx(0.9, abs=0.02)
