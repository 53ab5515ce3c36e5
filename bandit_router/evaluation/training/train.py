"""Train a classifier on labelled examples, and measure it by cross-validation on held-out queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bandit_router.evaluation.training.examples import TrainingExamples
from bandit_router.evaluation.training.logistic import (
    FOLDS,
    Labelled,
    LogisticRegression,
    assign_folds,
    classifier_fields,
    train_regression,
)
from bandit_router.evaluation.training.metrics import METRICS, ReliabilityCurve, reliability_curve
from bandit_router.evaluation.training.threshold import (
    CheapAndExpensive,
    ThresholdChoice,
    ThresholdCurve,
    ThresholdTarget,
    blind_mix,
    choose_threshold,
    threshold_curve,
)
from bandit_router.signals.classifier import Classifier
from bandit_router.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedMetric:
    """A metric of the classifier on every fold beside the baseline's; both (FOLDS,)."""

    classifier: FloatArray
    baseline: FloatArray

    def facts(self) -> dict[str, float]:
        """The means, and the standard errors of the classifier's and of the difference."""
        difference = self.classifier - self.baseline
        return {
            "value": float(self.classifier.mean()),
            "standard_error": standard_error(self.classifier),
            "baseline": float(self.baseline.mean()),
            "difference": float(difference.mean()),
            "difference_standard_error": standard_error(difference),
        }


def standard_error(values: FloatArray) -> float:
    """sd/√n of a mean over folds (n,).

    Folds share training rows, so it is a little too small: Bengio & Grandvalet (2004), No unbiased estimator
    of the variance of k-fold cross-validation.
    """
    return float(values.std(ddof=1) / np.sqrt(len(values)))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedClassifier:
    """The regression on all examples, and the cross-validated measurements of its training procedure.

    ``metrics`` compare with the base rate, which gives every query the same p. ``routed`` compares the mean
    quality at the threshold with the query-blind mix of both models at the same cost; None if a log has too
    few answers for that. ``effective_rows`` is the effective number of labels, (Σw)² / Σw².
    """

    examples: TrainingExamples
    regression: LogisticRegression
    choice: ThresholdChoice
    curve: ThresholdCurve
    reliability_curve: ReliabilityCurve
    metrics: Mapping[str, ComparedMetric]
    routed: ComparedMetric | None
    base_rate: float
    labelled: int
    effective_rows: float

    def classifier(self, trained_at: str) -> Classifier:
        """The classifier to serve. ``trained_at`` is ISO 8601."""
        pair = self.examples.pair
        return Classifier(
            **classifier_fields(self.regression),
            schema_id=self.examples.schema_id,
            cheap=pair.cheap,
            expensive=pair.expensive,
            threshold=self.choice.threshold,
            threshold_why=self.choice.why,
            trained_at=trained_at,
            source=self.examples.source,
            metrics=self.facts(),
        )

    def facts(self) -> dict[str, Any]:
        """Every figure of the training in JSON types."""
        at = self.curve.at(self.choice.threshold)
        return {
            "low": self.examples.low,
            "labelled": self.labelled,
            "effective_rows": self.effective_rows,
            "base_rate": self.base_rate,
            "penalty": self.regression.penalty,
            "cross_validated": {name: compared.facts() for name, compared in self.metrics.items()},
            "quality_beside_blind_mix": None if self.routed is None else self.routed.facts(),
            "share_expensive": float(self.curve.share[at]),
            "cost_usd": float(self.curve.cost_usd[at]),
        }


class HeldOut(NamedTuple):
    """Held-out predictions, all (n,): each query's fold, P(complex | x) and base rate by the others."""

    fold: IntArray
    p: FloatArray
    base: FloatArray


def train_classifier_on(
    examples: TrainingExamples,
    target: ThresholdTarget,
    rng: np.random.Generator,
    progress: Callable[[int], None] = lambda _: None,
) -> TrainedClassifier:
    """Train a classifier on all examples, and measure the procedure with :func:`hold_out`.

    ``progress`` is called with 1 after each of the FOLDS + 1 trainings. Raises InvalidInput.
    """
    data = examples.labelled
    held_out = hold_out(data, rng, progress)
    p = held_out.p
    curve = threshold_curve(examples, p)
    choice = choose_threshold(curve, target)
    labelled = _labelled_only(data)
    regression, weight = train_regression(labelled, rng), labelled.weight
    progress(1)
    return TrainedClassifier(
        examples=examples,
        regression=regression,
        choice=choice,
        curve=curve,
        reliability_curve=reliability_curve(p[data.weight > 0], labelled.complex, weight),
        metrics=_compare_metrics(data, held_out),
        routed=_compare_routing(examples, held_out, choice.threshold),
        base_rate=float(data.weight @ data.complex / data.weight.sum()),
        labelled=len(weight),
        effective_rows=float(weight.sum() ** 2 / (weight @ weight)),
    )


def hold_out(
    data: Labelled, rng: np.random.Generator, progress: Callable[[int], None] = lambda _: None
) -> HeldOut:
    """Train on all folds but one, predict that fold, and so on for each.

    Penalty and calibration are chosen anew within each training set, so that no prediction depends on its
    own fold.
    """
    fold = assign_folds(data, rng)
    p, base = np.empty(len(fold)), np.empty(len(fold))
    for f in range(FOLDS):
        training, test = data.take(fold != f), fold == f
        p[test] = train_regression(_labelled_only(training), rng).p_complex(data.x[test])
        base[test] = training.weight @ training.complex / training.weight.sum()
        progress(1)
    return HeldOut(fold, p, base)


def _labelled_only(data: Labelled) -> Labelled:
    return data.take(data.weight > 0)


def _compare_metrics(data: Labelled, held_out: HeldOut) -> dict[str, ComparedMetric]:
    fold, p, base = held_out
    folds = [np.flatnonzero((fold == f) & (data.weight > 0)) for f in range(FOLDS)]
    return {
        name: ComparedMetric(
            classifier=np.array([metric(p[r], data.complex[r], data.weight[r]) for r in folds]),
            baseline=np.array([metric(base[r], data.complex[r], data.weight[r]) for r in folds]),
        )
        for name, metric in METRICS.items()
    }


def _compare_routing(
    examples: TrainingExamples, held_out: HeldOut, threshold: float
) -> ComparedMetric | None:
    """Mean quality at the threshold beside the query-blind mix at the same cost; None where unknown."""
    ours, blind = np.empty(FOLDS), np.empty(FOLDS)
    for f in range(FOLDS):
        rows = held_out.fold == f
        dear = (held_out.p[rows] > threshold).astype(np.int64)
        weight, quality = examples.weight[rows], examples.quality[rows]
        chosen = np.arange(len(dear)), dear
        with np.errstate(invalid="ignore"):
            ours[f] = weight[chosen] @ quality[chosen] / weight[chosen].sum()
            means = CheapAndExpensive(*((weight * quality).sum(axis=0) / weight.sum(axis=0)).tolist())
        cost = examples.cost_usd[rows]
        costs, spent = CheapAndExpensive(*cost.mean(axis=0).tolist()), float(cost[chosen].mean())
        blind[f] = blind_mix(means, costs, spent, float(dear.mean())).quality
    complete = np.isfinite(ours).all() and np.isfinite(blind).all()
    return ComparedMetric(classifier=ours, baseline=blind) if complete else None
