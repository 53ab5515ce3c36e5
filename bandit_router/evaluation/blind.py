"""Baselines that spend the same without looking at the query: what a router has to beat.

A router that reads queries and still earns no more than these has learned nothing from them. They may
know which arms are eligible, and the time: below, each of B rows is a set of eligible arms, or a query as far
as its time tells, and ``weight`` (B,) its share of all queries.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq, linprog

from bandit_router.evaluation.partition import BoolArray
from bandit_router.types import FloatArray

_STEEPEST = 60.0  # e^60 between the dearest and the cheapest arm leaves nothing of the other
_TIE = 1e-9  # so that of arms of equal value the cheaper is taken


def mix_at_cost(
    value: FloatArray, cost_usd: FloatArray, budget_usd: float, eligible: BoolArray, weight: FloatArray
) -> FloatArray:
    """The best query-blind probabilities (B, K) that cost at most ``budget_usd`` a query.

    max Σ_b weight_b Σ_k p_bk value_bk subject to Σ_b weight_b Σ_k p_bk cost_bk ≤ budget: a linear program,
    with ``value`` and ``cost_usd`` (B, K) the mean of each arm. The cheapest arms where nothing fits.
    """
    rows, arms = value.shape
    cheapest = np.where(eligible, cost_usd, np.inf).argmin(axis=1)
    least = np.eye(arms)[cheapest]
    budget = max(budget_usd, float(weight @ (least * np.where(eligible, cost_usd, 0.0)).sum(axis=1)))
    share, scale = weight[:, None], float(cost_usd[eligible].max()) or 1.0
    found = linprog(
        -(share * (value - _TIE * cost_usd / scale)).ravel(),
        A_ub=(share * cost_usd / scale).reshape(1, -1),
        b_ub=[budget / scale * (1.0 + 1e-12)],
        A_eq=np.kron(np.eye(rows), np.ones((1, arms))),
        b_eq=np.ones(rows),
        bounds=[(0.0, 1.0 if there else 0.0) for there in eligible.ravel()],
    )
    mix: FloatArray = least if found.x is None else np.maximum(found.x, 0.0).reshape(rows, arms)
    mix /= mix.sum(axis=1, keepdims=True)
    return mix


def tilt_to_cost(
    shares: FloatArray, price_usd: FloatArray, budget_usd: float, weight: FloatArray, cost_usd: FloatArray
) -> FloatArray:
    """Shares (B, K) moved towards cheap or dear arms until they cost ``budget_usd`` on average.

    p_bk ∝ shares_bk exp(−t price_bk / max price), with one t for all rows, such that
    Σ_b weight_b Σ_k p_bk cost_bk = budget. ``price_usd`` is what is known of an arm without the query, and
    ``cost_usd`` what it comes to in that row. Dealing a router's choices to other queries changes what
    they cost when the router looked at length or difficulty; this undoes the change. As near as the arms
    allow.
    """
    scale = float(price_usd.max()) or 1.0
    centred = (price_usd - price_usd.mean()) / scale

    def tilted(t: float) -> FloatArray:
        p: FloatArray = shares * np.exp(-t * centred)
        p /= p.sum(axis=1, keepdims=True)
        return p

    def excess(t: float) -> float:
        return float(weight @ (tilted(t) * cost_usd).sum(axis=1)) - budget_usd

    if excess(-_STEEPEST) <= 0:
        return tilted(-_STEEPEST)
    if excess(_STEEPEST) >= 0:
        return tilted(_STEEPEST)
    return tilted(float(brentq(excess, -_STEEPEST, _STEEPEST)))
