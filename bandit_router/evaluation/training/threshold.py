"""Thresholds on P(complex): quality and cost of each, the choice of one, and the blind mix beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.training.examples import TrainingExamples
from bandit_router.types import FloatArray

DEFAULT_THRESHOLD = 0.7


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdCurve:
    """Share, quality and cost when p > threshold goes to the expensive model, at T ascending thresholds.

    All (T,): ``share`` of queries sent to the expensive model, ``quality`` and ``cost_usd`` a query. The
    first threshold is 0, which sends every query there, and the last sends none.
    """

    threshold: FloatArray
    share: FloatArray
    quality: FloatArray
    cost_usd: FloatArray

    def at(self, threshold: float) -> int:
        """The index of the entry that decides as this threshold does."""
        return max(0, int(np.searchsorted(self.threshold, threshold, side="right")) - 1)


class CheapAndExpensive(NamedTuple):
    """A mean over all queries with each of the two models."""

    cheap: float
    expensive: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdChoice:
    """A threshold and the reason for its choice."""

    threshold: float
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdTarget:
    """The aim of a threshold: a share of the expensive model's mean quality, or USD per request."""

    quality: float | None = None
    usd_per_request: float | None = None

    def __post_init__(self) -> None:
        if self.quality is not None and self.usd_per_request is not None:
            raise InvalidInput("quality", "and usd_per_request exclude each other", "give one of them")
        if self.quality is not None and not 0.0 < self.quality <= 1.0:
            raise InvalidInput("quality", f"is {self.quality:g}", "give a share in (0, 1]")
        if self.usd_per_request is not None and not (0.0 < self.usd_per_request < math.inf):
            raise InvalidInput("usd_per_request", f"is {self.usd_per_request:g}", "give USD above 0")


class BlindMixture(NamedTuple):
    """The expensive model's share of a query-blind mix, and the quality of the mix."""

    share: float
    quality: float


def blind_mix(
    qualities: CheapAndExpensive, costs_usd: CheapAndExpensive, cost_usd: float, share: float
) -> BlindMixture:
    """The query-blind mix of both models that costs ``cost_usd`` a query.

    If the expensive model is not dearer, it is the mix with the same ``share``.
    """
    span = costs_usd.expensive - costs_usd.cheap
    share = (cost_usd - costs_usd.cheap) / span if span > 0.0 else share
    return BlindMixture(share, qualities.cheap + share * (qualities.expensive - qualities.cheap))


def threshold_curve(examples: TrainingExamples, p: FloatArray) -> ThresholdCurve:
    """The threshold curve of held-out predictions p (n,).

    Quality is Σ w·q / Σ w over the answers of the model each query would have gone to: the mean where both
    answered, the self-normalised IPS estimate in a log. NaN where the log has no such answer.
    """
    order = np.argsort(p, kind="stable")
    p = p[order]
    last = np.flatnonzero(np.append(p[1:] > p[:-1], True))  # of each run of equal predictions
    weight = _sums_by_split(examples.weight[order])
    with np.errstate(invalid="ignore"):
        quality = _sums_by_split((examples.weight * examples.quality)[order]) / weight
    at = np.concatenate([[0], last + 1])  # the number of queries that stay cheap
    n = len(p)
    return ThresholdCurve(
        threshold=np.concatenate([[0.0], p[last]]),
        share=1.0 - at / n,
        quality=quality[at],
        cost_usd=_sums_by_split(examples.cost_usd[order])[at] / n,
    )


def choose_threshold(curve: ThresholdCurve, target: ThresholdTarget) -> ThresholdChoice:
    """Choose the threshold with the fewest expensive queries that reaches the target quality, or with the
    most that the target cost allows. Raises InvalidInput if no threshold does."""
    if target.quality is not None:
        wanted = target.quality * curve.quality[0]
        enough = np.flatnonzero(curve.quality >= wanted)
        if not enough.size:
            raise InvalidInput("quality", "cannot be judged: the log has no reward of the expensive model",
                               "log some, or give no target")  # fmt: skip
        i = int(enough[-1])
        why = (
            f"keeps {target.quality:.1%} of the expensive model's quality: {curve.quality[i]:.4f} of "
            f"{curve.quality[0]:.4f}, held out"
        )
    elif target.usd_per_request is not None:
        cheap_enough = np.flatnonzero(curve.cost_usd <= target.usd_per_request)
        if not cheap_enough.size:
            least = float(curve.cost_usd.min())
            raise InvalidInput(
                "usd_per_request", f"is {target.usd_per_request:g}", f"give at least {least:.3g}"
            )
        i = int(cheap_enough[0])
        why = f"costs at most {target.usd_per_request:g} USD a request: {curve.cost_usd[i]:.3g}, held out"
    else:
        return ThresholdChoice(threshold=DEFAULT_THRESHOLD, why="the default")
    above = curve.threshold[i + 1] if i + 1 < len(curve.threshold) else 1.0
    return ThresholdChoice(threshold=_shortest_decimal(float(curve.threshold[i]), float(above)), why=why)


def _shortest_decimal(low: float, high: float) -> float:
    """The number in [low, high) near its middle with the fewest decimals."""
    rounded = (round((low + high) / 2, digits) for digits in range(2, 17))
    return next((value for value in rounded if low <= value < high), low)


def _sums_by_split(values: FloatArray) -> FloatArray:
    """For i from 0 to n: the sum of the first i rows of column 0 and the other rows of column 1, (n + 1,)."""
    cheap = np.concatenate([[0.0], np.cumsum(values[:, 0])])
    dear = np.concatenate([[0.0], np.cumsum(values[::-1, 1])])[::-1]
    sums: FloatArray = cheap + dear
    return sums
