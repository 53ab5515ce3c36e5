"""How policies react when a price falls to a tenth, or a model degrades, half way through a stream.

    python -m simulations.drift --json drift.json

Each change has runs of its own. Price: the dearest of the nearly best models costs a tenth from then on.
Quality: the best fixed model's answers are from then on as good as the cheapest model's. Policies reset
drifted arms (the default), only warn, or forget (half-life in queries); paretobandit, which forgets, is
played beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from bandit_router.evaluation.report.as_json import json_value, simulation_json
from bandit_router.evaluation.report.charts.over_time import curve_query_numbers
from bandit_router.evaluation.report.formatting import format_spread, shorten
from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.report.statistics import standard_deviation
from bandit_router.evaluation.simulation.agents import MakeAgent
from bandit_router.evaluation.simulation.events import Event
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Contender, Plan, Simulation
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.evaluation.simulation.tracks import POINTS
from bandit_router.settings.learning import PosteriorSection
from bandit_router.types import FloatArray
from simulations import show
from simulations.peers.paretobandit import ParetoBanditMaker
from simulations.streams import load_stream

_NEARLY = 0.02  # of quality: a model this close to the best is the better choice at a tenth of its price
_CHANGE = POINTS // 2 - 1  # the last point of a learning curve before the change
_LATE = _CHANGE + POINTS // 4
_WINDOWS = 10


class Drift(NamedTuple):
    """A change to one model, and its wording in a title."""

    event: Event
    title: str


def make_drifts(stream: Stream, weight: float, queries: int) -> dict[str, Drift]:
    """The price cut and the degraded model of a stream of so many queries."""
    quality, cost = stream.quality.mean(axis=0), stream.cost_usd.mean(axis=0)
    good = np.flatnonzero(quality >= quality.max() - _NEARLY)
    dearest = stream.arms[good[cost[good].argmax()]]
    best, cheapest = (stream.arms[k] for k in ((quality - weight * cost).argmax(), cost.argmin()))
    at = int(curve_query_numbers(queries)[_CHANGE])
    return {
        "price": Drift(Event("price", dearest, at, "0.1"), f"{dearest} costs a tenth"),
        "quality": Drift(Event("quality", best, at, cheapest), f"{best} becomes as good as {cheapest}"),
    }


def make_contestants(half_lives: Sequence[float]) -> dict[str, MakeAgent]:
    """Each policy with its defaults, only warning, and forgetting; and paretobandit."""
    agents: dict[str, MakeAgent] = {}
    for spec in ("tempered", "thompson"):
        agents[spec] = RouterMaker(spec)
        agents[f"{spec}, warns only"] = RouterMaker(spec, posterior=PosteriorSection(on_drift="alarm"))
        for life in half_lives:
            forgetting = PosteriorSection(half_life_s=life)
            agents[f"{spec}, half-life {life:g}"] = RouterMaker(spec, posterior=forgetting)
    return {**agents, "paretobandit": ParetoBanditMaker()}


def gaps_grid(simulation: Simulation, drift: Drift) -> Grid:
    """Utility per query behind the best fixed model of each period: before, right after, and late."""
    best = {f"fixed:{best_fixed_between(simulation, *period)}" for period in ((None, _CHANGE), (_CHANGE, -1))}
    shown = [c for c in simulation.contenders if c.role in ("policy", "uniform") or c.name in best]
    return Grid(
        title=f"{simulation.name}: from query {drift.event.at:,} of {simulation.queries:,} on "
        f"{drift.title}; {simulation.seeds} seeds",
        headings=("", "before", "right after", "late", "all after"),
        rows=tuple(Row(cells=(c.name, *_gap_cells(simulation, c)), strong=c.role == "policy") for c in shown),
        notes=(
            "utility per query that the best fixed model of the same queries earned more, ± sd over seeds",
            "before the change; in the quarter of the stream after it; in the last quarter; in both",
        ),
    )


def _gap_cells(simulation: Simulation, contender: Contender) -> list[str]:
    periods = ((None, _CHANGE), (_CHANGE, _LATE), (_LATE, -1), (_CHANGE, -1))
    gaps = [gap_per_query(simulation, contender, *period) for period in periods]
    return [format_spread(float(values.mean()) + 0.0, standard_deviation(values), 4) for values in gaps]


def gap_per_query(simulation: Simulation, contender: Contender, start: int | None, end: int) -> FloatArray:
    """Utility per query behind the best fixed model between two points of the curve, by seed (S,)."""
    own, fixed = _gap_between(contender, start, end), _fixed_gaps_between(simulation, start, end)
    at = curve_query_numbers(simulation.queries)
    gap: FloatArray = (own - fixed.min(axis=0)) / (at[end] - (at[start] if start is not None else 0.0))
    return gap


def _gap_between(contender: Contender, start: int | None, end: int) -> FloatArray:
    curve = contender.values("curve")
    gap: FloatArray = curve[:, end] - (curve[:, start] if start is not None else 0.0)
    return gap


def _fixed_gaps_between(simulation: Simulation, start: int | None, end: int) -> FloatArray:
    fixed = [contender for contender in simulation.contenders if contender.role == "fixed"]
    return np.array([_gap_between(contender, start, end) for contender in fixed])


def best_fixed_between(simulation: Simulation, start: int | None, end: int) -> str:
    """The fixed model that earns most between two points of the curve, over all seeds."""
    return simulation.arms[int(_fixed_gaps_between(simulation, start, end).mean(axis=1).argmin())]


def shares_grid(simulation: Simulation, arm: str) -> Grid:
    """The share of queries that a model gets, window by window; the change is half way."""
    column = simulation.arms.index(arm)
    rows = []
    for contender in simulation.contenders:
        if contender.role == "policy":
            share = contender.values("shares").mean(axis=0)[:, column]
            windows = [window.mean() for window in np.array_split(share, min(_WINDOWS, len(share)))]
            rows.append(Row(cells=(contender.name, *(f"{100 * share:.0f}" for share in windows))))
    width = len(rows[0].cells) - 1
    return Grid(
        title=f"{simulation.name}: % of queries to {shorten(arm)}",
        headings=("", *(f"{100 * (i + 1) // width}%" for i in range(width))),
        rows=tuple(rows),
        notes=("each column a part of the stream, named by where it ends; the change is at 50%",),
    )


def play_drift(
    plan: Plan, drift: Drift, half_lives: Sequence[float], jobs: int, console: Console
) -> dict[str, Any]:
    """Simulate one drift and print its tables."""
    plan = replace(plan, events=(drift.event,))
    simulation = show.played(
        plan, make_contestants(half_lives), jobs, f"{plan.stream.name}, {drift.event.kind}"
    )
    console.print(draw_grid(gaps_grid(simulation, drift)))
    after = best_fixed_between(simulation, _CHANGE, -1)
    for arm in dict.fromkeys((drift.event.arm, after)):
        console.print(draw_grid(shares_grid(simulation, arm)))
    return {**simulation_json(simulation), "event": json_value(drift.event), "best_fixed_after": after}


def main() -> None:
    parser = show.parser(__doc__, streams=("mixed", "zeroeval8"))
    parser.add_argument(
        "--half-lives",
        nargs="*",
        type=float,
        default=[500.0, 2000.0],
        help="of those that forget, in queries",
    )
    options = parser.parse_args()
    console = Console()
    facts: dict[str, dict[str, Any]] = {}
    for name in options.streams:
        plan = show.plan_of(load_stream(name, options.data), options)
        length = min(options.queries, len(plan.stream))
        for kind, drift in make_drifts(plan.stream, plan.cost_weight, length).items():
            played = play_drift(plan, drift, options.half_lives, options.jobs, console)
            facts[f"{name}, {kind}"] = played
    show.save(options.json, facts)


if __name__ == "__main__":
    show.run(main)
