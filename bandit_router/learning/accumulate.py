"""Accumulates observations into the model state: each value counted once, however often it is delivered.

The value an observation should count is compared with the value on record as counted, and the difference is
added to the sums. So a retry adds nothing, a revision adds the difference, and the log tells what is counted.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from bandit_router.objective.reward import compute_reward
from bandit_router.posterior.confidence import append_confidence
from bandit_router.posterior.cost import compute_cost_root
from bandit_router.posterior.latency import Latencies
from bandit_router.posterior.linear import Posterior
from bandit_router.posterior.state import ModelState
from bandit_router.store.learner_transaction import LearnerTransaction
from bandit_router.store.records import Observation
from bandit_router.types import CONFIDENCE, FloatArray, Reason

log = logging.getLogger(__name__)


class Statistics(Protocol):
    """Sums of values per arm: one value at the context x (d,), or values (n,) at contexts (n, d)."""

    def observe_many(self, arm: str, x: FloatArray, values: FloatArray, at: FloatArray, /) -> None: ...

    def retract(self, arm: str, x: FloatArray, value: float, at: float, /) -> None: ...

    def revise(self, arm: str, x: FloatArray, old: float, new: float, at: float, /) -> None: ...


class Quantity(NamedTuple):
    """A value to learn from observations: the one observed now, and the one on record as counted, if any."""

    name: str
    observed: Callable[[Observation], float | None]
    counted: Callable[[Observation], float | None]

    def target(self, observation: Observation) -> float | None:
        """The value to count: the observed one, or none for a decision older than its arm's reset."""
        return None if observation.forgotten else self.observed(observation)


COST = Quantity(
    name="cost",
    observed=lambda observation: compute_cost_root(
        observation.metrics.get("cost_usd"), observation.list_cost_usd
    ),
    counted=lambda observation: observation.folded_root,
)
LATENCY = Quantity(
    name="latency",
    observed=lambda observation: observation.metrics.get("latency_s"),
    counted=lambda observation: observation.folded_latency_s,
)


def reward_quantity(weights: Mapping[str, float]) -> Quantity:
    """The reward with these metric weights, except of retries.

    Only queries with an unsure answer are retried, which x does not tell: their rewards would bias the arm.
    """
    return Quantity(
        name="reward",
        observed=lambda observation: (
            None if observation.reason == Reason.ESCALATION else compute_reward(observation.metrics, weights)
        ),
        counted=lambda observation: observation.folded,
    )


def confident_reward_quantity(weights: Mapping[str, float]) -> Quantity:
    """The reward with these metric weights, of decisions whose answer has a confidence."""
    return Quantity(
        name="confident",
        observed=lambda observation: (
            compute_reward(observation.metrics, weights) if CONFIDENCE in observation.metrics else None
        ),
        counted=lambda observation: observation.folded_confident,
    )


class Accumulator(NamedTuple):
    """One quantity of the model state, and the statistics that sum it.

    ``posterior`` has the arms and the contexts of the statistics.
    """

    quantity: Quantity
    statistics: Posterior | Latencies
    posterior: Posterior

    def select_observations(self, observations: Iterable[Observation]) -> list[Observation]:
        """The observations it can count, with the contexts that its posterior uses."""
        if self.quantity.name != "confident":
            return list(observations)
        return [
            observation._replace(x=append_confidence(observation.x, observation.metrics[CONFIDENCE]))
            for observation in observations
            if CONFIDENCE in observation.metrics
        ]

    def recount(self, observations: Iterable[Observation]) -> None:
        """Add the values on record as counted, leaving out observations that cannot be learned from."""
        add_values(
            self.statistics,
            [
                (observation, value)
                for observation in self.select_observations(observations)
                if why_unlearnable(self.posterior, observation) is None
                and (value := self.quantity.counted(observation)) is not None
            ],
        )


def make_accumulators(state: ModelState, weights: Mapping[str, float]) -> list[Accumulator]:
    """An accumulator for every quantity of the model state."""
    rewards, costs, latencies, calibrators = state
    accumulators = [
        Accumulator(reward_quantity(weights), rewards, rewards),
        Accumulator(COST, costs, costs),
        Accumulator(LATENCY, latencies, rewards),
    ]
    if calibrators is not None:
        accumulators.append(Accumulator(confident_reward_quantity(weights), calibrators, calibrators))
    return accumulators


def apply_observations(
    transaction: LearnerTransaction,
    state: ModelState,
    observations: Sequence[Observation],
    weights: Mapping[str, float],
) -> dict[str, int]:
    """Bring the model state, and the record of what it counts, up to date; how many values changed."""
    changed = {}
    for accumulator in make_accumulators(state, weights):
        quantity, usable = accumulator.quantity, accumulator.select_observations(observations)
        values = apply_differences(accumulator.statistics, usable, quantity, accumulator.posterior)
        transaction.record_counted(quantity.name, values)
        changed[quantity.name] = len(values)
    return changed


def apply_differences(
    statistics: Statistics, observations: Iterable[Observation], quantity: Quantity, posterior: Posterior
) -> dict[str, float | None]:
    """Bring the sums up to date with the observations, in place; the values that changed, by decision.

    An observation that cannot be learned from, by :func:`why_unlearnable`, is left out and logged, so that it
    does not stop the others.
    """
    changed: dict[str, float | None] = {}
    fresh: list[tuple[Observation, float]] = []
    for observation in observations:
        new, old = quantity.target(observation), quantity.counted(observation)
        if new == old:
            continue
        problem = why_unlearnable(posterior, observation)
        if problem:
            log.error("decision %s is left out of learning: %s", observation.decision_id, problem)
            continue
        changed[observation.decision_id] = new
        arm, x = observation.arm, observation.x
        if old is None:
            assert new is not None
            fresh.append((observation, new))
        elif new is None:
            statistics.retract(arm, x, old, observation.decided_at)
        else:
            statistics.revise(arm, x, old, new, observation.decided_at)
    add_values(statistics, fresh)
    return changed


def add_values(statistics: Statistics, values: Iterable[tuple[Observation, float]]) -> None:
    """Add values that the sums do not contain yet, arm by arm, in place."""
    by_arm: dict[str, list[tuple[Observation, float]]] = defaultdict(list)
    for observation, value in values:
        by_arm[observation.arm].append((observation, value))
    for arm, counted in by_arm.items():
        statistics.observe_many(
            arm,
            np.array([observation.x for observation, _ in counted]),
            np.array([value for _, value in counted]),
            np.array([observation.decided_at for observation, _ in counted]),
        )


def why_unlearnable(posterior: Posterior, observation: Observation) -> str | None:
    """Why an observation cannot be learned from; None when it can."""
    if observation.arm not in posterior:
        return f"arm {observation.arm!r} is not in the posterior"
    if observation.schema_id != posterior.schema_id or observation.x.size != posterior.dim:
        return f"its context is of schema {observation.schema_id}, the posterior of {posterior.schema_id}"
    with np.errstate(over="ignore", invalid="ignore"):
        square = float(np.square(observation.x).sum())
    if not (math.isfinite(square) and math.isfinite(observation.decided_at)):
        return "its context or time is not finite"
    return None
