"""Independent arms: a mean and a covariance for each, by Cholesky factorisation or by a rank-one update.

From the sums S_a and m_a of :mod:`bandit_router.posterior.sufficient_statistics` and the prior
``θ_a ~ N(μ_a, diag(λ_a)⁻¹)`` (Bishop, Pattern Recognition and Machine Learning, eq. 3.50–3.59)::

    P_a = diag(λ_a) + S_a/σ²,    θ̂_a = P_a⁻¹(λ_a μ_a + m_a/σ²),    std_a(x) = √(xᵀ P_a⁻¹ x)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import blas, lapack

from bandit_router.posterior.base import Posterior
from bandit_router.types import NO_TASK, BoolArray, FloatArray, IntArray

_HALF_READ_DIM = 128  # from here on reading one triangle (symv) beats one big gemv over both


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class IndependentPosterior(Posterior):
    """θ̂ (K, d) and its covariance P⁻¹ (K, d, d); the width is the standard deviation of θ_a·x."""

    theta: FloatArray
    covariance: FloatArray

    def predict(self, x: FloatArray, task: int = NO_TASK) -> tuple[FloatArray, FloatArray]:
        del task  # independent arms know no tasks
        mean = self.theta.dot(x)
        variance = compute_quadratic_forms(self.covariance, x)
        np.maximum(variance, 0.0, out=variance)
        return mean, np.sqrt(variance, out=variance)

    def predict_many(self, x: FloatArray, tasks: IntArray | None = None) -> tuple[FloatArray, FloatArray]:
        del tasks
        variance = np.stack([np.einsum("nd,nd->n", x @ c, x) for c in self.covariance], axis=1)
        return x @ self.theta.T, np.sqrt(np.maximum(variance, 0.0))

    def predict_sum(self, x: FloatArray, by_task: FloatArray) -> tuple[FloatArray, float]:
        del by_task
        variance = np.einsum("kd,kde,ke->", x, self.covariance, x)
        return (self.theta * x).sum(axis=1), math.sqrt(max(float(variance), 0.0))


def solve_arms(
    second: FloatArray,
    cross: FloatArray,
    prior_mean: FloatArray,
    prior_precision: FloatArray,
    noise_variance: float,
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """θ̂ (K, d), covariance (K, d, d), and which arms have unusable sums (K,) and so keep their prior."""
    theta, covariance = prior_mean.copy(), np.zeros_like(second)
    unusable = np.zeros(len(theta), dtype=np.bool_)
    for k, (mean, precision) in enumerate(zip(prior_mean, prior_precision, strict=True)):
        solved = solve_arm(second[k], cross[k], mean, precision, noise_variance)
        unusable[k] = solved is None
        theta[k], covariance[k] = (mean, np.diag(1.0 / precision)) if solved is None else solved
    return theta, covariance, unusable


def has_finite_square(x: FloatArray) -> bool:
    """Whether x·x is finite; BLAS, unlike numpy, does not warn when it is not."""
    return math.isfinite(blas.ddot(x, x))


def compute_quadratic_forms(matrices: FloatArray, x: FloatArray) -> FloatArray:
    """xᵀ M_k x for symmetric matrices (K, d, d), shape (K,)."""
    k, d = matrices.shape[:2]
    if d >= _HALF_READ_DIM:
        return np.array([blas.dsymv(1.0, matrix.T, x) @ x for matrix in matrices])
    forms: FloatArray = matrices.reshape(k * d, d).dot(x).reshape(k, d).dot(x)  # `@` costs twice the call
    return forms


def add_outer_product(matrix: FloatArray, scale: float, x: FloatArray) -> None:
    """matrix += scale · x xᵀ, in place and without a temporary; the matrix must be C-contiguous."""
    blas.dger(scale, x, x, a=matrix.T, overwrite_a=1)


def solve_arm(
    second: FloatArray, cross: FloatArray, mean: FloatArray, precision: FloatArray, noise_variance: float
) -> tuple[FloatArray, FloatArray] | None:
    """θ̂ (d,) and covariance (d, d) from S, m and the prior's mean and precision; None if not finite."""
    if not (np.isfinite(second).all() and np.isfinite(cross).all()):
        return None
    total = second / noise_variance
    total[np.diag_indices(mean.size)] += precision
    factor, info = lapack.dpotrf(total, lower=1, overwrite_a=0, clean=1)
    if info != 0:
        return None
    theta = lapack.dpotrs(factor, precision * mean + cross / noise_variance, lower=1)[0].reshape(-1)
    inverse = lapack.dpotri(factor, lower=1)[0]
    return (theta, np.tril(inverse) + np.tril(inverse, -1).T) if np.isfinite(theta).all() else None


def update_rank_one(
    theta: FloatArray, covariance: FloatArray, x: FloatArray, reward: float, noise_variance: float
) -> None:
    """Update θ̂ and its covariance in place by one reward of this noise variance (Sherman–Morrison)."""
    gain = covariance @ x
    spread = noise_variance + float(gain @ x)
    theta += gain * ((reward - float(theta @ x)) / spread)
    add_outer_product(covariance, -1.0 / spread, gain)
