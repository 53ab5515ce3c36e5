"""Learning curves: how far behind the best fixed model in hindsight, query by query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandit_router.evaluation.report.palette import GREY, Look, faded, policy_look
from bandit_router.evaluation.report.plot import Plot, Trace, axis, layout, legend_name, shuffled_name
from bandit_router.evaluation.simulation.simulate import Contender, Simulation
from bandit_router.evaluation.simulation.tracks import POINTS
from bandit_router.types import FloatArray

_ROOM = 0.08  # of the height, left above and below the curves


def queries_at(queries: int) -> FloatArray:
    """The query numbers, from 1, of the points of a curve."""
    return np.linspace(0, queries - 1, POINTS).round() + 1


def curve_of(one: Contender) -> dict[str, FloatArray]:
    """The cumulative gap on the way: mean, lowest and highest over the seeds, each (POINTS,)."""
    curves = one.values("curve")
    return {"mean": curves.mean(axis=0), "low": curves.min(axis=0), "high": curves.max(axis=0)}


def curves_plot(simulation: Simulation) -> Plot:
    """Every policy with the band of its seeds, its choices shuffled, and uniform random."""
    at = queries_at(simulation.queries)
    policies = [one for one in simulation.contenders if one.role == "policy"]
    traces: list[Trace] = []
    for i, policy in enumerate(policies):
        look = policy_look(i)
        traces += _with_band(policy, at, look)
        traces += [
            _line(shuffled_name(policy.name), one, at, look.colour, "dot", policy.name)
            for one in simulation.contenders
            if one.role == "shuffled" and one.policy == policy.name
        ]
    traces.append(_line("uniform random", simulation.named("uniform"), at, GREY, "dash", "uniform"))
    y = axis("gap to the best fixed model (lower is better)", zeroline=True, zerolinecolor=GREY)
    if policies:
        y["range"] = _range(simulation)
    return Plot(
        id="curves",
        title="Learning curves",
        caption="Utility that the best fixed model in hindsight has earned more so far. Line: mean over "
        f"{simulation.seeds} seeds; band: from the best seed to the worst. Below 0 a policy is ahead. "
        "Baselines may leave the picture.",
        data=traces,
        layout=layout(axis("query number"), y),
        height=460,
    )


def _range(simulation: Simulation) -> list[float]:
    """Room for the policies and their shuffled choices; uniform random would flatten them."""
    shown = [one for one in simulation.contenders if one.role in ("policy", "shuffled")]
    low = min(0.0, *(float(curve_of(one)["low"].min()) for one in shown if one.role == "policy"))
    high = max(0.0, *(float(curve_of(one)["mean"].max()) for one in shown))
    high = max(high, *(float(curve_of(one)["high"].max()) for one in shown if one.role == "policy"))
    room = _ROOM * (high - low) or 1.0
    return [low - room, high + room]


def _with_band(one: Contender, at: FloatArray, look: Look) -> list[Trace]:
    curve = curve_of(one)
    band: Trace = {
        "type": "scatter", "mode": "lines", "x": [*at.tolist(), *at[::-1].tolist()],
        "y": [*curve["high"].tolist(), *curve["low"][::-1].tolist()], "fill": "toself",
        "fillcolor": faded(look.colour, 0.15), "line": {"width": 0}, "hoverinfo": "skip",
        "showlegend": False, "legendgroup": one.name, "name": legend_name(one.name),
    }  # fmt: skip
    return [band, _line(legend_name(one.name), one, at, look.colour, look.dash, one.name)]


def _line(
    name: str, one: Contender, at: Sequence[float] | FloatArray, colour: str, dash: str, of: str
) -> Trace:
    return {
        "type": "scatter", "mode": "lines", "x": list(map(float, at)), "y": curve_of(one)["mean"].tolist(),
        "line": {"color": colour, "dash": dash, "width": 2.5 if one.role == "policy" else 1.5},
        "name": name, "legendgroup": of,
        "hovertemplate": "query %{x:,.0f}: gap %{y:.2f}<extra></extra>",
    }  # fmt: skip
