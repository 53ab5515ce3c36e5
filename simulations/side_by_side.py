"""bandit-router beside MABWiser, paretobandit, Vowpal Wabbit and contextualbandits on real queries.

    python -m simulations.side_by_side --json side_by_side.json

Everyone starts cold and gets the same contexts, seeds and order, and an outcome is known at once. The
defaults of bandit-router were settled in simulation, those of the peers elsewhere: a small lead says
little. Where a peer's default width does badly here, there is a row with another. The
time is that of choosing and learning on one thread. It is for information: other work on the machine
slows it down, and MABWiser, paretobandit and contextualbandits log no propensity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from threadpoolctl import threadpool_limits

from bandit_router.evaluation.report.as_json import simulation_json
from bandit_router.evaluation.report.formatting import format_spread, usd_per_1k
from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.report.statistics import standard_deviation
from bandit_router.evaluation.simulation.agents import MakeAgent, Setting
from bandit_router.evaluation.simulation.play import play_stream
from bandit_router.evaluation.simulation.simulate import Contender, Plan, Simulation
from simulations import show
from simulations.peers import PEERS
from simulations.streams import load_stream

_HEADINGS = ("", "gap ± sd", "worst", "over mix", "quality", "USD/1k", "µs/query")
_NOTES = (
    "gap: utility the best fixed model of the seed earned more, summed over the stream; worst: of a seed",
    "over mix: utility per query beyond the best query-blind mix of fixed models at the same cost",
)
_TIMED = 2000


def time_us(plan: Plan, make: MakeAgent) -> float:
    """Mean µs to route one query and learn from it, over the first queries of the first seed."""
    stream, _, rest = replace(plan, queries=min(_TIMED, plan.queries or _TIMED)).draw(0)
    travel, luck = rest.spawn(2)
    setting = Setting.of(stream, plan.cost_weight, luck)
    with threadpool_limits(1, "blas"):
        agent = make(setting)
        start = perf_counter()
        play_stream(stream, agent, plan.channel, travel)
    return 1e6 * (perf_counter() - start) / len(stream)


def grid(simulation: Simulation, title: str, us: Mapping[str, float]) -> Grid:
    """Everyone by gap, the baselines among them."""
    by_gap = sorted(
        (c for c in simulation.contenders if c.role in ("policy", "best fixed", "uniform")),
        key=lambda one: float(one.values("gap").mean()),
    )
    rows = [
        Row(cells=(one.name, *_cells(simulation, one, us)), strong=one.name in show.OURS) for one in by_gap
    ]
    return Grid(
        title=f"{title}: {simulation.seeds} × {simulation.queries:,} queries, {len(simulation.arms)} models",
        headings=_HEADINGS,
        rows=tuple(rows),
        notes=_NOTES,
    )


def _cells(simulation: Simulation, one: Contender, us: Mapping[str, float]) -> tuple[str, ...]:
    gap = np.round(one.values("gap"), 6) + 0.0
    over = ""
    if one.role == "policy":
        mix = simulation.named(f"blind mix at the cost of {one.name}")
        over = f"{(one.values('utility') - mix.values('utility')).mean():+.4f}"
    return (
        format_spread(float(gap.mean()), standard_deviation(gap), 1),
        f"{gap.max():.1f}",
        over,
        f"{one.values('quality').mean():.4f}",
        usd_per_1k(float(one.values("cost_usd").mean())),
        f"{us[one.name]:.0f}" if one.name in us else "",
    )


def main() -> None:
    parser = show.parser(__doc__, trades=show.TRADES)
    parser.add_argument("--without", nargs="+", choices=tuple(PEERS), default=[], help="peers to leave out")
    options = parser.parse_args()
    agents = {**show.OURS, **{name: make for name, make in PEERS.items() if name not in options.without}}
    console = Console()
    found: dict[str, dict[str, Any]] = {}
    for name in options.streams:
        stream = load_stream(name, options.data)
        for trade in options.trades:
            plan, title = show.plan_of(stream, options, trade), f"{name}, {trade:g}"
            us = {agent: time_us(plan, make) for agent, make in agents.items()}
            simulation = show.played(plan, agents, options.jobs, title)
            console.print(draw_grid(grid(simulation, title, us)))
            found[title] = {**simulation_json(simulation), "us_per_query": us}
    show.save(options.json, found)


if __name__ == "__main__":
    show.run(main)
