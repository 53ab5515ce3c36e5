"""How well probabilities predict labels. All take p (n,), labels (n,) and weights (n,)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from bandit_router.types import BoolArray, FloatArray, IntArray

BINS = 10

_LEAST = 1e-15


def accuracy(p: FloatArray, complex_: BoolArray, weight: FloatArray) -> float:
    """Share of labels on the right side of 0.5."""
    return _mean((p > 0.5) == complex_, weight)


def log_loss(p: FloatArray, complex_: BoolArray, weight: FloatArray) -> float:
    """Mean of −log P(label)."""
    right = np.where(complex_, p, 1.0 - p)
    return _mean(-np.log(np.maximum(right, _LEAST)), weight)


def brier(p: FloatArray, complex_: BoolArray, weight: FloatArray) -> float:
    """Mean of (p − label)². Brier (1950), Verification of forecasts expressed in terms of probability."""
    return _mean(np.square(p - complex_), weight)


def auc(p: FloatArray, complex_: BoolArray, weight: FloatArray) -> float:
    """P(a complex query has a larger p than a simple one), ties counting half; NaN without both."""
    _, group = np.unique(p, return_inverse=True)
    hard = np.bincount(group, weights=np.where(complex_, weight, 0.0))
    easy = np.bincount(group, weights=np.where(complex_, 0.0, weight))
    pairs = hard.sum() * easy.sum()
    below = np.cumsum(easy) - 0.5 * easy
    return float(hard @ below / pairs) if pairs > 0.0 else float("nan")


def calibration_error(p: FloatArray, complex_: BoolArray, weight: FloatArray) -> float:
    """Σ_b share_b · |mean p − share of complex| over ten bins of equally many rows.

    Naeini, Cooper & Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian binning, with
    bins of equal size. Biased upwards: see :func:`chance_error`.
    """
    found = reliability(p, complex_, weight)
    return float(found.weight @ np.abs(found.predicted - found.observed) / found.weight.sum())


METRICS: Mapping[str, Callable[[FloatArray, BoolArray, FloatArray], float]] = {
    "accuracy": accuracy,
    "log loss": log_loss,
    "AUC": auc,
    "Brier score": brier,
    "calibration error": calibration_error,
}
"""What is reported of a classifier; the larger the better of accuracy and AUC, the smaller of the rest."""


class Reliability(NamedTuple):
    """B bins of p, all (B,): mean prediction, share of complex, its standard error, weight and rows."""

    predicted: FloatArray
    observed: FloatArray
    error: FloatArray
    weight: FloatArray
    rows: IntArray


def reliability(p: FloatArray, complex_: BoolArray, weight: FloatArray) -> Reliability:
    """Predicted and observed in ten bins of equally many rows; fewer where predictions tie."""
    edges = np.quantile(p, np.linspace(0.0, 1.0, BINS + 1)[1:-1])
    _, place = np.unique(np.searchsorted(edges, p), return_inverse=True)
    total = np.bincount(place, weights=weight).astype(np.float64)
    predicted = np.bincount(place, weights=weight * p) / total
    observed = np.bincount(place, weights=weight * complex_) / total
    off = np.square(weight * (complex_ - observed[place]))
    error = np.sqrt(np.bincount(place, weights=off)) / total
    return Reliability(predicted, observed, error, total, np.bincount(place).astype(np.int64))


def chance_error(found: Reliability, rows: float) -> float:
    """The calibration error of true probabilities, in expectation over labels of ``rows`` other queries.

    Σ_b √(2/π · p_b (1 − p_b) / n_b) / B with n_b = rows / B: the mean absolute value of a normal.
    """
    p = found.observed
    return float(np.sqrt(2.0 / np.pi * p * (1.0 - p) * BINS / rows).mean())


def _mean(values: FloatArray | BoolArray, weight: FloatArray) -> float:
    return float(weight @ values / weight.sum())
