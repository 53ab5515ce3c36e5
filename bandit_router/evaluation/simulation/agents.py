"""The protocol of agents that play a stream, and what an agent may know before its first query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np

from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.types import BoolArray, FloatArray, Signals


class Agent(Protocol):
    """Chooses an arm for each query, and hears the outcome later, never, or twice."""

    def choose(
        self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray, signals: Signals, task: int
    ) -> int:
        """The index of an eligible arm, given x (d,), eligible (K,), expected_cost_usd (K,), signals and
        the number of the task.
        """
        ...

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        """Learn the outcome of decision number ``decision``."""
        ...


@runtime_checkable
class Timekeeper(Protocol):
    """An agent that also learns how long calls took."""

    def time(self, decision: int, latency_s: float) -> None:
        """Note the latency of decision number ``decision``; it comes before the rest of its outcome."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What an agent may know before the first query: the shape of the stream and its prices.

    ``list_usd`` (K,) is the list cost of a query by arm, ``cost_weight`` is λ in 1/USD; ``labelled`` are
    other queries on which every arm was tried, if any.
    """

    arms: tuple[str, ...]
    dim: int
    list_usd: FloatArray
    cost_weight: float
    rng: np.random.Generator
    labelled: Stream | None = None

    @classmethod
    def of(
        cls, stream: Stream, cost_weight: float, rng: np.random.Generator, labelled: Stream | None = None
    ) -> Self:
        """The setting of an agent that is to play this stream."""
        return cls(
            arms=stream.arms,
            dim=stream.x.shape[1],
            list_usd=stream.expected_cost_usd[0],
            cost_weight=cost_weight,
            rng=rng,
            labelled=labelled,
        )


MakeAgent = Callable[[Setting], Agent]
"""Makes an agent that has not played any query yet."""
