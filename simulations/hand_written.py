"""How well rules and a classifier predict that the cheap model is good enough, beside a router that learns.

    python -m simulations.hand_written

Two models of each stream: the cheapest, and the one of the highest quality. The cheap one is **good enough**
for a query when its quality is at least that of the strong one less 0.05, so that nothing is gained by asking
the strong one, right or wrong as both may be. **Accuracy** is the share of queries that go to the cheap model
when it is good enough and to the strong one when it is not; always taking the cheap one has the base rate.
The classifier is trained on the labels of four fifths of the stream to predict the last, and so on for each.
The router starts cold, learns from the outcome of its own choices, and goes for utility (quality − λ · cost),
not for accuracy; so does its last quarter, when it has learned most.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from rich.console import Console
from threadpoolctl import threadpool_limits

from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.parallel import run_tasks, workers
from bandit_router.evaluation.report.formatting import usd_per_1k
from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.simulation.router_agent import RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan, play_seed
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.evaluation.training.examples import LOW_QUALITY
from bandit_router.evaluation.training.logistic import Labelled
from bandit_router.evaluation.training.train import hold_out
from bandit_router.signals.classifier import P_COMPLEX
from simulations import show
from simulations.streams import STREAMS, stream_of

MARGIN = 0.05
CHEAP, STRONG = range(2)
NAMES = ("cheap", "strong")
_ARMS = "cheap=cheap,expensive=strong,epsilon=0"

ENTRANTS: Mapping[str, str] = {
    "always cheap": "fixed:cheap",
    "always strong": "fixed:strong",
    "heuristic": f"heuristic:{_ARMS}",
    "any sign → strong": f"heuristic:{_ARMS},low=0.19,high=0.19",
    "classifier, p > 0.7": f"classifier:{_ARMS},threshold=0.7",
    "classifier, p > 0.5": f"classifier:{_ARMS},threshold=0.5",
    "tempered, cold": "tempered",
}
"""Who is compared, as policies of the arms ``cheap`` and ``strong``."""


class Figures(NamedTuple):
    """Means over queries; ``late`` is the accuracy of the last quarter. ``over_mix`` is the utility beyond
    that of taking the strong model at random, so often that it costs the same."""

    accuracy: float
    late: float
    strong_share: float
    quality: float
    cost_usd: float
    utility: float
    over_mix: float


def cheap_and_strong(data: Dataset) -> tuple[Dataset, tuple[str, str]]:
    """The cheapest model, called ``cheap``, and the best of the others, ``strong``; and their real names."""
    cheap = int(data.cost_usd.mean(axis=0).argmin())
    quality = data.quality.mean(axis=0)
    quality[cheap] = -1.0
    models = data.models[cheap], data.models[int(quality.argmax())]
    return data.only(models, dict(zip(models, NAMES, strict=True))), models


def with_classifier(stream: Stream, seed: int = 0) -> Stream:
    """The stream with the signals of classifiers that were trained on the other queries."""
    data = Labelled(stream.x, stream.quality[:, CHEAP] < LOW_QUALITY, np.ones(len(stream)))
    with threadpool_limits(1, "blas"):
        p = hold_out(data, np.random.default_rng(seed)).p.tolist()
    return replace(stream, signals=tuple({**stream.signals_at(i), P_COMPLEX: p[i]} for i in range(len(p))))


def play_entrant(plan: Plan, spec: str, seed: int) -> Figures:
    """Play one policy through the stream of one seed."""
    stream, run = play_seed(plan, RouterMaker(spec), seed)
    enough = stream.quality[:, CHEAP] >= stream.quality[:, STRONG] - MARGIN
    right = (run.action == CHEAP) == enough
    utility = float((run.quality - plan.cost_weight * run.cost_usd).mean())
    costs, qualities = stream.cost_usd.mean(axis=0), stream.quality.mean(axis=0)
    share = float((run.cost_usd.mean() - costs[CHEAP]) / (costs[STRONG] - costs[CHEAP]))
    worth = qualities - plan.cost_weight * costs
    return Figures(
        accuracy=float(right.mean()),
        late=float(right[-max(1, len(right) // 4) :].mean()),
        strong_share=float((run.action == STRONG).mean()),
        quality=float(run.quality.mean()),
        cost_usd=float(run.cost_usd.mean()),
        utility=utility,
        over_mix=float(utility - worth[CHEAP] - share * (worth[STRONG] - worth[CHEAP])),
    )


def play_entrants(plan: Plan) -> dict[str, Figures]:
    """The figures of every entrant, means over seeds."""
    tasks = [
        partial(play_entrant, plan, spec, seed) for spec in ENTRANTS.values() for seed in range(plan.seeds)
    ]
    figures = np.array(list(run_tasks(tasks))).reshape(len(ENTRANTS), plan.seeds, -1).mean(axis=1)
    return {name: Figures(*row) for name, row in zip(ENTRANTS, figures.tolist(), strict=True)}


def entrants_grid(title: str, entrants: Mapping[str, Figures], models: Sequence[str]) -> Grid:
    """The table of one stream: the figures of every entrant."""
    best = max(entrants, key=lambda name: entrants[name].utility)
    return Grid(
        title=title,
        headings=("", "accuracy", "last ¼", "to strong", "USD/1k", "utility", "over mix"),
        rows=tuple(
            Row(
                cells=(
                    name,
                    f"{figures.accuracy:.1%}",
                    f"{figures.late:.1%}",
                    f"{figures.strong_share:.1%}",
                    usd_per_1k(figures.cost_usd),
                    f"{figures.utility:.4f}",
                    f"{round(figures.over_mix, 4) + 0.0:+.4f}",
                ),
                strong=name == best,
            )
            for name, figures in entrants.items()
        ),
        notes=(
            f"cheap: {models[CHEAP]}; strong: {models[STRONG]}; bold: the highest utility",
            "over mix: utility beyond that of the strong model at random, at the same cost",
        ),
    )


def read_options() -> argparse.Namespace:
    parser = show.parser(__doc__, ("paretobandit", "zeroeval8", "llm_confidence", "routellm", "mixed"))
    parser.set_defaults(seeds=5)
    return parser.parse_args()


def main() -> None:
    chosen, console, facts = read_options(), Console(), {}
    with workers(chosen.jobs):
        for name in chosen.streams:
            data, models = cheap_and_strong(STREAMS[name](chosen.data))
            plan = show.plan_of(with_classifier(stream_of(data)), chosen)
            entrants = play_entrants(plan)
            title = f"{name}: {plan.seeds} × {plan.length:,} queries, λ = {plan.cost_weight:.3g}/USD"
            console.print(draw_grid(entrants_grid(title, entrants, models)))
            facts[name] = {
                "models": models,
                "entrants": {k: figures._asdict() for k, figures in entrants.items()},
            }
    show.save(chosen.json, facts)


if __name__ == "__main__":
    show.run(main)
