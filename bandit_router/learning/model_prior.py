"""What is believed before anything is observed: the priors of arms, the noise, and how evidence ages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from bandit_router.learning.quantities import empty_state
from bandit_router.posterior.arm_priors import make_arm_prior, make_hyperprior
from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.state import ModelState
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.settings import Settings
from bandit_router.types import Arm


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelPrior:
    """The prior of a model state over contexts of ``dim`` numbers that ``schema_id`` names.

    ``of_arm`` makes the prior of an arm's rewards. With ``cascades`` the calibrators are learned, too.
    """

    of_arm: Callable[[Arm], Prior]
    dim: int
    schema_id: str
    noise_variance: float
    half_life_s: float | None = None
    hyperprior: Hyperprior | None = None
    cascades: bool = False

    def empty_state(self, arms: Iterable[Arm], *, cascades: bool = False) -> ModelState:
        """The model state of these arms before anything is observed."""
        rewards = SufficientStatistics.empty(
            {arm.name: self.of_arm(arm) for arm in arms},
            schema_id=self.schema_id,
            noise_variance=self.noise_variance,
            half_life_s=self.half_life_s,
            hyperprior=self.hyperprior,
            dim=self.dim,
        )
        return empty_state(rewards, cascades=cascades or self.cascades)

    def fits(self, statistics: SufficientStatistics, arms: Iterable[Arm]) -> bool:
        """Whether these statistics of rewards began with this prior."""
        known = {arm.name: self.of_arm(arm) for arm in arms}
        if not known.keys() >= set(statistics.arms):  # an arm was renamed
            return False
        priors = [known[arm] for arm in statistics.arms]
        return (
            statistics.noise_variance == self.noise_variance
            and statistics.half_life_s == self.half_life_s
            and statistics.hyperprior == self.hyperprior
            and statistics.dim == self.dim
            and all(np.array_equal(p.mean, m) for p, m in zip(priors, statistics.prior_mean, strict=True))
            and all(
                np.array_equal(p.precision, m)
                for p, m in zip(priors, statistics.prior_precision, strict=True)
            )
        )


def make_model_prior(settings: Settings, schema_id: str, dim: int) -> ModelPrior:
    """The prior that the settings describe, for contexts of ``dim`` numbers."""
    section = settings.posterior
    expected = {arm.name: arm.expected_quality for arm in settings.arms}
    return ModelPrior(
        of_arm=lambda arm: make_arm_prior(section, dim, arm, expected.get(arm.name)),
        dim=dim,
        schema_id=schema_id,
        noise_variance=section.noise_std**2,
        half_life_s=section.half_life_s,
        hyperprior=make_hyperprior(section),
        cascades=settings.cascade.enabled,
    )
