"""What a call will cost: the list price, times what was learned of how the two differ.

A price list needs the length of the answer, which nobody knows beforehand: it takes the arm's
``expected_output_tokens`` for every query. What calls come to is learned from the ratio of reported to list
cost, query by query and arm by arm, so that a changed price acts at the next decision. Ratios are skewed
and positive, so the model is of their root z = √(cost / list)::

    E[cost] = list · (max(0, E[z])² + Var[z])

A linear model of the ratio itself predicts negative costs and misses the dear calls; a model of the
logarithm is right about medians, and money is about means.
"""

from __future__ import annotations

import math

import numpy as np

from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.linear import Posterior
from bandit_router.posterior.prior import Prior
from bandit_router.types import FloatArray

COST_HYPERPRIOR = Hyperprior(
    level_std=0.5, arm_std=0.3, common_variance=0.1, arm_variance=0.02, noise_std=math.sqrt(0.2)
)
HIGH_COST_DEVIATIONS = 2.0
"""Standard deviations of z above its mean that few calls reach. In simulation on three streams budgets were
kept better when arms had to be affordable at that and not as expected, and answers were better, too; 1, 3 and
4 did about as well."""

LARGEST_COST_ROOT = 10.0
"""A call that cost more than a hundred times its list price says that the list is wrong."""


def compute_cost_root(cost_usd: float | None, list_cost_usd: float | None) -> float | None:
    """z of one call, at most LARGEST_COST_ROOT; None where either is unknown or the list price is 0."""
    if cost_usd is None or not list_cost_usd:
        return None
    return min(math.sqrt(cost_usd / list_cost_usd), LARGEST_COST_ROOT)


def compute_cost_roots(cost_usd: FloatArray, listed_usd: FloatArray) -> FloatArray:
    """The same of many calls at once, NaN where either is unknown or makes no sense."""
    ratio = np.full(cost_usd.shape, np.nan)
    known = (listed_usd > 0) & np.isfinite(listed_usd) & (cost_usd >= 0)
    np.divide(cost_usd, listed_usd, where=known, out=ratio)
    found: FloatArray = np.minimum(np.sqrt(ratio), LARGEST_COST_ROOT)
    return found


def predict_cost_ratios(posterior: Posterior, x: FloatArray) -> FloatArray:
    """E[cost] / list for every arm of the posterior at x (d,), (K,)."""
    mean, _ = posterior.predict(x)
    found: FloatArray = np.maximum(mean, 0.0) ** 2 + posterior.residual_variance
    return found


def predict_high_cost_ratios(posterior: Posterior, x: FloatArray) -> FloatArray:
    """What cost / list exceeds in few calls, for every arm of the posterior at x (d,), (K,).

    (max(0, E[z]) + HIGH_COST_DEVIATIONS · √Var[z])², with the variance of calls alone: 2.3% of calls
    exceed it if z is normal and its mean known, and more while the mean is uncertain.
    """
    mean, _ = posterior.predict(x)
    found: FloatArray = (
        np.maximum(mean, 0.0) + HIGH_COST_DEVIATIONS * np.sqrt(posterior.residual_variance)
    ) ** 2
    return found


def make_cost_prior(dim: int) -> Prior:
    """Before any cost is known: calls cost what the list says."""
    mean = np.zeros(dim)
    mean[0] = math.sqrt(1.0 - COST_HYPERPRIOR.noise_std**2)
    return Prior(mean=mean, precision=np.ones(dim))
