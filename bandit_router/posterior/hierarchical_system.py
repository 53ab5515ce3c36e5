"""The linear system of the hierarchical model for each candidate variance, and its marginal likelihood.

The model is that of :mod:`bandit_router.posterior.hierarchical`. Given θ_0 the arms are independent, so the
arms are eliminated and θ_0 is solved for first. With C_a = (S_a/σ_a² + L_1)⁻¹::

    (L_0 + Σ_a (L_1 − L_1 C_a L_1)) θ_0 = L_0 μ + Σ_a L_1 C_a m_a/σ_a²,    θ_a = C_a (m_a/σ_a² + L_1 θ_0)

(Lindley & Smith, Bayes estimates for the linear model, JRSS B 1972.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from bandit_router.posterior.regression_sums import RegressionSums
from bandit_router.types import FloatArray

VARIANCE_FACTORS = (0.01, 0.1, 0.3, 1.0, 3.0)
"""Candidates for the variance between arms, in units of ``arm_variance``, equally likely beforehand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hyperprior:
    """The prior of the hierarchical model; standard deviations in units of the outcome.

    ``level_std`` is that of the common intercept around its mean, ``arm_std`` that of an arm's intercept
    around the common one. ``common_variance`` and ``arm_variance`` are the variance of outcomes that x is
    expected to explain, in common and for each arm; with ``arm_variance_known = False`` the outcomes correct
    the latter. The last ``apart`` features are directions of their own, expected to explain as much again,
    whatever the scale of the others.
    """

    level_std: float
    arm_std: float
    common_variance: float
    arm_variance: float
    noise_std: float
    apart: int = 0
    arm_variance_known: bool = True


class HierarchicalSystem(NamedTuple):
    """The system, given the noise, for V candidates of the variance between arms.

    ``shared`` (D,) and ``own`` (V, D) are the diagonals of L_0 and L_1. Of the arms: ``covariance`` C
    (V, K, D, D), ``separate`` C m/σ² (V, K, D) and ``volume`` log |L_1 C| (V, K). Of θ_0: ``precision``
    (V, D, D), ``target``, the right-hand side (V, D), and ``common``, θ_0 itself (V, D).
    """

    shared: FloatArray
    own: FloatArray
    covariance: FloatArray
    separate: FloatArray
    volume: FloatArray
    precision: FloatArray
    target: FloatArray
    common: FloatArray


def solve_system(sums: RegressionSums, noise: FloatArray, mu: float, hyper: Hyperprior) -> HierarchicalSystem:
    """Solve the system from the sums of φ; ``noise`` are variances (K,), ``mu`` the common level."""
    variances = hyper.arm_variance * np.array([1.0] if hyper.arm_variance_known else VARIANCE_FACTORS)
    d = sums.cross.shape[1]
    shared, own = np.full(d, 1.0 / hyper.common_variance), np.repeat(1.0 / variances[:, None], d, axis=1)
    shared[0], own[:, 0] = hyper.level_std**-2.0, hyper.arm_std**-2.0
    alone = own[:, None, :, None] * np.eye(d)
    covariance = np.asarray(np.linalg.inv(sums.second / noise[:, None, None] + alone), dtype=np.float64)
    separate = np.einsum("vkij,kj->vki", covariance, sums.cross) / noise[:, None]
    volume = np.log(own).sum(axis=1)[:, None] + np.linalg.slogdet(covariance)[1]
    eliminated = alone - own[:, None, :, None] * covariance * own[:, None, None, :]
    precision = np.diag(shared) + eliminated.sum(axis=1)
    target = (own[:, None] * separate).sum(axis=1)
    target[:, 0] += shared[0] * mu
    common = np.linalg.solve(precision, target[..., None])[..., 0]
    return HierarchicalSystem(shared, own, covariance, separate, volume, precision, target, common)


def log_evidence(sums: RegressionSums, noise: FloatArray, mu: float, hyper: Hyperprior) -> float:
    """log p(outcomes) of the observations in the sums, with θ and the variance between arms integrated out.

    Without Σ w log √(2π), which is the same for every model; ``noise`` are variances (K,).
    """
    evidence = log_evidence_by_variance(solve_system(sums, noise, mu, hyper), sums, noise, mu)
    return float(logsumexp(evidence)) - math.log(evidence.size)


def log_evidence_by_variance(
    system: HierarchicalSystem, sums: RegressionSums, noise: FloatArray, mu: float
) -> FloatArray:
    """log p(outcomes | v) for each candidate v of the variance between arms, (V,)."""
    shared, _, _, separate, volume, precision, target, common = system
    common_terms = np.log(shared).sum() - np.linalg.slogdet(precision)[1] - shared[0] * mu * mu
    common_terms += (target * common).sum(axis=1) + volume.sum(axis=1)
    explained = (sums.cross * separate).sum(axis=2)
    residuals = (sums.square - explained) / noise + sums.weight * np.log(noise)
    return np.asarray(0.5 * (common_terms - residuals.sum(axis=1)), dtype=np.float64)


def log_evidence_by_arm(
    system: HierarchicalSystem, sums: RegressionSums, noise: FloatArray, common: FloatArray
) -> FloatArray:
    """log p(outcomes of arm a | θ_0, v) for each candidate v, (V, K), up to terms that do not depend on v."""
    surprise = (sums.cross - sums.second @ common) / noise[:, None]
    explained = np.einsum("ki,vkij,kj->vk", surprise, system.covariance, surprise)
    return np.asarray(0.5 * (system.volume + explained), dtype=np.float64)
