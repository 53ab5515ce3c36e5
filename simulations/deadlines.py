"""How often answers are in time, beside the level asked for, and what that costs in quality.

    python -m simulations.deadlines --json deadlines.json

Every query has a deadline of two seconds. Latencies are simulated, log-normal by model, so that each model
is in time with a known probability: a multiple of the share of late calls that the level allows. Of the
five cases the hard one has a best model that is just too slow. The router starts cold, in latencies too.
Beside it: the same learner given the models that meet the level, and the best fixed model that does. The
measure is quality, unless a trade is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from bandit_router.evaluation.report.formatting import format_spread
from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.report.statistics import standard_deviation
from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.play import play_stream
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan
from bandit_router.evaluation.simulation.stream import Stream, with_latencies
from bandit_router.evaluation.simulation.tracks import best_fixed_arm
from bandit_router.routing.deadline import Deadline
from bandit_router.types import FloatArray, IntArray
from simulations import show
from simulations.streams import load_stream

DEADLINE_S = 2.0
SIGMA = 0.5
"""Standard deviation of the logarithm of a latency: the slowest 5% take at least 2.3 times the median."""

SPEC = "tempered"
ROUTER, KNOWING, FIXED = "router", "router that knows who is in time", "best fixed model in time"
NEARLY = 0.005

_MOST_LATE = 0.9
_LATENCIES = 2  # the use of a seed that no plan has


class Late(NamedTuple):
    """Late calls of the best model, those between, and the worst: multiples of what the level allows."""

    best: float
    between: float
    worst: float


CASES: Mapping[str, Late] = {
    "all are in time": Late(0.3, 0.2, 0.1),
    "the best is much too slow": Late(6.0, 0.3, 0.1),
    "the best is just too slow": Late(1.25, 0.3, 0.1),
    "the best is barely in time": Late(0.8, 0.3, 0.1),
    "only the worst is in time": Late(10.0, 6.0, 0.5),
}


class Played(NamedTuple):
    """One run: utility and quality per query, and the share of answers in time."""

    utility: float
    quality: float
    in_time: float


def shares_in_time(stream: Stream, cost_weight: float, late: Late, level: float) -> FloatArray:
    """The probability that each model is in time, (K,): best and worst are those of utility."""
    utility = (stream.quality - cost_weight * stream.cost_usd).mean(axis=0)
    late_calls = np.full(len(utility), late.between)
    late_calls[utility.argmax()], late_calls[utility.argmin()] = late.best, late.worst
    shares: FloatArray = 1.0 - np.minimum((1.0 - level) * late_calls, _MOST_LATE)
    return shares


def with_timed_calls(stream: Stream, shares: FloatArray, seed: int) -> Stream:
    """The stream with latencies of which such shares are in time: medians DEADLINE_S · exp(−σ Φ⁻¹(share))."""
    medians = [DEADLINE_S * math.exp(-SIGMA * NormalDist().inv_cdf(share)) for share in shares.tolist()]
    rng = np.random.default_rng([seed, _LATENCIES])
    return with_latencies(stream, medians, [SIGMA] * len(medians), rng)


def play_case(plan: Plan, shares: FloatArray, level: float, seed: int) -> dict[str, Played]:
    """The router, the one that knows who is in time, and the best fixed model that is, on one order."""
    stream = with_timed_calls(plan.draw(seed)[0], shares, seed)
    in_time = replace(stream, eligible=stream.eligible & (shares >= level))
    contestants = {
        ROUTER: (RouterMaker(SPEC, deadline=Deadline(DEADLINE_S, level)), stream),
        KNOWING: (RouterMaker(SPEC), in_time),
    }
    played = {}
    for name, (make, its_stream) in contestants.items():
        channel_rng, agent_rng = plan.draw(seed)[2].spawn(2)  # the same draws for both
        setting = Setting.of(stream, plan.cost_weight, agent_rng)
        run = play_stream(its_stream, make(setting), plan.channel, channel_rng)
        played[name] = _measure(stream, run.action, plan.cost_weight)
    fixed = np.full(len(stream), best_fixed_arm(in_time, plan.cost_weight))
    return {**played, FIXED: _measure(stream, fixed, plan.cost_weight)}


def _measure(stream: Stream, action: IntArray, cost_weight: float) -> Played:
    rows = np.arange(len(stream))
    quality, cost = stream.quality[rows, action], stream.cost_usd[rows, action]
    assert stream.latency_s is not None
    in_time = stream.latency_s[rows, action] <= DEADLINE_S
    return Played(float((quality - cost_weight * cost).mean()), float(quality.mean()), float(in_time.mean()))


def deadlines_grid(name: str, level: float, cases: Mapping[str, Sequence[Mapping[str, Played]]]) -> Grid:
    """Every case at one level: the share in time, and what the router earned more or less than the others."""
    rows = []
    for case, seeds in cases.items():
        in_time = _values(seeds, ROUTER, "in_time")
        gaps = [
            _values(seeds, ROUTER, "utility") - _values(seeds, peer, "utility") for peer in (KNOWING, FIXED)
        ]
        shown = (format_spread(float(gap.mean()), standard_deviation(gap), 4) for gap in gaps)
        cells = (
            case,
            format_spread(float(in_time.mean()), standard_deviation(in_time), 4),
            f"{in_time.min():.4f}",
            *shown,
        )
        rows.append(Row(cells=cells))
    return Grid(
        title=f"{name}: {level:.0%} of answers are to be there within {DEADLINE_S:g} s",
        headings=("", "in time", "worst seed", "router − knowing", "router − fixed"),
        rows=tuple(rows),
        notes=(
            "utility per query, ± sd over seeds; without a trade it is quality",
            "knowing: the same learner, told which models are in time often enough",
            "fixed: the best of those models, in hindsight",
        ),
    )


def missed_bars(level: float, cases: Mapping[str, Sequence[Mapping[str, Played]]]) -> Iterator[str]:
    """The bars that were missed: in time as often as asked for, and nearly the utility of both peers."""
    for case, seeds in cases.items():
        in_time = float(_values(seeds, ROUTER, "in_time").mean())
        if in_time < level:
            yield f"{level:.0%}, {case}: {in_time:.4f} in time"
        for other in (KNOWING, FIXED):
            gap = float((_values(seeds, other, "utility") - _values(seeds, ROUTER, "utility")).mean())
            if gap > NEARLY:
                yield f"{level:.0%}, {case}: {gap:.4f} below the {other}"


def _values(seeds: Sequence[Mapping[str, Played]], name: str, measure: str) -> FloatArray:
    return np.array([getattr(played[name], measure) for played in seeds])


def play_cases(
    plan: Plan, levels: Sequence[float], jobs: int
) -> dict[float, dict[str, list[dict[str, Played]]]]:
    """Play every case at every level, on every seed."""
    tasks = {
        (level, case): partial(
            play_case, plan, shares_in_time(plan.stream, plan.cost_weight, late, level), level
        )
        for level in levels
        for case, late in CASES.items()
    }
    played = show.on_every_seed(tasks, plan.seeds, jobs, plan.stream.name)
    return {level: {case: played[level, case] for case in CASES} for level in levels}


def main() -> None:
    parser = show.parser(__doc__, streams=("mixed",))
    parser.add_argument("--levels", nargs="+", type=float, default=[0.9, 0.95, 0.99])
    parser.set_defaults(trade=0.0)
    options = parser.parse_args()
    console, facts, missed = Console(), {}, []
    for name in options.streams:
        plan = show.plan_of(load_stream(name, options.data), options)
        levels = play_cases(plan, options.levels, options.jobs)
        for level, cases in levels.items():
            console.print(draw_grid(deadlines_grid(name, level, cases)))
            missed += [f"{name}, {bar}" for bar in missed_bars(level, cases)]
        facts[name] = {
            f"{level:g}": {case: [_seed_json(played) for played in seeds] for case, seeds in cases.items()}
            for level, cases in levels.items()
        }
    show.say_missed(console, missed)
    show.save(options.json, {"missed": missed, "runs": facts})


def _seed_json(seed: Mapping[str, Played]) -> dict[str, Any]:
    return {name: played._asdict() for name, played in seed.items()}


if __name__ == "__main__":
    show.run(main)
