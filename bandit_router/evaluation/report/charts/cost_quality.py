"""The quality–cost plane: each policy beside the best query-blind mixes of fixed models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from bandit_router.evaluation.answers import Evaluation
from bandit_router.evaluation.estimators import Figure
from bandit_router.evaluation.report.charts.palette import EDGE, GREY, INK, Look, arm_look, policy_look
from bandit_router.evaluation.report.charts.plot import (
    Plot,
    Trace,
    axis,
    escape_label,
    layout,
    legend_group,
    legend_name,
    shuffled_legend_name,
)
from bandit_router.evaluation.report.contenders import Participant, participant_label
from bandit_router.evaluation.report.refusals import accepted_figure
from bandit_router.evaluation.report.statistics import mean_with_interval
from bandit_router.evaluation.simulation.simulate import Simulation
from bandit_router.types import FloatArray

_GROUPS = {
    "fixed": "fixed models", "policy": "policies", "shuffled": "policies", "uniform": "baselines",
    "logged": "baselines",
}  # fmt: skip
_PER_SEGMENT = 40  # a mix of two models is straight in USD, hence curved on a logarithmic axis


class Span(NamedTuple):
    """A value and its 95% interval."""

    value: float
    low: float
    high: float


class CostQualityPoint(NamedTuple):
    """A policy or baseline: ``cost`` in USD per 1,000 queries, ``of`` the policy it is compared to."""

    name: str
    role: str
    of: str | None
    cost: Span
    quality: Span


def evaluation_points(
    evaluation: Evaluation, estimator: str, outcome: str
) -> tuple[list[CostQualityPoint], list[str]]:
    """The points of an evaluation whose cost and ``outcome`` are not refused, and the names of the others."""
    points, missing = [], []
    for answer in evaluation.answers:
        question = answer.question
        cost, quality = (accepted_figure(answer, estimator, o) for o in ("cost_usd", outcome))
        if cost is None or quality is None:
            missing.append(question.name)
        else:
            spans = _span_of_figure(cost, 1000.0), _span_of_figure(quality, 1.0)
            points.append(CostQualityPoint(question.name, question.role, question.of, *spans))
    return points, missing


def simulation_points(simulation: Simulation) -> list[CostQualityPoint]:
    """The points of a simulation, with 95% intervals of the mean over seeds."""
    return [
        CostQualityPoint(
            contender.name,
            contender.role,
            None if contender.role == "policy" else contender.policy,
            _span_over_seeds(1000.0 * contender.values("cost_usd")),
            _span_over_seeds(contender.values("quality")),
        )
        for contender in simulation.contenders
        if contender.role != "best fixed"
    ]


def concave_hull(points: Sequence[CostQualityPoint]) -> list[CostQualityPoint]:
    """The upper concave hull of the fixed models, from cheap to dear.

    No query-blind mix of fixed models has more quality at its cost than the line through these.
    """
    fixed = sorted((p for p in points if p.role == "fixed"), key=lambda p: (p.cost.value, -p.quality.value))
    corners: list[CostQualityPoint] = []
    for point in fixed:
        if corners and point.quality.value <= corners[-1].quality.value:
            continue
        while len(corners) > 1 and _slope(corners[-2], point) >= _slope(corners[-2], corners[-1]):
            corners.pop()
        corners.append(point)
    return corners


def _slope(start: CostQualityPoint, end: CostQualityPoint) -> float:
    run = end.cost.value - start.cost.value
    return (end.quality.value - start.quality.value) / run if run > 0 else float("inf")


def _span_of_figure(figure: Figure, scale: float) -> Span:
    return Span(scale * figure.value, scale * figure.low, scale * figure.high)


def _span_over_seeds(values: FloatArray) -> Span:
    mean, reach, _ = mean_with_interval(values)
    return Span(mean, mean - (reach or 0.0), mean + (reach or 0.0))


def cost_quality_plot(
    points: Sequence[CostQualityPoint], arms: Sequence[str], outcome: str, caption: str
) -> Plot:
    """Quality by cost: points with intervals both ways, and the hull of blind mixes.

    The cost axis is logarithmic, unless a point is free.
    """
    log = all(p.cost.value > 0 for p in points)
    looks = assign_looks(points, arms)
    shown = [p for p in points if p.role in _GROUPS]
    floor = min((p.cost.value for p in shown), default=1.0) / 10.0 if log else -np.inf
    x = axis("USD per 1,000 queries" + (" (log scale)" if log else ""), type="log" if log else "linear")
    if log and shown:
        low, high = _log_range(shown, floor)
        x |= {"range": [low, high], "dtick": "D1" if high - low < 1 else "D2"}
    return Plot(
        id="front",
        title="Quality and cost",
        caption=caption,
        data=[*_hull_trace(points, log), *(_point_trace(p, looks[p.name], floor) for p in shown)],
        layout=layout(x, axis(outcome)),
        height=520,
    )


def assign_looks(points: Sequence[CostQualityPoint], arms: Sequence[str]) -> Mapping[str, Look]:
    """The look of each point: a fixed model has its arm's, a shuffled policy an open form of the policy's."""
    looks = {f"fixed:{arm}": arm_look(k) for k, arm in enumerate(arms)}
    policies = [p.name for p in points if p.role == "policy"] + [
        p.of for p in points if p.of is not None
    ]  # a refused policy still has baselines
    looks |= {name: policy_look(i) for i, name in enumerate(dict.fromkeys(policies))}
    looks |= {
        p.name: looks[p.of]._replace(symbol=f"{looks[p.of].symbol}-open") for p in points if p.of is not None
    }
    others = {"uniform": Look(GREY, "x", "", "dash"), "logged": Look(INK, "cross", "", "solid")}
    return looks | {p.name: others[p.role] for p in points if p.role in others}


def _log_range(points: Sequence[CostQualityPoint], floor: float) -> tuple[float, float]:
    low = np.log10(min(max(p.cost.low, floor) for p in points))
    high = np.log10(max(p.cost.high for p in points))
    room = max(0.05 * (high - low), 0.05)
    return float(low - room), float(high + room)


def _hull_trace(points: Sequence[CostQualityPoint], log: bool) -> list[Trace]:
    """The hull, extended at the level of its best model: a dearer point has to be above that line."""
    corners = concave_hull(points)
    if not corners:
        return []
    dearest = max(p.cost.value for p in points)
    space = np.geomspace if log else np.linspace
    cost, value = (np.array([getattr(p, name).value for p in corners]) for name in ("cost", "quality"))
    at = np.concatenate([cost[:1], *(space(*pair, _PER_SEGMENT)[1:] for pair in pairwise(cost))])
    x, y = [*at.tolist(), dearest], [*np.interp(at, cost, value).tolist(), float(value[-1])]
    return [
        {
            "type": "scatter", "mode": "lines", "x": x, "y": y,
            "line": {"color": GREY, "width": 1.5, "dash": "dot"}, "hoverinfo": "skip",
            "name": "blind mixes of fixed models", **legend_group("baselines"),
        }
    ]  # fmt: skip


def _point_trace(point: CostQualityPoint, look: Look, floor: float) -> Trace:
    name = participant_label(Participant(point.name, point.role, point.of))
    if point.role == "shuffled":
        name = point.name
    fixed = point.role == "fixed"
    return {
        "type": "scatter", "mode": "markers", "x": [point.cost.value], "y": [point.quality.value],
        "error_x": _error(point.cost, look.colour, floor),
        "error_y": _error(point.quality, look.colour, -np.inf),
        "marker": {
            "color": look.colour, "symbol": look.symbol, "size": 10 if fixed else 14,
            "line": {"width": 2 if look.symbol.endswith("-open") else 1, "color": _edge(look)},
        },
        "text": [escape_label(name)],
        "name": shuffled_legend_name(point.of) if point.of else legend_name(name),
        "hovertemplate": "%{text}<br>%{y:.4f} for %{x:.4~g} USD per 1,000 queries<extra></extra>",
        **legend_group(_GROUPS[point.role]),
    }  # fmt: skip


def _edge(look: Look) -> str:
    return look.colour if look.symbol.endswith("-open") else EDGE


def _error(span: Span, colour: str, floor: float) -> dict[str, Any]:
    return {
        "type": "data", "symmetric": False, "color": colour, "thickness": 1.2, "width": 3,
        "array": [span.high - span.value], "arrayminus": [span.value - max(span.low, floor)],
    }  # fmt: skip
