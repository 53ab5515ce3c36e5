"""Examples in, a classifier out, with what it is worth on queries that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bandit_router.evaluation.training.examples import Examples
from bandit_router.evaluation.training.logistic import FOLDS, Labelled, Regression, as_fields, folds_of, train
from bandit_router.evaluation.training.metrics import METRICS, Reliability, reliability
from bandit_router.evaluation.training.threshold import (
    Choice,
    Curve,
    Ends,
    Target,
    blind_mix,
    choose,
    curve_of,
)
from bandit_router.signals.classifier import Classifier
from bandit_router.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """A figure of the classifier on every fold, and the same of a baseline; both (FOLDS,)."""

    classifier: FloatArray
    baseline: FloatArray

    def facts(self) -> dict[str, float]:
        """Means, and the standard errors of ours and of the difference."""
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

    Folds share training rows, so it is rather too small: Bengio & Grandvalet (2004), No unbiased estimator
    of the variance of k-fold cross-validation.
    """
    return float(values.std(ddof=1) / np.sqrt(len(values)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """The regression on all examples, and how the same procedure did on queries held out from it.

    ``metrics`` compare with the base rate, which gives every query the same p. ``routed`` compares the mean
    quality at the threshold with the query-blind mix of both models at the same cost; None where a log has
    too few answers to tell. ``effective_rows`` is what the labels' weights leave of their number,
    (Σw)² / Σw².
    """

    examples: Examples
    regression: Regression
    choice: Choice
    curve: Curve
    reliability: Reliability
    metrics: Mapping[str, Compared]
    routed: Compared | None
    base_rate: float
    labelled: int
    effective_rows: float

    def classifier(self, trained_at: str) -> Classifier:
        """What is to be served. ``trained_at`` is ISO 8601."""
        pair = self.examples.pair
        return Classifier(
            **as_fields(self.regression),
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
        """Every figure in JSON types."""
        at = self.curve.at(self.choice.threshold)
        return {
            "low": self.examples.low,
            "labelled": self.labelled,
            "effective_rows": self.effective_rows,
            "base_rate": self.base_rate,
            "penalty": self.regression.penalty,
            "cross_validated": {name: one.facts() for name, one in self.metrics.items()},
            "quality_beside_blind_mix": None if self.routed is None else self.routed.facts(),
            "share_expensive": float(self.curve.share[at]),
            "cost_usd": float(self.curve.cost_usd[at]),
        }


class HeldOut(NamedTuple):
    """For each of n queries the fold it was held out with, P(complex | x) by what was trained on the others,
    and their base rate; all (n,)."""

    fold: IntArray
    p: FloatArray
    base: FloatArray


def train_on(
    examples: Examples,
    target: Target,
    rng: np.random.Generator,
    progress: Callable[[int], None] = lambda _: None,
) -> Trained:
    """Train on all examples, and find what it is worth by :func:`hold_out`.

    ``progress`` hears of each of the FOLDS + 1 trainings. Raises InvalidInput.
    """
    data = examples.labelled
    held_out = hold_out(data, rng, progress)
    p = held_out.p
    curve = curve_of(examples, p)
    choice = choose(curve, target)
    regression = train(_known(data), rng)
    progress(1)
    known = _known(data)
    weight = known.weight
    return Trained(
        examples=examples,
        regression=regression,
        choice=choice,
        curve=curve,
        reliability=reliability(p[data.weight > 0], known.complex, weight),
        metrics=_metrics(data, held_out),
        routed=_routed(examples, held_out, choice.threshold),
        base_rate=float(data.weight @ data.complex / data.weight.sum()),
        labelled=len(weight),
        effective_rows=float(weight.sum() ** 2 / (weight @ weight)),
    )


def hold_out(
    data: Labelled, rng: np.random.Generator, progress: Callable[[int], None] = lambda _: None
) -> HeldOut:
    """Train on each FOLDS − 1 of FOLDS parts, to predict the part that is left.

    Penalty and calibration are chosen anew within each training set, so that nothing of a part has been seen
    by what predicts it.
    """
    fold = folds_of(data, rng)
    p, base = np.empty(len(fold)), np.empty(len(fold))
    for f in range(FOLDS):
        seen, unseen = data.take(fold != f), fold == f
        p[unseen] = train(_known(seen), rng).p_complex(data.x[unseen])
        base[unseen] = seen.weight @ seen.complex / seen.weight.sum()
        progress(1)
    return HeldOut(fold, p, base)


def _known(data: Labelled) -> Labelled:
    return data.take(data.weight > 0)


def _metrics(data: Labelled, held_out: HeldOut) -> dict[str, Compared]:
    fold, p, base = held_out
    parts = [np.flatnonzero((fold == f) & (data.weight > 0)) for f in range(FOLDS)]
    return {
        name: Compared(
            classifier=np.array([metric(p[r], data.complex[r], data.weight[r]) for r in parts]),
            baseline=np.array([metric(base[r], data.complex[r], data.weight[r]) for r in parts]),
        )
        for name, metric in METRICS.items()
    }


def _routed(examples: Examples, held_out: HeldOut, threshold: float) -> Compared | None:
    """Mean quality at the threshold, and of the query-blind mix at the same cost."""
    ours, blind = np.empty(FOLDS), np.empty(FOLDS)
    for f in range(FOLDS):
        rows = held_out.fold == f
        dear = (held_out.p[rows] > threshold).astype(np.int64)
        weight, quality = examples.weight[rows], examples.quality[rows]
        chosen = np.arange(len(dear)), dear
        with np.errstate(invalid="ignore"):
            ours[f] = weight[chosen] @ quality[chosen] / weight[chosen].sum()
            means = Ends(*((weight * quality).sum(axis=0) / weight.sum(axis=0)).tolist())
        cost = examples.cost_usd[rows]
        costs, spent = Ends(*cost.mean(axis=0).tolist()), float(cost[chosen].mean())
        blind[f] = blind_mix(means, costs, spent, float(dear.mean())).quality
    known = np.isfinite(ours).all() and np.isfinite(blind).all()
    return Compared(classifier=ours, baseline=blind) if known else None
