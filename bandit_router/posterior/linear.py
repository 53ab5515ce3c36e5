"""Bayesian linear arms: sufficient statistics that add up, and the prediction they imply.

Per arm a the reward is ``r = θ_a·x + noise`` with noise variance σ² and the prior
``θ_a ~ N(μ_a, diag(λ_a)⁻¹)``. The truth is three sums over observations i with weights w_i:

    S_a = Σ w_i x_i x_iᵀ,    m_a = Σ w_i r_i x_i,    n_a = number of rewards counted

and everything else is derived from them:

    P_a = diag(λ_a) + S_a/σ²,    θ̂_a = P_a⁻¹(λ_a μ_a + m_a/σ²),    std_a(x) = √(xᵀ P_a⁻¹ x)

(Bishop, Pattern Recognition and Machine Learning, eq. 3.50–3.59.) With a ``hyperprior`` the arms share what
they have in common instead, and σ² is estimated too, for which Σ w_i r_i² is kept: see
:mod:`bandit_router.posterior.hierarchical`. Because sums commute, the order of
workers, retries and late rewards does not matter. Forgetting is by event time, so that it commutes
too: ``w_i = 2^(−(as_of − t_i)/half_life_s)``, where ``as_of`` is the newest event, so that what is
forgotten is decided by the log and not by a clock; the prior never decays, so no variance outgrows it.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from scipy.linalg import blas, lapack

from bandit_router.errors import InvalidInput
from bandit_router.posterior import hierarchical
from bandit_router.posterior.decay import decay_factor, decay_weights
from bandit_router.posterior.hierarchical import Hyperprior, RegressionSums, Solution, WarmStartVerdict
from bandit_router.posterior.warm_start import WarmStart
from bandit_router.types import FloatArray

log = logging.getLogger(__name__)

_QUARANTINED = "arm %r has unusable statistics: quarantined to its prior; run `rebuild`"
_ROUNDING = 1e-6  # of a sum that retractions brought back to nothing

_HALF_READ_DIM = 128  # from here on reading one triangle (symv) beats one big gemv over both


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """θ ~ N(mean, diag(precision)⁻¹), both of shape (d,), with precision > 0."""

    mean: FloatArray
    precision: FloatArray

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.precision.shape:
            raise InvalidInput("prior", "mean and precision differ in shape", "give two (d,) vectors")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.precision).all()):
            raise InvalidInput("prior", "is not finite", "give finite numbers")
        if not (self.precision > 0).all():
            raise InvalidInput("prior.precision", "is not positive", "give numbers above 0")


@dataclass(kw_only=True, slots=True)
class Posterior:
    """The posterior of K arms over contexts of dimension d.

    Mutable on purpose: the learner owns one, adds to it and publishes it; a published one is never
    touched again. ``second`` is S (K, d, d), ``cross`` is m (K, d), ``square`` is Σ w r² (K,), ``count`` is
    n (K,). Without a ``hyperprior`` the arms are independent. ``warm`` is evidence from elsewhere
    that counts as prior; change it and ``solve`` again.
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
        """A posterior that has seen nothing. ``dim`` is only needed when there are no arms yet."""
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
        """How many rewards are behind what it says of each arm (K,): counted, and worth of a warm start that
        is of these arms."""
        if self.warm is None or self.warm_start_verdict is not WarmStartVerdict.SAME:
            return self.count
        return self.count + (self.warm.weight * self.warm.sums.weight).astype(np.int64)

    def index(self, arm: str) -> int:
        """The row of ``arm``; KeyError when this posterior has never heard of it."""
        return self._index[arm]

    def __contains__(self, arm: object) -> bool:
        return arm in self._index

    def copy(self) -> Self:
        """An independent posterior with the same statistics."""
        return type(self)(
            arms=self.arms,
            schema_id=self.schema_id,
            noise_variance=self.noise_variance,
            prior_mean=self.prior_mean.copy(),
            prior_precision=self.prior_precision.copy(),
            second=self.second.copy(),
            cross=self.cross.copy(),
            square=self.square.copy(),
            count=self.count.copy(),
            hyperprior=self.hyperprior,
            half_life_s=self.half_life_s,
            as_of=self.as_of,
            warm=self.warm,
        )

    def without_evidence(self) -> Self:
        """The same arms and priors, having seen nothing."""
        blank = self.copy()
        blank.second[:], blank.cross[:], blank.square[:], blank.count[:] = 0.0, 0.0, 0.0, 0
        blank.as_of = -math.inf
        return blank

    def with_arm(self, arm: str, prior: Prior) -> Self:
        """The same posterior with one more arm that has seen nothing."""
        if arm in self:
            raise InvalidInput("arm", f"{arm!r} is there already", "give a new name")
        if prior.mean.size != self.dim:
            raise InvalidInput("prior", f"has length {prior.mean.size}", f"give length {self.dim}")
        arms = (*self.arms, arm)
        return type(self)(
            arms=arms,
            schema_id=self.schema_id,
            noise_variance=self.noise_variance,
            prior_mean=np.vstack([self.prior_mean, prior.mean]),
            prior_precision=np.vstack([self.prior_precision, prior.precision]),
            second=np.concatenate([self.second, np.zeros((1, self.dim, self.dim))]),
            cross=np.vstack([self.cross, np.zeros(self.dim)]),
            square=np.append(self.square, 0.0),
            hyperprior=self.hyperprior,
            count=np.append(self.count, np.int64(0)),
            half_life_s=self.half_life_s,
            as_of=self.as_of,
            warm=None if self.warm is None else self.warm.align(self.arms, arms),
        )

    # -- the sums ---------------------------------------------------------------------------------

    @property
    def sums(self) -> tuple[FloatArray, ...]:
        """What adds up: S, m and Σ w r²."""
        return self.second, self.cross, self.square

    def observe(self, arm: str, x: FloatArray, reward: float, at: float = 0.0) -> None:
        """Count one reward: S += w x xᵀ, m += w r x, n += 1, in O(d²).

        The derived mean and covariance follow by a rank-one (Sherman–Morrison) step.
        """
        k, w = self._index[arm], self._admit(x, reward, at)
        if self.hyperprior is not None:
            self._stale = True
        elif not self._stale:
            self._rank_one(k, x, reward, w)
        self._add(k, x, reward, w)
        self.count[k] += 1

    def retract(self, arm: str, x: FloatArray, reward: float, at: float = 0.0) -> None:
        """Take back one reward that was counted with these very values."""
        k, w = self._index[arm], self._admit(x, reward, at)
        self._add(k, x, reward, -w)
        self.count[k] -= 1
        self._stale = True  # a rank-one downdate loses digits that the direct solve keeps

    def forget(self, arm: str) -> None:
        """Take back everything that is known of one arm but its prior, to the last bit."""
        k = self._index[arm]
        self.second[k], self.cross[k], self.square[k], self.count[k] = 0.0, 0.0, 0.0, 0
        self.warm = self.warm and self.warm.without_arm(k)
        self._stale = True

    def revise(self, arm: str, x: FloatArray, old: float, new: float, at: float = 0.0) -> None:
        """Replace one counted reward by another: m += w (new − old) x."""
        k, w = self._index[arm], self._admit(x, new - old, at)
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
        if not (_can_be_squared(x.ravel()) and np.isfinite(rewards).all() and np.isfinite(at).all()):
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
            self.arms == other.arms
            and self.schema_id == other.schema_id
            and self.half_life_s == other.half_life_s
            and self.noise_variance == other.noise_variance
            and self.hyperprior == other.hyperprior
            and np.array_equal(self.prior_mean, other.prior_mean)
            and np.array_equal(self.prior_precision, other.prior_precision)
            and (self.warm is other.warm or (self.warm is not None and self.warm.equals(other.warm)))
        )
        if not same:
            raise InvalidInput("posterior", "differs in arms, schema or prior", "merge like with like")
        merged, addend = self.copy(), other.copy()
        as_of = max(merged.as_of, addend.as_of)
        merged.advance(as_of)
        addend.advance(as_of)
        merged.second += addend.second
        merged.cross += addend.cross
        merged.square += addend.square
        merged.count += addend.count
        return merged

    def advance(self, as_of: float) -> None:
        """Move the reference time forward; with a half-life, older evidence decays. Never back."""
        if as_of <= self.as_of:
            return
        factor = decay_factor(self.as_of, as_of, self.half_life_s)
        if self.half_life_s is not None:
            for part in self.sums:
                part *= factor
            self._stale = True
        self.as_of = as_of

    # -- the derived part -------------------------------------------------------------------------

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and width of every arm's reward at x (d,): two (K,) vectors.

        The width is the standard deviation of θ_a·x, or under a hyperprior that of the arm's level.
        """
        if self._stale:
            self.solve()
        if self._solution is not None:
            return self._solution.mean(x), self._solution.width
        mean = self.theta.dot(x)
        variance = _quadratic_forms(self.covariance, x)
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
        """What the warm start is taken for evidence of; None without one."""
        if self._stale:
            self.solve()
        if self._solution is not None:
            return self._solution.taken
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
        """Derive from the sums what :meth:`predict` needs.

        An arm with non-finite statistics is quarantined: it predicts its prior and says so in the log.
        """
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
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.abs(self.second).sum(axis=(1, 2)) + np.abs(self.cross).sum(axis=1) + np.abs(self.square)
        lost = ~np.isfinite(size) | (self.second[:, 0, 0] < -_ROUNDING)
        if lost.any():
            for k in np.flatnonzero(lost):
                log.error(_QUARANTINED, self.arms[k])
            sums = RegressionSums(
                *(np.where(lost.reshape(-1, *[1] * (part.ndim - 1)), 0.0, part) for part in sums)
            )
        return hierarchical.solve(sums, self.prior_mean[:, 0], hyperprior, self._warm_sums())

    def _warm_sums(self) -> RegressionSums | None:
        return None if self.warm is None else self.warm.scale_to(self.as_of, self.half_life_s)

    def _solve_arm(self, k: int) -> bool:
        second, cross, warm = self.second[k], self.cross[k], self._warm_sums()
        if warm is not None:
            second, cross = second + warm.second[k], cross + warm.cross[k]
        if not (np.isfinite(second).all() and np.isfinite(cross).all()):
            return False
        precision = second / self.noise_variance
        precision[np.diag_indices(self.dim)] += self.prior_precision[k]
        factor, info = lapack.dpotrf(precision, lower=1, overwrite_a=0, clean=1)
        if info != 0:
            return False
        target = self.prior_precision[k] * self.prior_mean[k] + cross / self.noise_variance
        self.theta[k] = lapack.dpotrs(factor, target, lower=1)[0].reshape(-1)
        inverse = lapack.dpotri(factor, lower=1)[0]
        self.covariance[k] = np.tril(inverse) + np.tril(inverse, -1).T
        return bool(np.isfinite(self.theta[k]).all())

    def _rank_one(self, k: int, x: FloatArray, reward: float, w: float) -> None:
        gain = self.covariance[k] @ x
        spread = self.noise_variance / w + float(gain @ x) if w > 0 else math.inf
        self.theta[k] += gain * ((reward - float(self.theta[k] @ x)) / spread)
        _add_outer(self.covariance[k], -1.0 / spread, gain)

    def _add(self, k: int, x: FloatArray, reward: float, w: float) -> None:
        _add_outer(self.second[k], w, x)
        self.cross[k] += (w * reward) * x
        self.square[k] += w * reward * reward

    def _admit(self, x: FloatArray, reward: float, at: float) -> float:
        if x.shape != (self.dim,):
            raise InvalidInput("x", f"has shape {x.shape}", f"give shape ({self.dim},)")
        if not (math.isfinite(reward) and _can_be_squared(x) and math.isfinite(at)):
            raise InvalidInput("observation", "is not finite", "drop the row")
        self.advance(at)
        return decay_factor(at, self.as_of, self.half_life_s)


def _can_be_squared(x: FloatArray) -> bool:
    """Whether x·x is finite; BLAS, unlike numpy, does not warn when it is not."""
    return math.isfinite(blas.ddot(x, x))


def _quadratic_forms(matrices: FloatArray, x: FloatArray) -> FloatArray:
    """xᵀ M_k x for symmetric matrices (K, d, d) -> (K,)."""
    k, d = matrices.shape[:2]
    if d >= _HALF_READ_DIM:
        return np.array([blas.dsymv(1.0, matrix.T, x) @ x for matrix in matrices])
    forms: FloatArray = matrices.reshape(k * d, d).dot(x).reshape(k, d).dot(x)  # `@` costs twice the call
    return forms


def _add_outer(matrix: FloatArray, scale: float, x: FloatArray) -> None:
    """matrix += scale · x xᵀ, in place and without a temporary (matrix is C-contiguous)."""
    blas.dger(scale, x, x, a=matrix.T, overwrite_a=1)
