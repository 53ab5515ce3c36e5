"""What makes a quantity learnable: its value for a decision, and the sums it is counted in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bandit_router.posterior.prior import Prior
from bandit_router.posterior.state import Component
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.store.records import Observation, WeightedValue
from bandit_router.types import NO_TASK, FloatArray

Sources = Callable[[Observation, Mapping[str, float]], Iterable[str]]
"""The metrics that the value of a quantity is made of, given the same."""

Value = Callable[[Observation, Mapping[str, float]], float | None]
"""What an observation says of a quantity, given the reward's metric weights; None where it says nothing."""


def own_context(observation: Observation) -> FloatArray:
    """The context of the decision itself."""
    return observation.x


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """One learned quantity. The learner counts it, `verify` audits it, and a snapshot holds its component.

    ``name`` names its rows in ``folded`` and its component; ``plural`` is for reports. ``empty`` makes the
    component of the arms of the rewards; ``add_arms`` a component with more arms, whose priors of
    rewards are given. ``context`` is what the component is read at; it is asked only where there is a value.
    A quantity that is learned ``by_task`` counts the task of the decision as well. ``cascades_only``
    quantities are learned where cascades are on.
    """

    name: str
    plural: str
    value: Value
    sources: Sources
    empty: Callable[[SufficientStatistics], Component]
    add_arms: Callable[[Component, Mapping[str, Prior]], Component]
    context: Callable[[Observation], FloatArray] = own_context
    by_task: bool = True
    cascades_only: bool = False

    def target(self, observation: Observation, weights: Mapping[str, float]) -> WeightedValue | None:
        """What should be counted: nothing of an arm as it was before a reset.

        A value weighs as little as the least of the metrics that it is made of.
        """
        value = None if observation.forgotten else self.value(observation, weights)
        if value is None:
            return None
        if not observation.weights:
            return WeightedValue(value)
        sources = self.sources(observation, weights)
        return WeightedValue(value, min(observation.weights.get(metric, 1.0) for metric in sources))

    def task(self, observation: Observation) -> int:
        """The task to count it on."""
        return observation.task if self.by_task else NO_TASK

    def counted(self, observation: Observation) -> WeightedValue | None:
        """What is on record as counted."""
        return observation.counted.get(self.name)
