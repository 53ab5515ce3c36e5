"""The linear system of the hierarchical model for each candidate of its variances, and its likelihood.

The model is that of :mod:`bandit_router.posterior.hierarchical`. Given θ_0 the arms are independent, so the
arms are eliminated and θ_0 is solved for first. With C_a = (S_a/σ_a² + L_1)⁻¹::

    (L_0 + Σ_a (L_1 − L_1 C_a L_1)) θ_0 = L_0 μ + Σ_a L_1 C_a m_a/σ_a²,    θ_a = C_a (m_a/σ_a² + L_1 θ_0)

(Lindley & Smith, Bayes estimates for the linear model, JRSS B 1972.) C_a is a
:class:`bandit_router.posterior.bordered.BorderedInverse`: every query has one task at most, so that the block
of the tasks is diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from bandit_router.posterior.bordered import BorderedInverse, invert_bordered
from bandit_router.posterior.regression_sums import RegressionSums, multiply_second
from bandit_router.types import FloatArray

VARIANCE_FACTORS = (0.01, 0.1, 0.3, 1.0, 3.0)
"""Candidates for the variance between arms, in units of ``arm_variance``, equally likely beforehand."""

TASK_FACTORS = (0.01, 0.1, 1.0, 10.0)
"""Candidates for the variance between arms on a task, in units of ``task_variance``, equally likely."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hyperprior:
    """The prior of the hierarchical model; standard deviations in units of the outcome.

    ``level_std`` is that of the common intercept around its mean, ``arm_std`` that of an arm's intercept
    around the common one. ``common_variance`` and ``arm_variance`` are the variance of outcomes that x is
    expected to explain, in common and for each arm; ``common_task_variance`` and ``task_variance`` are those
    of the level of each task. With ``arm_variance_known = False`` the outcomes correct the variances of arms.
    The last ``apart`` features are directions of their own, expected to explain as much again, whatever the
    scale of the others.
    """

    level_std: float
    arm_std: float
    common_variance: float
    arm_variance: float
    noise_std: float
    apart: int = 0
    arm_variance_known: bool = True
    common_task_variance: float = 0.03
    task_variance: float = 0.003


class ArmSystem(NamedTuple):
    """The arms given θ_0, for V candidates of the variance along x and U of that on tasks; E = D + T.

    ``own`` (V, U, E) is the diagonal of L_1. ``covariance`` is C; ``separate`` is C m/σ² (V, U, K, E) and
    ``volume`` log |L_1 C| (V, U, K).
    """

    own: FloatArray
    covariance: BorderedInverse
    separate: FloatArray
    volume: FloatArray


class CommonSystem(NamedTuple):
    """θ_0 for each candidate of the variance along x, and ``arms`` with one variance on tasks (U = 1).

    ``shared`` (E,) is the diagonal of L_0, ``log_det`` (V,) that of the precision, ``target`` (V, E) the
    right-hand side, and ``common`` (V, E) θ_0 itself.
    """

    arms: ArmSystem
    shared: FloatArray
    log_det: FloatArray
    target: FloatArray
    common: FloatArray


def solve_common(sums: RegressionSums, noise: FloatArray, mu: float, hyper: Hyperprior) -> CommonSystem:
    """Solve for θ_0 from the sums of φ; ``noise`` are variances (K,), ``mu`` the common level."""
    d, t = sums.cross.shape[1], sums.task_cross.shape[1]
    shared = np.repeat([1.0 / hyper.common_variance, 1.0 / hyper.common_task_variance], [d, t])
    shared[0] = hyper.level_std**-2.0
    arms = eliminate_arms(sums, noise, hyper, (1.0,))
    precision = arms.covariance.eliminate(arms.own)[:, 0] + np.diag(shared)
    target = (arms.own[:, 0, None] * arms.separate[:, 0]).sum(axis=1)
    target[:, 0] += shared[0] * mu
    common = np.linalg.solve(precision, target[..., None])[..., 0]
    return CommonSystem(arms, shared, np.linalg.slogdet(precision)[1], target, common)


def eliminate_arms(
    sums: RegressionSums, noise: FloatArray, hyper: Hyperprior, task_factors: Sequence[float] = TASK_FACTORS
) -> ArmSystem:
    """The arms given θ_0, for every candidate of the variance along x and those of ``task_factors``."""
    d, t = sums.cross.shape[1], sums.task_cross.shape[1]
    known = hyper.arm_variance_known
    own_x = np.repeat(
        1.0 / (hyper.arm_variance * np.array([1.0] if known else VARIANCE_FACTORS))[:, None], d, 1
    )
    own_x[:, 0] = hyper.arm_std**-2.0
    own_t = 1.0 / (hyper.task_variance * np.array([1.0] if known or not t else task_factors))
    own = np.empty((len(own_x), len(own_t), d + t))
    own[..., :d], own[..., d:] = own_x[:, None], own_t[:, None]
    scale = noise[:, None]
    covariance = invert_bordered(
        sums.second / scale[..., None],
        sums.task_context / scale[..., None],
        sums.task_weight / scale,
        own_x,
        own_t,
    )
    volume = np.log(own).sum(axis=-1)[..., None] + covariance.log_det
    return ArmSystem(own, covariance, covariance.multiply(join_cross(sums) / scale), volume)


def join_cross(sums: RegressionSums) -> FloatArray:
    """m of the features and of the tasks behind them (K, E)."""
    return np.concatenate([sums.cross, sums.task_cross], axis=1)


def log_evidence(sums: RegressionSums, noise: FloatArray, mu: float, hyper: Hyperprior) -> float:
    """log p(outcomes) of the observations in the sums, with θ and the variance between arms integrated out.

    Without Σ w log √(2π), which is the same for every model; ``noise`` are variances (K,).
    """
    evidence = log_evidence_by_variance(solve_common(sums, noise, mu, hyper), sums, noise, mu)
    return float(logsumexp(evidence)) - math.log(evidence.size)


def log_evidence_by_variance(
    system: CommonSystem, sums: RegressionSums, noise: FloatArray, mu: float
) -> FloatArray:
    """log p(outcomes | v) for each candidate v of the variance between arms along x, (V,)."""
    arms, shared, log_det, target, common = system
    common_terms = np.log(shared).sum() - log_det - shared[0] * mu * mu
    common_terms += (target * common).sum(axis=1) + arms.volume[:, 0].sum(axis=1)
    explained = (join_cross(sums) * arms.separate[:, 0]).sum(axis=2)
    residuals = (sums.square - explained) / noise + sums.weight * np.log(noise)
    return np.asarray(0.5 * (common_terms - residuals.sum(axis=1)), dtype=np.float64)


def log_evidence_by_arm(
    arms: ArmSystem, sums: RegressionSums, noise: FloatArray, common: FloatArray
) -> FloatArray:
    """log p(outcomes of a | θ_0, v, u) for each candidate, (V, U, K), up to terms that depend on neither."""
    surprise = (join_cross(sums) - multiply_second(sums, common)) / noise[:, None]
    return np.asarray(0.5 * (arms.volume + arms.covariance.quadratic(surprise)), dtype=np.float64)
