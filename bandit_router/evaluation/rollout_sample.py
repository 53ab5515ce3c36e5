"""The candidate of a rollout against its incumbent: differences of quality, cost and utility, at any time.

A request at share s that drew arm a, with p the incumbent's PMF, q the candidate's, m = (1 − s) p + s q, its
outcome y and the outcome ŷ(a) that was expected, has the doubly robust difference::

    D = Σ_b (q(b) − p(b)) ŷ(b)  +  (q(a) − p(a)) / m(a) · (y − ŷ(a)),    E[D | x] = Σ_b (q(b) − p(b)) y(b)

Where the two agree, it is exact. (Dudík, Langford & Li 2011, Doubly robust policy evaluation and learning;
Karampatziakis, Mineiro & Ramdas 2021, Off-policy confidence sequences.)

Where branches are those of units, the observation is a *block*: the requests of one unit in one period of a
stage, with the mean outcome ȳ and the branch Z, 1 for the candidate::

    D = (Z/s − (1 − Z)/(1 − s)) · (ȳ − b)

b is the mean of the blocks before. A unit's later contexts may follow from its branch, so that the effect of
the branch on the whole block is what is measured, and every unit counts alike.

Both are up to 1/s large. They are weighted by s (1 − s), which bounds the product by 9/8 for outcomes in an
interval of length 1, so that stages of different shares make one sequence (overlap weights: Li, Morgan &
Zaslavsky 2018). At s = 0 and s = 1 nothing is compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bandit_router.evaluation.confidence_sequence import (
    LEAST_ASYMPTOTIC,
    RunningSums,
    accumulate,
    asymptotic_intervals,
    bounded_intervals,
)
from bandit_router.types import BoolArray, FloatArray, IntArray

SCALE = 9.0 / 8.0
"""What bounds a weighted difference less its prediction, for outcomes in an interval of length 1."""

_MOST_TIMES = 4.0
_LEAST_USD = 1e-12


class AnytimeInterval(NamedTuple):
    """A difference from ``n`` observations, and its interval."""

    n: int
    value: float
    low: float
    high: float


class BranchMeans(NamedTuple):
    """What one branch did: its requests, those of them that are rated, and their mean outcomes."""

    requests: int
    rated: int
    quality: float | None
    cost_usd: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutSample:
    """Requests that the policy of a rollout decided, in the order of time; every array is (n,).

    ``block`` numbers the units of randomisation in the order of their first request. ``is_candidate`` is the
    branch. ``quality_gain`` and ``cost_gain_usd`` are what is expected of the candidate's PMF less what is of
    the incumbent's; ``expected_quality``, within [0, 1], and ``expected_cost_usd`` are those of the drawn
    arm, ``most_cost_usd`` is the largest cost expected of any. ``reward`` is NaN where there is no rating.
    ``cost_weight`` is λ, 1/USD.
    """

    share: FloatArray
    block: IntArray
    is_candidate: BoolArray
    incumbent_p: FloatArray
    candidate_p: FloatArray
    quality_gain: FloatArray
    cost_gain_usd: FloatArray
    expected_quality: FloatArray
    expected_cost_usd: FloatArray
    most_cost_usd: FloatArray
    reward: FloatArray
    cost_usd: FloatArray
    cost_weight: FloatArray

    def __len__(self) -> int:
        return len(self.share)

    def take(self, rows: BoolArray) -> RolloutSample:
        """The requests in these rows (n,)."""
        return RolloutSample(**{name: getattr(self, name)[rows] for name in self.__slots__})


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutComparison:
    """The candidate less the incumbent, with intervals that miss at any time with probability ≤ ``alpha``.

    Those of quality and utility hold for any number of requests; that of the cost needs many. None where
    too little was observed.
    """

    alpha: float
    incumbent: BranchMeans
    candidate: BranchMeans
    quality: AnytimeInterval | None
    cost_usd: AnytimeInterval | None
    utility: AnytimeInterval | None


def compare_branches(sample: RolloutSample, *, by_block: bool, alpha: float) -> RolloutComparison:
    """Compare the branches; with ``by_block`` by their blocks, else by the PMFs of each request."""
    rated = sample.take(~np.isnan(sample.reward))
    bound = utility_bound(rated)
    return RolloutComparison(
        alpha=alpha,
        incumbent=_average_branch(sample.take(~sample.is_candidate)),
        candidate=_average_branch(sample.take(sample.is_candidate)),
        quality=_last_interval(sum_quality(rated, by_block=by_block), SCALE, alpha),
        cost_usd=_last_interval(sum_cost(sample, by_block=by_block), None, alpha),
        utility=_last_interval(sum_utility(rated, by_block=by_block), bound * SCALE, alpha),
    )


def sum_quality(rated: RolloutSample, *, by_block: bool) -> RunningSums:
    """The sums of the differences of quality; of every request, or of every block."""
    if by_block:
        return _sum_blocks(rated, rated.reward, 1.0)
    gain, residual = rated.quality_gain, rated.reward - rated.expected_quality
    return _sum_requests(rated, gain, residual, 1.0)


def sum_cost(sample: RolloutSample, *, by_block: bool) -> RunningSums:
    """The sums of the differences of cost, USD."""
    if by_block:
        return _sum_blocks(sample, sample.cost_usd, math.inf)
    return _sum_requests(sample, sample.cost_gain_usd, sample.cost_usd - sample.expected_cost_usd, math.inf)


def sum_utility(rated: RolloutSample, *, by_block: bool) -> RunningSums:
    """The sums of the differences of utility, reward − λ · cost.

    λ is small enough to price no expected cost above 1; a priced cost counts up to :func:`utility_bound` − 1.
    """
    weight, bound = _bound_cost_weight(rated), utility_bound(rated)
    utility = rated.reward - np.minimum(weight * rated.cost_usd, bound - 1.0)
    if by_block:
        return _sum_blocks(rated, utility, bound)
    expected = rated.expected_quality - weight * rated.expected_cost_usd
    gain = rated.quality_gain - weight * rated.cost_gain_usd
    return _sum_requests(rated, gain, utility - expected, bound)


def utility_bound(rated: RolloutSample) -> float:
    """The length of the interval that utilities are in: 1 and four times the largest priced cost, up to 2."""
    priced = _bound_cost_weight(rated) * rated.most_cost_usd
    return 1.0 + min(1.0, _MOST_TIMES * float(priced.max(initial=0.0)))


def _bound_cost_weight(rated: RolloutSample) -> FloatArray:
    return np.minimum(rated.cost_weight, 1.0 / np.maximum(rated.most_cost_usd, _LEAST_USD))


def _sum_requests(sample: RolloutSample, gain: FloatArray, residual: FloatArray, bound: float) -> RunningSums:
    share, p, q = sample.share, sample.incumbent_p, sample.candidate_p
    difference = gain + (q - p) / ((1.0 - share) * p + share * q) * residual
    return accumulate(difference, share * (1.0 - share), bound)


def _sum_blocks(sample: RolloutSample, outcome: FloatArray, bound: float) -> RunningSums:
    blocks, first, of = np.unique(sample.block, return_index=True, return_inverse=True)
    mean = np.bincount(of, outcome, len(blocks)) / np.bincount(of, minlength=len(blocks))
    share, is_candidate = sample.share[first], sample.is_candidate[first]
    before = np.zeros_like(mean)
    before[1:] = np.cumsum(mean)[:-1] / np.arange(1.0, len(blocks))
    sign = np.where(is_candidate, 1.0 / share, -1.0 / (1.0 - share))
    return accumulate(sign * (mean - before), share * (1.0 - share), bound)


def _last_interval(sums: RunningSums, scale: float | None, alpha: float) -> AnytimeInterval | None:
    if len(sums.n) < (LEAST_ASYMPTOTIC if scale is None else 1):
        return None
    last = sums.take(np.array([-1]))
    intervals = asymptotic_intervals(last, alpha) if scale is None else bounded_intervals(last, scale, alpha)
    return AnytimeInterval(len(sums.n), *(float(column[0]) for column in intervals))


def _average_branch(sample: RolloutSample) -> BranchMeans:
    rated = ~np.isnan(sample.reward)
    quality = float(sample.reward[rated].mean()) if rated.any() else None
    cost_usd = float(sample.cost_usd.mean()) if len(sample) else None
    return BranchMeans(len(sample), int(rated.sum()), quality, cost_usd)
