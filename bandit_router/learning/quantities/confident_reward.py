"""The reward of an answer whose confidence is known: what the calibrators of a cascade learn from."""

from __future__ import annotations

from collections.abc import Mapping

from bandit_router.learning.quantities.base import Quantity
from bandit_router.objective.reward import compute_reward, find_reward_metrics
from bandit_router.posterior.confidence import append_confidence, empty_calibrators, make_calibrator_prior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.state import CONFIDENT_REWARD, Component
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.store.records import Observation
from bandit_router.types import CONFIDENCE, FloatArray


def _value(observation: Observation, weights: Mapping[str, float]) -> float | None:
    return compute_reward(observation.metrics, weights) if CONFIDENCE in observation.metrics else None


def _context(observation: Observation) -> FloatArray:
    return append_confidence(observation.x, observation.metrics[CONFIDENCE])


def _add_arms(component: Component, priors: Mapping[str, Prior]) -> Component:
    assert isinstance(component, SufficientStatistics)
    return component.with_arms({arm: make_calibrator_prior(prior.mean) for arm, prior in priors.items()})


QUANTITY = Quantity(
    name=CONFIDENT_REWARD,
    plural="confidences",
    value=_value,
    sources=lambda observation, weights: find_reward_metrics(observation.metrics, weights),
    empty=empty_calibrators,
    add_arms=_add_arms,
    context=_context,
    by_task=False,
    cascades_only=True,
)
