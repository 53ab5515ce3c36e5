"""Arms that share what they have in common: a hierarchical linear model on few directions.

Arm a has outcome ``y = θ_a·φ(x) + noise`` with noise variance σ_a², and the arms have a common mean::

    θ_a ~ N(θ_0, L_1⁻¹),    θ_0 ~ N(μ, L_0⁻¹)

so that every outcome tells something of every arm: how good models are by and large, and which queries are
hard for all of them. What is left to each arm is its deviation. Given θ_0 the arms are independent, so
θ_0 is solved for first, with the arms eliminated, and then each arm (Gelman & Hill, Data Analysis Using
Regression and Multilevel/Hierarchical Models, 2007, ch. 13; Lindley & Smith, Bayes estimates for the
linear model, JRSS B 1972). With C_a = (S_a/σ_a² + L_1)⁻¹::

    (L_0 + Σ_a (L_1 − L_1 C_a L_1)) θ_0 = L_0 μ + Σ_a L_1 C_a m_a/σ_a²,    θ_a = C_a (m_a/σ_a² + L_1 θ_0)

**Directions.** φ(x) = [1, W (x − x̄)] with x̄ and Cov(x) from the contexts seen, and W the leading eigenvectors
of Cov(x), each times the root of its eigenvalue: the prior variance of an effect is proportional to how
much x varies along it (principal component regression's prior; Zellner's g-prior has the inverse). A few
directions serve as well as all, and cost a fraction.

**How much arms differ** in which queries they are good at is not known beforehand, and not the same for all:
a weak model fails on many a query, and two strong ones hardly differ. With few outcomes it decides between
one model for everything and one for each query. So each of ``FACTORS`` times ``arm_variance`` is tried for
every arm, and θ_a is their average, weighted by how probable they make its outcomes (Bayesian model
averaging; Hoeting et al., Statistical Science 1999), around a θ_0 that is the same average for all arms
together: linear in φ as each of them. How much the levels of arms differ is not estimated. In simulation the
most probable candidate alone did worse, and so did one for all arms where two strong ones hardly differed.

**Noise** is each arm's residual variance, drawn towards that of all arms (Morris, Parametric empirical Bayes
inference, JASA 1983), in two rounds.

**Width.** What an arm is unsure of, for exploration, is its level: the standard deviation of θ_a's intercept
given θ_0, the same for every query. √(φᵀC_aφ) would send queries in unusual directions to arms that are known
to be worse; in simulation on five streams it cost about half as much again.

**Warm starts.** Evidence from elsewhere is sums W of the same kind. It may be of these very arms; or of
*strangers*, K more arms under the same θ_0, which tell how good models are and which queries are hard, and
nothing of which arm is which; or of nothing alike, so that only its directions are of use. It is taken as
that which makes it and the arms' own outcomes O together most probable::

    log p(O, W | same) + PRIOR_LOG_ODDS,    log p(O, W | strangers),    log p(O) + log p(W)

So labels that were wrong, or are of other models under the same names, are unlearned at a stroke and not
outcome by outcome, and what they say of queries is kept. (To count W for less, a power prior, does neither:
what is right about wrong labels then speaks for all of them.) Where one model of several is another one, the
others go with it: that an arm was tried and is not what it was said to be puts in doubt those that were not.

Everything follows from the sums S = Σ w x xᵀ, m = Σ w y x, Σ w y² and n of each arm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax

from bandit_router.types import FloatArray

DIRECTIONS = 12
"""How many directions of x are kept. In simulation 8, 20 and all 79 did as well."""

FACTORS = (0.01, 0.1, 0.3, 1.0, 3.0)
"""Candidates for how much arms differ, in units of ``arm_variance``, equally likely beforehand."""

PRIOR_LOG_ODDS = 4.0
"""Of a warm start being of these arms, over each of what else it may be. In simulation, with right labels and
with wrong ones, 3 and 5 did about as well."""

_CONTEXTS = 20.0  # contexts' worth of an isotropic Cov(x), before there are many
_NOISE_ROWS = 10.0  # rows' worth of the noise of all arms in that of each
_LEAST_NOISE = 1e-4
_ROUNDS = 2
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Hyperprior:
    """What is believed before the first outcome; standard deviations in units of the outcome.

    ``level_std`` is of the common intercept around its mean and ``arm_std`` of an arm's own around that;
    ``common_variance`` and ``arm_variance`` are what x is expected to explain, in common and of each arm;
    with ``arm_variance_known = False`` the outcomes decide how far off ``arm_variance`` is.
    The last ``apart`` features are directions of their own, expected to explain as much once more, whatever
    the scale of the others.
    """

    level_std: float
    arm_std: float
    common_variance: float
    arm_variance: float
    noise_std: float
    apart: int = 0
    arm_variance_known: bool = True


class RegressionSums(NamedTuple):
    """Sums over the rows of K arms: S (K, d, d), m (K, d), Σ w y² (K,), Σ w (K,)."""

    second: FloatArray
    cross: FloatArray
    square: FloatArray
    weight: FloatArray


def scale_sums(factor: float, sums: RegressionSums) -> RegressionSums:
    """Each row of the sums counts ``factor`` times."""
    return RegressionSums(*(factor * part for part in sums))


def add_sums(a: RegressionSums, b: RegressionSums) -> RegressionSums:
    """The sums over the rows of both."""
    return RegressionSums(*(x + y for x, y in zip(a, b, strict=True)))


class WarmStartVerdict(StrEnum):
    """What a warm start is taken for evidence of."""

    SAME = "these models"
    STRANGERS = "other models"
    NOTHING = "nothing"


class Solution(NamedTuple):
    """The hierarchy, solved: ``transform`` T (D, d) with φ = T x, ``theta`` θ (K, D), ``width`` (K,) standard
    deviation of each arm's level, ``noise`` σ² (K,); ``taken`` is None without a warm start."""

    transform: FloatArray
    theta: FloatArray
    width: FloatArray
    noise: FloatArray
    taken: WarmStartVerdict | None = None

    def mean(self, x: FloatArray) -> FloatArray:
        """The expected outcome of every arm at x (d,), (K,)."""
        found: FloatArray = self.theta.dot(self.transform.dot(x))
        return found


def solve(
    sums: RegressionSums, prior_mean: FloatArray, hyper: Hyperprior, warm: RegressionSums | None = None
) -> Solution:
    """Solve the hierarchy from the sums; ``prior_mean`` (K,) is the level expected of each arm.

    ``warm`` are sums of another origin, which are taken for what the others bear out.
    """
    everything = sums if warm is None else add_sums(sums, warm)
    transform = find_directions(everything.second, everything.weight, hyper.apart)
    mu = float(prior_mean.mean()) if prior_mean.size else 0.0
    offset = prior_mean - mu
    own = _centred(_projected(sums, transform), offset)
    if warm is None:
        return _solution(own, transform, offset, mu, hyper)
    other = _centred(_projected(warm, transform), offset)
    solution = _solution(add_sums(own, other), transform, offset, mu, hyper)
    taken = _borne_out(own, other, solution.noise, mu, hyper)
    if taken is not WarmStartVerdict.SAME:
        solution = _solution(_TAKE[taken](own, other), transform, offset, mu, hyper)
    return solution._replace(taken=taken)


def _beside(own: RegressionSums, other: RegressionSums) -> RegressionSums:
    """The sums of twice as many arms."""
    return RegressionSums(*(np.concatenate(parts) for parts in zip(own, other, strict=True)))


_TAKE: Mapping[WarmStartVerdict, Callable[[RegressionSums, RegressionSums], RegressionSums]] = {
    WarmStartVerdict.SAME: add_sums,
    WarmStartVerdict.STRANGERS: _beside,
    WarmStartVerdict.NOTHING: lambda own, _: own,
}


def _borne_out(
    own: RegressionSums, other: RegressionSums, noise: FloatArray, mu: float, hyper: Hyperprior
) -> WarmStartVerdict:
    """What makes the own outcomes and the others together most probable."""

    def log_density(sums: RegressionSums) -> float:
        noises = np.resize(noise, len(sums.weight))  # a stranger's is that of the arm of its name
        return _log_evidence(sums, noises, mu, hyper)

    found = {
        WarmStartVerdict.SAME: log_density(add_sums(own, other)) + PRIOR_LOG_ODDS,
        WarmStartVerdict.STRANGERS: log_density(_beside(own, other)),
        WarmStartVerdict.NOTHING: log_density(own) + log_density(other),
    }
    return max(found, key=found.__getitem__)


def _solution(
    sums: RegressionSums, transform: FloatArray, offset: FloatArray, mu: float, hyper: Hyperprior
) -> Solution:
    """Of the arms with an ``offset`` (K,) of their level; the others in the sums are strangers."""
    noise = np.full(len(sums.weight), hyper.noise_std**2)
    fit = _fit(sums, noise, mu, hyper)
    for _ in range(_ROUNDS if sums.weight.any() else 0):
        noise = _noise(sums, fit, noise, hyper.noise_std**2)
        fit = _fit(sums, noise, mu, hyper)
    k = len(offset)
    theta = fit.theta[:k]
    theta[:, 0] += offset
    return Solution(transform, theta, np.sqrt(fit.variance[:k]), noise[:k])


class _Fit(NamedTuple):
    """θ (K, D), the mean of C (K, D, D), and the variance of each arm's level (K,)."""

    theta: FloatArray
    covariance: FloatArray
    variance: FloatArray


def _fit(sums: RegressionSums, noise: FloatArray, mu: float, hyper: Hyperprior) -> _Fit:
    """What follows from the sums, given the noise, averaged over what ``arm_variance`` may be.

    θ_0 first, with p_v ∝ p(outcomes | v is that of all arms); given θ_0, every arm for itself, with
    p_va ∝ p(outcomes of a | θ_0, v)::

        θ_a = Σ_v p_va θ_va,    variance_a = Σ_v p_va (C_va[0, 0] + (θ_va[0] − θ_a[0])²)
    """
    system = _system(sums, noise, mu, hyper)
    common = softmax(_log_evidences(system, sums, noise, mu)) @ system.common
    p = softmax(_log_evidences_of_arms(system, sums, noise, common), axis=0)
    thetas = system.told + np.einsum("vkij,vj->vki", system.covariance, system.own * common)
    theta = np.einsum("vk,vki->ki", p, thetas)
    covariance = np.einsum("vk,vkij->kij", p, system.covariance)
    apart = (p * (thetas[:, :, 0] - theta[:, 0]) ** 2).sum(axis=0)
    return _Fit(theta, covariance, covariance[:, 0, 0] + apart)


def find_directions(second: FloatArray, weight: FloatArray, apart: int = 0) -> FloatArray:
    """T (D, d): φ = T x = [1, leading directions of x − x̄], scaled so that E|φ|² = 2. x[0] = 1.

    The last ``apart`` features are left out of that and follow, each standardised, with E|·|² = 1 together.
    """
    pooled, n = second.sum(axis=0), float(weight.sum())
    features = pooled.shape[0] - 1
    mixed = features - apart
    kept = min(DIRECTIONS, mixed)
    mean = pooled[0, 1:] / n if n > 0 else np.zeros(features)
    spread = pooled[1:, 1:] - n * np.outer(mean, mean) + np.eye(features) * (_CONTEXTS / max(1, mixed))
    spread /= n + _CONTEXTS
    scaled = np.zeros((kept + apart, features))
    if kept:
        values, vectors = np.linalg.eigh(spread[:mixed, :mixed])
        values, vectors = np.maximum(values[-kept:], _TINY), vectors[:, -kept:]
        scaled[:kept, :mixed] = (vectors * np.sqrt(values / (values**2).sum())).T
    if apart:
        variance = np.maximum(spread.diagonal()[mixed:], _TINY)
        scaled[kept:, mixed:] = np.diag(1.0 / np.sqrt(apart * variance))
    transform = np.zeros((1 + kept + apart, 1 + features))
    transform[0, 0] = 1.0
    transform[1:, 1:], transform[1:, 0] = scaled, -scaled @ mean
    return transform


def _projected(sums: RegressionSums, transform: FloatArray) -> RegressionSums:
    second = transform @ sums.second @ transform.T
    return RegressionSums(second, sums.cross @ transform.T, sums.square, sums.weight)


def _centred(sums: RegressionSums, offset: FloatArray) -> RegressionSums:
    """The sums of y − offset_a: arms whose levels are expected to differ share what is left."""
    ones = sums.second[:, 0]  # Σ w φ
    square = sums.square - 2.0 * offset * sums.cross[:, 0] + offset**2 * ones[:, 0]
    return RegressionSums(sums.second, sums.cross - offset[:, None] * ones, square, sums.weight)


class _System(NamedTuple):
    """What is solved, given the noise, for V values that ``arm_variance`` may have.

    C (V, K, D, D), C m/σ² (V, K, D) and log |L_1 C| (V, K) of the arms; θ_0 (V, D), its precision (V, D, D)
    and right-hand side (V, D); ``shared`` (D,) and ``own`` (V, D) are the diagonals of L_0 and L_1.
    """

    shared: FloatArray
    own: FloatArray
    covariance: FloatArray
    told: FloatArray
    volume: FloatArray
    precision: FloatArray
    target: FloatArray
    common: FloatArray


def _system(sums: RegressionSums, noise: FloatArray, mu: float, hyper: Hyperprior) -> _System:
    variances = hyper.arm_variance * np.array([1.0] if hyper.arm_variance_known else FACTORS)
    d = sums.cross.shape[1]
    shared, own = np.full(d, 1.0 / hyper.common_variance), np.repeat(1.0 / variances[:, None], d, axis=1)
    shared[0], own[:, 0] = hyper.level_std**-2.0, hyper.arm_std**-2.0
    alone = own[:, None, :, None] * np.eye(d)
    covariance = np.asarray(np.linalg.inv(sums.second / noise[:, None, None] + alone), dtype=np.float64)
    told = np.einsum("vkij,kj->vki", covariance, sums.cross) / noise[:, None]
    volume = np.log(own).sum(axis=1)[:, None] + np.linalg.slogdet(covariance)[1]
    eliminated = alone - own[:, None, :, None] * covariance * own[:, None, None, :]
    precision = np.diag(shared) + eliminated.sum(axis=1)
    target = (own[:, None] * told).sum(axis=1)
    target[:, 0] += shared[0] * mu
    common = np.linalg.solve(precision, target[..., None])[..., 0]
    return _System(shared, own, covariance, told, volume, precision, target, common)


def _log_evidence(sums: RegressionSums, noise: FloatArray, mu: float, hyper: Hyperprior) -> float:
    """log p(outcomes) of the rows in the sums, with θ and ``arm_variance`` integrated out.

    Up to Σ w log √(2π), which is the same whatever is believed; ``noise`` are variances (K,).
    """
    found = _log_evidences(_system(sums, noise, mu, hyper), sums, noise, mu)
    return float(logsumexp(found)) - math.log(found.size)


def _log_evidences(system: _System, sums: RegressionSums, noise: FloatArray, mu: float) -> FloatArray:
    """The same for each ``arm_variance``, (V,)."""
    shared, _, _, told, volume, precision, target, common = system
    found = np.log(shared).sum() - np.linalg.slogdet(precision)[1] - shared[0] * mu * mu
    found += (target * common).sum(axis=1) + volume.sum(axis=1)
    explained = (sums.cross * told).sum(axis=2)
    rows = (sums.square - explained) / noise + sums.weight * np.log(noise)
    return np.asarray(0.5 * (found - rows.sum(axis=1)), dtype=np.float64)


def _log_evidences_of_arms(
    system: _System, sums: RegressionSums, noise: FloatArray, common: FloatArray
) -> FloatArray:
    """log p(outcomes of arm a | θ_0) for each ``arm_variance``, (V, K), up to what does not depend on it."""
    surprise = (sums.cross - sums.second @ common) / noise[:, None]
    explained = np.einsum("ki,vkij,kj->vk", surprise, system.covariance, surprise)
    return np.asarray(0.5 * (system.volume + explained), dtype=np.float64)


def _noise(sums: RegressionSums, fit: _Fit, noise: FloatArray, prior: float) -> FloatArray:
    """Residual variances (K,): those of each arm, drawn to those of all, and these to the prior's."""
    theta, covariance, _ = fit
    fitted = np.einsum("ki,kij,kj->k", theta, sums.second, theta) - 2.0 * (theta * sums.cross).sum(axis=1)
    residual = np.maximum(sums.square + fitted, 0.0)
    used = np.einsum("kij,kij->k", covariance, sums.second) / noise
    free = np.maximum(sums.weight - used, 0.0)
    pooled = (_NOISE_ROWS * prior + residual.sum()) / (_NOISE_ROWS + free.sum())
    found: FloatArray = np.maximum((_NOISE_ROWS * pooled + residual) / (_NOISE_ROWS + free), _LEAST_NOISE)
    return found
