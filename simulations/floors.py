"""How closely a quality floor is kept, and what keeping it costs.

    python -m simulations.floors --json floors.json

On every stream the floor is 30, 60 and 90% of the way from the cheapest model's quality to the best one's.
The router's cost is compared with that of the cheapest query-blind mix of models that reaches the floor;
the mix needs every model's quality and cost beforehand, while the router starts cold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from rich.console import Console
from scipy.optimize import linprog

from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan, play_seed
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.types import Floor
from simulations import show
from simulations.budgets import SETTLED, running_average
from simulations.streams import FIVE, load_stream

NEARLY = 0.005
WAYS = (0.3, 0.6, 0.9)


class Kept(NamedTuple):
    """One run: how far mean quality was above the floor at the end, and at least from SETTLED on; the share
    of requests after which it was below by more than NEARLY; and what it cost over the least, from the first
    request on and from SETTLED on."""

    end: float
    least: float
    below: float
    cost: float
    late_cost: float


def make_floors(stream: Stream) -> list[float]:
    """The floors of a stream, from near the cheapest model's quality to near the best model's."""
    quality, cost = stream.quality.mean(axis=0), stream.cost_usd.mean(axis=0)
    low, high = float(quality[cost.argmin()]), float(quality.max())
    return [low + way * (high - low) for way in WAYS]


def cheapest_mix_usd(stream: Stream, floor: float) -> float:
    """The mean cost of the cheapest query-blind mix of models whose quality reaches the floor."""
    quality, cost = stream.quality.mean(axis=0), stream.cost_usd.mean(axis=0)
    solved = linprog(cost, A_ub=[-quality], b_ub=[-floor], A_eq=[np.ones_like(cost)], b_eq=[1.0])
    return float(solved.fun)


def play_floor(plan: Plan, floor: float, least_usd: float, seed: int) -> Kept:
    """Play the router on the order of one seed; its costs are relative to ``least_usd``."""
    _, run = play_seed(plan, RouterMaker("tempered", goal=Floor(reward=floor)), seed)
    above = floor * (running_average(run.quality, floor) - 1.0)
    return Kept(
        end=float(above[-1]),
        least=float(above.min()),
        below=float((above < -NEARLY).mean()),
        cost=float(run.cost_usd.mean()) / least_usd,
        late_cost=float(run.cost_usd[-len(above) :].mean()) / least_usd,
    )


def floors_grid(title: str, kept: Mapping[float, Sequence[Kept]]) -> Grid:
    """The table of one stream: a row for each floor."""
    rows = []
    for floor, runs in kept.items():
        end, least, below, cost, late_cost = np.array(runs).T
        cells = (
            f"{floor:.3f}",
            f"{end.mean():+.4f}",
            f"{least.min():+.4f}",
            f"{below.mean():.1%}",
            f"{cost.mean():.2f}",
            f"{late_cost.mean():.2f}",
        )
        rows.append(Row(cells=cells))
    return Grid(
        title=title,
        headings=("floor", "above it", "lowest", "below", "cost", "later"),
        rows=tuple(rows),
        notes=(
            "above it: mean quality less the floor, at the end",
            f"lowest: the same from request {SETTLED:,} on, of any seed",
            f"below: the share of those requests after which it was below by {NEARLY:g}",
            f"cost, later: over the least for a query-blind mix, and so from request {SETTLED:,} on",
        ),
    )


def main() -> None:
    options = show.parser(__doc__, FIVE, trades=None).parse_args()
    console, facts = Console(), {}
    for name in options.streams:
        stream = load_stream(name, options.data)
        plan = Plan(stream=stream, cost_weight=0.0, seeds=options.seeds, queries=options.queries)
        tasks = {
            floor: partial(play_floor, plan, floor, cheapest_mix_usd(stream, floor))
            for floor in make_floors(stream)
        }
        kept = show.on_every_seed(tasks, plan.seeds, options.jobs, name)
        console.print(draw_grid(floors_grid(f"{name}: {plan.seeds} × {plan.length:,} queries", kept)))
        facts[name] = {f"{floor:.4f}": [run._asdict() for run in runs] for floor, runs in kept.items()}
    show.save(options.json, facts)


if __name__ == "__main__":
    show.run(main)
