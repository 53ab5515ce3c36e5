"""What it gains to know the task of each query: cold, and warm from labelled queries.

    python -m simulations.tasks --json tasks.json

Every router of an order plays the same queries. One is told the task of each, which is a column of the data,
one is told nothing, and two are told labels that mean nothing, 8 or 64 of them drawn at random. The gain is
the utility per query over that of the best fixed model in hindsight. What there is to gain is that of a
ridge regression on context and task that sees every model's answers, cross-validated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from rich.console import Console

from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan, play_seed
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.evaluation.simulation.tracks import best_fixed_arm
from bandit_router.posterior.regression_sums import mark_tasks
from bandit_router.types import FloatArray
from simulations import show
from simulations.sparse import standard_error
from simulations.streams import FIVE, HELD_BACK, cost_weight, load_stream
from simulations.warm_start import regression_gain

UNKNOWN, KNOWN = "unknown", "known"
RANDOM = {"8 random": 8, "64 random": 64}
"""Labels that mean nothing, by what they are called in tables, and how many there are."""

_WORTH_HAVING = 0.005
_WARM_ON_MIXED, _SHARE_OF_GAIN = 0.015, 0.6
_COLD_SHARE, _AT_HIGH_COST, _RANDOM_LOSS = 0.75, 0.002, 0.003
"""The bars: gain on mixed, share of what there is to gain, gap over that before, and what may be lost."""


class TaskCase(NamedTuple):
    """What varies: the weight of cost, the labels before the stream, and what is known of tasks."""

    trade: float
    labelled: int
    tasks: str


Gains = Mapping[str, Mapping[TaskCase, FloatArray]]
"""By stream and case, the gain per query of each order."""


def play_task_case(stream: Stream, plan: Plan, case: TaskCase, seed: int) -> float:
    """The gain per query of one order."""
    told = replace(stream, task=None)
    if case.tasks == KNOWN:
        told = stream
    elif case.tasks in RANDOM:
        labels = np.random.default_rng(seed).integers(0, RANDOM[case.tasks], len(stream))
        told = replace(stream, task=labels)
    weight = cost_weight(stream, case.trade)
    plan = replace(plan, stream=told, cost_weight=weight, labelled=case.labelled)
    played, run = play_seed(plan, RouterMaker("tempered"), seed)
    utility = played.quality - weight * played.cost_usd
    best = utility[:, best_fixed_arm(played, weight)]
    return float((run.quality - weight * run.cost_usd).mean() - best.mean())


def full_information_gain(stream: Stream, trade: float) -> float:
    """What a regression on context and task gains per query over the best fixed model."""
    marks = np.zeros((len(stream), 0))
    if stream.task is not None:
        marks = mark_tasks(stream.task)
    known = replace(stream, x=np.hstack([stream.x, marks]))
    return regression_gain(known, cost_weight(stream, trade), np.random.default_rng(0))


def task_grid(gains: Gains, full: Mapping[str, float], trade: float, labelled: int) -> Grid:
    """The table of one weight of cost and start: a column for each stream, and their mean."""

    def runs(tasks: str) -> list[FloatArray]:
        found = [by_case.get(TaskCase(trade, labelled, tasks)) for by_case in gains.values()]
        return [each for each in found if each is not None]

    unknown, rows = runs(UNKNOWN), []
    for tasks in (UNKNOWN, KNOWN, *RANDOM):
        if not (told := runs(tasks)):
            continue
        means = [float(each.mean()) for each in told]
        rows.append(Row(cells=(f"tasks {tasks}", *(f"{m:+.4f}" for m in [*means, float(np.mean(means))]))))
        if tasks != UNKNOWN:
            more = [a - b for a, b in zip(told, unknown, strict=True)]
            more.append(np.mean(more, axis=0))  # an order has the same number on every stream
            cells = (f"{d.mean():+.4f} ± {standard_error(d):.4f}" for d in more)
            rows.append(Row(cells=("more than unknown", *cells), indent=True))
    there = [full[name] for name in gains]
    rows.append(Row(cells=("there is to gain", *(f"{g:+.4f}" for g in [*there, float(np.mean(there))]))))
    start = f"from {labelled} labels" if labelled else "cold"
    return Grid(
        title=f"cost weighs {trade:g}, {start}: {len(unknown[0])} orders",
        headings=("gain per query", *gains, "mean"),
        rows=tuple(rows),
        notes=("more than unknown: in pairs, ± its standard error",),
    )


def find_missed_bars(gains: Gains, full: Mapping[str, float], labelled: int) -> list[str]:
    """The bars that were missed, at cost weights .1 and .3."""

    def more(name: str, trade: float, start: int, tasks: str = KNOWN) -> FloatArray:
        by_case = gains[name]
        return by_case[TaskCase(trade, start, tasks)] - by_case[TaskCase(trade, start, UNKNOWN)]

    def mean(name: str, start: int, tasks: str) -> float:
        return float(gains[name][TaskCase(0.1, start, tasks)].mean())

    missed = []
    if "mixed" in gains and (gain := mean("mixed", labelled, KNOWN)) < _WARM_ON_MIXED:
        missed.append(f"warm, mixed gains {gain:.4f}, not {_WARM_ON_MIXED}")
    rich = [name for name in gains if full[name] > _WORTH_HAVING]
    if rich:
        share = sum(mean(name, labelled, KNOWN) for name in rich) / sum(full[name] for name in rich)
        if share < _SHARE_OF_GAIN:
            missed.append(f"warm, {share:.0%} of what there is to gain, not {_SHARE_OF_GAIN:.0%}")
    five = [name for name in FIVE if name in gains]
    before, after = (-np.mean([mean(name, 0, tasks) for name in five]) for tasks in (UNKNOWN, KNOWN))
    if after > _COLD_SHARE * before:
        missed.append(f"cold, the mean gap is {after:.4f}, before {before:.4f}")
    for name in gains:
        for start in (0, labelled):
            known, word = more(name, 0.1, start), "warm" if start else "cold"
            if known.mean() < -2.0 * standard_error(known):
                missed.append(f"{word}, {name}: {known.mean():+.4f}, beyond 2 standard errors")
            dear = gains[name].get(TaskCase(0.3, start, KNOWN))
            if dear is not None and (less := -float(more(name, 0.3, start).mean())) > _AT_HIGH_COST:
                missed.append(f"{word}, {name} at .3: {less:.4f} worse, not {_AT_HIGH_COST}")
            for tasks in RANDOM:
                if TaskCase(0.1, start, tasks) in gains[name]:
                    lost = -float(more(name, 0.1, start, tasks).mean())
                    if lost > _RANDOM_LOSS:
                        missed.append(f"{word}, {name}, {tasks}: loses {lost:.4f}, not {_RANDOM_LOSS}")
    return missed


def list_task_cases(trades: Sequence[float], labelled: int, kinds: Sequence[str]) -> list[TaskCase]:
    """Every case; random labels are tried at the first weight of cost."""
    return [
        TaskCase(trade, start, tasks)
        for trade in trades
        for start in (labelled, 0)
        for tasks in (UNKNOWN, *kinds)
        if tasks in (KNOWN, UNKNOWN) or trade == trades[0]
    ]


def main() -> None:
    parser = show.parser(__doc__, (*FIVE, *HELD_BACK), trades=show.TRADES)
    parser.set_defaults(queries=4000)
    parser.add_argument("--labelled", type=int, default=300, help="queries of a warm start")
    kinds = KNOWN, *RANDOM
    parser.add_argument("--tasks", nargs="+", choices=kinds, default=list(kinds), help="what is told")
    options = parser.parse_args()
    console, gains = Console(), {}
    full: dict[float, dict[str, float]] = {trade: {} for trade in options.trades}
    cases = list_task_cases(options.trades, options.labelled, options.tasks)
    for name in options.streams:
        stream = load_stream(name, options.data, tasks=True)
        plan = show.plan_of(stream, options, options.trades[0])
        played = show.on_every_seed(
            {case: partial(play_task_case, stream, plan, case) for case in cases},
            plan.seeds,
            options.jobs,
            name,
        )
        gains[name] = {case: np.array(runs) for case, runs in played.items()}
        for trade in options.trades:
            full[trade][name] = full_information_gain(stream, trade)
    for trade in options.trades:
        for labelled in (options.labelled, 0):
            console.print(draw_grid(task_grid(gains, full[trade], trade, labelled)))
    if 0.1 in options.trades and KNOWN in options.tasks:
        show.say_missed(console, find_missed_bars(gains, full[0.1], options.labelled))
    facts = {
        name: [{**case._asdict(), "gains": runs.tolist()} for case, runs in by_case.items()]
        for name, by_case in gains.items()
    }
    show.save(options.json, {"gains": facts, "full_information": {str(t): g for t, g in full.items()}})


if __name__ == "__main__":
    show.run(main)
