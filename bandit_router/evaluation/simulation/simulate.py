"""Simulate agents and baselines on many random orders of one stream."""

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
from bandit_router.evaluation.simulation.events import Event, apply_events
from bandit_router.evaluation.simulation.play import Run, play_stream
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.evaluation.simulation.tracks import (
    Track,
    best_fixed_arm,
    fixed_choice,
    make_track,
    mixed_choice,
    shuffled_choice,
    uniform_choice,
)
from bandit_router.types import FloatArray

Role = Literal["policy", "fixed", "best fixed", "uniform", "blind mix", "shuffled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The plan of a simulation: each seed takes the queries in an order of its own.

    Agents see the first ``labelled`` queries with the outcomes of every arm; the next ``queries`` (all by
    default) are the stream, in which ``events`` happen. ``cost_weight`` is λ in 1/USD.

    Raises InvalidInput or ConfigError for a plan that cannot be played.
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
        self.draw(0)  # an impossible event is impossible in every order: refuse it before any work

    @property
    def length(self) -> int:
        """Queries in each stream."""
        left = len(self.stream) - self.labelled
        return left if self.queries is None else min(left, self.queries)

    def draw(self, seed: int) -> tuple[Stream, Stream | None, np.random.Generator]:
        """The stream of one seed, its labelled queries, and a generator for agent and channel."""
        order, rest = (np.random.default_rng([seed, use]) for use in range(2))
        rows = order.permutation(len(self.stream))
        end = self.labelled + self.length
        labelled = self.stream.take(rows[: self.labelled]) if self.labelled else None
        return apply_events(self.stream.take(rows[self.labelled : end]), self.events), labelled, rest


class Contender(NamedTuple):
    """A policy or baseline: its name, role, the policy it is compared to, and a track per seed."""

    name: str
    role: Role
    policy: str | None
    tracks: tuple[Track, ...]

    def values(self, name: str) -> FloatArray:
        """A figure of the tracks by name, for every seed, (S, …)."""
        return np.array([getattr(track, name) for track in self.tracks])


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """The result of a simulation: all contenders. ``queries`` is the length of each stream."""

    name: str
    arms: tuple[str, ...]
    queries: int
    seeds: int
    cost_weight: float
    contenders: tuple[Contender, ...]

    def named(self, name: str) -> Contender:
        """The contender of that name. Raises KeyError."""
        return {contender.name: contender for contender in self.contenders}[name]


def simulate(
    plan: Plan, agents: Mapping[str, MakeAgent], progress: Callable[[int], None] = lambda _: None
) -> Simulation:
    """Simulate every agent and every baseline: a task for each agent and seed, under ``workers``.

    The baselines are every fixed model, the best of them in hindsight and uniform random; for each agent
    also the best query-blind mix of fixed models at its cost, and its choices dealt to other queries at
    its cost.
    """
    seeds = range(plan.seeds)
    tasks = [partial(_play_baselines, plan, seed) for seed in seeds]
    tasks += [partial(_play_agent, plan, seed, make) for make in agents.values() for seed in seeds]
    played = []
    for tracks in run_tasks(tasks):
        played.append(tracks)
        progress(1)
    arms = plan.stream.arms
    rows: list[tuple[str, Role, str | None]] = [
        *((f"fixed:{arm}", "fixed", None) for arm in arms),
        ("best fixed", "best fixed", None),
        ("uniform", "uniform", None),
    ]
    contenders = _make_contenders(rows, played[: plan.seeds])
    for i, name in enumerate(agents, start=1):
        rows = [
            (name, "policy", name),
            (f"blind mix at the cost of {name}", "blind mix", name),
            (f"{name}, queries shuffled", "shuffled", name),
        ]
        contenders += _make_contenders(rows, played[i * plan.seeds : (i + 1) * plan.seeds])
    return Simulation(
        name=plan.stream.name,
        arms=arms,
        queries=plan.length,
        seeds=plan.seeds,
        cost_weight=plan.cost_weight,
        contenders=tuple(contenders),
    )


def _make_contenders(
    rows: Sequence[tuple[str, Role, str | None]], played: Sequence[list[Track]]
) -> list[Contender]:
    return [Contender(*row, tuple(tracks[i] for tracks in played)) for i, row in enumerate(rows)]


def _play_baselines(plan: Plan, seed: int) -> list[Track]:
    stream, _, _ = plan.draw(seed)
    best = best_fixed_arm(stream, plan.cost_weight)
    arms = [*range(len(stream.arms)), best]
    choices = [*(fixed_choice(stream, k) for k in arms), uniform_choice(stream)]
    return _make_tracks(plan, stream, choices)


def play_seed(plan: Plan, make: MakeAgent, seed: int) -> tuple[Stream, Run]:
    """Play the stream of one seed with one agent: the stream, and the agent's run."""
    stream, labelled, rng = plan.draw(seed)
    channel_rng, agent_rng = rng.spawn(2)
    agent = make(Setting.of(stream, plan.cost_weight, agent_rng, labelled))
    return stream, play_stream(stream, agent, plan.channel, channel_rng)


def _play_agent(plan: Plan, seed: int, make: MakeAgent) -> list[Track]:
    stream, run = play_seed(plan, make, seed)
    choice = np.eye(len(stream.arms))[run.action]
    mix = mixed_choice(stream, float(run.cost_usd.mean()))
    return _make_tracks(plan, stream, [choice, mix, shuffled_choice(stream, choice)])


def _make_tracks(plan: Plan, stream: Stream, choices: Sequence[FloatArray]) -> list[Track]:
    best = fixed_choice(stream, best_fixed_arm(stream, plan.cost_weight))
    utility = (best * (stream.quality - plan.cost_weight * stream.cost_usd)).sum(axis=1)
    return [make_track(stream, choice, plan.cost_weight, utility) for choice in choices]
