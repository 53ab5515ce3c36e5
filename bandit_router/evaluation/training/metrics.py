"""Metrics of probabilistic predictions: accuracy, log loss, Brier score, AUC and calibration error.

Each takes p (n,), labels (n,) and weights (n,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from bandit_router.types import BoolArray, FloatArray, IntArray

BINS = 10

_LEAST = 1e-15


def accuracy(p: FloatArray, complex_: BoolArray, weight: FloatArray) -> float:
    """The share of labels that p > 0.5 predicts."""
    return _mean((p > 0.5) == complex_, weight)


def log_loss(p: FloatArray, complex_: BoolArray, weight: FloatArray) -> float:
    """The mean of −log P(label)."""
    likelihood = np.where(complex_, p, 1.0 - p)
    return _mean(-np.log(np.maximum(likelihood, _LEAST)), weight)


def brier_score(p: FloatArray, complex_: BoolArray, weight: FloatArray) -> float:
    """The mean of (p − label)². Brier (1950), Verification of forecasts expressed in terms of probability."""
    return _mean(np.square(p - complex_), weight)


def auc(p: FloatArray, complex_: BoolArray, weight: FloatArray) -> float:
    """AUC: P(a complex query has a larger p than a simple one), ties counting half; NaN without both."""
    _, group = np.unique(p, return_inverse=True)
    hard = np.bincount(group, weights=np.where(complex_, weight, 0.0))
    easy = np.bincount(group, weights=np.where(complex_, 0.0, weight))
    pairs = hard.sum() * easy.sum()
    below = np.cumsum(easy) - 0.5 * easy
    return float(hard @ below / pairs) if pairs > 0.0 else float("nan")


def calibration_error(p: FloatArray, complex_: BoolArray, weight: FloatArray) -> float:
    """Σ_b share_b · |mean p − share of complex| over ten bins of equally many rows.

    Naeini, Cooper & Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian binning, with
    bins of equal size. Biased upwards: see :func:`chance_calibration_error`.
    """
    bins = reliability_curve(p, complex_, weight)
    return float(bins.weight @ np.abs(bins.predicted - bins.observed) / bins.weight.sum())


METRICS: Mapping[str, Callable[[FloatArray, BoolArray, FloatArray], float]] = {
    "accuracy": accuracy,
    "log loss": log_loss,
    "AUC": auc,
    "Brier score": brier_score,
    "calibration error": calibration_error,
}
"""The reported metrics: accuracy and AUC are better when larger, the others when smaller."""


class ReliabilityCurve(NamedTuple):
    """Bins of p, all (B,): mean prediction, share of complex, its standard error, weight and rows."""

    predicted: FloatArray
    observed: FloatArray
    error: FloatArray
    weight: FloatArray
    rows: IntArray


def reliability_curve(p: FloatArray, complex_: BoolArray, weight: FloatArray) -> ReliabilityCurve:
    """Predicted and observed shares in ten bins of equally many rows; fewer bins where predictions tie."""
    edges = np.quantile(p, np.linspace(0.0, 1.0, BINS + 1)[1:-1])
    _, bin_ = np.unique(np.searchsorted(edges, p), return_inverse=True)
    total = np.bincount(bin_, weights=weight).astype(np.float64)
    predicted = np.bincount(bin_, weights=weight * p) / total
    observed = np.bincount(bin_, weights=weight * complex_) / total
    off = np.square(weight * (complex_ - observed[bin_]))
    error = np.sqrt(np.bincount(bin_, weights=off)) / total
    return ReliabilityCurve(predicted, observed, error, total, np.bincount(bin_).astype(np.int64))


def chance_calibration_error(curve: ReliabilityCurve, rows: float) -> float:
    """The expected calibration error of the true probabilities, over labels of ``rows`` other queries.

    Σ_b √(2/π · p_b (1 − p_b) / n_b) / B with n_b = rows / B: the mean absolute value of a normal.
    """
    p = curve.observed
    return float(np.sqrt(2.0 / np.pi * p * (1.0 - p) * BINS / rows).mean())


def _mean(values: FloatArray | BoolArray, weight: FloatArray) -> float:
    return float(weight @ values / weight.sum())
