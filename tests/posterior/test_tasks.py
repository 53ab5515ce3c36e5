"""Tasks in the hierarchy: as features that are 0 or 1, and as sums."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal

from bandit_router.posterior.hierarchical import Solution, solve_hierarchy
from bandit_router.posterior.hierarchical_system import (
    TASK_FACTORS,
    VARIANCE_FACTORS,
    Hyperprior,
    log_evidence,
)
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.regression_sums import RegressionSums, project_sums
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.types import NO_TASK, FloatArray, IntArray

KNOWN = Hyperprior(
    level_std=0.3,
    arm_std=0.15,
    common_variance=0.02,
    arm_variance=0.005,
    noise_std=0.3,
    common_task_variance=0.05,
    task_variance=0.01,
)
UNKNOWN = replace(KNOWN, arm_variance_known=False)
SEEDS = st.integers(0, 2**32 - 1)


class Rows(NamedTuple):
    """The observations of one arm: x (n, d) with a bias, tasks (n,) and outcomes y (n,)."""

    x: FloatArray
    task: IntArray
    y: FloatArray

    def phi(self, transform: FloatArray, tasks: int) -> FloatArray:
        """φ (n, D + T): the directions of x, and a column of 0 and 1 for each task."""
        return np.hstack([self.x @ transform.T, self.task[:, None] == np.arange(tasks)])


def rows_of(seed: int, k: int, d: int, tasks: int, most: int = 30) -> list[Rows]:
    """Rows of k arms, some without any; about a fifth of the queries have no task."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(k):
        n = int(rng.integers(0, most))
        x = np.column_stack([np.ones(n), 0.4 * rng.standard_normal((n, d - 1)) + 0.2])
        task = np.where(rng.random(n) < 0.2, NO_TASK, rng.integers(0, tasks, n))
        y = 0.5 + 0.2 * x[:, 1:].sum(axis=1) + 0.1 * task + 0.3 * rng.standard_normal(n)
        made.append(Rows(x, task, y))
    return made


def statistics_of(rows: list[Rows], d: int, hyper: Hyperprior = KNOWN) -> SufficientStatistics:
    prior = Prior(mean=0.6 * np.eye(d)[0], precision=np.ones(d))
    statistics = SufficientStatistics.empty(
        {f"arm {k}": prior for k in range(len(rows))},
        schema_id="test",
        noise_variance=hyper.noise_std**2,
        hyperprior=hyper,
    )
    for k, arm in enumerate(rows):
        statistics.observe_many(f"arm {k}", arm.x, arm.y, np.zeros(len(arm.y)), 1.0, arm.task)
    return statistics


def sums_of(rows: list[Rows], d: int) -> RegressionSums:
    return statistics_of(rows, d).regression_sums


def diagonals(hyper: Hyperprior, d: int, tasks: int) -> tuple[FloatArray, FloatArray]:
    """The prior variances of θ_0 and of θ_a − θ_0, (D + T,)."""
    shared = [hyper.level_std**2] + [hyper.common_variance] * (d - 1)
    own = [hyper.arm_std**2] + [hyper.arm_variance] * (d - 1)
    of_tasks = [hyper.common_task_variance] * tasks, [hyper.task_variance] * tasks
    return np.array(shared + of_tasks[0]), np.array(own + of_tasks[1])


def solve_jointly(
    phis: list[FloatArray], ys: list[FloatArray], noise: FloatArray, hyper: Hyperprior, d: int
) -> tuple[FloatArray, FloatArray]:
    """θ_0 (E,) and θ (K, E) from the joint density of (θ_0, θ_1, …, θ_K); the level of every arm is 0.6."""
    k, dim = len(phis), phis[0].shape[1]
    shared, own = (np.diag(1.0 / variances) for variances in diagonals(hyper, d, dim - d))
    precision, target = np.zeros(((k + 1) * dim,) * 2), np.zeros((k + 1) * dim)
    precision[:dim, :dim] = shared + k * own
    target[0] = 0.6 * shared[0, 0]
    for a, (phi, y) in enumerate(zip(phis, ys, strict=True)):
        here = slice((a + 1) * dim, (a + 2) * dim)
        precision[here, here], precision[here, :dim], precision[:dim, here] = (
            phi.T @ phi / noise[a] + own,
            -own,
            -own,
        )
        target[here] = y @ phi / noise[a]
    common, *theta = np.linalg.solve(precision, target).reshape(k + 1, dim)
    return common, np.array(theta)


def log_density(
    phis: list[FloatArray], ys: list[FloatArray], noise: FloatArray, hyper: Hyperprior, d: int
) -> float:
    """log N of all outcomes together, θ integrated out."""
    phi, arm = np.concatenate(phis), np.repeat(np.arange(len(phis)), [len(each) for each in phis])
    shared, own = (np.diag(variances) for variances in diagonals(hyper, d, phi.shape[1] - d))
    covariance = phi @ shared @ phi.T + (phi @ own @ phi.T) * (arm[:, None] == arm) + np.diag(noise[arm])
    y = np.concatenate(ys)
    return float(multivariate_normal(np.full(len(y), 0.6), covariance).logpdf(y)) if len(y) else 0.0


def along_x(hyper: Hyperprior) -> list[Hyperprior]:
    """The candidates of the variance along x, spelt out; that on tasks is the one expected."""
    if hyper.arm_variance_known:
        return [hyper]
    return [
        replace(hyper, arm_variance=f * hyper.arm_variance, arm_variance_known=True) for f in VARIANCE_FACTORS
    ]


def on_tasks(hyper: Hyperprior) -> list[Hyperprior]:
    """The candidates of both variances, spelt out."""
    if hyper.arm_variance_known:
        return [hyper]
    return [replace(one, task_variance=f * one.task_variance) for one in along_x(hyper) for f in TASK_FACTORS]


def parts_of(solution: Solution, rows: list[Rows]) -> tuple[list[FloatArray], list[FloatArray], int, int]:
    d, tasks = len(solution.transform), solution.task.shape[1]
    return [arm.phi(solution.transform, tasks) for arm in rows], [arm.y for arm in rows], d, tasks


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 4), st.integers(2, 8), st.integers(1, 5), st.sampled_from([KNOWN, UNKNOWN]))
def test_the_solution_is_that_of_tasks_as_features(
    seed: int, k: int, d: int, tasks: int, hyper: Hyperprior
) -> None:
    """θ_0 is a mixture over the variances along x; each arm, and its width, a mixture over both around it.

    The variance along x is an arm's own, that on tasks the same for all arms.
    """
    rows = rows_of(seed, k, d, tasks)
    solution = solve_hierarchy(sums_of(rows, d), np.full(k, 0.6), hyper)
    phis, ys, first, seen = parts_of(solution, rows)
    noise = solution.noise
    likely = softmax([log_density(phis, ys, noise, one, first) for one in along_x(hyper)])
    common = likely @ [solve_jointly(phis, ys, noise, one, first)[0] for one in along_x(hyper)]
    shares = np.bincount(np.concatenate([arm.task[arm.task >= 0] for arm in rows]), minlength=seen)
    query = np.concatenate([np.eye(first)[0], shares / max(1, shares.sum())])
    by_arm = []
    for a, (phi, y) in enumerate(zip(phis, ys, strict=True)):
        fits = []
        for one in on_tasks(hyper):
            own = np.diag(diagonals(one, first, seen)[1])
            spread = phi @ own @ phi.T + noise[a] * np.eye(len(y))
            gain = own @ phi.T @ np.linalg.inv(spread)
            density = multivariate_normal(phi @ common, spread).logpdf(y) if len(y) else 0.0
            fits.append(
                (density, common + gain @ (y - phi @ common), query @ (own - gain @ phi @ own) @ query)
            )
        by_arm.append(fits)
    known = hyper.arm_variance_known
    densities = np.array([[density for density, _, _ in fits] for fits in by_arm])
    densities = densities.reshape(k, -1, 1 if known else len(TASK_FACTORS))
    of_tasks = softmax(logsumexp(densities, axis=1).sum(axis=0))
    for a, fits in enumerate(by_arm):
        p = (softmax(densities[a], axis=0) * of_tasks).ravel()
        theta = p @ [mean for _, mean, _ in fits]
        got = np.concatenate([solution.theta[a], solution.task[a]])
        np.testing.assert_allclose(got, theta, atol=1e-7)
        mixture = p @ [variance + (query @ (mean - theta)) ** 2 for _, mean, variance in fits]
        before = np.mean([query**2 @ diagonals(one, first, seen)[1] for one in on_tasks(hyper)])
        assert solution.width[a] == pytest.approx(KNOWN.arm_std * np.sqrt(mixture / before), rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(1, 4), st.integers(2, 6), st.integers(1, 4), st.sampled_from([KNOWN, UNKNOWN]))
def test_the_evidence_is_the_density_of_all_outcomes(
    seed: int, k: int, d: int, tasks: int, hyper: Hyperprior
) -> None:
    rows, noise = rows_of(seed, k, d, tasks), np.linspace(0.05, 0.2, k)
    sums = sums_of(rows, d)
    solution = solve_hierarchy(sums, np.full(k, 0.6), hyper)
    phis, ys, first, _ = parts_of(solution, rows)
    densities = [log_density(phis, ys, noise, one, first) for one in along_x(hyper)]
    exact = logsumexp(densities) - np.log(len(densities))
    found = log_evidence(project_sums(sums, solution.transform), noise, 0.6, hyper)
    constant = 0.5 * np.log(2 * np.pi) * sum(len(y) for y in ys)
    assert found - constant == pytest.approx(exact, abs=1e-7)


def test_a_task_without_outcomes_says_nothing() -> None:
    rows = rows_of(1, 3, 5, 2)
    few, many = (statistics_of(rows, 5, UNKNOWN) for _ in range(2))
    many.widen_tasks(40)
    x = np.array([1.0, 0.2, -0.3, 0.1, 0.0])
    for task in (NO_TASK, 0, 1):
        for ours, theirs in zip(few.solve().predict(x, task), many.solve().predict(x, task), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)
    for other in (17, 64):
        np.testing.assert_allclose(many.solve().predict(x, other)[0], many.solve().predict(x)[0], atol=1e-12)


def test_outcomes_on_a_task_move_that_task_most() -> None:
    """Two arms that are alike but on task 1, where the first fails: 40 outcomes of each."""
    rng, rows = np.random.default_rng(0), []
    for a in range(2):
        task = np.arange(40) % 2
        y = 0.7 - 0.4 * (task if a == 0 else 0 * task) + 0.1 * rng.standard_normal(40)
        rows.append(Rows(np.ones((40, 1)), task, y))
    posterior = statistics_of(rows, 1, UNKNOWN).solve()
    means = posterior.predict_many(np.ones((4, 1)), np.array([0, 1, NO_TASK, 9]))[0]
    np.testing.assert_allclose(means[0], 0.7, atol=0.08)
    np.testing.assert_allclose(means[1], [0.3, 0.7], atol=0.08)
    np.testing.assert_array_equal(means[2], means[3])
    for row, number in enumerate((0, 1, NO_TASK, 9)):
        np.testing.assert_allclose(posterior.predict(np.ones(1), number)[0], means[row])


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(1, 4), st.integers(0, 40))
def test_sums_of_tasks_merge_retract_and_revise_exactly(seed: int, tasks: int, cut: int) -> None:
    """Any split of the rows merges to the whole; what is revised and retracted was never there."""
    rng, (rows,) = np.random.default_rng(seed), rows_of(seed, 1, 4, tasks, most=40)
    whole = statistics_of([rows], 4)
    pieces = [Rows(rows.x[at], rows.task[at], rows.y[at]) for at in (slice(cut), slice(cut, None))]
    split = [statistics_of([piece], 4) for piece in pieces]
    merged = split[0].merge(split[1])
    extra = rng.standard_normal(4), int(rng.integers(0, 6))
    merged.observe("arm 0", extra[0], 0.3, task=extra[1])
    merged.revise("arm 0", extra[0], 0.3, 0.9, task=extra[1])
    merged.retract("arm 0", extra[0], 0.9, task=extra[1])
    whole.widen_tasks(merged.tasks)
    for ours, theirs in zip(merged.sums, whole.sums, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    merged.forget("arm 0")
    assert not any(array.any() for array in merged.sums)
