"""Tracks: a contender's quality, cost and gap on a stream; and the choices of the baselines.

A choice (n, K) is the probability of each arm for each query.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandit_router.evaluation.baselines import mix_at_cost, tilt_to_cost
from bandit_router.evaluation.simulation.stream import Stream
from bandit_router.types import FloatArray

POINTS = 100
"""Points of a learning curve."""

BLOCKS = 20
"""Blocks of time for shares, and for dealing choices to other queries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """The track of one contender on one stream of n queries. Utility is quality − λ · cost.

    ``quality``, ``cost_usd`` and ``utility`` are per query; ``last`` is the utility of the last quarter;
    ``gap`` is the utility that the best fixed model in hindsight earned more, summed over the stream;
    ``curve`` (POINTS,) is that sum along the stream; ``shares`` (BLOCKS, K) are those of the arms over time.
    """

    quality: float
    cost_usd: float
    utility: float
    last: float
    gap: float
    curve: FloatArray
    shares: FloatArray


def make_track(stream: Stream, choice: FloatArray, cost_weight: float, best: FloatArray) -> Track:
    """Make the track of a contender that takes arms with probabilities ``choice`` (n, K).

    ``best`` (n,) is the utility of the best fixed model.
    """
    quality, cost = (choice * stream.quality).sum(axis=1), (choice * stream.cost_usd).sum(axis=1)
    utility = quality - cost_weight * cost
    gaps = np.cumsum(best - utility)
    at = np.linspace(0, len(stream) - 1, POINTS).round().astype(np.int64)
    return Track(
        quality=float(quality.mean()),
        cost_usd=float(cost.mean()),
        utility=float(utility.mean()),
        last=float(utility[-max(1, len(stream) // 4) :].mean()),
        gap=float(gaps[-1]),
        curve=gaps[at],
        shares=_block_means(choice),
    )


def fixed_choice(stream: Stream, arm: int) -> FloatArray:
    """The choice of a fixed model, (n, K): uniform over the others where its arm is not eligible."""
    choice = uniform_choice(stream)
    eligible = stream.eligible[:, arm]
    choice[eligible] = np.eye(len(stream.arms))[arm]
    return choice


def uniform_choice(stream: Stream) -> FloatArray:
    """Uniform random choice among the eligible arms, (n, K)."""
    choice: FloatArray = stream.eligible / stream.eligible.sum(axis=1, keepdims=True)
    return choice


def best_fixed_arm(stream: Stream, cost_weight: float) -> int:
    """The arm of the best fixed model in hindsight: the highest utility over the whole stream."""
    utility = stream.quality - cost_weight * stream.cost_usd
    worth = [float((fixed_choice(stream, k) * utility).sum()) for k in range(len(stream.arms))]
    return int(np.argmax(worth))


def mixed_choice(stream: Stream, budget_usd: float) -> FloatArray:
    """The best query-blind mix of models that costs at most ``budget_usd`` per query, (n, K).

    It knows which arms are eligible, as the router does.
    """
    sets, row = np.unique(stream.eligible, axis=0, return_inverse=True)
    row = row.reshape(-1)
    quality, cost = (np.array([values[row == b].mean(axis=0) for b in range(len(sets))]) for values in (
        stream.quality, stream.cost_usd
    ))  # fmt: skip
    weight = np.bincount(row) / len(row)
    mix: FloatArray = mix_at_cost(quality, cost, budget_usd, sets, weight)[row]
    return mix


def shuffled_choice(stream: Stream, choice: FloatArray) -> FloatArray:
    """The same choices dealt to other queries of their time, at the same cost, (n, K)."""
    n = len(choice)
    budget, block = float((choice * stream.cost_usd).sum(axis=1).mean()), _time_blocks(n)
    shares = _block_means(choice)[block] * stream.eligible
    shares = np.where(shares.sum(axis=1, keepdims=True) > 0, shares, uniform_choice(stream))
    prices = _block_means(stream.cost_usd)[block]
    return tilt_to_cost(shares, prices, budget, np.full(n, 1.0 / n), stream.cost_usd)


def _time_blocks(n: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The block of time of each of n queries, (n,); a short stream has fewer than BLOCKS."""
    return np.arange(n) * min(BLOCKS, n) // n


def _block_means(values: FloatArray) -> FloatArray:
    """The means of values (n, K) in each block of time, (B, K)."""
    block = _time_blocks(len(values))
    return np.array([values[block == b].mean(axis=0) for b in range(block[-1] + 1)])
