"""Statistics of independent arms, for the tests of what is summed, solved and followed online."""

from __future__ import annotations

import numpy as np

from bandit_router.posterior.independent import IndependentPosterior
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.sufficient_statistics import SufficientStatistics

NOISE = 0.09


def uneven_prior(dim: int) -> Prior:
    """A prior in which no two directions are alike and no precision is 1."""
    return Prior(mean=np.linspace(-0.5, 0.5, dim), precision=np.geomspace(0.3, 30.0, dim))


def statistics_of(dim: int, *arms: str, half_life_s: float | None = None) -> SufficientStatistics:
    """Statistics without evidence; of the arm "a" unless others are named."""
    priors = {arm: uneven_prior(dim) for arm in arms or ("a",)}
    return SufficientStatistics.empty(priors, schema_id="s1", noise_variance=NOISE, half_life_s=half_life_s)


def fed(dim: int = 3, *arms: str, n: int = 30, half_life_s: float | None = None) -> SufficientStatistics:
    """Statistics of n random rewards of each arm."""
    rng = np.random.default_rng(5)
    statistics = statistics_of(dim, *(arms or ("a", "b")), half_life_s=half_life_s)
    for arm in statistics.arms:
        statistics.observe_many(arm, rng.normal(size=(n, dim)), rng.random(n), rng.random(n) * 100)
    return statistics


def solve_independent(statistics: SufficientStatistics) -> IndependentPosterior:
    """The posterior of independent arms."""
    posterior = statistics.solve()
    assert isinstance(posterior, IndependentPosterior)
    return posterior
