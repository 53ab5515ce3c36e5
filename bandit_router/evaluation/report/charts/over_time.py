"""Charts over time: learning curves behind the best fixed model, and the shares of the arms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandit_router.evaluation.answers import Evaluation
from bandit_router.evaluation.report.charts.palette import (
    FAINT,
    GREY,
    Look,
    arm_look,
    policy_look,
    with_opacity,
)
from bandit_router.evaluation.report.charts.plot import (
    Plot,
    Trace,
    axis,
    escape_label,
    layout,
    legend_name,
    shuffled_legend_name,
)
from bandit_router.evaluation.simulation.simulate import Contender, Simulation
from bandit_router.evaluation.simulation.tracks import POINTS
from bandit_router.types import FloatArray

_ROOM = 0.08  # share of the height that stays free above and below the curves


def curve_query_numbers(queries: int) -> FloatArray:
    """The query numbers of the points of a learning curve, counted from 1, (POINTS,)."""
    return np.linspace(0, queries - 1, POINTS).round() + 1


def gap_curve(contender: Contender) -> dict[str, FloatArray]:
    """The cumulative gap along the stream: mean, lowest and highest over the seeds, each (POINTS,)."""
    curves = contender.values("curve")
    return {"mean": curves.mean(axis=0), "low": curves.min(axis=0), "high": curves.max(axis=0)}


def learning_curves_plot(simulation: Simulation) -> Plot:
    """Learning curves of every policy with the band of its seeds, its choices shuffled, and uniform."""
    at = curve_query_numbers(simulation.queries)
    policies = [contender for contender in simulation.contenders if contender.role == "policy"]
    traces: list[Trace] = []
    for i, policy in enumerate(policies):
        look = policy_look(i)
        traces += _banded_curve(policy, at, look)
        traces += [
            _curve_trace(shuffled_legend_name(policy.name), contender, at, look.colour, "dot", policy.name)
            for contender in simulation.contenders
            if contender.role == "shuffled" and contender.policy == policy.name
        ]
    traces.append(_curve_trace("uniform random", simulation.named("uniform"), at, GREY, "dash", "uniform"))
    y = axis("gap to the best fixed model (lower is better)", zeroline=True, zerolinecolor=GREY)
    if policies:
        y["range"] = _gap_range(simulation)
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


def _gap_range(simulation: Simulation) -> list[float]:
    """The range that fits the policies and their shuffled choices; uniform random would flatten them."""
    policies, dealt = (
        [gap_curve(contender) for contender in simulation.contenders if contender.role == role]
        for role in ("policy", "shuffled")
    )
    low = min([0.0, *(float(curve["low"].min()) for curve in policies)])
    highest = [*(curve["high"] for curve in policies), *(curve["mean"] for curve in dealt)]
    high = max([0.0, *(float(curve.max()) for curve in highest)])
    room = _ROOM * (high - low) or 1.0
    return [low - room, high + room]


def _banded_curve(contender: Contender, at: FloatArray, look: Look) -> list[Trace]:
    curve = gap_curve(contender)
    band: Trace = {
        "type": "scatter", "mode": "lines", "x": [*at.tolist(), *at[::-1].tolist()],
        "y": [*curve["high"].tolist(), *curve["low"][::-1].tolist()], "fill": "toself",
        "fillcolor": with_opacity(look.colour, 0.15), "line": {"width": 0}, "hoverinfo": "skip",
        "showlegend": False, "legendgroup": contender.name, "name": legend_name(contender.name),
    }  # fmt: skip
    line = legend_name(contender.name)
    return [band, _curve_trace(line, contender, at, look.colour, look.dash, contender.name)]


def _curve_trace(
    name: str, contender: Contender, at: Sequence[float] | FloatArray, colour: str, dash: str, of: str
) -> Trace:
    return {
        "type": "scatter", "mode": "lines", "x": list(map(float, at)),
        "y": gap_curve(contender)["mean"].tolist(),
        "line": {"color": colour, "dash": dash, "width": 2.5 if contender.role == "policy" else 1.5},
        "name": name, "legendgroup": of,
        "hovertemplate": "query %{x:,.0f}: gap %{y:.2f}<extra></extra>",
    }  # fmt: skip


def evaluation_share_plots(evaluation: Evaluation) -> list[Plot]:
    """Shares of the arms over the rows of the log: as logged, then by each policy."""
    shown = [a for a in evaluation.answers if a.question.role in ("logged", "policy")]
    return [
        _share_plot(i, a.question.name, a.shares, evaluation.arms, evaluation.rows, "row of the log")
        for i, a in enumerate(shown)
    ]


def simulation_share_plots(simulation: Simulation) -> list[Plot]:
    """Shares of the arms over the stream by each policy, means over seeds."""
    arms, queries = simulation.arms, simulation.queries
    policies = [contender for contender in simulation.contenders if contender.role == "policy"]
    return [
        _share_plot(i, policy.name, policy.values("shares").mean(axis=0), arms, queries, "query")
        for i, policy in enumerate(policies)
    ]


def _share_plot(
    index: int, name: str, shares: FloatArray, arms: Sequence[str], rows: int, x_title: str
) -> Plot:
    edges = np.linspace(0, rows, len(shares) + 1)
    steps = np.repeat(edges, 2)[1:-1].tolist()
    return Plot(
        id=f"shares-{index}",
        title=name,
        caption="",
        data=[_share_trace(arm, k, steps, shares[:, k]) for k, arm in enumerate(arms)],
        layout=layout(
            axis(x_title, range=[0, rows], showgrid=False),
            axis("share", range=[0, 1], tickformat=".0%", showgrid=False),
            showlegend=False,
        ),
        height=260,
    )


def _share_trace(arm: str, k: int, steps: list[float], share: FloatArray) -> Trace:
    look = arm_look(k)
    return {
        "type": "scatter", "mode": "lines", "x": steps, "y": np.repeat(share, 2).tolist(),
        "stackgroup": "arms",
        "line": {"width": 0.5, "color": "white"}, "fillcolor": look.colour,
        "fillpattern": {"shape": look.pattern, "fgcolor": FAINT, "bgcolor": look.colour, "size": 6},
        "name": escape_label(arm), "hovertemplate": "%{y:.1%}",
    }  # fmt: skip
