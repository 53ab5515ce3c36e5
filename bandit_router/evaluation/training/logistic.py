"""Ridge-penalised logistic regression with L-BFGS, its penalty by cross-validation, and its calibration."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from bandit_router.types import BoolArray, FloatArray, IntArray

FOLDS = 5

PENALTIES = tuple(10.0 ** (0.5 * i) for i in range(2, -9, -1))
"""10 to 1e-4, strongest first: each fit starts where the one before ended."""

_CONVERGED = {"gtol": 1e-7, "ftol": 1e-12, "maxiter": 2000, "maxfun": 4000}


class Labelled(NamedTuple):
    """n contexts x (n, d), whether each is complex (n,), and its weight (n,); weight 0 is unlabelled."""

    x: FloatArray
    complex: BoolArray
    weight: FloatArray

    def take(self, rows: IntArray | BoolArray) -> Labelled:
        """These rows only."""
        return Labelled(self.x[rows], self.complex[rows], self.weight[rows])


@dataclass(frozen=True, kw_only=True, slots=True)
class StandardisedLinear:
    """intercept + Σ_j coefficients_j · (x_j − mean_j) / scale_j; arrays (d,)."""

    mean: FloatArray
    scale: FloatArray
    coefficients: FloatArray
    intercept: float

    def logit(self, x: FloatArray) -> FloatArray:
        """The logits (n,) of contexts x (n, d)."""
        logit: FloatArray = (x - self.mean) / self.scale @ self.coefficients + self.intercept
        return logit


class PlattScaling(NamedTuple):
    """Platt scaling of a logit: P(complex) = expit(slope · logit + intercept)."""

    slope: float
    intercept: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LogisticRegression:
    """A fitted and calibrated logistic regression, and its cross-validated penalty."""

    linear: StandardisedLinear
    calibration: PlattScaling
    penalty: float

    def p_complex(self, x: FloatArray) -> FloatArray:
        """P(complex | x) of contexts x (n, d), shape (n,)."""
        p: FloatArray = expit(self.calibration.slope * self.linear.logit(x) + self.calibration.intercept)
        return p


def train_regression(data: Labelled, rng: np.random.Generator) -> LogisticRegression:
    """Fit a regression with the penalty of least held-out log loss, calibrated on the held-out logits."""
    fold = assign_folds(data, rng)
    held_out = np.empty((len(PENALTIES), len(fold)))
    for f in range(FOLDS):
        for row, linear in zip(held_out, fit_penalty_path(data.take(fold != f), PENALTIES), strict=True):
            row[fold == f] = linear.logit(data.x[fold == f])
    losses = [_mean_log_loss(logit, data) for logit in held_out]
    best = int(np.argmin(losses))
    return LogisticRegression(
        linear=fit_penalty_path(data, PENALTIES[: best + 1])[-1],
        calibration=fit_platt_scaling(held_out[best], data),
        penalty=PENALTIES[best],
    )


def fit_penalty_path(data: Labelled, penalties: tuple[float, ...]) -> list[StandardisedLinear]:
    """Fit a ridge-penalised logistic regression for each penalty: minimise over intercept and β::

        Σ_i w_i · log(1 + exp(−s_i · z_i)) / Σ_i w_i + penalty/2 · |β|²

    with s_i = ±1 for complex or not and z_i = intercept + β · (x_i standardised). Strictly convex, so the
    minimum is unique. scipy's L-BFGS keeps scikit-learn out of the dependencies.
    Le Cessie & van Houwelingen (1992), Ridge estimators in logistic regression, eq. 2.
    """
    share = data.weight / data.weight.sum()
    mean = share @ data.x
    scale = np.sqrt(share @ np.square(data.x - mean))
    scale[scale <= 1e-9 * np.maximum(1.0, np.abs(mean))] = 1.0  # a constant column carries no information
    z = (data.x - mean) / scale
    start, fits = np.zeros(1 + z.shape[1]), []
    for penalty in penalties:
        solved = minimize(
            _penalised,
            start,
            (z, data.complex, share, penalty),
            method="L-BFGS-B",
            jac=True,
            options=_CONVERGED,
        )
        start = solved.x
        fits.append(
            StandardisedLinear(mean=mean, scale=scale, coefficients=start[1:], intercept=float(start[0]))
        )
    return fits


def fit_platt_scaling(logit: FloatArray, data: Labelled) -> PlattScaling:
    """Platt scaling of least log loss on held-out logits (n,); its slope is at least 0.

    Platt (1999), Probabilistic outputs for support vector machines. Without any signal, held-out
    predictions lean away from the label; the best slope is then 0, which gives every query the base rate.
    """
    share = data.weight / data.weight.sum()
    centre, spread = share @ logit, float(np.sqrt(share @ np.square(logit - share @ logit))) or 1.0
    z = ((logit - centre) / spread)[:, None]
    solved = minimize(
        _penalised, np.array([0.0, 1.0]), (z, data.complex, share, 1e-6), method="L-BFGS-B", jac=True,
        bounds=[(None, None), (0.0, None)], options=_CONVERGED,
    )  # fmt: skip
    slope = float(solved.x[1]) / spread
    return PlattScaling(slope, float(solved.x[0] - slope * centre))


def assign_folds(data: Labelled, rng: np.random.Generator) -> IntArray:
    """Assign a fold 0 … FOLDS − 1 to each row, (n,): labels spread evenly, equal contexts in one fold.

    Otherwise a query that was asked twice would be predicted from itself.
    """
    keys = np.fromiter((zlib.crc32(row.tobytes()) for row in data.x), dtype=np.int64, count=len(data.x))
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    label = np.where(data.weight > 0, data.complex, 2)[first]
    order = rng.permutation(len(first))
    order = order[np.argsort(label[order], kind="stable")]
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % FOLDS
    return fold[group.reshape(-1)]


def _penalised(
    theta: FloatArray, z: FloatArray, complex_: BoolArray, share: FloatArray, penalty: float
) -> tuple[float, FloatArray]:
    """The penalised log loss and its gradient at theta = (intercept, β)."""
    beta = theta[1:]
    logit = z @ beta + theta[0]
    pull = share * (expit(logit) - complex_)
    gradient = np.concatenate([[pull.sum()], pull @ z + penalty * beta])
    return float(share @ logit_losses(logit, complex_) + 0.5 * penalty * (beta @ beta)), gradient


def logit_losses(logit: FloatArray, complex_: BoolArray) -> FloatArray:
    """The log loss −log P(label) of every row (n,), from its logit."""
    losses: FloatArray = np.logaddexp(0.0, np.where(complex_, -logit, logit))
    return losses


def _mean_log_loss(logit: FloatArray, data: Labelled) -> float:
    return float(data.weight @ logit_losses(logit, data.complex) / data.weight.sum())


def classifier_fields(regression: LogisticRegression) -> dict[str, Any]:
    """The regression as fields of a :class:`~bandit_router.signals.classifier.Classifier`."""
    linear, calibration = regression.linear, regression.calibration
    return {
        "mean": linear.mean,
        "scale": linear.scale,
        "coefficients": linear.coefficients,
        "intercept": linear.intercept,
        "calibration_slope": calibration.slope,
        "calibration_intercept": calibration.intercept,
    }
