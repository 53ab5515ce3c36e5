"""What a bound on the loss to the dearest model costs, and how often it is broken.

    python -m simulations.safety --json safety.json
    python -m simulations.safety --world --orders 1000 --queries 400

Cold starts, with all answers rated or a share of them. The baseline is the dearest model. The loss is the
utility that it earns more than the router, per query; a bound is broken where the sum of losses exceeds that
share of what the baseline earned at any time, from query 30 on. Each model counts by its probability, whether
it was drawn or not. ``--world`` plays made-up models in place of real ones: their outcomes have known means,
which count in place of outcomes, and a router that trusts whatever it believes is played beside.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from rich.console import Console

from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.channel import RatedOnly
from bandit_router.evaluation.simulation.events import Event, parse_event
from bandit_router.evaluation.simulation.play import play_stream
from bandit_router.evaluation.simulation.router_agent import RouterAgent, RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.evaluation.simulation.tracks import best_fixed_arm
from bandit_router.objective.safety import SafetyGoal
from bandit_router.types import FloatArray
from simulations import show
from simulations.streams import FIVE, HELD_BACK, cost_weight, load_stream

FIRST = 30
"""Sums of fewer outcomes that are 0 or 1 are not judged."""

BOUNDS = (0.005, 0.01, 0.02, 0.05)
_WORLD_BOUND = 0.02
_CONTEXTS, _ARMS = 3, 4


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustingGoal(SafetyGoal):
    """The same with no doubt about what is believed."""

    def count_deviations(self, decisions: int) -> float:
        del decisions
        return 0.0


class Case(NamedTuple):
    """What varies: the share of answers rated, and what may be lost; None bounds nothing."""

    rated: float
    at_most: float | None
    trusts: bool = False


class Outcome(NamedTuple):
    """What came of an order, per query: the losses to the baseline and to the best fixed model."""

    broken: bool
    lost: float
    regret: float


Outcomes = Mapping[Case, Sequence[Outcome]]


def play_case(plan: Plan, case: Case, seed: int) -> Outcome:
    """One order of a stream; its outcomes are what counts."""
    stream, _, rng = plan.draw(seed)
    return _play(stream, stream.quality, plan.cost_weight, case, rng)


def play_world(queries: int, case: Case, seed: int) -> Outcome:
    """One world of made-up models, the last of which is the dearest."""
    rng = np.random.default_rng([seed, 2])
    level = rng.normal(0.65, 0.15, _ARMS)
    effects = rng.normal(0.0, 0.1, (_ARMS, _CONTEXTS)) + rng.normal(0.0, 0.1, _CONTEXTS)
    x = np.column_stack([np.ones(queries), rng.standard_normal((queries, _CONTEXTS))])
    mean = np.clip(x @ np.column_stack([level, effects]).T, 0.02, 0.98)
    costs = np.broadcast_to(np.geomspace(0.001, 0.01, _ARMS), mean.shape)
    stream = Stream(
        name="world",
        arms=tuple(f"model {k}" for k in range(_ARMS)),
        x=x,
        quality=(rng.random(mean.shape) < mean).astype(float),
        cost_usd=costs,
        expected_cost_usd=costs,
        eligible=np.ones(mean.shape, dtype=np.bool_),
    )
    return _play(stream, mean, cost_weight(stream, 0.1), case, rng)


def _play(
    stream: Stream, quality: FloatArray, weight: float, case: Case, rng: np.random.Generator
) -> Outcome:
    """Play a stream whose outcomes are expected to have this ``quality`` (n, K)."""
    coin_rng, agent_rng = rng.spawn(2)
    rated = coin_rng.random(len(stream)) < case.rated
    setting = Setting.of(stream, weight, agent_rng)
    baseline = int(np.argmax(setting.list_usd))
    agent = RouterMaker("tempered", safety=_make_goal(stream.arms[baseline], case))(setting)
    play_stream(stream, agent, RatedOnly(rated=rated), coin_rng)
    utility = quality - weight * stream.cost_usd
    earned = (_list_pmfs(agent, stream.arms) * utility).sum(axis=1)
    lost = np.cumsum(utility[:, baseline] - earned)
    allowed = (case.at_most or np.inf) * np.cumsum(utility[:, baseline])
    best = utility[:, best_fixed_arm(stream, weight)]
    return Outcome(
        broken=bool((lost > allowed)[FIRST - 1 :].any()),
        lost=float(lost[-1]) / len(stream),
        regret=float((best - earned).mean()),
    )


def _make_goal(baseline: str, case: Case) -> SafetyGoal | None:
    if case.at_most is None:
        return None
    kind = TrustingGoal if case.trusts else SafetyGoal
    return kind(baseline=baseline, at_most=case.at_most)


def _list_pmfs(agent: RouterAgent, arms: Sequence[str]) -> FloatArray:
    """The probability that each decision gave each arm (n, K)."""
    column = {arm: k for k, arm in enumerate(arms)}
    pmfs = np.zeros((len(agent.decisions), len(arms)))
    for row, decision in zip(pmfs, agent.decisions, strict=True):
        row[[column[arm] for arm in decision.eligible]] = decision.pmf
    return pmfs


def loss_grid(found: Mapping[str, Outcomes], rated: float, bounds: Sequence[float | None]) -> Grid:
    """Of each bound and stream the loss to the baseline, that to the best fixed model, and the broken."""
    rows = []
    for bound in bounds:
        played = [outcomes[Case(rated, bound)] for outcomes in found.values()]
        lost, regret = (
            [[getattr(one, name) for one in runs] for runs in played] for name in ("lost", "regret")
        )
        name = "none" if bound is None else f"{bound:.1%}"
        rows.append(Row(cells=(name, *(f"{np.mean(each):.4f}, {max(each):.3f}" for each in lost))))
        cells = [f"{np.mean(each):.4f}" for each in regret]
        rows.append(Row(cells=("to the best fixed", *cells), indent=True))
        if bound is not None:
            broken = [f"{sum(one.broken for one in runs)}" for runs in played]
            rows.append(Row(cells=("broken", *broken), indent=True))
    orders = len(next(iter(found.values()))[Case(rated, bounds[0])])
    return Grid(
        title=f"{rated:.0%} of answers rated: loss to the dearest model, mean and worst of {orders} orders",
        headings=("bound", *found),
        rows=tuple(rows),
    )


def world_grid(found: Outcomes) -> Grid:
    """How often a bound was broken in the made-up worlds, and what was lost."""
    rows = [
        Row(
            cells=(
                f"{case.rated:.0%}",
                "none" if case.at_most is None else "trusts" if case.trusts else f"{case.at_most:.1%}",
                "" if case.at_most is None else f"{sum(one.broken for one in runs)} of {len(runs)}",
                f"{np.mean([one.lost for one in runs]):.4f}",
                f"{np.mean([one.regret for one in runs]):.4f}",
            )
        )
        for case, runs in found.items()
    ]
    headings = ("rated", "bound", "broken", "lost to the baseline", "to the best fixed")
    return Grid(title="made-up worlds", headings=headings, rows=tuple(rows), left=2)


def main() -> None:
    parser = show.parser(__doc__, (*FIVE, *HELD_BACK))
    parser.add_argument("--rated", nargs="+", type=float, default=[1.0, 0.05], help="shares of answers rated")
    parser.add_argument("--bounds", nargs="+", type=float, default=list(BOUNDS), help="what may be lost")
    parser.add_argument("--bound-only", action="store_true", help="leave out what has no bound")
    parser.add_argument(
        "--worse-from", type=int, help="from this query on the best other model answers like the worst"
    )
    parser.add_argument("--world", action="store_true", help="made-up models, whose means are known")
    options = parser.parse_args()
    console, free = Console(width=140), () if options.bound_only else (None,)
    if options.world:
        kinds = [*((_WORLD_BOUND, trusts) for trusts in (False, True)), *((bound, False) for bound in free)]
        cases = [Case(rated, *kind) for rated in options.rated for kind in kinds]
        tasks = {case: partial(play_world, options.queries, case) for case in cases}
        found: dict[str, Outcomes] = {
            "world": show.on_every_seed(tasks, options.seeds, options.jobs, "world")
        }
        console.print(draw_grid(world_grid(found["world"])))
    else:
        bounds = [*options.bounds, *free]
        found = {name: _play_stream(name, bounds, options) for name in options.streams}
        for rated in options.rated:
            console.print(draw_grid(loss_grid(found, rated, bounds)))
    show.save(options.json, _collect_facts(found))


def _play_stream(name: str, bounds: Sequence[float | None], options: argparse.Namespace) -> Outcomes:
    plan = show.plan_of(load_stream(name, options.data), options)
    if options.worse_from is not None:
        plan = replace(plan, events=(_make_worse(plan, options.worse_from),))
    cases = [Case(rated, bound) for rated in options.rated for bound in bounds]
    tasks = {case: partial(play_case, plan, case) for case in cases}
    return show.on_every_seed(tasks, plan.seeds, options.jobs, name)


def _make_worse(plan: Plan, query: int) -> Event:
    """The best model but the baseline answers like the worst, from this query on."""
    stream = plan.stream
    earned = (stream.quality - plan.cost_weight * stream.cost_usd).mean(axis=0)
    worst, by_utility = int(np.argmin(stream.quality.mean(axis=0))), np.argsort(-earned).tolist()
    best = next(k for k in by_utility if k != int(np.argmax(stream.expected_cost_usd[0])))
    return parse_event(f"quality:{stream.arms[best]}@{query}={stream.arms[worst]}")


def _collect_facts(found: Mapping[str, Outcomes]) -> dict[str, list[dict[str, object]]]:
    return {
        name: [
            {**case._asdict(), "orders": [one._asdict() for one in runs]} for case, runs in outcomes.items()
        ]
        for name, outcomes in found.items()
    }


if __name__ == "__main__":
    show.run(main)
