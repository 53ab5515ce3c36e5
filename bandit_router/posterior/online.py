"""A posterior that follows each observation, for replays and benchmarks; a router publishes instead."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bandit_router.posterior.base import Posterior
from bandit_router.posterior.decay import decay_factor
from bandit_router.posterior.independent import IndependentPosterior, update_rank_one
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.types import NO_TASK, FloatArray

_GROWTH = 1.05


def next_solve(count: int) -> float:
    """The number of outcomes at which a posterior that was solved at ``count`` is worth solving again."""
    return max(count + 1.0, _GROWTH * count)


@dataclass(slots=True)
class OnlinePosterior:
    """Sufficient statistics, and the posterior to decide by until the next observation.

    Independent arms follow an outcome in O(d²), by a rank-one update of arrays that this object owns; where
    the outcome moves the reference time of decaying sums, by solving again. A hierarchical posterior takes
    milliseconds to solve: it follows when the outcomes have grown by a twentieth.
    """

    statistics: SufficientStatistics
    posterior: Posterior = field(init=False)
    _next: float = field(init=False)

    def __post_init__(self) -> None:
        self._solve()

    def observe(
        self,
        arm: str,
        x: FloatArray,
        outcome: float,
        at: float = 0.0,
        weight: float = 1.0,
        task: int = NO_TASK,
    ) -> None:
        """Count one outcome, as :meth:`SufficientStatistics.observe` does."""
        statistics, as_of = self.statistics, self.statistics.as_of
        statistics.observe(arm, x, outcome, at, weight, task)
        if not isinstance(self.posterior, IndependentPosterior):
            if statistics.count.sum() >= self._next:
                self._solve()
        elif statistics.half_life_s is not None and statistics.as_of > as_of:
            self._solve()
        else:
            self._update(self.posterior, arm, x, outcome, at, weight)

    def _solve(self) -> None:
        self.posterior = self.statistics.solve()
        self._next = next_solve(int(self.statistics.count.sum()))

    def _update(
        self,
        posterior: IndependentPosterior,
        arm: str,
        x: FloatArray,
        outcome: float,
        at: float,
        weight: float,
    ) -> None:
        statistics, k = self.statistics, posterior.index(arm)
        w = weight * decay_factor(at, statistics.as_of, statistics.half_life_s)
        noise = statistics.noise_variance / w if w > 0 else math.inf
        update_rank_one(posterior.theta[k], posterior.covariance[k], x, outcome, noise)
        posterior.count[k] += 1
        posterior.reward_counts[k] += 1
