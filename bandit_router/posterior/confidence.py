"""Calibrators: P(answer is good | confidence, context) per arm, learned from feedback.

They are a second posterior of rewards (:mod:`bandit_router.posterior.hierarchical`) whose contexts have two
more features, of the confidence c of the query's first answer::

    z = [x, c, logit(c) / logit(0.99)],    c within [0.01, 0.99] for the logit

An arm that was asked first is calibrated by its own confidence; an arm that was asked again, by that of the
answer before. So the expensive arm also learns how much better it does on what the cheap one was unsure of.
(An arm that became ``cascade.expensive`` later has evidence of both kinds in one row.) The features of c are
directions of their own, so that the scale of x does not matter.
"""

from __future__ import annotations

import math

import numpy as np

from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.types import FloatArray

CONFIDENCE_FEATURES = 2
"""The number of confidence features in z."""

CONFIDENCE_HYPERPRIOR = Hyperprior(
    level_std=0.3,
    arm_std=0.15,
    common_variance=0.01,
    arm_variance=0.001,
    noise_std=0.39,
    apart=CONFIDENCE_FEATURES,
)
"""The defaults of rewards, except that ``arm_variance`` is not estimated; no setting changes it."""

_SUREST = 0.99
_SCALE = math.log(_SUREST / (1.0 - _SUREST))


def append_confidence(x: FloatArray, confidence: float) -> FloatArray:
    """z (d + 2,): the context x (d,) with the features of the confidence."""
    c = min(max(confidence, 1.0 - _SUREST), _SUREST)
    return np.concatenate([x, [confidence, math.log(c / (1.0 - c)) / _SCALE]])


def empty_calibrators(rewards: SufficientStatistics) -> SufficientStatistics:
    """Calibrators of the same arms without evidence; they expect what is expected of the rewards."""
    return SufficientStatistics.empty(
        {
            arm: make_calibrator_prior(mean)
            for arm, mean in zip(rewards.arms, rewards.prior_mean, strict=True)
        },
        schema_id=rewards.schema_id,
        noise_variance=CONFIDENCE_HYPERPRIOR.noise_std**2,
        half_life_s=rewards.half_life_s,
        hyperprior=CONFIDENCE_HYPERPRIOR,
        dim=rewards.dim + CONFIDENCE_FEATURES,
    )


def make_calibrator_prior(mean: FloatArray) -> Prior:
    """The prior of an arm whose rewards have this prior mean (d,)."""
    padded = np.concatenate([mean, np.zeros(CONFIDENCE_FEATURES)])
    return Prior(mean=padded, precision=np.ones_like(padded))
