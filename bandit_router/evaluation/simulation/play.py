"""Play a stream: an agent routes every query and learns from outcomes as the channel delivers them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.simulation.agents import Agent, Timekeeper
from bandit_router.evaluation.simulation.channel import Channel
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """An agent's run on a stream of n queries, all (n,): the chosen arm, its quality and cost."""

    action: IntArray
    quality: FloatArray
    cost_usd: FloatArray


def play_stream(stream: Stream, agent: Agent, channel: Channel, rng: np.random.Generator) -> Run:
    """Let the agent route the stream's queries in order, and learn outcomes as the channel delivers them."""
    n = len(stream)
    arrivals = channel.arrivals(n, rng)
    action = np.empty(n, dtype=np.int64)
    for t in range(n):
        action[t] = agent.choose(
            stream.x[t],
            stream.eligible[t],
            stream.expected_cost_usd[t],
            stream.signals_at(t),
            stream.task_at(t),
        )
        if not stream.eligible[t, action[t]]:
            arm = stream.arms[action[t]]
            raise InvalidInput("agent", f"chose {arm!r} at query {t}", "choose an eligible arm")
        for i in arrivals[t]:
            k = int(action[i])
            latency = stream.latency_of(i, k)
            if latency is not None and isinstance(agent, Timekeeper):
                agent.time(i, latency)
            agent.learn(i, stream.x[i], k, float(stream.quality[i, k]), float(stream.cost_usd[i, k]))
    rows = np.arange(n)
    return Run(action=action, quality=stream.quality[rows, action], cost_usd=stream.cost_usd[rows, action])
