"""Accumulates observations into the model state: each value counted once, however often it is delivered.

The value an observation should count, and its weight, are compared with those on record as counted, and the
difference is added to the sums. So a retry adds nothing, a revision adds the difference, and the log tells
what is counted.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bandit_router.learning.quantities import Quantity, learned_quantities
from bandit_router.posterior.state import Component, ModelState
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.store.records import Observation, WeightedValue
from bandit_router.types import FloatArray

log = logging.getLogger(__name__)

Changes = dict[str, dict[str, WeightedValue | None]]
"""By quantity, then by decision: what is counted now; None is a value taken out again."""


class _Counted(NamedTuple):
    """What is counted of an observation, at its context (d,) and on its task."""

    observation: Observation
    x: FloatArray
    task: int
    counted: WeightedValue


def apply_observations(
    state: ModelState, observations: Sequence[Observation], weights: Mapping[str, float]
) -> Changes:
    """Bring the state up to date with the observations, in place; what changed.

    An observation that cannot be learned from, as :func:`why_unlearnable` says, is left out and named in
    the log: it must not stop the others.
    """
    return {
        quantity.name: _apply_differences(quantity, state, observations, weights)
        for quantity in learned_quantities(state)
    }


def recount(state: ModelState, observations: Sequence[Observation], quantity: Quantity) -> None:
    """Count what is on record as counted of these observations, as far as it can be learned from."""
    component = state.components[quantity.name]
    values = [
        _Counted(observation, x, quantity.task(observation), counted)
        for observation in observations
        if (counted := quantity.counted(observation)) is not None
        and why_unlearnable(state, quantity, observation, x := quantity.context(observation)) is None
    ]
    _add_values(component, values)


def why_unlearnable(
    state: ModelState, quantity: Quantity, observation: Observation, x: FloatArray
) -> str | None:
    """Why this quantity cannot be learned at ``x`` from this observation; None when it can."""
    component = state.components[quantity.name]
    reference = component if isinstance(component, SufficientStatistics) else state.rewards
    if observation.arm not in reference:
        return f"arm {observation.arm!r} is not in the posterior"
    if observation.schema_id != reference.schema_id:
        return f"its context is of schema {observation.schema_id}, the posterior of {reference.schema_id}"
    if x.size != reference.dim:
        return f"its context has {x.size} numbers, the posterior's have {reference.dim}"
    with np.errstate(over="ignore", invalid="ignore"):
        square = float(np.square(x).sum())
    if not (math.isfinite(square) and math.isfinite(observation.decided_at)):
        return "its context or time is not finite"
    return None


def _apply_differences(
    quantity: Quantity,
    state: ModelState,
    observations: Iterable[Observation],
    weights: Mapping[str, float],
) -> dict[str, WeightedValue | None]:
    component = state.components[quantity.name]
    changed: dict[str, WeightedValue | None] = {}
    fresh: list[_Counted] = []
    for observation in observations:
        target, counted = quantity.target(observation, weights), quantity.counted(observation)
        if target == counted:
            continue
        x = quantity.context(observation)
        problem = why_unlearnable(state, quantity, observation, x)
        if problem:
            log.error("decision %s is left out of learning: %s", observation.decision_id, problem)
            continue
        changed[observation.decision_id] = target
        arm, at, task = observation.arm, observation.decided_at, quantity.task(observation)
        if target is not None and counted is not None and target.weight == counted.weight:
            component.revise(arm, x, counted.value, target.value, at, target.weight, task)
            continue
        if counted is not None:
            component.retract(arm, x, counted.value, at, counted.weight, task)
        if target is not None:
            fresh.append(_Counted(observation, x, task, target))
    _add_values(component, fresh)
    return changed


def _add_values(component: Component, values: Iterable[_Counted]) -> None:
    """Count values that are not in the sums yet, arm by arm, in place."""
    by_arm: dict[str, list[_Counted]] = defaultdict(list)
    for value in values:
        by_arm[value.observation.arm].append(value)
    for arm, of_arm in by_arm.items():
        component.observe_many(
            arm,
            np.array([each.x for each in of_arm]),
            np.array([each.counted.value for each in of_arm]),
            np.array([each.observation.decided_at for each in of_arm]),
            np.array([each.counted.weight for each in of_arm]),
            np.array([each.task for each in of_arm]),
        )
