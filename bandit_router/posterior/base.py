"""A posterior: what is believed of each arm's outcome. Immutable; solved from sufficient statistics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from bandit_router.posterior.warm_start_verdict import WarmStartVerdict
from bandit_router.types import NO_TASK, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Posterior(ABC):
    """The posterior of K arms, as :meth:`SufficientStatistics.solve` made it.

    ``count`` (K,) are the outcomes it was solved from; ``reward_counts`` (K,) adds to them what a warm start
    of these arms is worth. ``residual_variance`` (K,) is σ_a². ``warm_start_verdict`` is what the warm start
    counts as evidence of; None without a warm start.
    """

    arms: tuple[str, ...]
    count: IntArray
    reward_counts: IntArray
    residual_variance: FloatArray
    warm_start_verdict: WarmStartVerdict | None
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {arm: k for k, arm in enumerate(self.arms)})

    @abstractmethod
    def predict(self, x: FloatArray, task: int = NO_TASK) -> tuple[FloatArray, FloatArray]:
        """Mean and width of every arm's outcome at x (d,) on a task: two (K,) vectors, not to be written to.

        A task of which nothing was learned is like none.
        """

    @abstractmethod
    def predict_many(self, x: FloatArray, tasks: IntArray | None = None) -> tuple[FloatArray, FloatArray]:
        """The same at contexts x (n, d) on tasks (n,): two (n, K) arrays."""

    @abstractmethod
    def predict_sum(self, x: FloatArray, by_task: FloatArray) -> tuple[FloatArray, float]:
        """The sum of each arm's outcomes over many queries (K,), and the standard deviation of all of them.

        x (K, d) are the sums of an arm's contexts, ``by_task`` (K, T) its queries by number of task; queries
        may have any weights, below 0 where an outcome is missed.
        """

    def index(self, arm: str) -> int:
        """The row of ``arm``. Raises KeyError for an unknown arm."""
        return self._index[arm]

    def __contains__(self, arm: object) -> bool:
        return arm in self._index
