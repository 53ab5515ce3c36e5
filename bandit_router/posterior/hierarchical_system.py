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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack
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
    """The arms given θ_0, for U candidates of the variance on tasks and V of that along x; E = D + T.

    ``own`` (U, V, E) is the diagonal of L_1. ``covariance`` is C; ``separate`` is C m/σ² (U, K, V, E) and
    ``volume`` log |L_1 C| (U, K, V).
    """

    own: FloatArray
    covariance: BorderedInverse
    separate: FloatArray
    volume: FloatArray

    def take(self, u: int) -> ArmSystem:
        """The arms with one candidate of the variance on tasks (U = 1)."""
        return ArmSystem(
            self.own[u : u + 1],
            self.covariance.take(u),
            self.separate[u : u + 1],
            self.volume[u : u + 1],
        )


class CommonSystem(NamedTuple):
    """θ_0 for each candidate of the variance along x, and ``arms`` with one variance on tasks (U = 1).

    ``shared`` (E,) is the diagonal of L_0, ``log_det`` (V,) that of the precision, ``common`` (V, E) is
    θ_0 itself and ``target`` (V, E) the right-hand side.
    """

    arms: ArmSystem
    shared: FloatArray
    log_det: FloatArray
    common: FloatArray
    target: FloatArray


def solve_common(sums: RegressionSums, noise: FloatArray, mu: float, hyper: Hyperprior) -> CommonSystem:
    """Solve for θ_0 from the sums of φ; ``noise`` are variances (K,), ``mu`` the common level."""
    return combine_arms(eliminate_arms(sums, noise, hyper, (1.0,)), mu, hyper)


def combine_arms(arms: ArmSystem, mu: float, hyper: Hyperprior) -> CommonSystem:
    """Solve for θ_0 from arms with one variance on tasks (U = 1)."""
    t = arms.covariance.diagonal.shape[-1]
    d = arms.own.shape[-1] - t
    shared = np.repeat([1.0 / hyper.common_variance, 1.0 / hyper.common_task_variance], [d, t])
    shared[0] = hyper.level_std**-2.0
    target = arms.own[0] * arms.separate[0].sum(axis=0)
    target[:, 0] += shared[0] * mu
    log_det, common = np.empty(len(target)), np.empty_like(target)
    for v, precision in enumerate(_find_precisions(arms, shared)):
        factor, common[v], _ = lapack.dposv(precision.T, target[v], overwrite_a=1)
        log_det[v] = 2.0 * np.log(factor.diagonal()).sum()
    return CommonSystem(arms, shared, log_det, common, target)


def _find_precisions(arms: ArmSystem, shared: FloatArray) -> Iterator[FloatArray]:
    """L_0 + Σ_a (L_1 − L_1 C_a L_1) (E, E) for each candidate of the variance along x; U = 1."""
    basis, scale, of_tasks = arms.covariance.basis[0], arms.covariance.scale[0], arms.covariance.diagonal[0]
    k, e, d = basis.shape
    roots = np.sqrt(scale).swapaxes(0, 1).reshape(scale.shape[1], k * d)
    side_by_side = basis.swapaxes(0, 1).reshape(e, k * d)
    for own, root in zip(arms.own[0], roots, strict=True):
        factor = side_by_side * root
        factor *= own[:, None]
        precision = -(factor @ factor.T)
        diagonal = precision.reshape(-1)[:: e + 1]  # a view
        diagonal += shared + k * own
        diagonal[d:] -= own[d:] ** 2 * of_tasks.sum(axis=0)
        yield precision


def eliminate_arms(
    sums: RegressionSums, noise: FloatArray, hyper: Hyperprior, task_factors: Sequence[float] = TASK_FACTORS
) -> ArmSystem:
    """The arms given θ_0, for every candidate of the variance along x and those of ``task_factors``."""
    d, t = sums.cross.shape[1], sums.task_cross.shape[1]
    known = hyper.arm_variance_known
    of_bias = hyper.arm_std**-2.0
    of_features = 1.0 / (hyper.arm_variance * np.array([1.0] if known else VARIANCE_FACTORS))
    of_tasks = 1.0 / (hyper.task_variance * np.array([1.0] if known or not t else task_factors))
    own = np.empty((len(of_tasks), len(of_features), d + t))
    own[..., :d], own[..., d:] = of_features[:, None], of_tasks[:, None, None]
    own[..., 0] = of_bias
    scale = noise[:, None]
    covariance = invert_bordered(
        sums.second / scale[..., None],
        sums.task_context / scale[..., None],
        sums.task_weight / scale,
        of_bias=of_bias,
        of_features=of_features,
        of_tasks=of_tasks,
    )
    separate = covariance.multiply((join_cross(sums) / scale)[:, None])
    volume = np.log(own).sum(axis=-1)[:, None] + covariance.log_det
    return ArmSystem(own, covariance, separate, volume)


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
    arms, shared, log_det, common, target = system
    common_terms = np.log(shared).sum() - log_det - shared[0] * mu * mu
    common_terms += (target * common).sum(axis=1) + arms.volume[0].sum(axis=0)
    explained = (join_cross(sums)[:, None] * arms.separate[0]).sum(axis=2).T
    residuals = (sums.square - explained) / noise + sums.weight * np.log(noise)
    return np.asarray(0.5 * (common_terms - residuals.sum(axis=1)), dtype=np.float64)


def log_evidence_by_arm(
    arms: ArmSystem, sums: RegressionSums, noise: FloatArray, common: FloatArray
) -> FloatArray:
    """log p(outcomes of a | θ_0, v, u) for each candidate, (U, K, V), up to terms that depend on neither."""
    surprise = (join_cross(sums) - multiply_second(sums, common)) / noise[:, None]
    return np.asarray(0.5 * (arms.volume + arms.covariance.quadratic(surprise[:, None])), dtype=np.float64)
