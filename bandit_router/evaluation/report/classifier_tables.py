"""Tables of a trained classifier: cross-validated metrics, and what its threshold does to the traffic."""

from __future__ import annotations

from rich.console import RenderableType

from bandit_router.evaluation.report.formatting import UNKNOWN, format_spread, printable, usd_per_1k
from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.training.logistic import FOLDS
from bandit_router.evaluation.training.metrics import chance_calibration_error
from bandit_router.evaluation.training.threshold import CheapAndExpensive, blind_mix
from bandit_router.evaluation.training.train import ComparedMetric, TrainedClassifier, standard_error

_SPREAD = (
    f"± is the standard error over {FOLDS} folds, each predicted by what was trained on the others",
    "base rate: every query gets the share of complex ones; its accuracy is that of the commoner answer",
)


def classifier_tables(trained: TrainedClassifier) -> list[RenderableType]:
    """The metrics and the routing of a trained classifier, as tables for a terminal."""
    return [draw_grid(classifier_metrics_grid(trained)), draw_grid(classifier_routing_grid(trained))]


def describe_training(trained: TrainedClassifier) -> str:
    """The sentences on the examples a classifier was trained on, and on those left out."""
    examples = trained.examples
    text = (
        f"{examples.source}; {trained.labelled:,} labelled, {trained.base_rate:.1%} of them complex: "
        f"the quality of {examples.pair.cheap} is below {examples.low:g}."
    )
    if trained.effective_rows < 0.99 * trained.labelled:
        text += f" Weighted by 1/propensity they are worth {trained.effective_rows:,.0f} alike."
    left_out = [f"Left out: {n:,} {why}." for why, n in examples.left_out.items() if n]
    return printable(" ".join([text, *left_out]))


def classifier_metrics_grid(trained: TrainedClassifier) -> Grid:
    """The cross-validated metrics of the classifier beside those of the base rate."""
    by_chance = chance_calibration_error(trained.reliability_curve, trained.effective_rows / FOLDS)
    return Grid(
        title=f"Held-out queries, means over {FOLDS} folds",
        headings=("", "classifier", "base rate", "difference"),
        rows=tuple(Row(cells=(name, *_metric_cells(compared))) for name, compared in trained.metrics.items()),
        notes=(
            *_SPREAD,
            f"calibration error: chance alone makes {by_chance:.3f} in folds of this size",
        ),
    )


def _metric_cells(compared: ComparedMetric) -> tuple[str, str, str]:
    difference = compared.classifier - compared.baseline
    return (
        format_spread(compared.classifier.mean(), standard_error(compared.classifier), 4),
        f"{compared.baseline.mean():.4f}",
        f"{difference.mean():+.4f} ±{standard_error(difference):.4f}",
    )


def classifier_routing_grid(trained: TrainedClassifier) -> Grid:
    """Share, quality and cost at the threshold, beside each model alone and their blind mix."""
    curve, pair = trained.curve, trained.examples.pair
    at = curve.at(trained.choice.threshold)
    share, cost = float(curve.share[at]), float(curve.cost_usd[at])
    qualities, costs = (CheapAndExpensive(float(v[-1]), float(v[0])) for v in (curve.quality, curve.cost_usd))
    mix = blind_mix(qualities, costs, cost, share)
    rows = (
        ("classifier", share, float(curve.quality[at]), cost),
        ("blind mix", *mix, cost),
        (f"always {pair.cheap}", 0.0, qualities.cheap, costs.cheap),
        (f"always {pair.expensive}", 1.0, qualities.expensive, costs.expensive),
    )
    return Grid(
        title=printable(f"At p > {trained.choice.threshold:g} ({trained.choice.why})"),
        headings=("", "expensive", "quality", "USD/1k"),
        rows=tuple(
            Row(
                cells=(
                    printable(name),
                    f"{share:.1%}",
                    UNKNOWN if quality != quality else f"{quality:.4f}",
                    usd_per_1k(cost),
                ),
                strong=name == "classifier",
            )
            for name, share, quality, cost in rows
        ),
        notes=("held-out predictions; the blind mix has the same cost, and does not look at the query",),
    )
