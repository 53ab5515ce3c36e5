"""Baselines that spend the same without looking at the query: what a router has to beat.

A router that reads queries and still earns no more than these has learned nothing from them.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from bandit_router.types import FloatArray

_STEEPEST = 60.0  # e^60 between the dearest and the cheapest arm leaves nothing of the other


def mix_at_cost(value: FloatArray, cost_usd: FloatArray, budget_usd: float) -> FloatArray:
    """Weights (K,) of the best query-blind mix of arms that costs at most ``budget_usd`` a query.

    max Σ p_k value_k subject to Σ p_k cost_k ≤ budget, with ``value`` and ``cost_usd`` (K,) the mean of each
    arm: a linear program whose solution mixes at most two arms. The cheapest arm where nothing fits.
    """
    best, weights = -np.inf, np.zeros(len(value))
    weights[int(cost_usd.argmin())] = 1.0
    for i in np.flatnonzero(cost_usd <= budget_usd):
        for j in range(len(value)):
            dearer = cost_usd[j] > budget_usd
            share = (budget_usd - cost_usd[i]) / (cost_usd[j] - cost_usd[i]) if dearer else 0.0
            worth = (1.0 - share) * value[i] + share * value[j]
            if worth > best:
                best, weights = worth, np.zeros(len(value))
                weights[i] += 1.0 - share
                weights[j] += share
    return weights


def tilt_to_cost(shares: FloatArray, cost_usd: FloatArray, budget_usd: float) -> FloatArray:
    """Shares (B, K) moved towards cheap or dear arms until they cost ``budget_usd`` on average.

    p_bk ∝ shares_bk exp(−t cost_bk / max cost), with one t for all B rows; ``cost_usd`` (B, K) is the mean
    cost of each arm in each row. Dealing a router's choices to other queries changes what they cost when
    the router looked at length or difficulty; this undoes the change. As near as the arms allow.
    """
    scale = float(cost_usd.max()) or 1.0

    def tilted(t: float) -> FloatArray:
        p: FloatArray = shares * np.exp(-t * (cost_usd - cost_usd.mean()) / scale)
        p /= p.sum(axis=1, keepdims=True)
        return p

    def excess(t: float) -> float:
        return float((tilted(t) * cost_usd).sum(axis=1).mean()) - budget_usd

    if excess(-_STEEPEST) <= 0:
        return tilted(-_STEEPEST)
    if excess(_STEEPEST) >= 0:
        return tilted(_STEEPEST)
    return tilted(float(brentq(excess, -_STEEPEST, _STEEPEST)))
