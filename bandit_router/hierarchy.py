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
together. It stays linear in φ, and what the candidates disagree on is part of the width. In simulation it
halved the price of warm starts where contexts are worth nothing; the most probable one alone was worse.

**Noise** is each arm's residual variance, drawn towards that of all arms (Morris, Parametric empirical Bayes
inference, JASA 1983), in two rounds.

**Width.** What an arm is unsure of, for exploration, is its level: the standard deviation of θ_a's intercept
given θ_0, the same for every query. √(φᵀC_aφ) would send queries in unusual directions to arms that are known
to be worse; in simulation on five streams it cost about half as much again.

**Warm starts.** Evidence from elsewhere is sums W of the same kind, and counts as κ W. Of the steps in
``TRUST``, κ is the one under which the arms' own outcomes O are most probable::

    log p(O | κ W) = log p(O, κ W) − log p(κ W)

(a power prior, Ibrahim & Chen, Statistical Science 2000, with its power chosen by empirical Bayes). So
evidence that was wrong, or is of other models under the same names, is unlearned at a stroke and not
outcome by outcome.

Everything follows from the sums S = Σ w x xᵀ, m = Σ w y x, Σ w y² and n of each arm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from bandit_router.types import FloatArray

DIRECTIONS = 12
"""How many directions of x are kept. In simulation 8, 20 and all 79 did as well."""

FACTORS = (0.01, 0.1, 0.3, 1.0, 3.0)
"""Candidates for how much arms differ, in units of ``arm_variance``, equally likely beforehand."""

TRUST = (1.0, 0.1, 1e-6)
"""κ: all of a warm start, a tenth of it, nothing but its directions."""

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
    with ``arm_variance_known = False`` the outcomes decide how far ``arm_variance`` is off.
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


class Sums(NamedTuple):
    """Sums over the rows of K arms: S (K, d, d), m (K, d), Σ w y² (K,), Σ w (K,)."""

    second: FloatArray
    cross: FloatArray
    square: FloatArray
    weight: FloatArray


def times(factor: float, sums: Sums) -> Sums:
    """Each row of the sums counts ``factor`` times."""
    return Sums(*(factor * part for part in sums))


def plus(a: Sums, b: Sums) -> Sums:
    """The sums over the rows of both."""
    return Sums(*(x + y for x, y in zip(a, b, strict=True)))


class Solution(NamedTuple):
    """The hierarchy, solved: ``transform`` T (D, d) with φ = T x, ``theta`` θ (K, D), ``width`` (K,) standard
    deviation of each arm's level, ``noise`` σ² (K,)."""

    transform: FloatArray
    theta: FloatArray
    width: FloatArray
    noise: FloatArray

    def mean(self, x: FloatArray) -> FloatArray:
        """The expected outcome of every arm at x (d,), (K,)."""
        found: FloatArray = self.theta.dot(self.transform.dot(x))
        return found


def solve(sums: Sums, prior_mean: FloatArray, hyper: Hyperprior, warm: Sums | None = None) -> Solution:
    """Solve the hierarchy from the sums; ``prior_mean`` (K,) is the level expected of each arm.

    ``warm`` are sums of another origin, which count for as much as the others bear out.
    """
    everything = sums if warm is None else plus(sums, warm)
    transform = directions(everything.second, everything.weight, hyper.apart)
    mu = float(prior_mean.mean()) if prior_mean.size else 0.0
    offset = prior_mean - mu
    own = _centred(_projected(sums, transform), offset)
    if warm is None:
        return _solution(own, transform, offset, mu, hyper)
    other = _centred(_projected(warm, transform), offset)
    solution = _solution(plus(own, other), transform, offset, mu, hyper)
    if not sums.weight.any():
        return solution
    trust = _trust(own, other, solution.noise, mu, hyper)
    if trust == TRUST[0]:
        return solution
    return _solution(plus(own, times(trust, other)), transform, offset, mu, hyper)


def _trust(own: Sums, other: Sums, noise: FloatArray, mu: float, hyper: Hyperprior) -> float:
    """κ: how much of the other sums the own ones bear out."""

    def evidence(sums: Sums) -> float:
        return _log_evidence(_system(sums, noise, mu, hyper), sums, noise, mu)

    def borne_out(power: float) -> float:
        prior = times(power, other)
        return evidence(plus(own, prior)) - evidence(prior)

    return max(TRUST, key=borne_out)


def _solution(
    sums: Sums, transform: FloatArray, offset: FloatArray, mu: float, hyper: Hyperprior
) -> Solution:
    noise = np.full(len(offset), hyper.noise_std**2)
    for _ in range(_ROUNDS if sums.weight.any() else 0):
        system = _system(sums, noise, mu, hyper)
        noise = _noise(sums, _theta(system, _common(system)), system.covariance, noise, hyper.noise_std**2)
    theta, variance = _averaged(sums, noise, mu, hyper)
    theta[:, 0] += offset
    return Solution(transform, theta, np.sqrt(variance), noise)


def _averaged(sums: Sums, noise: FloatArray, mu: float, hyper: Hyperprior) -> tuple[FloatArray, FloatArray]:
    """θ (K, D) and the variance of each arm's level (K,), averaged over what ``arm_variance`` may be.

    θ_0 first, with p_v ∝ p(outcomes | v is that of all arms); given θ_0, every arm for itself, with
    p_av ∝ p(outcomes of a | θ_0, v)::

        θ_a = Σ_v p_av θ_av,    variance_a = Σ_v p_av (C_av[0, 0] + (θ_av[0] − θ_a[0])²)
    """
    factors = (1.0,) if hyper.arm_variance_known else FACTORS
    candidates = [replace(hyper, arm_variance=factor * hyper.arm_variance) for factor in factors]
    systems = [_system(sums, noise, mu, candidate) for candidate in candidates]
    p = softmax([_log_evidence(system, sums, noise, mu) for system in systems])
    common = p @ np.array([_common(system) for system in systems])
    p = softmax([_log_evidence_of_arms(system, sums, noise, common) for system in systems], axis=0)
    thetas = np.array([_theta(system, common) for system in systems])
    theta = np.einsum("vk,vki->ki", p, thetas)
    variances = np.array([system.covariance[:, 0, 0] for system in systems])
    return theta, (p * (variances + (thetas[:, :, 0] - theta[:, 0]) ** 2)).sum(axis=0)


def directions(second: FloatArray, weight: FloatArray, apart: int = 0) -> FloatArray:
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


def _projected(sums: Sums, transform: FloatArray) -> Sums:
    second = transform @ sums.second @ transform.T
    return Sums(second, sums.cross @ transform.T, sums.square, sums.weight)


def _centred(sums: Sums, offset: FloatArray) -> Sums:
    """The sums of y − offset_a: arms whose levels are expected to differ share what is left."""
    ones = sums.second[:, 0]  # Σ w φ
    square = sums.square - 2.0 * offset * sums.cross[:, 0] + offset**2 * ones[:, 0]
    return Sums(sums.second, sums.cross - offset[:, None] * ones, square, sums.weight)


class _System(NamedTuple):
    """What is solved, given the noise: C (K, D, D) and C m/σ² (K, D) of the arms, and for θ_0 its precision
    (D, D) and right-hand side (D,); ``shared`` and ``own`` (D,) are the diagonals of L_0 and L_1."""

    shared: FloatArray
    own: FloatArray
    covariance: FloatArray
    told: FloatArray
    precision: FloatArray
    target: FloatArray


def _system(sums: Sums, noise: FloatArray, mu: float, hyper: Hyperprior) -> _System:
    d = sums.cross.shape[1]
    shared, own = np.full(d, 1.0 / hyper.common_variance), np.full(d, 1.0 / hyper.arm_variance)
    shared[0], own[0] = hyper.level_std**-2.0, hyper.arm_std**-2.0
    precisions: FloatArray = sums.second / noise[:, None, None] + np.diag(own)
    covariance = np.asarray(np.linalg.inv(precisions), dtype=np.float64)
    told = np.einsum("kij,kj->ki", covariance, sums.cross) / noise[:, None]
    precision = np.diag(shared) + (np.diag(own) - own[:, None] * covariance * own).sum(axis=0)
    target = (own * told).sum(axis=0)
    target[0] += shared[0] * mu
    return _System(shared, own, covariance, told, precision, target)


def _common(system: _System) -> FloatArray:
    """θ_0 (D,)."""
    return np.asarray(np.linalg.solve(system.precision, system.target), dtype=np.float64)


def _theta(system: _System, common: FloatArray) -> FloatArray:
    """θ (K, D), given θ_0."""
    found: FloatArray = system.told + np.einsum("kij,j->ki", system.covariance, system.own * common)
    return found


def _log_evidence(system: _System, sums: Sums, noise: FloatArray, mu: float) -> float:
    """log p(outcomes) of the rows in the sums, with θ integrated out, for noise variances (K,).

    Up to Σ w log √(2π), which is the same whatever is believed.
    """
    shared, own, covariance, told, precision, target = system
    common = np.log(shared).sum() - np.linalg.slogdet(precision)[1] - shared[0] * mu * mu
    common += target @ _common(system)
    arms = len(noise) * np.log(own).sum() + np.linalg.slogdet(covariance)[1].sum()
    explained = (sums.cross * told).sum(axis=1)
    rows = (sums.square - explained) / noise + sums.weight * np.log(noise)
    return float(0.5 * (common + arms - rows.sum()))


def _log_evidence_of_arms(system: _System, sums: Sums, noise: FloatArray, common: FloatArray) -> FloatArray:
    """log p(outcomes of arm a | θ_0) for each (K,), up to what does not depend on ``arm_variance``."""
    surprise = (sums.cross - sums.second @ common) / noise[:, None]
    explained = np.einsum("ki,kij,kj->k", surprise, system.covariance, surprise)
    volume = np.log(system.own).sum() + np.linalg.slogdet(system.covariance)[1]
    return np.asarray(0.5 * (volume + explained), dtype=np.float64)


def _noise(
    sums: Sums, theta: FloatArray, covariance: FloatArray, noise: FloatArray, prior: float
) -> FloatArray:
    """Residual variances (K,): those of each arm, drawn to those of all, and these to the prior's."""
    fitted = np.einsum("ki,kij,kj->k", theta, sums.second, theta) - 2.0 * (theta * sums.cross).sum(axis=1)
    residual = np.maximum(sums.square + fitted, 0.0)
    used = np.einsum("kij,kij->k", covariance, sums.second) / noise
    free = np.maximum(sums.weight - used, 0.0)
    pooled = (_NOISE_ROWS * prior + residual.sum()) / (_NOISE_ROWS + free.sum())
    found: FloatArray = np.maximum((_NOISE_ROWS * pooled + residual) / (_NOISE_ROWS + free), _LEAST_NOISE)
    return found
