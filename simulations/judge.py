"""What a judge is worth who agrees with people so often, beside the few answers that people rate.

    python -m simulations.judge --seeds 4 --queries 4000 --json judge.json

People rate some answers, chosen at random. A judge gives a share of the answers a verdict, good or bad, which
is that of people (good from a quality of 0.5 on) as often as it agrees with them. Where both speak, people
count. The routers start cold. The loss is the utility per query that the best fixed model in hindsight earned
more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from rich.console import Console

from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.channel import RatedOnly
from bandit_router.evaluation.simulation.play import play_stream
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.evaluation.simulation.tracks import best_fixed_arm
from bandit_router.types import BoolArray, FloatArray
from simulations import show
from simulations.streams import FIVE, load_stream

AGREEMENTS = (0.6, 0.8, 0.95)
GOOD = 0.5


class Case(NamedTuple):
    """Who rates: the share that people rate, the share that is judged, and how often the judge agrees."""

    human: float
    judged: float = 0.0
    agreement: float = 1.0

    @property
    def name(self) -> str:
        people = f"people {self.human:.0%}" if self.human else ""
        judge = f"judge {self.judged:.0%}, agrees {self.agreement:.0%}" if self.judged else ""
        return " + ".join(filter(None, (people, judge)))


def draw_verdicts(quality: FloatArray, agreement: float, rng: np.random.Generator) -> FloatArray:
    """A verdict, 1 or 0, on every answer (n, K): that of people with probability ``agreement``."""
    agrees = rng.random(quality.shape) < agreement
    verdicts: FloatArray = (agrees == (quality >= GOOD)).astype(np.float64)
    return verdicts


def hear(stream: Stream, case: Case, rng: np.random.Generator) -> tuple[Stream, BoolArray]:
    """The stream as a router hears of it, and which queries it hears of at all (n,)."""
    n = len(stream)
    human, judged = rng.random(n) < case.human, rng.random(n) < case.judged
    verdicts = draw_verdicts(stream.quality, case.agreement, rng)
    return replace(stream, quality=np.where(human[:, None], stream.quality, verdicts)), human | judged


def play_case(plan: Plan, case: Case, seed: int) -> float:
    """The loss per query of one order."""
    stream, _, rng = plan.draw(seed)
    coin_rng, agent_rng = rng.spawn(2)
    heard, rated = hear(stream, case, coin_rng)
    agent = RouterMaker("tempered")(Setting.of(stream, plan.cost_weight, agent_rng))
    action = play_stream(heard, agent, RatedOnly(rated=rated), coin_rng).action
    utility = stream.quality - plan.cost_weight * stream.cost_usd
    best = utility[:, best_fixed_arm(stream, plan.cost_weight)]
    return float((best - utility[np.arange(len(stream)), action]).mean())


def list_cases(human: float, judged: float, agreements: Sequence[float]) -> list[Case]:
    """People alone, and each judge alone and beside them."""
    judges = [Case(share, judged, agreement) for agreement in agreements for share in (0.0, human)]
    return [Case(human), *judges]


def judge_grid(losses: Mapping[str, Mapping[Case, FloatArray]], title: str) -> Grid:
    """A row for each case: the mean loss on each stream ± its standard error, and the mean of the streams."""
    rows = []
    for case in next(iter(losses.values())):
        runs = [by_case[case] for by_case in losses.values()]
        mean = float(np.mean([each.mean() for each in runs]))
        cells = [f"{each.mean():.4f} ± {standard_error(each):.4f}" for each in runs]
        rows.append(Row(cells=(case.name, *cells, f"{mean:.4f}")))
    return Grid(
        title=title,
        headings=("", *losses, "mean"),
        rows=tuple(rows),
        notes=("utility per query below the best fixed model, ± standard error over orders",),
    )


def standard_error(values: FloatArray) -> float:
    """The standard error of the mean of values (S,); NaN for a single one."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def main() -> None:
    parser = show.parser(__doc__, FIVE, trades=())
    parser.add_argument("--human", type=float, default=0.05, help="share of answers that people rate")
    parser.add_argument("--judged", type=float, default=0.2, help="share of answers that are judged")
    parser.add_argument("--agreements", nargs="+", type=float, default=list(AGREEMENTS))
    options = parser.parse_args()
    losses: dict[str, dict[Case, FloatArray]] = {}
    cases = list_cases(options.human, options.judged, options.agreements)
    for name in options.streams:
        plan = show.plan_of(load_stream(name, options.data), options)
        tasks = {case: partial(play_case, plan, case) for case in cases}
        played = show.on_every_seed(tasks, plan.seeds, options.jobs, name)
        losses[name] = {case: np.array(runs) for case, runs in played.items()}
    Console(width=150).print(draw_grid(judge_grid(losses, f"{options.seeds} orders")))
    facts = {
        name: [{**case._asdict(), "losses": runs.tolist()} for case, runs in by_case.items()]
        for name, by_case in losses.items()
    }
    show.save(options.json, facts)


if __name__ == "__main__":
    show.run(main)
