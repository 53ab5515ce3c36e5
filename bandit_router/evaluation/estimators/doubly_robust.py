"""Estimators with a reward model, alone or corrected by observed outcomes: DM, DR, Switch-DR and DRos.

The model is cross-fitted: a row is predicted by a model that has not seen its fold. Below,
q̂(x, π) = Σ_a π(a|x) q̂(x, a). Terms of rows without feedback are q̂(x, π) alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bandit_router.evaluation.estimators.base import RatioEstimator, require_positive
from bandit_router.evaluation.estimators.inputs import EstimatorInputs, Grouping
from bandit_router.evaluation.estimators.sums import RatioSums
from bandit_router.types import FloatArray


@dataclass(frozen=True, slots=True)
class DM(RatioEstimator):
    """The direct method: V = Σ q̂(x, π) / n.

    Biased wherever the model is; more data of the same kind does not help. The standard error knows only
    which queries were drawn, not how wrong the model is, so the interval is too short; the gate
    refuses DM when the residuals contradict the model.

    Dudík, Langford & Li, Doubly robust policy evaluation and learning, ICML 2011, sec. 2.
    """

    needs: ClassVar[tuple[Grouping, ...]] = ("folds",)

    def collect(self, inputs: EstimatorInputs) -> RatioSums:
        u = inputs.cross_fitted.target
        return RatioSums.of(u, np.ones_like(u), inputs.observed)


@dataclass(frozen=True, slots=True)
class DR(RatioEstimator):
    """Doubly robust: V = Σ [q̂(x, π) + w (ȳ − q̂(x, a))] / n.

    Unbiased when the propensities are right, whatever the model; a good model makes the variance
    small. The standard error is that of a mean: with cross-fitting the model's own error is of lower
    order.

    Dudík, Langford & Li, Doubly robust policy evaluation and learning, ICML 2011; Robins, Rotnitzky
    & Zhao, JASA 1994; Chernozhukov et al., Double/debiased machine learning, Econometrics J. 2018.
    """

    needs: ClassVar[tuple[Grouping, ...]] = ("folds",)

    def collect(self, inputs: EstimatorInputs) -> RatioSums:
        return _collect_corrected(inputs, inputs.weight)


@dataclass(frozen=True, slots=True)
class SwitchDR(RatioEstimator):
    """DR that trusts the model alone where weights are large.

    V = Σ [q̂(x, π) + w 1{w ≤ threshold} (ȳ − q̂(x, a))] / n.

    Where w exceeds the threshold it has the model's bias, which the interval does not cover.

    Wang, Agarwal & Dudík, Optimal and adaptive off-policy evaluation in contextual bandits, ICML 2017.
    """

    threshold: float = 20.0
    needs: ClassVar[tuple[Grouping, ...]] = ("folds",)

    def __post_init__(self) -> None:
        require_positive("switch-dr", "threshold", self.threshold)

    def collect(self, inputs: EstimatorInputs) -> RatioSums:
        w = inputs.weight
        return _collect_corrected(inputs, np.where(w <= self.threshold, w, 0.0))


@dataclass(frozen=True, slots=True)
class DRos(RatioEstimator):
    """DR with optimistic shrinkage: V = Σ [q̂(x, π) + w' (ȳ − q̂(x, a))] / n, w' = λ w / (w² + λ).

    Halves a weight of √λ and shrinks larger ones more; λ → ∞ is DR, λ → 0 is DM. The bias that is
    traded for variance is not covered by the interval.

    Su, Dimakopoulou, Krishnamurthy & Dudík, Doubly robust off-policy evaluation with shrinkage,
    ICML 2020, sec. 4.
    """

    shrinkage: float = 400.0
    needs: ClassVar[tuple[Grouping, ...]] = ("folds",)

    def __post_init__(self) -> None:
        require_positive("dros", "shrinkage", self.shrinkage)

    def collect(self, inputs: EstimatorInputs) -> RatioSums:
        w = inputs.weight
        return _collect_corrected(inputs, self.shrinkage * w / (w * w + self.shrinkage))


def _collect_corrected(inputs: EstimatorInputs, weight: FloatArray) -> RatioSums:
    u = corrected_terms(inputs, weight)
    return RatioSums.of(u, np.ones_like(u), inputs.observed)


def corrected_terms(inputs: EstimatorInputs, weight: FloatArray) -> FloatArray:
    """Terms q̂(x, π) + w (ȳ − q̂(x, a)) of every row and outcome (n, M), with these weights (n,)."""
    q = inputs.cross_fitted
    return q.target + weight[:, None] * inputs.feedback_weight * (inputs.outcomes - q.action)
