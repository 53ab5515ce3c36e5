"""Counts what was observed: each value once, however often it is seen.

What is now known of a decision is compared with what is on record as counted, and the difference is
added to the sums. So a retry adds nothing, a revision adds the difference, and what was counted can
always be told from the log.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from bandit_router.objective.reward import reward
from bandit_router.posterior.confidence import with_confidence
from bandit_router.posterior.cost import root_of
from bandit_router.posterior.latency import Latencies
from bandit_router.posterior.linear import Posterior
from bandit_router.posterior.state import ModelState
from bandit_router.store.fold import LearnerTransaction
from bandit_router.store.records import Observation
from bandit_router.types import CONFIDENCE, FloatArray, Reason

log = logging.getLogger(__name__)


class Statistics(Protocol):
    """What values are added up in: one value at the context x (d,), or values (n,) at contexts (n, d)."""

    def observe_many(self, arm: str, x: FloatArray, values: FloatArray, at: FloatArray, /) -> None: ...

    def retract(self, arm: str, x: FloatArray, value: float, at: float, /) -> None: ...

    def revise(self, arm: str, x: FloatArray, old: float, new: float, at: float, /) -> None: ...


class Quantity(NamedTuple):
    """What is counted of an observation, and what is on record as counted; None is nothing."""

    what: str
    now: Callable[[Observation], float | None]
    counted: Callable[[Observation], float | None]

    def target(self, seen: Observation) -> float | None:
        """What should be counted: what is known now, and nothing of an arm as it was before a reset."""
        return None if seen.forgotten else self.now(seen)


COST = Quantity(
    what="cost",
    now=lambda seen: root_of(seen.metrics.get("cost_usd"), seen.list_cost_usd),
    counted=lambda seen: seen.folded_root,
)
LATENCY = Quantity(
    what="latency",
    now=lambda seen: seen.metrics.get("latency_s"),
    counted=lambda seen: seen.folded_latency_s,
)


def reward_quantity(weights: Mapping[str, float]) -> Quantity:
    """The reward of these metric weights.

    Not that of a retry: only queries that an answer was unsure of are retried, which x does not tell.
    """
    return Quantity(
        what="reward",
        now=lambda seen: None if seen.reason == Reason.ESCALATION else reward(seen.metrics, weights),
        counted=lambda seen: seen.folded,
    )


def confident_reward_quantity(weights: Mapping[str, float]) -> Quantity:
    """The reward of these metric weights, where there is a confidence to judge it by."""
    return Quantity(
        what="confident",
        now=lambda seen: reward(seen.metrics, weights) if CONFIDENCE in seen.metrics else None,
        counted=lambda seen: seen.folded_confident,
    )


class Accumulator(NamedTuple):
    """One part of what is learned: what is counted in which statistics, and the posterior whose arms and
    contexts are theirs."""

    term: Quantity
    statistics: Posterior | Latencies
    posterior: Posterior

    def relevant(self, seen: Iterable[Observation]) -> list[Observation]:
        """The observations that are of use to it, with the contexts that it knows them by."""
        if self.term.what != "confident":
            return list(seen)
        return [
            one._replace(x=with_confidence(one.x, one.metrics[CONFIDENCE]))
            for one in seen
            if CONFIDENCE in one.metrics
        ]

    def recount(self, seen: Iterable[Observation]) -> None:
        """Count what is on record as counted of these, as far as it can be learned from."""
        readable = [one for one in self.relevant(seen) if why_unlearnable(self.posterior, one) is None]
        add_values(
            self.statistics,
            [(one, value) for one in readable if (value := self.term.counted(one)) is not None],
        )


def accumulators_of(learned: ModelState, weights: Mapping[str, float]) -> list[Accumulator]:
    """All that is learned."""
    rewards, costs, latencies, calibrators = learned
    found = [
        Accumulator(reward_quantity(weights), rewards, rewards),
        Accumulator(COST, costs, costs),
        Accumulator(LATENCY, latencies, rewards),
    ]
    if calibrators is not None:
        found.append(Accumulator(confident_reward_quantity(weights), calibrators, calibrators))
    return found


def apply_observations(
    fold: LearnerTransaction, learned: ModelState, seen: Sequence[Observation], weights: Mapping[str, float]
) -> dict[str, int]:
    """Bring all that is learned up to date with what was seen, and the record; how many values changed."""
    changed = {}
    for part in accumulators_of(learned, weights):
        values = apply_differences(part.statistics, part.relevant(seen), part.term, part.posterior)
        fold.count(part.term.what, values)
        changed[part.term.what] = len(values)
    return changed


def apply_differences(
    statistics: Statistics, seen: Iterable[Observation], term: Quantity, posterior: Posterior
) -> dict[str, float | None]:
    """Bring the sums up to date with what was seen, in place; the values that changed, by decision.

    A row that cannot be learned from, as :func:`why_unlearnable` says of ``posterior``, is left out and
    named in the log: it must not stop the others.
    """
    changed: dict[str, float | None] = {}
    fresh: list[tuple[Observation, float]] = []
    for observation in seen:
        new, old = term.target(observation), term.counted(observation)
        if new == old:
            continue
        problem = why_unlearnable(posterior, observation)
        if problem:
            log.error("decision %s is left out of learning: %s", observation.decision_id, problem)
            continue
        changed[observation.decision_id] = new
        where = observation.arm, observation.x
        if old is None:
            assert new is not None
            fresh.append((observation, new))
        elif new is None:
            statistics.retract(*where, old, observation.decided_at)
        else:
            statistics.revise(*where, old, new, observation.decided_at)
    add_values(statistics, fresh)
    return changed


def add_values(statistics: Statistics, values: Iterable[tuple[Observation, float]]) -> None:
    """Count values that are not in the sums yet, arm by arm, in place."""
    by_arm: dict[str, list[tuple[Observation, float]]] = defaultdict(list)
    for observation, value in values:
        by_arm[observation.arm].append((observation, value))
    for arm, rows in by_arm.items():
        statistics.observe_many(
            arm,
            np.array([observation.x for observation, _ in rows]),
            np.array([value for _, value in rows]),
            np.array([observation.decided_at for observation, _ in rows]),
        )


def why_unlearnable(posterior: Posterior, observation: Observation) -> str | None:
    """Why this row cannot be learned from; None when it can."""
    if observation.arm not in posterior:
        return f"arm {observation.arm!r} is not in the posterior"
    if observation.schema_id != posterior.schema_id or observation.x.size != posterior.dim:
        return f"its context is of schema {observation.schema_id}, the posterior of {posterior.schema_id}"
    with np.errstate(over="ignore", invalid="ignore"):
        square = float(np.square(observation.x).sum())
    if not (math.isfinite(square) and math.isfinite(observation.decided_at)):
        return "its context or time is not finite"
    return None
