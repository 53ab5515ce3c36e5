"""Cost: the list cost of a call times the learned ratio of reported to list cost.

The list cost assumes the arm's ``expected_output_tokens`` for every query. The ratio is learned per query and
arm, so that a changed price acts at the next decision. Ratios are skewed and positive, so the model is of
their root z = √(cost / list)::

    E[cost] = list · (max(0, E[z])² + Var[z])

A linear model of the ratio predicts negative costs and misses dear calls; a model of its logarithm is right
about medians, but spending is a sum of means.
"""

from __future__ import annotations

import math

import numpy as np

from bandit_router.posterior.base import Posterior
from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.prior import Prior
from bandit_router.types import NO_TASK, FloatArray

COST_HYPERPRIOR = Hyperprior(
    level_std=0.5,
    arm_std=0.3,
    common_variance=0.1,
    arm_variance=0.02,
    noise_std=math.sqrt(0.2),
    common_task_variance=0.3,
    task_variance=0.06,
)
HIGH_COST_DEVIATIONS = 2.0
"""Standard deviations above the mean of z that few calls exceed: budgets hold better than at the mean."""

LARGEST_COST_ROOT = 10.0
"""A call above a hundred times its list price means that the list is wrong, and counts as a hundred."""


def compute_cost_root(cost_usd: float | None, list_cost_usd: float | None) -> float | None:
    """z of one call, at most LARGEST_COST_ROOT; None if either is unknown or the list price is 0."""
    if cost_usd is None or not list_cost_usd:
        return None
    return min(math.sqrt(cost_usd / list_cost_usd), LARGEST_COST_ROOT)


def compute_cost_roots(cost_usd: FloatArray, listed_usd: FloatArray) -> FloatArray:
    """z of many calls, at most LARGEST_COST_ROOT; NaN if either cost is unknown or out of range."""
    ratio = np.full(cost_usd.shape, np.nan)
    known = (listed_usd > 0) & np.isfinite(listed_usd) & (cost_usd >= 0)
    np.divide(cost_usd, listed_usd, where=known, out=ratio)
    roots: FloatArray = np.minimum(np.sqrt(ratio), LARGEST_COST_ROOT)
    return roots


def predict_cost_ratios(posterior: Posterior, x: FloatArray, task: int = NO_TASK) -> FloatArray:
    """E[cost] / list for every arm of the posterior at x (d,) on a task, (K,)."""
    mean, _ = posterior.predict(x, task)
    ratios: FloatArray = np.maximum(mean, 0.0) ** 2 + posterior.residual_variance
    return ratios


def predict_high_cost_ratios(posterior: Posterior, x: FloatArray, task: int = NO_TASK) -> FloatArray:
    """The ratio of cost to list cost that few calls exceed, for every arm at x (d,) on a task, (K,).

    (max(0, E[z]) + HIGH_COST_DEVIATIONS · √Var[z])², with the variance of calls alone: 2.3% of calls
    exceed it if z is normal and its mean known, and more while the mean is uncertain.
    """
    mean, _ = posterior.predict(x, task)
    ratios: FloatArray = (
        np.maximum(mean, 0.0) + HIGH_COST_DEVIATIONS * np.sqrt(posterior.residual_variance)
    ) ** 2
    return ratios


def make_cost_prior(dim: int) -> Prior:
    """The prior of an arm's cost roots: calls cost what the list says."""
    mean = np.zeros(dim)
    mean[0] = math.sqrt(1.0 - COST_HYPERPRIOR.noise_std**2)
    return Prior(mean=mean, precision=np.ones(dim))
