"""Charts of how far a log can be trusted: sensitivity to clipping, calibration of the reward model."""

from __future__ import annotations

from collections.abc import Sequence

from bandit_router.evaluation.answers import Answer, Evaluation
from bandit_router.evaluation.diagnostics import CLIPS
from bandit_router.evaluation.estimators import Figure
from bandit_router.evaluation.report.charts.palette import EDGE, GREY, INK, Look, arm_look, policy_look
from bandit_router.evaluation.report.charts.plot import Plot, Trace, axis, escape_label, layout, legend_name
from bandit_router.evaluation.report.contenders import Participant, participant_label

_APART = 1.03  # shifts policies at the same clip, so that their intervals do not hide each other


def clip_plot(evaluation: Evaluation, estimator: str) -> Plot:
    """The reward by IPS for each cap on the weights; it is flat where no weight is large."""
    best = evaluation.best_fixed(estimator)
    shown = [a for a in evaluation.answers if a.question.role in ("logged", "policy") or a is best]
    policies = [a.question.name for a in evaluation.answers if a.question.role == "policy"]
    looks = {name: policy_look(i) for i, name in enumerate(policies)}
    looks |= {f"fixed:{arm}": arm_look(k) for k, arm in enumerate(evaluation.arms)}
    looks |= {"logged": Look(INK, "cross", "", "dot")}
    traces = [
        trace
        for i, answer in enumerate(shown)
        if (trace := _clip_trace(answer, looks[answer.question.name], _APART ** (i - len(shown) / 2)))
    ]
    return Plot(
        id="clips",
        title="Sensitivity to clipping",
        caption="Reward by IPS with weights cut at a maximum, and its 95% interval. Where the line climbs "
        "to the right end, few rows with large weights carry the estimate.",
        data=traces,
        layout=layout(
            axis(
                "largest weight allowed", type="log", tickvals=list(CLIPS), ticktext=[f"{c:g}" for c in CLIPS]
            ),
            axis("reward by clipped IPS"),
            legend=_legend_below(),
        ),
    )  # fmt: skip


def _clip_trace(answer: Answer, look: Look, shift: float) -> Trace | None:
    clipped = answer.diagnostics.outcomes["reward"].clipped
    figures: Sequence[tuple[float, Figure]] = [
        (clip, figure) for clip, figure in clipped.items() if figure is not None
    ]
    if not figures:
        return None
    name = participant_label(Participant(answer.question.name, answer.question.role, None))
    return {
        "type": "scatter", "mode": "lines+markers", "x": [clip * shift for clip, _ in figures],
        "y": [figure.value for _, figure in figures], "text": [escape_label(name)] * len(figures),
        "name": legend_name(name),
        "customdata": [f"{clip:g}" for clip, _ in figures],
        "line": {"color": look.colour, "dash": look.dash, "width": 2},
        "marker": {"color": look.colour, "symbol": look.symbol, "size": 8},
        "error_y": {
            "type": "data", "array": [figure.high - figure.value for _, figure in figures],
            "thickness": 1, "width": 2, "color": look.colour,
        },
        "hovertemplate": "%{text}<br>%{y:.4f} with weights up to %{customdata}<extra></extra>",
    }  # fmt: skip


def calibration_plot(evaluation: Evaluation) -> Plot:
    """The reward model's calibration: predicted against observed mean reward of each arm."""
    arms = evaluation.answers[0].diagnostics.arms
    traces: list[Trace] = []
    for k, (name, arm) in enumerate(arms.items()):
        predicted, observed = arm.predicted["reward"], arm.observed["reward"]
        if predicted is not None and observed is not None:
            traces.append(_arm_trace(name, arm_look(k), predicted, observed, arm.rows))
    ends = [v for trace in traces for v in (*trace["x"], *trace["y"])] or [0.0, 1.0]
    room = 0.08 * (max(ends) - min(ends)) or 0.05
    span = [min(ends) - room, max(ends) + room]
    diagonal: Trace = {
        "type": "scatter", "mode": "lines", "x": span, "y": span, "hoverinfo": "skip", "showlegend": False,
        "line": {"color": GREY, "width": 1.5, "dash": "dot"},
    }  # fmt: skip
    return Plot(
        id="calibration",
        title="Calibration of the reward model",
        caption="Mean reward of each arm in the log. On the line, the model predicts what was observed; "
        "DM leans on it, DR corrects it.",
        data=[diagonal, *traces],
        layout=layout(
            axis("predicted reward", range=span), axis("observed reward", range=span), legend=_legend_below()
        ),
    )


def _arm_trace(name: str, look: Look, predicted: float, observed: float, rows: int) -> Trace:
    return {
        "type": "scatter", "mode": "markers", "x": [predicted], "y": [observed], "text": [escape_label(name)],
        "customdata": [rows], "name": legend_name(name),
        "marker": {
            "color": look.colour, "symbol": look.symbol, "size": 12, "line": {"width": 1, "color": EDGE},
        },
        "hovertemplate": "%{text}<br>predicted %{x:.4f}, observed %{y:.4f}<br>"
        "in %{customdata:,} rows<extra></extra>",
    }  # fmt: skip


def _legend_below() -> dict[str, object]:
    """A legend under the plot, for plots that share the width of the page."""
    return {
        "orientation": "h", "x": 0.0, "xanchor": "left", "y": -0.22, "yanchor": "top",
        "font": {"size": 12}, "itemsizing": "trace",
    }  # fmt: skip
