"""Who plays a stream: bandit-router itself, or anything else that chooses and learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from bandit_router.config import PosteriorSection
from bandit_router.decide import score
from bandit_router.evaluation.partition import BoolArray
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.learner import make_prior
from bandit_router.policies import Policy, parse_policy, sample
from bandit_router.posterior import Posterior
from bandit_router.types import FloatArray


class Agent(Protocol):
    """Chooses an arm for a query, and hears what came of it: later, never, or twice."""

    def choose(self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray) -> int:
        """The index of an eligible arm: x (d,), eligible (K,), expected_cost_usd (K,)."""
        ...

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        """The outcome of decision number ``decision``."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What an agent may know before the first query: nothing of the stream but its shape.

    ``cost_weight`` is λ in 1/USD; ``labelled`` are other queries on which every arm was tried, if any.
    """

    arms: tuple[str, ...]
    dim: int
    cost_weight: float
    rng: np.random.Generator
    labelled: Stream | None = None


MakeAgent = Callable[[Setting], Agent]
"""Makes an agent that has not seen a query yet."""


@dataclass(slots=True)
class RouterAgent:
    """What a live router does, in one process: the same posterior, scores and policy.

    Feedback that comes twice counts once, as the store sees to.
    """

    arms: tuple[str, ...]
    posterior: Posterior
    policy: Policy
    cost_weight: float
    rng: np.random.Generator
    counted: set[int] = field(default_factory=set)

    def choose(self, x: FloatArray, eligible: BoolArray, expected_cost_usd: FloatArray) -> int:
        if eligible.all():
            names, costs = self.arms, expected_cost_usd
        else:
            names = tuple(arm for arm, there in zip(self.arms, eligible, strict=True) if there)
            costs = expected_cost_usd[eligible]
        scores = score(self.posterior, names, x, costs.tolist(), self.cost_weight)
        return self.arms.index(names[sample(self.policy.pmf(scores), self.rng)])

    def learn(self, decision: int, x: FloatArray, arm: int, quality: float, cost_usd: float) -> None:
        del cost_usd
        if decision not in self.counted:
            self.counted.add(decision)
            self.posterior.observe(self.arms[arm], x, quality, at=float(decision))


@dataclass(frozen=True, slots=True)
class RouterMaker:
    """Makes a :class:`RouterAgent` with this policy; ``half_life_s`` counts in queries here."""

    spec: str
    posterior: PosteriorSection = field(default_factory=PosteriorSection)

    def __call__(self, setting: Setting) -> RouterAgent:
        posterior = Posterior.empty(
            dict.fromkeys(setting.arms, make_prior(self.posterior, setting.dim)),
            schema_id="simulation",
            noise_variance=self.posterior.noise_std**2,
            half_life_s=self.posterior.half_life_s,
        )
        return RouterAgent(
            arms=setting.arms,
            posterior=posterior,
            policy=parse_policy(self.spec),
            cost_weight=setting.cost_weight,
            rng=setting.rng,
        )
