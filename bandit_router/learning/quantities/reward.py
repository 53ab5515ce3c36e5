"""The reward of a decision, made from its metrics."""

from __future__ import annotations

from collections.abc import Mapping

from bandit_router.learning.quantities.base import Quantity
from bandit_router.objective.reward import compute_reward, find_reward_metrics
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.state import REWARD, Component
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.store.records import Observation
from bandit_router.types import Reason


def _value(observation: Observation, weights: Mapping[str, float]) -> float | None:
    """None for a retry: only queries that an answer was unsure of are retried, which x does not tell."""
    return None if observation.reason == Reason.ESCALATION else compute_reward(observation.metrics, weights)


def _add_arms(component: Component, priors: Mapping[str, Prior]) -> Component:
    assert isinstance(component, SufficientStatistics)
    return component.with_arms(priors)


QUANTITY = Quantity(
    name=REWARD,
    plural="rewards",
    value=_value,
    sources=lambda observation, weights: find_reward_metrics(observation.metrics, weights),
    empty=SufficientStatistics.without_evidence,
    add_arms=_add_arms,
)
