"""The table of a simulation: every policy beside every baseline, over all seeds."""

from __future__ import annotations

import numpy as np
from rich.console import Group, RenderableType

from bandit_router.evaluation.report.contenders import BLIND_NOTES, best_fixed_contender, simulation_entries
from bandit_router.evaluation.report.formatting import format_spread, printable, usd_per_1k
from bandit_router.evaluation.report.grid import Grid, Row, draw_grid, draw_sentences
from bandit_router.evaluation.report.statistics import standard_deviation
from bandit_router.evaluation.report.verdicts import OVER_ORDERS, simulation_verdicts
from bandit_router.evaluation.simulation.simulate import Contender, Simulation

HEADINGS = (
    "policy", "quality", "USD/1k", "utility ± sd", "worst utility", "last ¼", "gap ± sd", "worst gap",
)  # fmt: skip


def simulation_table(simulation: Simulation) -> RenderableType:
    """The table of a simulation for a terminal, with a verdict on each policy."""
    return Group(
        draw_grid(simulation_grid(simulation)),
        draw_sentences([*simulation_verdicts(simulation), OVER_ORDERS]),
    )


def simulation_grid(simulation: Simulation) -> Grid:
    """Every policy beside every baseline, over all seeds and in the worst."""
    best, rows = best_fixed_contender(simulation), []
    for entry in simulation_entries(simulation):
        contender = simulation.contenders[entry.position]
        rows.append(
            Row(
                cells=(entry.label + (" *" if contender is best else ""), *_contender_cells(contender)),
                indent=entry.indent,
                strong=contender.role == "policy",
                last=entry.last,
            )
        )
    seeds = "1 seed" if simulation.seeds == 1 else f"{simulation.seeds} seeds"
    blind = BLIND_NOTES if any(contender.role == "blind mix" for contender in simulation.contenders) else ()
    return Grid(
        title=f"{printable(simulation.name)}: {seeds} of {simulation.queries:,} queries; "
        f"utility = quality − {simulation.cost_weight:.4g} · USD",
        headings=HEADINGS,
        rows=tuple(rows),
        notes=(
            "* the best fixed model in hindsight",
            "gap: utility the best fixed model of the seed earned more, summed over the stream",
            *blind,
        ),
    )


def _contender_cells(contender: Contender) -> tuple[str, ...]:
    utility, gap = contender.values("utility"), contender.values("gap")
    return (
        f"{contender.values('quality').mean():.4f}",
        usd_per_1k(float(contender.values("cost_usd").mean())),
        format_spread(float(utility.mean()), standard_deviation(utility), 4),
        f"{utility.min():.4f}",
        f"{contender.values('last').mean():.4f}",
        format_spread(_no_minus_zero(gap.mean()), standard_deviation(gap), 1),
        f"{_no_minus_zero(gap.max()):.1f}",
    )


def _no_minus_zero(value: float) -> float:
    return float(np.round(value, 1)) + 0.0
