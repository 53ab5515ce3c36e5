"""Slow, obvious versions of the mathematics, to hold the package against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bandit_router.posterior.prior import Prior
from bandit_router.types import FloatArray


class Row(NamedTuple):
    """One reward that was seen: the arm, its context (d,), the reward, the event's time and a weight."""

    arm: str
    x: FloatArray
    reward: float
    at: float
    weight: float = 1.0


def regress(
    prior: Prior, noise_variance: float, x: FloatArray, rewards: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Bayesian linear regression on stacked data: x (n, d) -> mean (d,) and covariance (d, d) of θ."""
    precision = np.diag(prior.precision) + (x.T * weights) @ x / noise_variance
    covariance = np.linalg.inv(precision).astype(np.float64)
    target = prior.precision * prior.mean + x.T @ (weights * rewards) / noise_variance
    return covariance @ target, covariance


def regress_rows(
    prior: Prior, noise_variance: float, rows: Sequence[Row], half_life_s: float | None, now: float
) -> tuple[FloatArray, FloatArray]:
    """:func:`regress` on rows, each with its weight times 2^(−age/half-life) written out."""
    x = np.array([row.x for row in rows]).reshape(len(rows), prior.mean.size)
    ages = np.array([now - row.at for row in rows])
    decay = np.ones(len(rows)) if half_life_s is None else 2.0 ** (-ages / half_life_s)
    weights = np.array([row.weight for row in rows]) * decay
    return regress(prior, noise_variance, x, np.array([row.reward for row in rows]), weights)


def relative_error(value: FloatArray, truth: FloatArray) -> float:
    """The largest difference, relative to the largest entry of the truth."""
    return float(np.abs(value - truth).max() / np.abs(truth).max())
