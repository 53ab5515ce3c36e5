"""The worth of a warm start: routers that saw every model's answer to a few queries before the stream.

    python -m simulations.warm_start --json warm_start.json

Each seed sets ``--labelled`` queries apart, plays the next ones, and asks three things. How far is a warm
start below the best fixed model in hindsight? How much does it gain of what a regression on the same
contexts, with full information and cross-validated, gains over that model? And what does a wrong one cost,
whose labels belong to other models, beside no warm start at all?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.console import Console

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.report.as_json import simulation_json
from bandit_router.evaluation.report.formatting import format_spread
from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.report.statistics import standard_deviation
from bandit_router.evaluation.simulation.agents import Agent, MakeAgent, Setting
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Simulation
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.types import BoolArray, FloatArray, IntArray, Signals
from simulations import show
from simulations.peers.paretobandit import ParetoBanditMaker
from simulations.streams import FIVE, load_stream

_FOLDS = 5
_RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


@dataclass(frozen=True, slots=True)
class WrongLabels:
    """The same agent with wrong labels: each model has the answers and costs of the one before it."""

    make: MakeAgent

    def __call__(self, setting: Setting) -> Agent:
        labelled = setting.labelled
        if labelled is not None:
            quality, cost = (np.roll(a, 1, axis=1) for a in (labelled.quality, labelled.cost_usd))
            labelled = replace(labelled, quality=quality, cost_usd=cost)
        return self.make(replace(setting, labelled=labelled))


@dataclass(frozen=True, slots=True)
class KeptArm:
    """Always takes the model that was best on the labelled queries."""

    arm: int

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals, task: int
    ) -> int:
        del x, eligible, expected_cost_usd, signals, task
        return self.arm

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        """Learns nothing: its arm is fixed."""


def keep_best(setting: Setting) -> KeptArm:
    """Choose the best arm of the labelled queries, once and for all."""
    labelled = setting.labelled
    if labelled is None:
        raise InvalidInput("labelled", "is missing", "give at least one labelled query")
    utility = labelled.quality - setting.cost_weight * labelled.cost_usd
    return KeptArm(int(utility.mean(axis=0).argmax()))


AGENTS: Mapping[str, MakeAgent] = {
    "tempered, warm": RouterMaker("tempered"),
    "tempered, cold": RouterMaker("tempered", trust=0.0),
    "tempered, wrong labels": WrongLabels(RouterMaker("tempered")),
    "best of the labelled, kept": keep_best,
    "paretobandit, warm": ParetoBanditMaker(setting="router"),
    "paretobandit, warm, wrong labels": WrongLabels(ParetoBanditMaker(setting="router")),
}


def regression_gain(stream: Stream, weight: float, rng: np.random.Generator) -> float:
    """Utility per query that a regression gains over the best fixed model, all of the data cross-validated.

    Ridge regression of each arm's utility on x, with full information and the penalty that does best.
    """
    utility = stream.quality - weight * stream.cost_usd
    fold = rng.permutation(len(stream)) % _FOLDS
    earned = [_ridge_utility(stream.x, utility, fold, ridge) for ridge in _RIDGES]
    return max(earned) - float(utility.mean(axis=0).max())


def _ridge_utility(x: FloatArray, utility: FloatArray, fold: IntArray, ridge: float) -> float:
    chosen = np.empty(len(x), dtype=np.int64)
    for f in range(_FOLDS):
        training, test = fold != f, fold == f
        mean = utility[training].mean(axis=0)
        gram = x[training].T @ x[training] + ridge * np.eye(x.shape[1])
        theta = np.linalg.solve(gram, x[training].T @ (utility[training] - mean))
        chosen[test] = (x[test] @ theta + mean).argmax(axis=1)
    return float(utility[np.arange(len(x)), chosen].mean())


def warm_start_grid(simulation: Simulation, title: str, gain: float, labelled: int) -> Grid:
    """The table of one stream: each agent with the answers to the three questions."""
    cold = simulation.named("tempered, cold").values("gap").mean()
    rows = []
    for name in AGENTS:
        gap = simulation.named(name).values("gap")
        below = gap / simulation.queries
        share = f"{-below.mean() / gain:.0%}" if gain > 0 else ""
        cells = (
            name,
            format_spread(float(below.mean()) + 0.0, standard_deviation(below), 4),
            f"{below.max():.4f}",
            share,
            f"{gap.mean():.1f}",
            f"{gap.mean() - cold:+.1f}",
        )
        rows.append(Row(cells=cells, strong=name == "tempered, warm"))
    return Grid(
        title=f"{title}: {labelled} labelled, then {simulation.seeds} × "
        f"{simulation.queries:,} queries; a regression gains {gain:+.4f}",
        headings=("", "below best ± sd", "worst", "of the gain", "gap", "over cold"),
        rows=tuple(rows),
        notes=(
            "below best: utility per query that the best fixed model in hindsight earned more",
            "of the gain: of what a regression with full information gains over that model per query",
        ),
    )


def main() -> None:
    parser = show.parser(__doc__, FIVE, trades=show.TRADES)
    parser.add_argument("--labelled", type=int, default=300, help="queries that every model answered")
    options = parser.parse_args()
    console = Console()
    facts: dict[str, dict[str, Any]] = {}
    for name in options.streams:
        stream = load_stream(name, options.data)
        for trade in options.trades:
            plan = replace(show.plan_of(stream, options, trade), labelled=options.labelled)
            title = f"{name}, {trade:g}"
            simulation = show.played(plan, AGENTS, options.jobs, title)
            gain = regression_gain(stream, plan.cost_weight, np.random.default_rng(0))
            console.print(draw_grid(warm_start_grid(simulation, title, gain, options.labelled)))
            facts[title] = {**simulation_json(simulation), "regression_gain": gain}
    show.save(options.json, facts)


if __name__ == "__main__":
    show.run(main)
