"""bandit-router beside MABWiser, paretobandit, Vowpal Wabbit and contextualbandits on real queries.

    python -m simulations.side_by_side --json side_by_side.json

All start cold and get the same contexts, seeds and order; an outcome is known at once. The defaults of
bandit-router were chosen in simulations, those of the peers elsewhere: a small lead means little. A peer
whose default width does badly here has a row with another. The time is that of choosing and learning on one
thread, for information: other work on the machine slows it down, and MABWiser, paretobandit and
contextualbandits log no propensity.
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


def time_agent_us(plan: Plan, make: MakeAgent) -> float:
    """Mean µs to route one query and learn from it, over the first queries of the first seed."""
    stream, _, rng = replace(plan, queries=min(_TIMED, plan.queries or _TIMED)).draw(0)
    channel_rng, agent_rng = rng.spawn(2)
    setting = Setting.of(stream, plan.cost_weight, agent_rng)
    with threadpool_limits(1, "blas"):
        agent = make(setting)
        start = perf_counter()
        play_stream(stream, agent, plan.channel, channel_rng)
    return 1e6 * (perf_counter() - start) / len(stream)


def contenders_grid(simulation: Simulation, title: str, us: Mapping[str, float]) -> Grid:
    """The table of one stream: peers, policies and baselines, by gap."""
    by_gap = sorted(
        (c for c in simulation.contenders if c.role in ("policy", "best fixed", "uniform")),
        key=lambda contender: float(contender.values("gap").mean()),
    )
    rows = [
        Row(cells=(c.name, *_contender_cells(simulation, c, us)), strong=c.name in show.OURS) for c in by_gap
    ]
    return Grid(
        title=f"{title}: {simulation.seeds} × {simulation.queries:,} queries, {len(simulation.arms)} models",
        headings=_HEADINGS,
        rows=tuple(rows),
        notes=_NOTES,
    )


def _contender_cells(
    simulation: Simulation, contender: Contender, us: Mapping[str, float]
) -> tuple[str, ...]:
    gap = np.round(contender.values("gap"), 6) + 0.0
    over = ""
    if contender.role == "policy":
        mix = simulation.named(f"blind mix at the cost of {contender.name}")
        over = f"{(contender.values('utility') - mix.values('utility')).mean():+.4f}"
    return (
        format_spread(float(gap.mean()), standard_deviation(gap), 1),
        f"{gap.max():.1f}",
        over,
        f"{contender.values('quality').mean():.4f}",
        usd_per_1k(float(contender.values("cost_usd").mean())),
        f"{us[contender.name]:.0f}" if contender.name in us else "",
    )


def main() -> None:
    parser = show.parser(__doc__, trades=show.TRADES)
    parser.add_argument("--without", nargs="+", choices=tuple(PEERS), default=[], help="peers to leave out")
    options = parser.parse_args()
    agents = {**show.OURS, **{name: make for name, make in PEERS.items() if name not in options.without}}
    console = Console()
    facts: dict[str, dict[str, Any]] = {}
    for name in options.streams:
        stream = load_stream(name, options.data)
        for trade in options.trades:
            plan, title = show.plan_of(stream, options, trade), f"{name}, {trade:g}"
            us = {agent: time_agent_us(plan, make) for agent, make in agents.items()}
            simulation = show.played(plan, agents, options.jobs, title)
            console.print(draw_grid(contenders_grid(simulation, title, us)))
            facts[title] = {**simulation_json(simulation), "us_per_query": us}
    show.save(options.json, facts)


if __name__ == "__main__":
    show.run(main)
