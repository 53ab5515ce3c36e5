"""What each threshold would have earned and cost, and the choice of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.training.examples import Examples
from bandit_router.types import FloatArray

DEFAULT = 0.7


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """What sending p > threshold to the expensive model comes to, at T thresholds in ascending order.

    All (T,): ``share`` of queries sent to the expensive model, ``quality`` and ``cost_usd`` a query. The
    first threshold is 0, which sends every query there, and the last sends none.
    """

    threshold: FloatArray
    share: FloatArray
    quality: FloatArray
    cost_usd: FloatArray

    def at(self, threshold: float) -> int:
        """The entry that decides as this threshold does."""
        return max(0, int(np.searchsorted(self.threshold, threshold, side="right")) - 1)


class Ends(NamedTuple):
    """A mean over all queries with each of the models."""

    cheap: float
    expensive: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A threshold and why it is the one."""

    threshold: float
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a threshold is chosen for: a share of the expensive model's mean quality, or USD per request."""

    quality: float | None = None
    usd_per_request: float | None = None

    def __post_init__(self) -> None:
        if self.quality is not None and self.usd_per_request is not None:
            raise InvalidInput("quality", "and usd_per_request exclude each other", "give one of them")
        if self.quality is not None and not 0.0 < self.quality <= 1.0:
            raise InvalidInput("quality", f"is {self.quality:g}", "give a share in (0, 1]")
        if self.usd_per_request is not None and not (0.0 < self.usd_per_request < math.inf):
            raise InvalidInput("usd_per_request", f"is {self.usd_per_request:g}", "give USD above 0")


class Mixture(NamedTuple):
    """What the expensive model gets of a query-blind mix, and the quality of the mix."""

    share: float
    quality: float


def blind_mix(qualities: Ends, costs_usd: Ends, cost_usd: float, share: float) -> Mixture:
    """The mix of both models that costs ``cost_usd`` a query without looking at any.

    It is that of the same ``share`` where the expensive model is not dearer.
    """
    span = costs_usd.expensive - costs_usd.cheap
    share = (cost_usd - costs_usd.cheap) / span if span > 0.0 else share
    return Mixture(share, qualities.cheap + share * (qualities.expensive - qualities.cheap))


def curve_of(examples: Examples, p: FloatArray) -> Curve:
    """The curve of held-out predictions p (n,).

    Quality is Σ w·q / Σ w over the answers of the model each query would have gone to: the mean where both
    answered, the self-normalised IPS estimate in a log. NaN where the log has no such answer.
    """
    order = np.argsort(p, kind="stable")
    p = p[order]
    last = np.flatnonzero(np.append(p[1:] > p[:-1], True))  # of each run of equal predictions
    weight = _split(examples.weight[order])
    with np.errstate(invalid="ignore"):
        quality = _split((examples.weight * examples.quality)[order]) / weight
    at = np.concatenate([[0], last + 1])  # so many queries stay cheap
    n = len(p)
    return Curve(
        threshold=np.concatenate([[0.0], p[last]]),
        share=1.0 - at / n,
        quality=quality[at],
        cost_usd=_split(examples.cost_usd[order])[at] / n,
    )


def choose(curve: Curve, target: Target) -> Choice:
    """The threshold that sends fewest queries to the expensive model with quality enough, or the most of
    them that cost allows. Raises InvalidInput where none does."""
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
        return Choice(threshold=DEFAULT, why="the default")
    above = curve.threshold[i + 1] if i + 1 < len(curve.threshold) else 1.0
    return Choice(threshold=_shortest(float(curve.threshold[i]), float(above)), why=why)


def _shortest(low: float, high: float) -> float:
    """The number in [low, high) near its middle that takes fewest digits to write."""
    rounded = (round((low + high) / 2, digits) for digits in range(2, 17))
    return next((some for some in rounded if low <= some < high), low)


def _split(values: FloatArray) -> FloatArray:
    """Sums (n + 1,) over the first i rows of column 0 and the others of column 1, for i from 0 to n."""
    cheap = np.concatenate([[0.0], np.cumsum(values[:, 0])])
    dear = np.concatenate([[0.0], np.cumsum(values[::-1, 1])])[::-1]
    found: FloatArray = cheap + dear
    return found
