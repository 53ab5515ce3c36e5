"""Where it helps to know the task, and where it costs: in what is expected of rewards, of costs, or of both.

    python -m simulations.task_estimates

A router that starts from labelled queries takes the arm of the highest expected utility for each further
query; it explores nothing and learns nothing more. What it expects of rewards, of costs or of both knows the
task of each query. The gain is the utility per query over that of the best fixed model in hindsight. What
there is to gain is that of the best model of each task, in hindsight too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from rich.console import Console

from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.posterior.regression_sums import mark_tasks
from bandit_router.types import NO_TASK, FloatArray
from simulations import show
from simulations.sparse import standard_error
from simulations.streams import FIVE, HELD_BACK, cost_weight, load_stream

NOTHING = "nothing"
KNOWING = {NOTHING: (False, False), "rewards": (True, False), "costs": (False, True), "both": (True, True)}
"""Whether rewards and costs know the task, by what tables call it."""

IN_HINDSIGHT = "the best model of each task"


class EstimateCase(NamedTuple):
    """The weight of cost, and what knows the task."""

    trade: float
    knowing: str


Gains = Mapping[str, Mapping[EstimateCase, FloatArray]]
"""By stream and case, the gain per query of each order."""


def choose_from_labels(
    stream: Stream, plan: Plan, trades: Sequence[float], seed: int
) -> dict[EstimateCase, float]:
    """The gain per query of one order in every case."""
    played, labelled, rng = plan.draw(seed)
    assert labelled is not None, "estimates come from labels"
    reward, cost = {}, {}
    for told in (False, True):
        labels = labelled if told else replace(labelled, task=None)
        state = RouterMaker("tempered")(Setting.of(stream, 0.0, rng, labels)).state.solve()
        known = played.task if told else None
        reward[told] = state.rewards.predict_many(played.x, known)[0]
        root = np.maximum(state.costs.predict_many(played.x, known)[0], 0.0)
        cost[told] = played.expected_cost_usd * (root**2 + state.costs.residual_variance)
    gains, tasks = {}, np.full(len(played), NO_TASK) if played.task is None else played.task
    marks = mark_tasks(tasks - NO_TASK)  # queries without a task are one more
    for trade in trades:
        weight = cost_weight(stream, trade)
        utility = played.quality - weight * played.cost_usd
        for knowing, (of_reward, of_cost) in KNOWING.items():
            action = (reward[of_reward] - weight * cost[of_cost]).argmax(axis=1)
            chosen = utility[np.arange(len(played)), action]
            gains[EstimateCase(trade, knowing)] = float(chosen.mean() - utility.mean(axis=0).max())
        gains[EstimateCase(trade, IN_HINDSIGHT)] = gain_by_task(utility, marks)
    return gains


def gain_by_task(utility: FloatArray, marks: FloatArray) -> float:
    """What the best arm of each task gains per query over the best arm of all, from utilities (n, K)."""
    return float(((marks.T @ utility).max(axis=1).sum() - utility.sum(axis=0).max()) / len(utility))


def estimate_grid(gains: Gains, trade: float, labelled: int) -> Grid:
    """The table of one weight of cost: a column for each stream."""
    rows, orders = [], 0
    for knowing in KNOWING:
        runs = [by_case[EstimateCase(trade, knowing)] for by_case in gains.values()]
        orders = len(runs[0])
        rows.append(Row(cells=(f"task known to {knowing}", *(f"{run.mean():+.4f}" for run in runs))))
        if knowing != NOTHING:
            before = [by_case[EstimateCase(trade, NOTHING)] for by_case in gains.values()]
            more = [run - least for run, least in zip(runs, before, strict=True)]
            cells = (f"{each.mean():+.4f} ± {standard_error(each):.4f}" for each in more)
            rows.append(Row(cells=("more than to nothing", *cells), indent=True))
    there = [float(by_case[EstimateCase(trade, IN_HINDSIGHT)].mean()) for by_case in gains.values()]
    rows.append(Row(cells=(IN_HINDSIGHT, *(f"{gain:+.4f}" for gain in there))))
    return Grid(
        title=f"cost weighs {trade:g}, choices from {labelled} labels: {orders} orders",
        headings=("gain per query", *gains),
        rows=tuple(rows),
        notes=("more than to nothing: in pairs, ± its standard error",),
    )


def main() -> None:
    parser = show.parser(__doc__, (*FIVE, *HELD_BACK), trades=show.TRADES)
    parser.set_defaults(queries=4000)
    parser.add_argument("--labelled", type=int, default=300, help="queries that the estimates come from")
    options = parser.parse_args()
    gains: dict[str, dict[EstimateCase, FloatArray]] = {}
    for name in options.streams:
        stream = load_stream(name, options.data, tasks=True)
        plan = replace(show.plan_of(stream, options, options.trades[0]), labelled=options.labelled)
        choose = partial(choose_from_labels, stream, plan, tuple(options.trades))
        orders = show.on_every_seed({name: choose}, plan.seeds, options.jobs, name)[name]
        gains[name] = {case: np.array([order[case] for order in orders]) for case in orders[0]}
    for trade in options.trades:
        Console().print(draw_grid(estimate_grid(gains, trade, options.labelled)))
    facts = {
        name: [{**case._asdict(), "gains": runs.tolist()} for case, runs in by_case.items()]
        for name, by_case in gains.items()
    }
    show.save(options.json, {"gains": facts})


if __name__ == "__main__":
    show.run(main)
