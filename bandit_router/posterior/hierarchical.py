"""Hierarchical linear model: arms share a common effect, so that every outcome says something of every arm.

Arm a has outcome ``y = θ_a·φ(x) + noise`` with noise variance σ_a², and the arms have a common mean::

    θ_a ~ N(θ_0, L_1⁻¹),    θ_0 ~ N(μ, L_0⁻¹)

φ(x) are few directions of x (:mod:`bandit_router.posterior.directions`). θ_0 is solved for first, then each
arm (:mod:`bandit_router.posterior.hierarchical_system`; Gelman & Hill, Data Analysis Using Regression and
Multilevel/Hierarchical Models, 2007, ch. 13).

**Variance between arms.** A weak model fails on many a query, two strong ones hardly differ, so each of
``VARIANCE_FACTORS`` times ``arm_variance`` is tried for every arm. θ_a is their average, weighted by how
probable they make its outcomes (Bayesian model averaging; Hoeting et al., Statistical Science 1999), around a
θ_0 that is the same average for all arms together.

**Noise** is each arm's residual variance, shrunk towards that of all arms (Morris, Parametric empirical Bayes
inference, JASA 1983), in two rounds.

**Width**, for exploration, is the uncertainty of an arm's level: the standard deviation of θ_a's intercept
given θ_0, the same for every query. √(φᵀC_aφ) would send unusual queries to arms that are known to be worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from bandit_router.posterior.base import Posterior
from bandit_router.posterior.directions import find_directions
from bandit_router.posterior.hierarchical_system import (
    Hyperprior,
    log_evidence_by_arm,
    log_evidence_by_variance,
    solve_system,
)
from bandit_router.posterior.regression_sums import RegressionSums, add_sums, centre_sums, project_sums
from bandit_router.posterior.warm_start_verdict import (
    WarmStartVerdict,
    combine_with_warm_start,
    judge_warm_start,
)
from bandit_router.types import FloatArray

_PRIOR_NOISE_WEIGHT = (
    10.0  # in observations: of the prior in the noise of all arms, and of that in each arm's
)
_SMALLEST_NOISE = 1e-4
_ROUNDS = 2


class Solution(NamedTuple):
    """The solved hierarchy; ``verdict`` is None without a warm start.

    ``transform`` is T (D, d) with φ = T x, ``theta`` θ (K, D), ``width`` (K,) the standard deviation of each
    arm's level and ``noise`` σ² (K,).
    """

    transform: FloatArray
    theta: FloatArray
    width: FloatArray
    noise: FloatArray
    verdict: WarmStartVerdict | None = None

    def mean(self, x: FloatArray) -> FloatArray:
        """The expected outcome of every arm at x (d,), (K,)."""
        mean: FloatArray = self.theta.dot(self.transform.dot(x))
        return mean


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HierarchicalPosterior(Posterior):
    """The solved hierarchy as a posterior; the width is that of an arm's level, the same at every x."""

    solution: Solution

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.solution.mean(x), self.solution.width

    def predict_many(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        mean = x @ self.solution.transform.T @ self.solution.theta.T
        return mean, np.broadcast_to(self.solution.width, mean.shape)


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
    fit = _fit(sums, noise, mu, hyper)
    for _ in range(_ROUNDS if sums.weight.any() else 0):
        noise = _estimate_noise(sums, fit, noise, hyper.noise_std**2)
        fit = _fit(sums, noise, mu, hyper)
    k = len(offset)
    theta = fit.theta[:k]
    theta[:, 0] += offset
    return Solution(transform, theta, np.sqrt(fit.variance[:k]), noise[:k])


class _Fit(NamedTuple):
    """θ (K, D), the mean of C (K, D, D), and the variance of each arm's level (K,)."""

    theta: FloatArray
    covariance: FloatArray
    variance: FloatArray


def _fit(sums: RegressionSums, noise: FloatArray, mu: float, hyper: Hyperprior) -> _Fit:
    """Fit the arms, given the noise, averaged over the candidate variances v between arms.

    θ_0 is the average with p_v ∝ p(outcomes | v is that of all arms). Given θ_0, each arm is averaged by
    itself, with p_va ∝ p(outcomes of a | θ_0, v)::

        θ_a = Σ_v p_va θ_va,    variance_a = Σ_v p_va (C_va[0, 0] + (θ_va[0] − θ_a[0])²)
    """
    system = solve_system(sums, noise, mu, hyper)
    common = softmax(log_evidence_by_variance(system, sums, noise, mu)) @ system.common
    p = softmax(log_evidence_by_arm(system, sums, noise, common), axis=0)
    thetas = system.separate + np.einsum("vkij,vj->vki", system.covariance, system.own * common)
    theta = np.einsum("vk,vki->ki", p, thetas)
    covariance = np.einsum("vk,vkij->kij", p, system.covariance)
    between = (p * (thetas[:, :, 0] - theta[:, 0]) ** 2).sum(axis=0)
    return _Fit(theta, covariance, covariance[:, 0, 0] + between)


def _estimate_noise(sums: RegressionSums, fit: _Fit, noise: FloatArray, prior: float) -> FloatArray:
    """Residual variances (K,): that of each arm shrunk towards that of all, and this towards the prior's."""
    theta, covariance, _ = fit
    fitted = np.einsum("ki,kij,kj->k", theta, sums.second, theta) - 2.0 * (theta * sums.cross).sum(axis=1)
    residual = np.maximum(sums.square + fitted, 0.0)
    used = np.einsum("kij,kij->k", covariance, sums.second) / noise
    free = np.maximum(sums.weight - used, 0.0)
    pooled = (_PRIOR_NOISE_WEIGHT * prior + residual.sum()) / (_PRIOR_NOISE_WEIGHT + free.sum())
    shrunk = (_PRIOR_NOISE_WEIGHT * pooled + residual) / (_PRIOR_NOISE_WEIGHT + free)
    return np.asarray(np.maximum(shrunk, _SMALLEST_NOISE), dtype=np.float64)
