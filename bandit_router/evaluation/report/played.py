"""The rows of a simulation."""

from __future__ import annotations

import numpy as np

from bandit_router.evaluation.report.grid import Grid, Row
from bandit_router.evaluation.report.order import BLIND, Place, Standing, places
from bandit_router.evaluation.report.words import clean, per_1k, plus_minus
from bandit_router.evaluation.simulation.simulate import Contender, Simulation
from bandit_router.types import FloatArray

HEADINGS = (
    "policy", "quality", "USD/1k", "utility ± sd", "worst utility", "last ¼", "gap ± sd", "worst gap",
)  # fmt: skip


def simulation_places(simulation: Simulation) -> list[Place]:
    """The contenders, in order of the table.

    The best fixed model of each seed has a row where it is not the same in all of them.
    """
    best = best_overall(simulation)
    same = np.array_equal(best.values("utility"), simulation.named("best fixed").values("utility"))
    standings = [Standing(c.name, c.role, c.policy) for c in simulation.contenders]
    found = places(standings)
    if not same:
        return found
    kept = [place for place in found if standings[place.item].role != "best fixed"]
    fixed = [i for i, place in enumerate(kept) if standings[place.item].role == "fixed"]
    kept[fixed[-1]] = kept[fixed[-1]]._replace(last=True)
    return kept


def best_overall(simulation: Simulation) -> Contender:
    """The fixed model of the highest mean utility over the seeds."""
    fixed = [one for one in simulation.contenders if one.role == "fixed"]
    return max(fixed, key=lambda one: float(one.values("utility").mean()))


def simulation_grid(simulation: Simulation) -> Grid:
    """Every policy beside every baseline, over all seeds and in the worst."""
    best, rows = best_overall(simulation), []
    for place in simulation_places(simulation):
        one = simulation.contenders[place.item]
        rows.append(
            Row(
                cells=(place.label + (" *" if one is best else ""), *_cells(one)),
                indent=place.indent,
                strong=one.role == "policy",
                last=place.last,
            )
        )
    seeds = "1 seed" if simulation.seeds == 1 else f"{simulation.seeds} seeds"
    blind = BLIND if any(one.role == "blind mix" for one in simulation.contenders) else ()
    return Grid(
        title=f"{clean(simulation.name)}: {seeds} of {simulation.queries:,} queries; "
        f"utility = quality − {simulation.cost_weight:.4g} · USD",
        headings=HEADINGS,
        rows=tuple(rows),
        notes=(
            "* the best fixed model in hindsight",
            "gap: utility the best fixed model of the seed earned more, summed over the stream",
            *blind,
        ),
    )


def _cells(one: Contender) -> tuple[str, ...]:
    utility, gap = one.values("utility"), one.values("gap")
    return (
        f"{one.values('quality').mean():.4f}",
        per_1k(float(one.values("cost_usd").mean())),
        plus_minus(float(utility.mean()), sd(utility), 4),
        f"{utility.min():.4f}",
        f"{one.values('last').mean():.4f}",
        plus_minus(_no_minus_zero(gap.mean()), sd(gap), 1),
        f"{_no_minus_zero(gap.max()):.1f}",
    )


def sd(values: FloatArray) -> float | None:
    """The standard deviation over seeds; None of one seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _no_minus_zero(value: float) -> float:
    return float(np.round(value, 1)) + 0.0
