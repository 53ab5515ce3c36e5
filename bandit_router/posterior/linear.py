"""Bayesian linear arms: sufficient statistics that add up, and the prediction that follows from them.

Per arm a the reward is ``r = θ_a·x + noise`` with noise variance σ² and the prior
``θ_a ~ N(μ_a, diag(λ_a)⁻¹)``. The state is three sums over observations i with weights w_i::

    S_a = Σ w_i x_i x_iᵀ,    m_a = Σ w_i r_i x_i,    n_a = number of rewards counted

and the prediction is derived from them (Bishop, Pattern Recognition and Machine Learning, eq. 3.50–3.59)::

    P_a = diag(λ_a) + S_a/σ²,    θ̂_a = P_a⁻¹(λ_a μ_a + m_a/σ²),    std_a(x) = √(xᵀ P_a⁻¹ x)

With a ``hyperprior`` the arms share a common effect, and σ² is estimated, for which Σ w_i r_i² is kept
(:mod:`bandit_router.posterior.hierarchical`). Sums commute, so the order of workers, retries and late rewards
does not matter; forgetting commutes because it is by event time (:mod:`bandit_router.posterior.decay`). The
prior never decays, so no variance exceeds the prior's.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.posterior.decay import decay_factor, decay_weights
from bandit_router.posterior.hierarchical import Solution, solve_hierarchy
from bandit_router.posterior.hierarchical_system import Hyperprior
from bandit_router.posterior.independent import (
    add_outer_product,
    compute_quadratic_forms,
    has_finite_square,
    solve_arm,
    update_rank_one,
)
from bandit_router.posterior.prior import Prior
from bandit_router.posterior.regression_sums import RegressionSums, clear_sums, find_unusable_sums
from bandit_router.posterior.warm_start import WarmStart
from bandit_router.posterior.warm_start_verdict import WarmStartVerdict
from bandit_router.types import FloatArray

log = logging.getLogger(__name__)

_MERGEABLE = "arms", "schema_id", "half_life_s", "noise_variance", "hyperprior"  # what must be equal
_QUARANTINED = "arm %r has unusable statistics: quarantined to its prior; run `rebuild`"


@dataclass(kw_only=True, slots=True)
class Posterior:
    """The posterior of K arms over contexts of dimension d.

    It is mutable: the learner owns one, adds to it and publishes it; a published one never changes again.
    ``second`` is S (K, d, d), ``cross`` is m (K, d), ``square`` is Σ w r² (K,) and ``count`` is n (K,).
    Without a ``hyperprior`` the arms are independent. ``warm`` is evidence from elsewhere that counts as
    prior; call ``solve`` after changing it.
    """

    arms: tuple[str, ...]
    schema_id: str
    noise_variance: float
    prior_mean: FloatArray
    prior_precision: FloatArray
    second: FloatArray
    cross: FloatArray
    square: FloatArray
    count: np.ndarray[tuple[int], np.dtype[np.int64]]
    hyperprior: Hyperprior | None = None
    half_life_s: float | None = None
    as_of: float = -math.inf
    warm: WarmStart | None = None
    theta: FloatArray = field(init=False, repr=False)
    covariance: FloatArray = field(init=False, repr=False)
    _index: dict[str, int] = field(init=False, repr=False)
    _stale: bool = field(init=False, repr=False, default=True)
    _solution: Solution | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        self._index = {arm: k for k, arm in enumerate(self.arms)}
        self.theta = self.prior_mean.copy()
        self.covariance = np.zeros_like(self.second)

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
        """A posterior without evidence. ``dim`` is only needed when there are no arms yet."""
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
            count=np.zeros(k, dtype=np.int64),
            hyperprior=hyperprior,
            half_life_s=half_life_s,
        )

    @property
    def dim(self) -> int:
        """d, the length of a context."""
        return int(self.prior_mean.shape[1])

    @property
    def reward_counts(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Rewards behind the prediction of each arm (K,): those counted, and those that a warm start of these
        arms is worth."""
        if self.warm is None or self.warm_start_verdict is not WarmStartVerdict.SAME:
            return self.count
        return self.count + (self.warm.weight * self.warm.sums.weight).astype(np.int64)

    def index(self, arm: str) -> int:
        """The row of ``arm``. Raises KeyError for an unknown arm."""
        return self._index[arm]

    def __contains__(self, arm: object) -> bool:
        return arm in self._index

    def copy(self) -> Self:
        """An independent posterior with the same statistics."""
        return replace(
            self,
            prior_mean=self.prior_mean.copy(),
            prior_precision=self.prior_precision.copy(),
            second=self.second.copy(),
            cross=self.cross.copy(),
            square=self.square.copy(),
            count=self.count.copy(),
        )

    def without_evidence(self) -> Self:
        """A copy with the same arms, priors and warm start, but no rewards."""
        blank = self.copy()
        blank.second[:], blank.cross[:], blank.square[:], blank.count[:] = 0.0, 0.0, 0.0, 0
        blank.as_of = -math.inf
        return blank

    def with_arm(self, arm: str, prior: Prior) -> Self:
        """A copy with one more arm, without evidence."""
        if arm in self:
            raise InvalidInput("arm", f"{arm!r} exists already", "give a new name")
        if prior.mean.size != self.dim:
            raise InvalidInput("prior", f"has length {prior.mean.size}", f"give length {self.dim}")
        arms = (*self.arms, arm)
        return replace(
            self,
            arms=arms,
            prior_mean=np.vstack([self.prior_mean, prior.mean]),
            prior_precision=np.vstack([self.prior_precision, prior.precision]),
            second=np.concatenate([self.second, np.zeros((1, self.dim, self.dim))]),
            cross=np.vstack([self.cross, np.zeros(self.dim)]),
            square=np.append(self.square, 0.0),
            count=np.append(self.count, np.int64(0)),
            warm=None if self.warm is None else self.warm.align(self.arms, arms),
        )

    @property
    def sums(self) -> tuple[FloatArray, ...]:
        """The arrays that add up: S, m and Σ w r²."""
        return self.second, self.cross, self.square

    def observe(self, arm: str, x: FloatArray, reward: float, at: float = 0.0) -> None:
        """Count one reward: S += w x xᵀ, m += w r x, n += 1, in O(d²); the prediction follows by rank one."""
        k, w = self._index[arm], self._weigh_observation(x, reward, at)
        if self.hyperprior is not None:
            self._stale = True
        elif not self._stale:
            noise = self.noise_variance / w if w > 0 else math.inf
            update_rank_one(self.theta[k], self.covariance[k], x, reward, noise)
        self._add_observation(k, x, reward, w)
        self.count[k] += 1

    def retract(self, arm: str, x: FloatArray, reward: float, at: float = 0.0) -> None:
        """Subtract one reward that was counted with exactly these values."""
        k, w = self._index[arm], self._weigh_observation(x, reward, at)
        self._add_observation(k, x, reward, -w)
        self.count[k] -= 1
        self._stale = True  # a rank-one downdate loses digits that the direct solve keeps

    def forget(self, arm: str) -> None:
        """Reset one arm to its prior, exactly."""
        k = self._index[arm]
        self.second[k], self.cross[k], self.square[k], self.count[k] = 0.0, 0.0, 0.0, 0
        self.warm = self.warm and self.warm.without_arm(k)
        self._stale = True

    def revise(self, arm: str, x: FloatArray, old: float, new: float, at: float = 0.0) -> None:
        """Replace one counted reward by another: m += w (new − old) x."""
        k, w = self._index[arm], self._weigh_observation(x, new - old, at)
        self.square[k] += w * (new * new - old * old)
        if self.hyperprior is not None:
            self._stale = True
        elif not self._stale:
            self.theta[k] += self.covariance[k] @ x * (w * (new - old) / self.noise_variance)
        self.cross[k] += w * (new - old) * x

    def observe_many(self, arm: str, x: FloatArray, rewards: FloatArray, at: FloatArray) -> None:
        """Count many rewards of one arm: x (n, d), rewards (n,), event times at (n,)."""
        k, n = self._index[arm], rewards.size
        if n == 0:
            return
        if x.shape != (n, self.dim) or rewards.shape != (n,) or at.shape != (n,):
            raise InvalidInput("observations", f"have x of shape {x.shape}", f"give ({n}, {self.dim})")
        if not (has_finite_square(x.ravel()) and np.isfinite(rewards).all() and np.isfinite(at).all()):
            raise InvalidInput("observation", "is not finite", "drop the row")
        self.advance(float(at.max()))
        w = decay_weights(at, self.as_of, self.half_life_s)
        wx = x * w[:, None]
        self.second[k] += wx.T @ x
        self.cross[k] += rewards @ wx
        self.square[k] += float(rewards**2 @ w)
        self.count[k] += rewards.size
        self._stale = True

    def merge(self, other: Posterior) -> Self:
        """The posterior of both logs together: the sums add up, the prior counts once."""
        same = (
            all(getattr(self, name) == getattr(other, name) for name in _MERGEABLE)
            and np.array_equal(self.prior_mean, other.prior_mean)
            and np.array_equal(self.prior_precision, other.prior_precision)
            and (self.warm is other.warm or (self.warm is not None and self.warm.equals(other.warm)))
        )
        if not same:
            raise InvalidInput("posterior", "differs in arms, schema or prior", "merge like with like")
        merged, addend = self.copy(), other.copy()
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
            self._stale = True
        self.as_of = as_of

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and width of every arm's reward at x (d,): two (K,) vectors.

        The width is the standard deviation of θ_a·x, or under a hyperprior that of the arm's level.
        """
        if self._stale:
            self.solve()
        if self._solution is not None:
            return self._solution.mean(x), self._solution.width
        mean = self.theta.dot(x)
        variance = compute_quadratic_forms(self.covariance, x)
        np.maximum(variance, 0.0, out=variance)
        return mean, np.sqrt(variance, out=variance)

    def predict_many(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The same at contexts x (n, d): two (n, K) arrays."""
        if self._stale:
            self.solve()
        if self._solution is not None:
            mean = x @ self._solution.transform.T @ self._solution.theta.T
            return mean, np.broadcast_to(self._solution.width, mean.shape)
        variance = np.stack([np.einsum("nd,nd->n", x @ c, x) for c in self.covariance], axis=1)
        return x @ self.theta.T, np.sqrt(np.maximum(variance, 0.0))

    @property
    def warm_start_verdict(self) -> WarmStartVerdict | None:
        """What the warm start counts as evidence of; None without a warm start."""
        if self._stale:
            self.solve()
        if self._solution is not None:
            return self._solution.verdict
        return None if self.warm is None else WarmStartVerdict.SAME

    @property
    def residual_variance(self) -> FloatArray:
        """σ_a² (K,): as estimated under a hyperprior, else as given."""
        if self._stale:
            self.solve()
        if self._solution is not None:
            return self._solution.noise
        return np.full(len(self.arms), self.noise_variance)

    def solve(self) -> None:
        """Derive the prediction from the sums; an arm whose sums are not finite falls back to its prior."""
        if self.hyperprior is not None:
            self._solution = self._solve_together(self.hyperprior)
        else:
            for k, arm in enumerate(self.arms):
                if not self._solve_arm(k):
                    log.error(_QUARANTINED, arm)
                    self.theta[k] = self.prior_mean[k]
                    self.covariance[k] = np.diag(1.0 / self.prior_precision[k])
        self._stale = False

    def _solve_together(self, hyperprior: Hyperprior) -> Solution:
        sums = RegressionSums(self.second, self.cross, self.square, self.second[:, 0, 0])
        unusable = find_unusable_sums(sums)
        if unusable.any():
            for k in np.flatnonzero(unusable):
                log.error(_QUARANTINED, self.arms[k])
            sums = clear_sums(sums, unusable)
        return solve_hierarchy(sums, self.prior_mean[:, 0], hyperprior, self._warm_sums())

    def _warm_sums(self) -> RegressionSums | None:
        return None if self.warm is None else self.warm.scale_to(self.as_of, self.half_life_s)

    def _solve_arm(self, k: int) -> bool:
        second, cross, warm = self.second[k], self.cross[k], self._warm_sums()
        if warm is not None:
            second, cross = second + warm.second[k], cross + warm.cross[k]
        solved = solve_arm(second, cross, self.prior_mean[k], self.prior_precision[k], self.noise_variance)
        if solved is not None:
            self.theta[k], self.covariance[k] = solved
        return solved is not None

    def _add_observation(self, k: int, x: FloatArray, reward: float, w: float) -> None:
        add_outer_product(self.second[k], w, x)
        self.cross[k] += (w * reward) * x
        self.square[k] += w * reward * reward

    def _weigh_observation(self, x: FloatArray, reward: float, at: float) -> float:
        if x.shape != (self.dim,):
            raise InvalidInput("x", f"has shape {x.shape}", f"give shape ({self.dim},)")
        if not (math.isfinite(reward) and has_finite_square(x) and math.isfinite(at)):
            raise InvalidInput("observation", "is not finite", "drop the row")
        self.advance(at)
        return decay_factor(at, self.as_of, self.half_life_s)
