"""Whether answers are in time as often as asked for, and what that costs in quality.

    python -m simulations.deadlines --json deadlines.json

Every query has a deadline of two seconds. Latencies are simulated, log-normal by model, so that each model
is in time with a probability that is known: as a multiple of the share of late calls the level allows, in
five cases, of which the one where the best model is just too slow is the hard one. The router starts cold,
in latencies too. Beside it: the same learner told beforehand which models meet the level, and the best
fixed model that does. What counts is quality, unless a trade is given.
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

from bandit_router.evaluation.partition import IntArray
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
from bandit_router.types import FloatArray
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
    found = np.full(len(utility), late.between)
    found[utility.argmax()], found[utility.argmin()] = late.best, late.worst
    shares: FloatArray = 1.0 - np.minimum((1.0 - level) * found, _MOST_LATE)
    return shares


def timed(stream: Stream, shares: FloatArray, seed: int) -> Stream:
    """The stream with latencies of which such shares are in time: medians DEADLINE_S · exp(−σ Φ⁻¹(share))."""
    medians = [DEADLINE_S * math.exp(-SIGMA * NormalDist().inv_cdf(share)) for share in shares.tolist()]
    rng = np.random.default_rng([seed, _LATENCIES])
    return with_latencies(stream, medians, [SIGMA] * len(medians), rng)


def contest(plan: Plan, shares: FloatArray, level: float, seed: int) -> dict[str, Played]:
    """The router, the one that knows who is in time, and the best fixed model that is, on one order."""
    stream = timed(plan.draw(seed)[0], shares, seed)
    known = replace(stream, eligible=stream.eligible & (shares >= level))
    contestants = {
        ROUTER: (RouterMaker(SPEC, deadline=Deadline(DEADLINE_S, level)), stream),
        KNOWING: (RouterMaker(SPEC), known),
    }
    found = {}
    for name, (make, its_stream) in contestants.items():
        travel, luck = plan.draw(seed)[2].spawn(2)  # the same luck for both
        setting = Setting.of(stream, plan.cost_weight, luck)
        run = play_stream(its_stream, make(setting), plan.channel, travel)
        found[name] = _played(stream, run.action, plan.cost_weight)
    fixed = np.full(len(stream), best_fixed_arm(known, plan.cost_weight))
    return {**found, FIXED: _played(stream, fixed, plan.cost_weight)}


def _played(stream: Stream, action: IntArray, cost_weight: float) -> Played:
    rows = np.arange(len(stream))
    quality, cost = stream.quality[rows, action], stream.cost_usd[rows, action]
    assert stream.latency_s is not None
    in_time = stream.latency_s[rows, action] <= DEADLINE_S
    return Played(float((quality - cost_weight * cost).mean()), float(quality.mean()), float(in_time.mean()))


def grid(name: str, level: float, found: Mapping[str, Sequence[Mapping[str, Played]]]) -> Grid:
    """Every case at one level: the share in time, and what the router earned more or less than the others."""
    rows = []
    for case, seeds in found.items():
        in_time = _values(seeds, ROUTER, "in_time")
        gaps = [
            _values(seeds, ROUTER, "utility") - _values(seeds, one, "utility") for one in (KNOWING, FIXED)
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


def verdicts(level: float, found: Mapping[str, Sequence[Mapping[str, Played]]]) -> Iterator[str]:
    """What is missed of: in time as often as asked for, and nearly the utility of those who know."""
    for case, seeds in found.items():
        in_time = float(_values(seeds, ROUTER, "in_time").mean())
        if in_time < level:
            yield f"{level:.0%}, {case}: {in_time:.4f} in time"
        for other in (KNOWING, FIXED):
            gap = float((_values(seeds, other, "utility") - _values(seeds, ROUTER, "utility")).mean())
            if gap > NEARLY:
                yield f"{level:.0%}, {case}: {gap:.4f} below the {other}"


def _values(seeds: Sequence[Mapping[str, Played]], name: str, what: str) -> FloatArray:
    return np.array([getattr(one[name], what) for one in seeds])


def contests(
    plan: Plan, levels: Sequence[float], jobs: int
) -> dict[float, dict[str, list[dict[str, Played]]]]:
    """Every case at every level, on every seed."""
    tasks = {
        (level, case): partial(
            contest, plan, shares_in_time(plan.stream, plan.cost_weight, late, level), level
        )
        for level in levels
        for case, late in CASES.items()
    }
    found = show.on_every_seed(tasks, plan.seeds, jobs, plan.stream.name)
    return {level: {case: found[level, case] for case in CASES} for level in levels}


def main() -> None:
    parser = show.parser(__doc__, streams=("mixed",))
    parser.add_argument("--levels", nargs="+", type=float, default=[0.9, 0.95, 0.99])
    parser.set_defaults(trade=0.0)
    options = parser.parse_args()
    console, facts, missed = Console(), {}, []
    for name in options.streams:
        found = contests(show.plan_of(load_stream(name, options.data), options), options.levels, options.jobs)
        for level, cases in found.items():
            console.print(draw_grid(grid(name, level, cases)))
            missed += [f"{name}, {one}" for one in verdicts(level, cases)]
        facts[name] = {
            f"{level:g}": {case: [_plain(one) for one in seeds] for case, seeds in cases.items()}
            for level, cases in found.items()
        }
    show.say_missed(console, missed)
    show.save(options.json, {"missed": missed, "runs": facts})


def _plain(one: Mapping[str, Played]) -> dict[str, Any]:
    return {name: played._asdict() for name, played in one.items()}


if __name__ == "__main__":
    show.run(main)
