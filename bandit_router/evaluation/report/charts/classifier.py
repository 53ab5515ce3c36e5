"""Charts of a classifier: reliability of its probabilities, and quality by threshold."""

from __future__ import annotations

import numpy as np

from bandit_router.evaluation.report.charts.palette import EDGE, GREY, INK, POLICIES
from bandit_router.evaluation.report.charts.plot import Plot, Trace, axis, layout
from bandit_router.evaluation.training.train import TrainedClassifier

_NORMAL = 1.96
_POINTS = 200


def reliability_plot(trained: TrainedClassifier) -> Plot:
    """Reliability diagram: predicted P(complex) by observed share, in bins of equally many queries."""
    curve = trained.reliability_curve
    diagonal: Trace = {
        "type": "scatter", "mode": "lines", "x": [0.0, 1.0], "y": [0.0, 1.0], "hoverinfo": "skip",
        "name": "as predicted", "line": {"color": GREY, "width": 1.5, "dash": "dot"},
    }  # fmt: skip
    base: Trace = {
        "type": "scatter", "mode": "lines", "x": [0.0, 1.0], "y": [trained.base_rate] * 2,
        "name": "base rate", "line": {"color": GREY, "width": 1.5, "dash": "dash"},
        "hovertemplate": "%{y:.1%} of all queries<extra></extra>",
    }  # fmt: skip
    bins: Trace = {
        "type": "scatter", "mode": "lines+markers",
        "x": curve.predicted.tolist(), "y": curve.observed.tolist(), "name": "classifier",
        "customdata": curve.rows.tolist(),
        "line": {"color": POLICIES[0], "width": 2},
        "marker": {"color": POLICIES[0], "size": 9, "line": {"width": 1, "color": EDGE}},
        "error_y": {
            "type": "data", "array": (_NORMAL * curve.error).tolist(), "thickness": 1, "width": 3,
            "color": POLICIES[0],
        },
        "hovertemplate": "predicted %{x:.1%}, observed %{y:.1%}<br>of %{customdata:,} queries<extra></extra>",
    }  # fmt: skip
    chosen: Trace = {
        "type": "scatter", "mode": "lines", "x": [trained.choice.threshold] * 2, "y": [0.0, 1.0],
        "name": "threshold", "line": {"color": INK, "width": 1.5},
        "hovertemplate": "p > %{x:.4g} goes to the expensive model<extra></extra>",
    }  # fmt: skip
    return Plot(
        id="reliability",
        title="Calibration",
        caption="Held-out queries in bins of equal number: the mean predicted probability, and the share "
        "that was complex, with its 95% interval. On the diagonal, probabilities come true.",
        data=[diagonal, base, chosen, bins],
        layout=layout(
            axis("predicted P(complex)", range=[-0.02, 1.02]),
            axis("share that was complex", range=[-0.02, 1.02]),
        ),
    )


def threshold_plot(trained: TrainedClassifier) -> Plot:
    """Quality by cost from threshold to threshold, beside query-blind mixes of the two models."""
    curve = trained.curve
    shown = np.unique(np.linspace(0, len(curve.threshold) - 1, _POINTS).round().astype(np.int64))
    shown = shown[np.isfinite(curve.quality[shown])]
    at = curve.at(trained.choice.threshold)
    line: Trace = {
        "type": "scatter", "mode": "lines",
        "x": (1000.0 * curve.cost_usd[shown]).tolist(), "y": curve.quality[shown].tolist(),
        "name": "classifier",
        "customdata": np.column_stack([curve.threshold, curve.share])[shown].tolist(),
        "line": {"color": POLICIES[0], "width": 2.5},
        "hovertemplate": "p > %{customdata[0]:.3f}: %{customdata[1]:.1%} expensive, quality %{y:.4f}"
        "<br>%{x:.3f} USD per 1,000 queries<extra></extra>",
    }  # fmt: skip
    mix: Trace = {
        "type": "scatter", "mode": "lines", "name": "blind mix", "hoverinfo": "skip",
        "x": [1000.0 * float(curve.cost_usd[i]) for i in (-1, 0)],
        "y": [_finite(curve.quality[-1]), _finite(curve.quality[0])],
        "line": {"color": GREY, "width": 1.5, "dash": "dot"},
    }  # fmt: skip
    chosen: Trace = {
        "type": "scatter", "mode": "markers", "x": [1000.0 * float(curve.cost_usd[at])],
        "y": [_finite(curve.quality[at])],
        "name": f"p > {trained.choice.threshold:g}",
        "marker": {"color": POLICIES[0], "symbol": "star", "size": 15, "line": {"width": 1, "color": EDGE}},
        "hovertemplate": "quality %{y:.4f} for %{x:.3f} USD per 1,000 queries<extra></extra>",
    }  # fmt: skip
    return Plot(
        id="routing",
        title="Quality by threshold",
        caption="From every query to the cheap model on the left to every query to the expensive one on the "
        "right. A classifier that knows nothing stays on the dotted line, with the mixes that never look.",
        data=[mix, line, chosen],
        layout=layout(
            axis("USD per 1,000 queries"),
            axis("mean quality, held out"),
        ),
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
