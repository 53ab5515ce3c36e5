"""The quality–cost plane: what every policy buys, beside what money buys without looking at the query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bandit_router.evaluation.report.order import Standing, label
from bandit_router.evaluation.report.palette import EDGE, GREY, INK, Look, arm_look, policy_look
from bandit_router.evaluation.report.plot import (
    Plot,
    Trace,
    axis,
    escaped,
    group,
    layout,
    legend_name,
    shuffled_name,
)
from bandit_router.evaluation.report.points import Point, Span, hull

_GROUPS = {
    "fixed": "fixed models", "policy": "policies", "shuffled": "policies", "uniform": "baselines",
    "logged": "baselines",
}  # fmt: skip
_PER_SEGMENT = 40  # a mix of two models is straight in USD, hence curved on a logarithmic axis


def front_plot(points: Sequence[Point], arms: Sequence[str], outcome: str, caption: str) -> Plot:
    """Points with intervals both ways, and the hull of blind mixes. Log cost, unless something is free."""
    log = all(p.cost.value > 0 for p in points)
    looks = looks_of(points, arms)
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


def looks_of(points: Sequence[Point], arms: Sequence[str]) -> Mapping[str, Look]:
    """How each is drawn: fixed models as their arm, a shuffled policy as an open form of the policy."""
    looks = {f"fixed:{arm}": arm_look(k) for k, arm in enumerate(arms)}
    policies = [p.name for p in points if p.role == "policy"] + [
        p.of for p in points if p.of is not None
    ]  # a policy that is refused has baselines still
    looks |= {name: policy_look(i) for i, name in enumerate(dict.fromkeys(policies))}
    looks |= {
        p.name: looks[p.of]._replace(symbol=f"{looks[p.of].symbol}-open") for p in points if p.of is not None
    }
    others = {"uniform": Look(GREY, "x", "", "dash"), "logged": Look(INK, "cross", "", "solid")}
    return looks | {p.name: others[p.role] for p in points if p.role in others}


def _log_range(points: Sequence[Point], floor: float) -> tuple[float, float]:
    low = np.log10(min(max(p.cost.low, floor) for p in points))
    high = np.log10(max(p.cost.high for p in points))
    room = max(0.05 * (high - low), 0.05)
    return float(low - room), float(high + room)


def _hull_trace(points: Sequence[Point], log: bool) -> list[Trace]:
    """The hull, and on at the level of its best model: what is dearer has to be better than that."""
    corners = hull(points)
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
            "name": "blind mixes of fixed models", **group("baselines"),
        }
    ]  # fmt: skip


def _point_trace(point: Point, look: Look, floor: float) -> Trace:
    name = label(Standing(point.name, point.role, point.of))
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
        "text": [escaped(name)], "name": shuffled_name(point.of) if point.of else legend_name(name),
        "hovertemplate": "%{text}<br>%{y:.4f} for %{x:.4~g} USD per 1,000 queries<extra></extra>",
        **group(_GROUPS[point.role]),
    }  # fmt: skip


def _edge(look: Look) -> str:
    return look.colour if look.symbol.endswith("-open") else EDGE


def _error(span: Span, colour: str, floor: float) -> dict[str, Any]:
    return {
        "type": "data", "symmetric": False, "color": colour, "thickness": 1.2, "width": 3,
        "array": [span.high - span.value], "arrayminus": [span.value - max(span.low, floor)],
    }  # fmt: skip
