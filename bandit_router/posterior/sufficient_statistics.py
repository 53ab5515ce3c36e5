"""Sufficient statistics of linear arms: sums that add up, and the posterior that is solved from them.

Per arm a the outcome is ``r = θ_a·x + noise`` with noise variance σ². The state is sums over observations i
with weights w_i, that of their age times their own, which never changes::

    S_a = Σ w_i x_i x_iᵀ,    m_a = Σ w_i r_i x_i,    Σ w_i r_i²,    n_a = number of outcomes counted

and, of the observations of each task, Σ w_i x_i and Σ w_i r_i.

Sums commute, so the order of workers, retries and late rewards does not matter; forgetting commutes because
it is by event time (:mod:`bandit_router.posterior.decay`). The prior never decays, so no variance exceeds the
prior's. Arms are independent (:mod:`bandit_router.posterior.independent`), or share a common effect under a
``hyperprior`` (:mod:`bandit_router.posterior.hierarchical`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.posterior.base import Posterior
from bandit_router.posterior.decay import decay_factor, decay_weights
from bandit_router.posterior.hierarchical import HierarchicalPosterior, solve_hierarchy
from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.independent import (
    IndependentPosterior,
    add_outer_product,
    has_finite_square,
    solve_arms,
)
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.regression_sums import (
    RegressionSums,
    append_tasks,
    append_zeros,
    clear_sums,
    find_unusable_sums,
)
from bandit_router.posterior.warm_start import WarmStart
from bandit_router.posterior.warm_start_verdict import WarmStartVerdict
from bandit_router.types import NO_TASK, BoolArray, FloatArray, IntArray

log = logging.getLogger(__name__)

_ARRAYS = (
    *("prior_mean", "prior_precision", "second", "cross", "square"),
    *("task_cross", "task_context", "count"),
)
_MERGEABLE = "arms", "schema_id", "half_life_s", "noise_variance", "hyperprior"  # what must be equal


@dataclass(kw_only=True, slots=True)
class SufficientStatistics:
    """The sufficient statistics and the prior of K arms over contexts of dimension d; mutable, the learner's.

    ``second`` is S (K, d, d), ``cross`` is m (K, d), ``square`` is Σ w r² (K,) and ``count`` is n (K,). Of T
    tasks, as many as were ever observed, ``task_cross`` is Σ w r (K, T) and ``task_context`` Σ w x (K, T, d).
    Without a ``hyperprior`` the arms are independent. ``warm`` is evidence from elsewhere that counts as
    prior.
    """

    arms: tuple[str, ...]
    schema_id: str
    noise_variance: float
    prior_mean: FloatArray
    prior_precision: FloatArray
    second: FloatArray
    cross: FloatArray
    square: FloatArray
    task_cross: FloatArray
    task_context: FloatArray
    count: IntArray
    hyperprior: Hyperprior | None = None
    half_life_s: float | None = None
    as_of: float = -math.inf
    warm: WarmStart | None = None
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._index = {arm: k for k, arm in enumerate(self.arms)}

    @classmethod
    def empty(
        cls,
        priors: dict[str, Prior],
        *,
        schema_id: str,
        noise_variance: float,
        half_life_s: float | None = None,
        hyperprior: Hyperprior | None = None,
        dim: int | None = None,
    ) -> Self:
        """Statistics without evidence. ``dim`` is only needed when there are no arms yet."""
        if not (math.isfinite(noise_variance) and noise_variance > 0):
            raise InvalidInput("noise_variance", f"is {noise_variance}", "give a number above 0")
        if half_life_s is not None and not (math.isfinite(half_life_s) and half_life_s > 0):
            raise InvalidInput("half_life_s", f"is {half_life_s}", "give seconds above 0, or none")
        d = next(iter(priors.values())).mean.size if priors else (dim or 0)
        if any(p.mean.size != d for p in priors.values()):
            raise InvalidInput("priors", "differ in length", f"give every arm length {d}")
        k = len(priors)
        return cls(
            arms=tuple(priors),
            schema_id=schema_id,
            noise_variance=noise_variance,
            prior_mean=np.array([p.mean for p in priors.values()]).reshape(k, d),
            prior_precision=np.array([p.precision for p in priors.values()]).reshape(k, d),
            second=np.zeros((k, d, d)),
            cross=np.zeros((k, d)),
            square=np.zeros(k),
            task_cross=np.zeros((k, 0)),
            task_context=np.zeros((k, 0, d)),
            count=np.zeros(k, dtype=np.int64),
            hyperprior=hyperprior,
            half_life_s=half_life_s,
        )

    @property
    def dim(self) -> int:
        """d, the length of a context."""
        return int(self.prior_mean.shape[1])

    def index(self, arm: str) -> int:
        """The row of ``arm``. Raises KeyError for an unknown arm."""
        return self._index[arm]

    def __contains__(self, arm: object) -> bool:
        return arm in self._index

    def copy(self) -> Self:
        """Independent statistics with the same values."""
        return replace(self, **{name: getattr(self, name).copy() for name in _ARRAYS})

    def without_evidence(self) -> Self:
        """A copy with the same arms, priors and warm start, but no rewards."""
        blank = self.copy()
        for array in (*blank.sums, blank.count):
            array[:] = 0
        blank.as_of = -math.inf
        return blank

    def with_arms(self, priors: Mapping[str, Prior]) -> Self:
        """A copy with more arms, without evidence."""
        for arm, prior in priors.items():
            if arm in self:
                raise InvalidInput("arm", f"{arm!r} exists already", "give a new name")
            if prior.mean.size != self.dim:
                raise InvalidInput("prior", f"has length {prior.mean.size}", f"give length {self.dim}")
        arms, more = (*self.arms, *priors), len(priors)
        return replace(
            self,
            arms=arms,
            prior_mean=np.vstack([self.prior_mean, *(p.mean for p in priors.values())]),
            prior_precision=np.vstack([self.prior_precision, *(p.precision for p in priors.values())]),
            second=append_zeros(self.second, more),
            cross=append_zeros(self.cross, more),
            square=append_zeros(self.square, more),
            task_cross=append_zeros(self.task_cross, more),
            task_context=append_zeros(self.task_context, more),
            count=append_zeros(self.count, more),
            warm=None if self.warm is None else self.warm.align(self.arms, arms),
        )

    @property
    def sums(self) -> tuple[FloatArray, ...]:
        """The arrays that add up: S, m and Σ w r², and Σ w r and Σ w x of each task."""
        return self.second, self.cross, self.square, self.task_cross, self.task_context

    @property
    def tasks(self) -> int:
        """T, of how many tasks there are sums."""
        return int(self.task_cross.shape[1])

    @property
    def regression_sums(self) -> RegressionSums:
        """The sums of a regression whose first feature is 1."""
        weight = self.second[:, 0, 0]
        return RegressionSums(
            self.second, self.cross, self.square, weight, self.task_cross, self.task_context
        )

    @property
    def warm_sums(self) -> RegressionSums | None:
        """The sums of the warm start as they count now; None without one."""
        return None if self.warm is None else self.warm.scale_to(self.as_of, self.half_life_s)

    def observe(
        self,
        arm: str,
        x: FloatArray,
        outcome: float,
        at: float = 0.0,
        weight: float = 1.0,
        task: int = NO_TASK,
    ) -> None:
        """Count one outcome: S += w x xᵀ, m += w r x, n += 1, in O(d²)."""
        self._count(1, arm, x, outcome, at, weight, task)

    def retract(
        self,
        arm: str,
        x: FloatArray,
        outcome: float,
        at: float = 0.0,
        weight: float = 1.0,
        task: int = NO_TASK,
    ) -> None:
        """Subtract one outcome that was counted with exactly these values."""
        self._count(-1, arm, x, outcome, at, weight, task)

    def forget(self, arm: str) -> None:
        """Reset one arm to its prior, exactly."""
        k = self._index[arm]
        for array in (*self.sums, self.count):
            array[k] = 0
        self.warm = self.warm and self.warm.without_arm(k)

    def revise(
        self,
        arm: str,
        x: FloatArray,
        old: float,
        new: float,
        at: float = 0.0,
        weight: float = 1.0,
        task: int = NO_TASK,
    ) -> None:
        """Replace one counted outcome by another of the same weight: m += w (new − old) x."""
        k, w = self._index[arm], weight * self._weigh_observation(x, new - old, at)
        self.square[k] += w * (new * new - old * old)
        self.cross[k] += w * (new - old) * x
        if task != NO_TASK:
            self.widen_tasks(task + 1)
            self.task_cross[k, task] += w * (new - old)

    def observe_many(
        self,
        arm: str,
        x: FloatArray,
        outcomes: FloatArray,
        at: FloatArray,
        weights: FloatArray | float = 1.0,
        tasks: IntArray | None = None,
    ) -> None:
        """Count many outcomes of one arm: x (n, d), outcomes, event times, weights and tasks (n,)."""
        k, n = self._index[arm], outcomes.size
        if n == 0:
            return
        if x.shape != (n, self.dim) or outcomes.shape != (n,) or at.shape != (n,):
            raise InvalidInput("observations", f"have x of shape {x.shape}", f"give ({n}, {self.dim})")
        if not (has_finite_square(x.ravel()) and np.isfinite(outcomes).all() and np.isfinite(at).all()):
            raise InvalidInput("observation", "is not finite", "drop the row")
        self.advance(float(at.max()))
        w = weights * decay_weights(at, self.as_of, self.half_life_s)
        wx = x * w[:, None]
        self.second[k] += wx.T @ x
        self.cross[k] += outcomes @ wx
        self.square[k] += float(outcomes**2 @ w)
        self.count[k] += outcomes.size
        if tasks is not None:
            self.widen_tasks(int(tasks.max()) + 1)
            named = tasks != NO_TASK
            np.add.at(self.task_context[k], tasks[named], wx[named])
            np.add.at(self.task_cross[k], tasks[named], (w * outcomes)[named])

    def widen_tasks(self, tasks: int) -> None:
        """Make room for so many tasks; a task without outcomes says nothing."""
        self.task_cross = append_tasks(self.task_cross, tasks)
        self.task_context = append_tasks(self.task_context, tasks)

    def match_tasks(self, other: SufficientStatistics) -> None:
        """Make room in both for as many tasks, so that their sums have the same shapes."""
        self.widen_tasks(other.tasks)
        other.widen_tasks(self.tasks)

    def merge(self, other: SufficientStatistics) -> Self:
        """The statistics of both logs together: the sums add up, the prior counts once."""
        same = (
            all(getattr(self, name) == getattr(other, name) for name in _MERGEABLE)
            and np.array_equal(self.prior_mean, other.prior_mean)
            and np.array_equal(self.prior_precision, other.prior_precision)
            and (self.warm is other.warm or (self.warm is not None and self.warm.equals(other.warm)))
        )
        if not same:
            raise InvalidInput("statistics", "differ in arms, schema or prior", "merge like with like")
        merged, addend = self.copy(), other.copy()
        merged.match_tasks(addend)
        merged.advance(addend.as_of)
        addend.advance(merged.as_of)
        for array, more in zip(merged.sums, addend.sums, strict=True):
            array += more
        merged.count += addend.count
        return merged

    def advance(self, as_of: float) -> None:
        """Move the reference time forward, never back; with a half-life, older evidence decays."""
        if as_of <= self.as_of:
            return
        factor = decay_factor(self.as_of, as_of, self.half_life_s)
        if self.half_life_s is not None:
            for array in self.sums:
                array *= factor
        self.as_of = as_of

    def solve(self) -> Posterior:
        """The posterior of these statistics. An arm whose sums are unusable falls back to its prior."""
        if self.hyperprior is None:
            return self._solve_independent()
        return self._solve_hierarchical(self.hyperprior)

    def _solve_independent(self) -> IndependentPosterior:
        second, cross, warm = self.second, self.cross, self.warm_sums
        if warm is not None:
            second, cross = second + warm.second, cross + warm.cross
        theta, covariance, unusable = solve_arms(
            second, cross, self.prior_mean, self.prior_precision, self.noise_variance
        )
        self._log_quarantine(unusable)
        verdict = None if warm is None else WarmStartVerdict.SAME
        return IndependentPosterior(
            arms=self.arms,
            count=self.count.copy(),
            reward_counts=self._count_with_warm_start(verdict),
            residual_variance=np.full(len(self.arms), self.noise_variance),
            warm_start_verdict=verdict,
            theta=theta,
            covariance=covariance,
        )

    def _solve_hierarchical(self, hyperprior: Hyperprior) -> HierarchicalPosterior:
        sums = self.regression_sums
        unusable = find_unusable_sums(sums)
        if unusable.any():
            self._log_quarantine(unusable)
            sums = clear_sums(sums, unusable)
        solution = solve_hierarchy(sums, self.prior_mean[:, 0], hyperprior, self.warm_sums)
        return HierarchicalPosterior(
            arms=self.arms,
            count=self.count.copy(),
            reward_counts=self._count_with_warm_start(solution.verdict),
            residual_variance=solution.noise,
            warm_start_verdict=solution.verdict,
            solution=solution,
            arm_std=hyperprior.arm_std,
        )

    def _log_quarantine(self, unusable: BoolArray) -> None:
        for k in np.flatnonzero(unusable):
            log.error("arm %r has unusable statistics: quarantined to its prior; run `rebuild`", self.arms[k])

    def _count_with_warm_start(self, verdict: WarmStartVerdict | None) -> IntArray:
        """Outcomes counted, and those that a warm start of these arms is worth (K,)."""
        if self.warm is None or verdict is not WarmStartVerdict.SAME:
            return self.count.copy()
        return self.count + (self.warm.weight * self.warm.sums.weight).astype(np.int64)

    def _count(
        self, times: int, arm: str, x: FloatArray, outcome: float, at: float, weight: float, task: int
    ) -> None:
        k, w = self._index[arm], times * weight * self._weigh_observation(x, outcome, at)
        add_outer_product(self.second[k], w, x)
        self.cross[k] += (w * outcome) * x
        self.square[k] += w * outcome * outcome
        if task != NO_TASK:
            self.widen_tasks(task + 1)
            self.task_context[k, task] += w * x
            self.task_cross[k, task] += w * outcome
        self.count[k] += times

    def _weigh_observation(self, x: FloatArray, outcome: float, at: float) -> float:
        if x.shape != (self.dim,):
            raise InvalidInput("x", f"has shape {x.shape}", f"give shape ({self.dim},)")
        if not (math.isfinite(outcome) and has_finite_square(x) and math.isfinite(at)):
            raise InvalidInput("observation", "is not finite", "drop the row")
        self.advance(at)
        return decay_factor(at, self.as_of, self.half_life_s)
