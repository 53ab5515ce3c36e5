"""What training a classifier came to: on a terminal, and as one HTML page."""

from __future__ import annotations

from rich.console import RenderableType

from bandit_router.evaluation.report.document import document, figure, section, sentences, table, text
from bandit_router.evaluation.report.grid import Grid, Row, draw
from bandit_router.evaluation.report.paired import paired
from bandit_router.evaluation.report.reliability import reliability_plot, routing_plot
from bandit_router.evaluation.report.words import UNKNOWN, clean, per_1k, plus_minus
from bandit_router.evaluation.training.logistic import FOLDS
from bandit_router.evaluation.training.metrics import chance_error
from bandit_router.evaluation.training.threshold import Ends, blind_mix
from bandit_router.evaluation.training.train import Compared, Trained, standard_error
from bandit_router.types import FloatArray

_SPREAD = (
    f"± is the standard error over {FOLDS} folds, each predicted by what was trained on the others",
    "base rate: every query gets the share of complex ones; its accuracy is that of the commoner answer",
)


def trained_tables(trained: Trained) -> list[RenderableType]:
    """The figures, for a terminal."""
    return [draw(metrics_grid(trained)), draw(routes_grid(trained))]


def trained_page(trained: Trained, *, title: str) -> str:
    """The same with plots, as one HTML page that works offline. Raises ConfigError without plotly."""
    calibration, routing = reliability_plot(trained), routing_plot(trained)
    body = [
        f'<p class="about">{text(about(trained))}</p>',
        section("Verdict", sentences(verdicts(trained), "verdicts")),
        section("On queries it has not seen", table(metrics_grid(trained))),
        section(calibration.title, figure(calibration, headed=False)),
        section("What it does to the traffic", table(routes_grid(trained))),
        section(routing.title, figure(routing, headed=False)),
    ]
    return document(title, body, [calibration, routing])


def about(trained: Trained) -> str:
    """What it was trained on."""
    examples = trained.examples
    said = (
        f"{examples.source}; {trained.labelled:,} labelled, {trained.base_rate:.1%} of them complex: "
        f"the quality of {examples.pair.cheap} is below {examples.low:g}."
    )
    if trained.effective_rows < 0.99 * trained.labelled:
        said += f" Weighted by 1/propensity they are worth {trained.effective_rows:,.0f} alike."
    return clean(" ".join([said, *(f"Left out: {n:,} {why}." for why, n in examples.left_out.items() if n)]))


def verdicts(trained: Trained) -> list[str]:
    """Whether it beats saying the same of every query, and routing without looking at the query."""
    return [_accuracy(trained), _information(trained), _routing(trained)]


def _accuracy(trained: Trained) -> str:
    found = trained.metrics["accuracy"]
    commoner = "complex" if trained.base_rate > 0.5 else "simple"
    return (
        f"Accuracy: it {_beats(found)} the majority class (right on {_percent(found.classifier)} of queries, "
        f"always saying {commoner} on {_percent(found.baseline)})."
    )


def _information(trained: Trained) -> str:
    loss, auc = trained.metrics["log loss"], trained.metrics["AUC"]
    better = Compared(classifier=loss.baseline, baseline=loss.classifier)
    return (
        f"Probabilities: it {_beats(better)} the base rate (log loss {loss.classifier.mean():.4f} to "
        f"{loss.baseline.mean():.4f}), and ranks a complex query above a simple one in "
        f"{_percent(auc.classifier)} of pairs."
    )


def _routing(trained: Trained) -> str:
    threshold = trained.choice.threshold
    share = trained.curve.share[trained.curve.at(threshold)]
    where = f"p > {threshold:g} sends {share:.1%} to the expensive model"
    if trained.routed is None:
        return f"Routing: {where}; the log has too few answers to say what that earns."
    if not 0.0 < share < 1.0:
        return f"Routing: {where}, so it chooses nothing: take the fixed model, or another threshold."
    found = trained.routed
    gain = paired(found.classifier, found.baseline)
    return (
        f"Routing: {where} and {_beats(found)} the blind mix at its cost: quality "
        f"{found.classifier.mean():.4f} to {found.baseline.mean():.4f}, "
        f"{gain.mean:+.4f} ± {gain.reach:.4f} (95%)."
    )


def _beats(found: Compared) -> str:
    """By a paired t interval over folds."""
    gain = paired(found.classifier, found.baseline)
    if gain.mean <= 0.0:
        return "does not beat"
    return "beats" if gain.told else "is not shown to beat"


def _percent(values: FloatArray) -> str:
    return f"{values.mean():.1%}"


def metrics_grid(trained: Trained) -> Grid:
    """The cross-validated figures beside those of the base rate."""
    return Grid(
        title=f"Held-out queries, means over {FOLDS} folds",
        headings=("", "classifier", "base rate", "difference"),
        rows=tuple(Row(cells=(name, *_cells(found))) for name, found in trained.metrics.items()),
        notes=(
            *_SPREAD,
            "calibration error: chance alone makes "
            f"{chance_error(trained.reliability, trained.effective_rows / FOLDS):.3f} in folds of this size",
        ),
    )


def _cells(found: Compared) -> tuple[str, str, str]:
    difference = found.classifier - found.baseline
    return (
        plus_minus(found.classifier.mean(), standard_error(found.classifier), 4),
        f"{found.baseline.mean():.4f}",
        f"{difference.mean():+.4f} ±{standard_error(difference):.4f}",
    )


def routes_grid(trained: Trained) -> Grid:
    """What the threshold makes of the traffic, beside both models alone and their mix at the same cost."""
    curve, pair = trained.curve, trained.examples.pair
    at = curve.at(trained.choice.threshold)
    share, cost = float(curve.share[at]), float(curve.cost_usd[at])
    qualities, costs = (Ends(float(v[-1]), float(v[0])) for v in (curve.quality, curve.cost_usd))
    mix = blind_mix(qualities, costs, cost, share)
    rows = (
        ("classifier", share, float(curve.quality[at]), cost),
        ("blind mix", *mix, cost),
        (f"always {pair.cheap}", 0.0, qualities.cheap, costs.cheap),
        (f"always {pair.expensive}", 1.0, qualities.expensive, costs.expensive),
    )
    return Grid(
        title=clean(f"At p > {trained.choice.threshold:g} ({trained.choice.why})"),
        headings=("", "expensive", "quality", "USD/1k"),
        rows=tuple(
            Row(
                cells=(
                    clean(name),
                    f"{part:.1%}",
                    UNKNOWN if quality != quality else f"{quality:.4f}",
                    per_1k(cost),
                ),
                strong=name == "classifier",
            )
            for name, part, quality, cost in rows
        ),
        notes=("held-out predictions; the blind mix has the same cost, and does not look at the query",),
    )
