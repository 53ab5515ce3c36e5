"""The priors of arms before any feedback, from the settings and the arms' prices."""

from __future__ import annotations

import math

import numpy as np

from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.prior import Prior
from bandit_router.settings.learning import PosteriorSection
from bandit_router.types import Arm

COMMON_VARIANCE, ARM_VARIANCE = 0.01, 0.001
"""Variance of the reward that queries are expected to explain: in common, and for each arm."""

REFERENCE_USD_PER_MTOK = 3.0
"""The sum of input and output price at which ``prior_mean`` is expected."""


def make_arm_prior(section: PosteriorSection, dim: int, arm: Arm, expected: float | None = None) -> Prior:
    """The prior of an arm: the ``expected`` reward, else the one expected at its price.

    A changed price changes the prior from the next start on.
    """
    if expected is None:
        expected = expected_reward_at_price(section, arm.input_usd_per_mtok + arm.output_usd_per_mtok)
    return make_level_prior(section, dim, expected)


def expected_reward_at_price(
    section: PosteriorSection, usd: float, reference_usd: float = REFERENCE_USD_PER_MTOK
) -> float:
    """The reward expected of an arm of this price before any feedback, in [0, 1]::

        prior_mean + price_slope · log10(usd / reference_usd)

    A free arm gets prior_mean.
    """
    if usd <= 0.0:
        return section.prior_mean
    decades = math.log10(usd) - math.log10(reference_usd)  # a quotient of tiny numbers may be 0
    return min(1.0, max(0.0, section.prior_mean + section.price_slope * decades))


def make_level_prior(section: PosteriorSection, dim: int, expected: float | None = None) -> Prior:
    """A prior that expects the same reward for every query; x[0] is the bias, the rest are features."""
    mean = np.zeros(dim)
    mean[0] = section.prior_mean if expected is None else expected
    precision = np.full(dim, section.weight_std**-2.0)
    precision[0] = section.prior_std**-2.0
    return Prior(mean=mean, precision=precision)


def make_hyperprior(section: PosteriorSection) -> Hyperprior | None:
    """The hyperprior of the configured model; None if arms are independent."""
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
