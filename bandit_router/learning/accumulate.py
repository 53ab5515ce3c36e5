"""Accumulates observations into the model state: each value counted once, however often it is delivered.

The value an observation should count is compared with the value on record as counted, and the difference is
added to the sums. So a retry adds nothing, a revision adds the difference, and the log tells what is counted.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bandit_router.learning.quantities import Quantity, learned_quantities
from bandit_router.posterior.state import Component, ModelState
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.store.records import Observation
from bandit_router.types import FloatArray

log = logging.getLogger(__name__)

Changes = dict[str, dict[str, float | None]]
"""By quantity, then by decision: what is counted now; None is a value taken out again."""


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
        (observation, x, counted)
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
) -> dict[str, float | None]:
    component = state.components[quantity.name]
    changed: dict[str, float | None] = {}
    fresh: list[tuple[Observation, FloatArray, float]] = []
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
        if counted is None:
            assert target is not None
            fresh.append((observation, x, target))
        elif target is None:
            component.retract(observation.arm, x, counted, observation.decided_at)
        else:
            component.revise(observation.arm, x, counted, target, observation.decided_at)
    _add_values(component, fresh)
    return changed


def _add_values(component: Component, values: Iterable[tuple[Observation, FloatArray, float]]) -> None:
    """Count values that are not in the sums yet, arm by arm, in place."""
    by_arm: dict[str, list[tuple[Observation, FloatArray, float]]] = defaultdict(list)
    for value in values:
        by_arm[value[0].arm].append(value)
    for arm, of_arm in by_arm.items():
        component.observe_many(
            arm,
            np.array([x for _, x, _ in of_arm]),
            np.array([value for _, _, value in of_arm]),
            np.array([observation.decided_at for observation, _, _ in of_arm]),
        )
