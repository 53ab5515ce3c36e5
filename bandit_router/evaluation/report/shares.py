"""Which arms were chosen over time: one small plot for every policy, coloured alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandit_router.evaluation.answers import Evaluation
from bandit_router.evaluation.report.palette import FAINT, arm_look
from bandit_router.evaluation.report.plot import Plot, Trace, axis, escaped, layout
from bandit_router.evaluation.simulation.simulate import Simulation
from bandit_router.types import FloatArray


def estimated_shares(evaluation: Evaluation) -> list[Plot]:
    """What was logged, then each policy."""
    shown = [a for a in evaluation.answers if a.question.role in ("logged", "policy")]
    return [
        _shares_plot(i, a.question.name, a.shares, evaluation.arms, evaluation.rows, "row of the log")
        for i, a in enumerate(shown)
    ]


def played_shares(simulation: Simulation) -> list[Plot]:
    """Each policy, its mean over seeds."""
    shown = [one for one in simulation.contenders if one.role == "policy"]
    return [
        _shares_plot(
            i, one.name, one.values("shares").mean(axis=0), simulation.arms, simulation.queries, "query",
        )
        for i, one in enumerate(shown)
    ]  # fmt: skip


def _shares_plot(
    index: int, name: str, shares: FloatArray, arms: Sequence[str], rows: int, x_title: str
) -> Plot:
    edges = np.linspace(0, rows, len(shares) + 1)
    steps = np.repeat(edges, 2)[1:-1].tolist()
    return Plot(
        id=f"shares-{index}",
        title=name,
        caption="",
        data=[_area(arm, k, steps, shares[:, k]) for k, arm in enumerate(arms)],
        layout=layout(
            axis(x_title, range=[0, rows], showgrid=False),
            axis("share", range=[0, 1], tickformat=".0%", showgrid=False),
            showlegend=False,
        ),
        height=260,
    )


def _area(arm: str, k: int, steps: list[float], share: FloatArray) -> Trace:
    look = arm_look(k)
    return {
        "type": "scatter", "mode": "lines", "x": steps, "y": np.repeat(share, 2).tolist(),
        "stackgroup": "arms",
        "line": {"width": 0.5, "color": "white"}, "fillcolor": look.colour,
        "fillpattern": {"shape": look.pattern, "fgcolor": FAINT, "bgcolor": look.colour, "size": 6},
        "name": escaped(arm), "hovertemplate": "%{y:.1%}",
    }  # fmt: skip
