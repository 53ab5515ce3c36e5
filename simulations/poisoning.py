"""What an API key can do that says the opposite of what it saw; with a cap, and when it is in quarantine.

    python -m simulations.poisoning --json poisoning.json

Ten keys, of which one has 30% of the traffic and flips its rewards, r to 1 − r, from the first query on. A
query is of a key at random, and all outcomes are heard at once. The measure is the true utility of all
queries, whoever asked. The cap is :mod:`bandit_router.security.influence`, in one day; the alarm looks every
200 queries at the newest 2,000 rewards, and the key it names is put in quarantine then. Drift is not watched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from rich.console import Console

from bandit_router.evaluation.report.grid import Grid, Row, draw_grid
from bandit_router.evaluation.simulation.agents import Setting
from bandit_router.evaluation.simulation.play import play_stream
from bandit_router.evaluation.simulation.router_agent import RouterAgent, RouterMaker
from bandit_router.evaluation.simulation.simulate import Plan
from bandit_router.learning.drift import NEWEST
from bandit_router.learning.unlike_keys import find_unlike_keys
from bandit_router.security.influence import KeyActivity, weigh_feedback
from bandit_router.settings.learning import PosteriorSection
from bandit_router.store.recent_predictions import PredictedReward
from bandit_router.types import BoolArray, FloatArray, Signals
from simulations import show
from simulations.streams import load_stream

KEYS = tuple(f"key {k}" for k in range(10))
POISONED = KEYS[0]
LOOK = 200
"""Queries between two looks of the alarm."""


class Scenario(NamedTuple):
    """Whether the first key is poisoned, the largest share of a key, whether a key that is named is
    quarantined, and the first key's share of traffic."""

    poisoned: bool = True
    max_share: float = 1.0
    quarantines: bool = False
    traffic: float = 0.3


class Outcome(NamedTuple):
    """One run: mean utility, quality and cost a query; after how many queries the first key was named, None
    if never; its share of all weight; how many other keys were named."""

    utility: float
    quality: float
    cost_usd: float
    named_at: int | None
    share: float
    others_named: int


@dataclass(slots=True)
class KeyedAgent:
    """A router that hears each outcome from the key that asked."""

    router: RouterAgent
    scenario: Scenario
    rng: np.random.Generator
    keys: list[str] = field(default_factory=list)
    activity: dict[str, KeyActivity] = field(default_factory=lambda: dict.fromkeys(KEYS, KeyActivity()))
    weight: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KEYS, 0.0))
    heard: list[PredictedReward] = field(default_factory=list)
    named: dict[str, int] = field(default_factory=dict)

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals, task: int
    ) -> int:
        is_first = self.rng.random() < self.scenario.traffic
        self.keys.append(POISONED if is_first else str(self.rng.choice(KEYS[1:])))
        return self.router.choose(x, eligible, expected_cost_usd, signals, task)

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        key = self.keys[decision]
        said = 1.0 - quality if self.scenario.poisoned and key == POISONED else quality
        weight = self._weigh(key)
        quarantined = self.scenario.quarantines and key in self.named
        if not quarantined:
            self.weight[key] += weight
            self.router.learn(decision, x, arm, said, cost_usd, weight)
        self._watch(decision, said, key)

    def _weigh(self, key: str) -> float:
        self.activity[key] = self.activity[key].plus(KeyActivity(given=1))
        weight = weigh_feedback(key, self.activity, self.scenario.max_share)
        if weight is None:
            return 1.0
        self.activity[key] = self.activity[key].plus(KeyActivity(weight=weight))
        return weight

    def _watch(self, decision: int, reward: float, key: str) -> None:
        """Hear the reward; look for unlike keys when it is time."""
        logged, version, at = self.router.decisions[decision], self.router.version, float(decision)
        self.heard.append(
            PredictedReward(
                logged.arm, logged.expected_quality, logged.snapshot, reward, version, at, at, key_id=key
            )
        )
        if len(self.heard) % LOOK:
            return
        recent = self.heard[-NEWEST:]
        if self.scenario.quarantines:
            recent = [each for each in recent if each.key_id not in self.named]
        for unlike in find_unlike_keys(recent):
            if unlike.key_id not in self.named:
                self.named[unlike.key_id] = len(self.heard)
                if self.scenario.quarantines:
                    self._quarantine(unlike.key_id)

    def _quarantine(self, key: str) -> None:
        self.weight[key] = 0.0
        self.router.leave_out({i for i, its_key in enumerate(self.keys) if its_key == key})


def play_scenario(plan: Plan, scenario: Scenario, seed: int) -> Outcome:
    """Play one scenario on the order of one seed."""
    stream, labelled, rng = plan.draw(seed)
    channel_rng, agent_rng, key_rng = rng.spawn(3)
    make = RouterMaker("tempered", PosteriorSection(on_drift="alarm"))
    agent = KeyedAgent(make(Setting.of(stream, plan.cost_weight, agent_rng, labelled)), scenario, key_rng)
    run = play_stream(stream, agent, plan.channel, channel_rng)
    return Outcome(
        utility=float((run.quality - plan.cost_weight * run.cost_usd).mean()),
        quality=float(run.quality.mean()),
        cost_usd=float(run.cost_usd.mean()),
        named_at=agent.named.get(POISONED),
        share=agent.weight[POISONED] / sum(agent.weight.values()),
        others_named=len(agent.named.keys() - {POISONED}),
    )


def scenarios(shares: Sequence[float]) -> dict[str, Scenario]:
    """Every scenario by its name, with these caps."""
    return {
        "no poison": Scenario(poisoned=False),
        **{f"no poison, cap {share:g}": Scenario(poisoned=False, max_share=share) for share in shares},
        f"no poison, 90%, cap {shares[-1]:g}": Scenario(False, shares[-1], traffic=0.9),
        "poison": Scenario(),
        **{f"poison, cap {share:g}": Scenario(max_share=share) for share in shares},
        "poison, quarantine": Scenario(quarantines=True),
        f"poison, cap {shares[-1]:g}, quarantine": Scenario(max_share=shares[-1], quarantines=True),
    }


def poisoning_grid(title: str, runs: Mapping[str, Sequence[Outcome]]) -> Grid:
    """Every scenario, with its difference to no poison on the same orders, and its standard error."""
    clean = np.array([run.utility for run in runs["no poison"]])
    rows = []
    for name, outcomes in runs.items():
        difference = np.array([run.utility for run in outcomes]) - clean
        error = float(difference.std(ddof=1)) / math.sqrt(len(outcomes)) if len(outcomes) > 1 else math.nan
        named = [run.named_at for run in outcomes if run.named_at is not None]
        cells = (
            name,
            f"{np.mean([run.utility for run in outcomes]):.4f}",
            f"{difference.mean():+.4f} ± {error:.4f}",
            f"{np.mean([run.quality for run in outcomes]):.4f}",
            f"{np.mean([run.share for run in outcomes]):.0%}",
            f"{len(named)}/{len(outcomes)}" + (f" at {np.median(named):.0f}" if named else ""),
            str(sum(run.others_named for run in outcomes)),
        )
        rows.append(Row(cells=cells))
    return Grid(
        title=title,
        headings=("", "utility", "to no poison", "quality", "share", "named", "others"),
        rows=tuple(rows),
        notes=(
            "share: of all weight at the end that is of the key with 30% of the traffic, or 90%",
            "named: in how many orders the alarm named it, and after how many queries (median)",
            "others: keys that the alarm named besides, in all orders",
        ),
    )


def main() -> None:
    parser = show.parser(__doc__, streams=("mixed", "paretobandit", "zeroeval8"))
    parser.add_argument("--shares", nargs="+", type=float, default=[0.3, 0.2, 0.15], help="caps to play")
    options = parser.parse_args()
    console, facts = Console(), {}
    for name in options.streams:
        plan = show.plan_of(load_stream(name, options.data), options)
        tasks = {key: partial(play_scenario, plan, it) for key, it in scenarios(options.shares).items()}
        runs = show.on_every_seed(tasks, plan.seeds, options.jobs, name)
        title = f"{name}, λ worth {options.trade:g}: {plan.seeds} × {plan.length:,} queries"
        console.print(draw_grid(poisoning_grid(title, runs)))
        facts[name] = {key: [run._asdict() for run in outcomes] for key, outcomes in runs.items()}
    show.save(options.json, facts)


if __name__ == "__main__":
    show.run(main)
