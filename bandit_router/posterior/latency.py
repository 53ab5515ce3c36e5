"""Latencies: per-arm counts of call times in logarithmic bins, which add up and subtract.

The bins are those of DDSketch (Masson, Rim & Lee, VLDB 2019, section 2.1). With γ = (1 + α)/(1 − α),
bin i counts latencies in (γ^(i−1), γ^i] times SMALLEST_S, and is represented by 2γ^i/(γ + 1) times it,
which is within α of everything in the bin: so is every quantile. Below SMALLEST_S all is one bin.

No library's sketch serves here, because feedback is revised and retracted, and a rebuild must equal the live
sums exactly: ddsketch, Apache DataSketches and t-digest cannot subtract, and some merge bins depending on the
order of their input. Fixed bins are sums, and decay, like those of
:mod:`bandit_router.posterior.sufficient_statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.posterior.decay import decay_factor, decay_weights
from bandit_router.posterior.regression_sums import append_zeros
from bandit_router.types import METRICS, NO_TASK, FloatArray, IntArray

ACCURACY = 0.025
"""α: the largest relative error of a quantile."""
SMALLEST_S = 1e-3
GAMMA = (1.0 + ACCURACY) / (1.0 - ACCURACY)
_LOG_GAMMA = math.log(GAMMA)
BINS = math.ceil(math.log(METRICS["latency_s"] / SMALLEST_S) / _LOG_GAMMA) + 1

_NEGLIGIBLE = 1e-6  # of a call: what rounding leaves when all was taken back
_ROUNDING = 1e-9  # of a share


@dataclass(kw_only=True, slots=True)
class Latencies:
    """The latencies of K arms. ``bins`` (K, BINS) are their weights, ``count`` (K,) how many there are.

    Mutable, like sufficient statistics: the learner owns them, adds to them and publishes a copy. Latencies
    do not depend on the query: methods accept a context, as those of statistics do, and ignore it.
    """

    arms: tuple[str, ...]
    bins: FloatArray
    count: np.ndarray[tuple[int], np.dtype[np.int64]]
    half_life_s: float | None = None
    as_of: float = -math.inf
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._index = {arm: k for k, arm in enumerate(self.arms)}

    @classmethod
    def empty(cls, arms: tuple[str, ...], half_life_s: float | None = None) -> Self:
        """Latencies of arms without timed calls."""
        k = len(arms)
        return cls(
            arms=arms,
            bins=np.zeros((k, BINS)),
            count=np.zeros(k, dtype=np.int64),
            half_life_s=half_life_s,
        )

    def __contains__(self, arm: object) -> bool:
        return arm in self._index

    @property
    def sums(self) -> tuple[FloatArray, ...]:
        """The arrays that add up."""
        return (self.bins,)

    def copy(self) -> Self:
        """Independent latencies with the same counts."""
        return type(self)(
            arms=self.arms,
            bins=self.bins.copy(),
            count=self.count.copy(),
            half_life_s=self.half_life_s,
            as_of=self.as_of,
        )

    def without_evidence(self) -> Self:
        """The same arms without timed calls."""
        return self.empty(self.arms, self.half_life_s)

    def with_arms(self, arms: Iterable[str]) -> Self:
        """A copy with more arms, without timed calls."""
        more = tuple(arms)
        for arm in more:
            if arm in self:
                raise InvalidInput("arm", f"{arm!r} exists already", "give a new name")
        return type(self)(
            arms=(*self.arms, *more),
            bins=append_zeros(self.bins, len(more)),
            count=append_zeros(self.count, len(more)),
            half_life_s=self.half_life_s,
            as_of=self.as_of,
        )

    # -- the sums ---------------------------------------------------------------------------------

    def observe(
        self,
        arm: str,
        _x: FloatArray,
        latency_s: float,
        at: float = 0.0,
        weight: float = 1.0,
        _task: int = NO_TASK,
        /,
    ) -> None:
        """Count one latency, seconds, of a call decided at ``at``."""
        self._add(arm, np.array([latency_s]), np.array([at]), weight, 1)

    def retract(
        self,
        arm: str,
        _x: FloatArray,
        latency_s: float,
        at: float = 0.0,
        weight: float = 1.0,
        _task: int = NO_TASK,
        /,
    ) -> None:
        """Subtract one latency that was counted with exactly these values."""
        self._add(arm, np.array([latency_s]), np.array([at]), weight, -1)

    def forget(self, arm: str) -> None:
        """Reset one arm to no timed calls, exactly."""
        k = self._index[arm]
        self.bins[k], self.count[k] = 0.0, 0

    def revise(
        self,
        arm: str,
        x: FloatArray,
        old: float,
        new: float,
        at: float = 0.0,
        weight: float = 1.0,
        _task: int = NO_TASK,
        /,
    ) -> None:
        """Replace one counted latency by another of the same weight."""
        self.observe(arm, x, new, at, weight)
        self.retract(arm, x, old, at, weight)

    def observe_many(
        self,
        arm: str,
        _x: FloatArray,
        latencies_s: FloatArray,
        at: FloatArray,
        weights: FloatArray | float = 1.0,
        _tasks: IntArray | None = None,
        /,
    ) -> None:
        """Count many latencies (n,) of one arm, with their event times (n,) and weights (n,)."""
        self._add(arm, latencies_s, at, weights, 1)

    def merge(self, other: Latencies) -> Self:
        """The latencies of both logs together."""
        if (self.arms, self.half_life_s) != (other.arms, other.half_life_s):
            raise InvalidInput("latencies", "differ in arms or half-life", "merge like with like")
        merged, addend = self.copy(), other.copy()
        merged.advance(addend.as_of)
        addend.advance(merged.as_of)
        merged.bins += addend.bins
        merged.count += addend.count
        return merged

    def advance(self, as_of: float) -> None:
        """Move the reference time forward, never back; with a half-life, older evidence decays."""
        if as_of <= self.as_of:
            return
        factor = decay_factor(self.as_of, as_of, self.half_life_s)
        if self.half_life_s is not None:
            self.bins *= factor
        self.as_of = as_of

    def _add(
        self, arm: str, latencies_s: FloatArray, at: FloatArray, weights: FloatArray | float, sign: int
    ) -> None:
        k = self._index[arm]
        if latencies_s.size == 0:
            return
        if not (np.isfinite(latencies_s).all() and np.isfinite(at).all()):
            raise InvalidInput("latency_s", "is not finite", "drop the row")
        self.advance(float(at.max()))
        w = weights * decay_weights(at, self.as_of, self.half_life_s)
        where = np.clip(np.ceil(_bin_position(latencies_s)), 0, BINS - 1).astype(np.int64)
        self.bins[k] += sign * np.bincount(where, w, BINS)
        self.count[k] += sign * latencies_s.size

    # -- what they say ----------------------------------------------------------------------------

    def quantile(self, arm: str, q: float) -> float | None:
        """The smallest latency, within ACCURACY, that a share q of the arm's calls do not exceed.

        None without timed calls.
        """
        return find_quantile(self.bins[self._index[arm]], q)

    def count_in_time(self, deadline_s: float) -> tuple[FloatArray, FloatArray]:
        """The calls of each arm and those that took at most ``deadline_s``, by weight: two (K,) vectors.

        The bin that contains the deadline counts in part, by interpolation in the logarithm.
        """
        total = self.bins.sum(axis=1)
        total[total <= _NEGLIGIBLE] = 0.0
        position = min(float(_bin_position(deadline_s)), BINS - 1.0)
        if position < 0.0:
            return total, np.zeros_like(total)
        whole = int(position)
        in_time = self.bins[:, : whole + 1].sum(axis=1)
        if whole + 1 < BINS:
            in_time += (position - whole) * self.bins[:, whole + 1]
        return total, np.minimum(np.maximum(in_time, 0.0), total)

    def share_in_time(self, arm: str, deadline_s: float) -> float | None:
        """The share of the arm's calls that took at most ``deadline_s``; None without timed calls."""
        total, in_time = (float(values[self._index[arm]]) for values in self.count_in_time(deadline_s))
        return in_time / total if total else None


def find_bin(seconds: float) -> int:
    """The bin that counts a latency, seconds."""
    ratio = max(seconds, SMALLEST_S / GAMMA) / SMALLEST_S
    return min(max(math.ceil(math.log(ratio) / _LOG_GAMMA), 0), BINS - 1)


def find_quantile(counts: FloatArray, q: float) -> float | None:
    """The smallest latency, within ACCURACY, that a share q of those counted (BINS,) do not exceed.

    None if nothing is counted.
    """
    reached = np.cumsum(counts)
    if reached[-1] <= _NEGLIGIBLE:
        return None
    i = int(np.searchsorted(reached, reached[-1] * max(q - _ROUNDING, _ROUNDING)))
    return SMALLEST_S * 2.0 * GAMMA**i / (GAMMA + 1.0)


def _bin_position(latency_s: FloatArray | float) -> FloatArray:
    """log_γ of a latency over SMALLEST_S: bin i ends at i. Negative below SMALLEST_S, finite at 0."""
    ratio = np.maximum(latency_s, SMALLEST_S / GAMMA) / SMALLEST_S
    position: FloatArray = np.log(ratio) / _LOG_GAMMA
    return position
