"""What the settings say of arms before any feedback: the prior of each, and what ties them together."""

from __future__ import annotations

import math

import numpy as np

from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.prior import Prior
from bandit_router.settings.learning import PosteriorSection
from bandit_router.types import Arm

COMMON_VARIANCE, ARM_VARIANCE = 0.01, 0.001
"""Variance of the reward that queries are expected to explain: for all arms alike, and of each arm's own."""

REFERENCE_USD_PER_MTOK = 3.0
"""Input and output price together of a model that is expected to be as good as ``prior_mean``."""


def make_arm_prior(section: PosteriorSection, dim: int, arm: Arm, expected: float | None = None) -> Prior:
    """What is believed of an arm before any feedback: ``expected``, or what its price says.

    When its price changes so does that, from the next start on.
    """
    if expected is None:
        expected = expected_reward_at_price(section, arm.input_usd_per_mtok + arm.output_usd_per_mtok)
    return make_level_prior(section, dim, expected)


def expected_reward_at_price(
    section: PosteriorSection, usd: float, usual: float = REFERENCE_USD_PER_MTOK
) -> float:
    """The reward expected of an arm of this price before any feedback, in [0, 1]::

        prior_mean + price_slope · log10(usd / usual)

    What is free has no place in the order: prior_mean.
    """
    if usd <= 0.0:
        return section.prior_mean
    decades = math.log10(usd) - math.log10(usual)  # a quotient of tiny numbers may be 0
    return min(1.0, max(0.0, section.prior_mean + section.price_slope * decades))


def make_level_prior(section: PosteriorSection, dim: int, expected: float | None = None) -> Prior:
    """Reward ``expected`` whatever the query, give or take: x[0] is the bias, the rest features."""
    mean = np.zeros(dim)
    mean[0] = section.prior_mean if expected is None else expected
    precision = np.full(dim, section.weight_std**-2.0)
    precision[0] = section.prior_std**-2.0
    return Prior(mean=mean, precision=precision)


def make_hyperprior(section: PosteriorSection) -> Hyperprior | None:
    """What ties the arms together; None when they are independent."""
    if section.model == "independent":
        return None
    return Hyperprior(
        level_std=section.prior_std,
        arm_std=section.arm_std,
        common_variance=COMMON_VARIANCE,
        arm_variance=ARM_VARIANCE,
        noise_std=section.noise_std,
        arm_variance_known=False,
    )
