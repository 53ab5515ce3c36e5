"""Hierarchical linear model: arms share a common effect, so that every outcome says something of every arm.

Arm a has outcome ``y = θ_a·φ + noise`` with noise variance σ_a², and the arms have a common mean::

    φ = [f(x), e],    θ_a ~ N(θ_0, L_1⁻¹),    θ_0 ~ N(μ, L_0⁻¹)

f(x) are few directions of x (:mod:`bandit_router.posterior.directions`); e is 1 for the query's task and 0
for any other. θ_0 is solved for first, then each arm (:mod:`bandit_router.posterior.hierarchical_system`;
Gelman & Hill, Data Analysis Using Regression and Multilevel/Hierarchical Models, 2007, ch. 13).

**Variance between arms.** A weak model fails on many a query, two strong ones hardly differ, so each of
``VARIANCE_FACTORS`` times ``arm_variance`` is tried for every arm. θ_a is their average, weighted by how
probable they make its outcomes (Bayesian model averaging; Hoeting et al., Statistical Science 1999), around a
θ_0 that is the same average for all arms together. So is each of ``TASK_FACTORS`` times ``task_variance``,
weighted by how probable it makes the outcomes of all arms.

**Noise** is each arm's residual variance, shrunk towards that of all arms (Morris, Parametric empirical Bayes
inference, JASA 1983), in two rounds: one from x alone, one with tasks.

**Width**, for exploration, is the uncertainty of an arm's level on the mean query, given θ_0: ``arm_std``
before any outcome, and the same for every query. √(φᵀC_aφ) would send unusual queries to arms that are known
to be worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax

from bandit_router.posterior.base import Posterior
from bandit_router.posterior.directions import find_directions
from bandit_router.posterior.hierarchical_system import (
    TASK_FACTORS,
    ArmSystem,
    CommonSystem,
    Hyperprior,
    combine_arms,
    eliminate_arms,
    join_cross,
    log_evidence_by_arm,
    log_evidence_by_variance,
    solve_common,
)
from bandit_router.posterior.regression_sums import (
    RegressionSums,
    add_sums,
    centre_sums,
    drop_tasks,
    multiply_second,
    project_sums,
)
from bandit_router.posterior.warm_start_verdict import (
    WarmStartVerdict,
    combine_with_warm_start,
    judge_warm_start,
)
from bandit_router.types import NO_TASK, FloatArray, IntArray

_PRIOR_NOISE_WEIGHT = (
    10.0  # in observations: of the prior in the noise of all arms, and of that in each arm's
)
_SMALLEST_NOISE = 1e-4


class Solution(NamedTuple):
    """The solved hierarchy; ``verdict`` is None without a warm start.

    ``transform`` is W (D, d) with f = W x, ``theta`` (K, D) the effects of f and ``task`` (K, T) those of
    tasks, ``width`` (K,) the standard deviation of each arm's level and ``noise`` σ² (K,).
    """

    transform: FloatArray
    theta: FloatArray
    task: FloatArray
    width: FloatArray
    noise: FloatArray
    verdict: WarmStartVerdict | None = None

    def mean(self, x: FloatArray, task: int = NO_TASK) -> FloatArray:
        """The expected outcome of every arm at x (d,) on a task, (K,)."""
        mean: FloatArray = self.theta.dot(self.transform.dot(x))
        return mean + self.task[:, task] if 0 <= task < self.task.shape[1] else mean


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HierarchicalPosterior(Posterior):
    """The solved hierarchy as a posterior; the width is that of an arm's level, the same at every x.

    ``arm_std`` is the width before any outcome.
    """

    solution: Solution
    arm_std: float

    def predict(self, x: FloatArray, task: int = NO_TASK) -> tuple[FloatArray, FloatArray]:
        return self.solution.mean(x, task), self.solution.width

    def predict_many(self, x: FloatArray, tasks: IntArray | None = None) -> tuple[FloatArray, FloatArray]:
        solution = self.solution
        mean = x @ solution.transform.T @ solution.theta.T
        if tasks is not None and solution.task.size:
            known = (tasks >= 0) & (tasks < solution.task.shape[1])
            mean[known] += solution.task.T[tasks[known]]
        return mean, np.broadcast_to(solution.width, mean.shape)

    def predict_sum(self, x: FloatArray, by_task: FloatArray) -> tuple[FloatArray, float]:
        """The standard deviation is that of the levels, with n_a the queries of arm a, which sum to 0::

            variance = Σ (n_a width_a)² + (Σ n_a s_a)² arm_std² / max(1, Σ (1 − s_a))
            s_a = width_a² / arm_std²

        s_a is the share of a move of θ_0 by which arm a follows, and 1 − s_a what its outcomes say of θ_0.
        Before any do, θ_0 moves all arms alike, which changes no difference of them.
        """
        solution = self.solution
        projected, tasks = x @ solution.transform.T, solution.task.shape[1]
        total = (projected * solution.theta).sum(axis=1) + (by_task[:, :tasks] * solution.task).sum(axis=1)
        count, follows = projected[:, 0], (solution.width / self.arm_std) ** 2
        common = self.arm_std * float(count @ follows) / math.sqrt(max(1.0, float((1.0 - follows).sum())))
        return total, math.hypot(float(np.linalg.norm(count * solution.width)), common)


def solve_hierarchy(
    sums: RegressionSums, prior_mean: FloatArray, hyper: Hyperprior, warm: RegressionSums | None = None
) -> Solution:
    """Solve the hierarchy from the sums; ``prior_mean`` (K,) is the level expected of each arm.

    ``warm`` are the sums of a warm start, which count as evidence of what the other sums bear out.
    """
    pooled = sums if warm is None else add_sums(sums, warm)
    transform = find_directions(pooled.second, pooled.weight, hyper.apart)
    mu = float(prior_mean.mean()) if prior_mean.size else 0.0
    offset = prior_mean - mu
    own = centre_sums(project_sums(sums, transform), offset)
    if warm is None:
        return _solve_arms(own, transform, offset, mu, hyper)
    other = centre_sums(project_sums(warm, transform), offset)
    solution = _solve_arms(add_sums(own, other), transform, offset, mu, hyper)
    verdict = judge_warm_start(own, other, solution.noise, mu, hyper)
    if verdict is not WarmStartVerdict.SAME:
        solution = _solve_arms(combine_with_warm_start(own, other, verdict), transform, offset, mu, hyper)
    return solution._replace(verdict=verdict)


def _solve_arms(
    sums: RegressionSums, transform: FloatArray, offset: FloatArray, mu: float, hyper: Hyperprior
) -> Solution:
    """Solve for the arms whose level has an ``offset`` (K,); any further arms in the sums are strangers."""
    noise = np.full(len(sums.weight), hyper.noise_std**2)
    if sums.weight.any():
        for regressed in (drop_tasks(sums), sums):  # the first round finds the scale, for which x is enough
            noise = _estimate_noise(regressed, noise, mu, hyper)
    arms = eliminate_arms(sums, noise, hyper)
    expected = TASK_FACTORS.index(1.0) if len(arms.own) > 1 else 0
    system = combine_arms(arms.take(expected), mu, hyper)
    fit = _average_arms(arms, sums, noise, _average_common(system, sums, noise, mu))
    k, d = len(offset), len(transform)
    width = _measure_width(fit, arms, _mean_query(sums), hyper)[:k]
    theta = fit.theta[:k].copy()
    theta[:, 0] += offset
    return Solution(transform, theta[:, :d], theta[:, d:], width, noise[:k])


class _Fit(NamedTuple):
    """The average θ (K, E) of ``candidates`` (U, K, V, E) by their ``probability`` (U, K, V)."""

    theta: FloatArray
    candidates: FloatArray
    probability: FloatArray


def _average_common(system: CommonSystem, sums: RegressionSums, noise: FloatArray, mu: float) -> FloatArray:
    """θ_0 (E,): the average with p_v ∝ p(outcomes | v is the variance of all arms)."""
    average: FloatArray = softmax(log_evidence_by_variance(system, sums, noise, mu)) @ system.common
    return average


def _average_arms(arms: ArmSystem, sums: RegressionSums, noise: FloatArray, common: FloatArray) -> _Fit:
    """Average each arm: θ_a = Σ p_uav θ_uav, by the variance along x that is its own and u of all arms::

        p_uav = p(v | outcomes of a, θ_0, u) · p(u | outcomes of all, θ_0)

    One arm has too few outcomes on each task to tell by how much arms differ there.
    """
    evidence = log_evidence_by_arm(arms, sums, noise, common)
    of_tasks = softmax(logsumexp(evidence, axis=2).sum(axis=1))
    p = of_tasks[:, None, None] * softmax(evidence, axis=2)
    candidates = arms.separate + arms.covariance.multiply((arms.own * common)[:, None])
    return _Fit((p[..., None] * candidates).sum(axis=(0, 2)), candidates, p)


def _measure_width(fit: _Fit, arms: ArmSystem, query: FloatArray, hyper: Hyperprior) -> FloatArray:
    """The standard deviation of every arm's outcome at φ (E,), given θ_0, (K,)::

        variance_a = Σ p_uav (φᵀC_uav φ + (θ_uav·φ − θ_a·φ)²)

    in units of that before any outcome, times ``arm_std``: tasks widen no exploration.
    """
    between = ((fit.candidates - fit.theta[:, None]) @ query) ** 2
    variance = (fit.probability * (arms.covariance.quadratic(query[None]) + between)).sum(axis=(0, 2))
    before = float((query**2 / arms.own).sum(axis=-1).mean())
    width: FloatArray = hyper.arm_std * np.sqrt(variance / before)
    return width


def _mean_query(sums: RegressionSums) -> FloatArray:
    """φ (E,) of the mean query: the bias, and of each task its share of the queries that have one."""
    d, by_task = sums.cross.shape[1], sums.task_weight.sum(axis=0)
    query = np.zeros(d + len(by_task))
    query[0] = 1.0
    if by_task.any():
        query[d:] = by_task / by_task.sum()
    return query


def _estimate_noise(sums: RegressionSums, noise: FloatArray, mu: float, hyper: Hyperprior) -> FloatArray:
    """Residual variances (K,): that of each arm shrunk towards that of all, and this towards the prior's."""
    system = solve_common(sums, noise, mu, hyper)
    fit = _average_arms(system.arms, sums, noise, _average_common(system, sums, noise, mu))
    theta, own = fit.theta, system.arms.own[:, None]
    fitted = (theta * (multiply_second(sums, theta) - 2.0 * join_cross(sums))).sum(axis=1)
    residual = np.maximum(sums.square + fitted, 0.0)
    used = theta.shape[1] - (own * system.arms.covariance.find_diagonal()).sum(axis=-1)  # tr(C S)/σ²
    free = np.maximum(sums.weight - (fit.probability * used).sum(axis=(0, 2)), 0.0)
    prior = hyper.noise_std**2
    pooled = (_PRIOR_NOISE_WEIGHT * prior + residual.sum()) / (_PRIOR_NOISE_WEIGHT + free.sum())
    shrunk = (_PRIOR_NOISE_WEIGHT * pooled + residual) / (_PRIOR_NOISE_WEIGHT + free)
    return np.asarray(np.maximum(shrunk, _SMALLEST_NOISE), dtype=np.float64)
