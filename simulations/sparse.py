"""What is lost where few answers are rated, exploring everywhere or only where it will be heard.

    python -m simulations.sparse --json sparse.json

A coin says beforehand which answers will be rated; every router of an order gets the same coins, and starts
cold or from ``--labelled`` queries. Before and after: the width of exploration is the same whatever is heard,
or scaled by the share of answers that are rated. The loss is the utility per query that the best fixed model
in hindsight earned more. The bars are about cold routers that explore everywhere, with 5% rated.
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
from bandit_router.evaluation.simulation.tracks import best_fixed_arm
from bandit_router.types import WILL_BE_RATED, FloatArray
from simulations import show
from simulations.streams import FIVE, load_stream

SHARES = (1.0, 0.2, 0.05, 0.01)
BEFORE, AFTER = "tempered:rated_exponent=0", "tempered"

_JUDGED = 0.05
_MOST = 2.0 / 3.0
_MOST_WORSE = 1
"""The bars: the share of answers rated, the mean loss over that before, streams with a worse worst order."""


class Case(NamedTuple):
    """What varies: the share of answers rated, labels before the stream, where it explores, and how wide."""

    share: float
    labelled: int
    heard: bool
    spec: str


Losses = Mapping[str, Mapping[Case, FloatArray]]
"""By stream and case, the loss per query of each order."""


def play_case(plan: Plan, case: Case, seed: int) -> float:
    """The loss per query of one order."""
    stream, labelled, rng = replace(plan, labelled=case.labelled).draw(seed)
    coin_rng, agent_rng = rng.spawn(2)
    rated = coin_rng.random(len(stream)) < case.share
    signals = tuple({**stream.signals_at(i), WILL_BE_RATED: float(coin)} for i, coin in enumerate(rated))
    setting = Setting.of(stream, plan.cost_weight, agent_rng, labelled)
    agent = RouterMaker(case.spec, heard=case.heard)(setting)
    run = play_stream(replace(stream, signals=signals), agent, RatedOnly(rated=rated), coin_rng)
    utility = stream.quality - plan.cost_weight * stream.cost_usd
    best = utility[:, best_fixed_arm(stream, plan.cost_weight)]
    return float((best - run.quality + plan.cost_weight * run.cost_usd).mean())


def list_cases(shares: Sequence[float], labelled: int) -> list[Case]:
    """Every case that differs from the others.

    Whoever explores only where it is heard hears of all that it explores, and nobody differs where all
    answers are rated.
    """
    kinds = [(False, AFTER), (False, BEFORE), (True, AFTER)]
    return [
        Case(share, labels, *kind)
        for share in shares
        for labels in (0, labelled)
        for kind in (kinds if share < 1.0 else kinds[:1])
    ]


def sparse_grid(losses: Losses, share: float, labelled: int) -> Grid:
    """The table of one share and start: a column for each stream, and their mean."""
    before, after, heard = (
        [by_case[case] for by_case in losses.values() if case in by_case]
        for case in (
            Case(share, labelled, False, BEFORE),
            Case(share, labelled, False, AFTER),
            Case(share, labelled, True, AFTER),
        )
    )
    rows = [_mean_row("everywhere, before", before)] if before else []
    rows.append(_mean_row("everywhere, after", after))
    if before:
        rows += _compare_rows(before, after)
    if heard:
        rows += [_mean_row("heard", heard), *_compare_rows(before, heard)]
    orders = len(after[0])
    start = f"from {labelled} labels" if labelled else "cold"
    return Grid(
        title=f"{share:.0%} of answers rated, {start}: {orders} orders",
        headings=("", *losses, "mean"),
        rows=tuple(rows),
        notes=("less lost: against everywhere, before, in pairs, ± its standard error",),
    )


def _compare_rows(before: Sequence[FloatArray], after: Sequence[FloatArray]) -> list[Row]:
    less = [b - a for b, a in zip(before, after, strict=True)]
    less.append(np.mean(less, axis=0))  # an order has the same number on every stream
    worst = [f"{b.max():.3f}, {a.max():.3f}" for b, a in zip(before, after, strict=True)]
    return [
        Row(cells=("less lost", *(f"{d.mean():+.4f} ± {standard_error(d):.4f}" for d in less)), indent=True),
        Row(cells=("worst orders", *worst, ""), indent=True, last=True),
    ]


def _mean_row(name: str, losses: Sequence[FloatArray]) -> Row:
    means = [float(loss.mean()) for loss in losses]
    return Row(cells=(name, *(f"{mean:.4f}" for mean in [*means, float(np.mean(means))])))


def standard_error(values: FloatArray) -> float:
    """The standard error of the mean of values (S,); NaN for a single one."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def find_missed(losses: Losses) -> list[str]:
    """The bars that were missed."""
    before, after = (
        {name: by_case[Case(_JUDGED, 0, False, spec)] for name, by_case in losses.items()}
        for spec in (BEFORE, AFTER)
    )
    ratio = np.mean([*after.values()]) / np.mean([*before.values()])
    missed = [] if ratio <= _MOST else [f"the mean loss is {ratio:.2f} of that before, not {_MOST:.2f}"]
    for name in losses:
        less = before[name] - after[name]
        if less.mean() < -2.0 * standard_error(less):
            missed.append(f"{name}: {-less.mean():.4f} more is lost, over 2 standard errors")
    worse = [name for name in losses if after[name].max() > before[name].max()]
    if len(worse) > _MOST_WORSE:
        missed.append(f"the worst order is worse on {', '.join(worse)}")
    return missed


def main() -> None:
    parser = show.parser(__doc__, FIVE)
    parser.add_argument("--shares", nargs="+", type=float, default=list(SHARES), help="of answers rated")
    parser.add_argument("--labelled", type=int, default=300, help="queries of a warm start")
    options = parser.parse_args()
    console, losses = Console(), {}
    cases = list_cases(options.shares, options.labelled)
    for name in options.streams:
        plan = show.plan_of(load_stream(name, options.data), options)
        tasks = {case: partial(play_case, plan, case) for case in cases}
        played = show.on_every_seed(tasks, plan.seeds, options.jobs, name)
        losses[name] = {case: np.array(runs) for case, runs in played.items()}
    for share in options.shares:
        for labelled in (0, options.labelled):
            console.print(draw_grid(sparse_grid(losses, share, labelled)))
    if _JUDGED in options.shares:
        show.say_missed(console, find_missed(losses))
    facts = {
        name: [{**case._asdict(), "losses": runs.tolist()} for case, runs in by_case.items()]
        for name, by_case in losses.items()
    }
    show.save(options.json, facts)


if __name__ == "__main__":
    show.run(main)
