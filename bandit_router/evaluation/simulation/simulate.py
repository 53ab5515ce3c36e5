"""Agents and baselines on many random orders of one dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.parallel import run_tasks
from bandit_router.evaluation.simulation.agents import MakeAgent, Setting
from bandit_router.evaluation.simulation.channel import Channel
from bandit_router.evaluation.simulation.events import Event, happen
from bandit_router.evaluation.simulation.play import Run, play
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.evaluation.simulation.tracks import (
    Track,
    best_fixed,
    fixed,
    mixed,
    shuffled,
    track,
    uniform,
)
from bandit_router.types import FloatArray

Role = Literal["policy", "fixed", "best fixed", "uniform", "blind mix", "shuffled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is played: each seed takes the queries in an order of its own.

    The first ``labelled`` of them are shown to the agents with the outcomes of every arm, the next
    ``queries`` (all by default) are the stream, in which ``events`` happen. ``cost_weight`` is λ in 1/USD.

    Raises InvalidInput or ConfigError for what cannot be played.
    """

    stream: Stream
    cost_weight: float
    seeds: int = 20
    queries: int | None = None
    labelled: int = 0
    events: tuple[Event, ...] = ()
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InvalidInput("seeds", f"is {self.seeds}", "give at least 1")
        if not 0 <= self.labelled < len(self.stream):
            raise InvalidInput("labelled", f"is {self.labelled}", f"give less than {len(self.stream)}")
        if self.queries is not None and self.queries < 1:
            raise InvalidInput("queries", f"is {self.queries}", "give at least 1")
        self.draw(0)  # events that cannot happen in one order cannot in any: say so before there is work

    @property
    def length(self) -> int:
        """Queries in each stream."""
        left = len(self.stream) - self.labelled
        return left if self.queries is None else min(left, self.queries)

    def draw(self, seed: int) -> tuple[Stream, Stream | None, np.random.Generator]:
        """The stream of one seed, its labelled queries, and randomness for whoever plays."""
        order, rest = (np.random.default_rng([seed, use]) for use in range(2))
        rows = order.permutation(len(self.stream))
        end = self.labelled + self.length
        labelled = self.stream.take(rows[: self.labelled]) if self.labelled else None
        return happen(self.stream.take(rows[self.labelled : end]), self.events), labelled, rest


class Contender(NamedTuple):
    """One row of the table: its name, what it is, the policy it is compared to, a track per seed."""

    name: str
    role: Role
    policy: str | None
    tracks: tuple[Track, ...]

    def values(self, name: str) -> FloatArray:
        """One figure of every seed, (S,)."""
        return np.array([getattr(one, name) for one in self.tracks])


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """Everything that was played. ``queries`` is the length of each stream."""

    name: str
    arms: tuple[str, ...]
    queries: int
    seeds: int
    cost_weight: float
    contenders: tuple[Contender, ...]

    def named(self, name: str) -> Contender:
        """The contender of that name; KeyError when there is none."""
        return {one.name: one for one in self.contenders}[name]


def simulate(
    plan: Plan, agents: Mapping[str, MakeAgent], progress: Callable[[int], None] = lambda _: None
) -> Simulation:
    """Play every agent and every baseline, a task for each agent and seed, under ``workers``.

    Always among the contenders: every fixed model, the best of them in hindsight, uniform random, and for
    each agent the best query-blind mix of fixed models at its cost and its own choices dealt to other
    queries at its cost.
    """
    seeds = range(plan.seeds)
    tasks = [partial(_fixed_tracks, plan, seed) for seed in seeds]
    tasks += [partial(_agent_tracks, plan, seed, make) for make in agents.values() for seed in seeds]
    found = []
    for tracks in run_tasks(tasks):
        found.append(tracks)
        progress(1)
    arms = plan.stream.arms
    rows: list[tuple[str, Role, str | None]] = [
        *((f"fixed:{arm}", "fixed", None) for arm in arms),
        ("best fixed", "best fixed", None),
        ("uniform", "uniform", None),
    ]
    contenders = _contenders(rows, found[: plan.seeds])
    for i, name in enumerate(agents, start=1):
        rows = [
            (name, "policy", name),
            (f"blind mix at the cost of {name}", "blind mix", name),
            (f"{name}, queries shuffled", "shuffled", name),
        ]
        contenders += _contenders(rows, found[i * plan.seeds : (i + 1) * plan.seeds])
    return Simulation(
        name=plan.stream.name,
        arms=arms,
        queries=plan.length,
        seeds=plan.seeds,
        cost_weight=plan.cost_weight,
        contenders=tuple(contenders),
    )


def _contenders(
    rows: Sequence[tuple[str, Role, str | None]], found: Sequence[list[Track]]
) -> list[Contender]:
    return [Contender(*row, tuple(tracks[i] for tracks in found)) for i, row in enumerate(rows)]


def _fixed_tracks(plan: Plan, seed: int) -> list[Track]:
    stream, _, _ = plan.draw(seed)
    best = best_fixed(stream, plan.cost_weight)
    arms = [*range(len(stream.arms)), best]
    choices = [*(fixed(stream, k) for k in arms), uniform(stream)]
    return _tracks(plan, stream, choices)


def play_seed(plan: Plan, make: MakeAgent, seed: int) -> tuple[Stream, Run]:
    """The stream of one seed, and what one agent did on it."""
    stream, labelled, rest = plan.draw(seed)
    travel, luck = rest.spawn(2)
    agent = make(Setting.of(stream, plan.cost_weight, luck, labelled))
    return stream, play(stream, agent, plan.channel, travel)


def _agent_tracks(plan: Plan, seed: int, make: MakeAgent) -> list[Track]:
    stream, run = play_seed(plan, make, seed)
    choice = np.eye(len(stream.arms))[run.action]
    mix = mixed(stream, float(run.cost_usd.mean()))
    return _tracks(plan, stream, [choice, mix, shuffled(stream, choice)])


def _tracks(plan: Plan, stream: Stream, choices: Sequence[FloatArray]) -> list[Track]:
    best = fixed(stream, best_fixed(stream, plan.cost_weight))
    utility = (best * (stream.quality - plan.cost_weight * stream.cost_usd)).sum(axis=1)
    return [track(stream, choice, plan.cost_weight, utility) for choice in choices]
