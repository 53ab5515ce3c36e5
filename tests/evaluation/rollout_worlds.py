"""Synthetic rollouts whose truth is known: of requests with their own branch, and of users who keep one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bandit_router.evaluation.rollout_sample import RolloutSample
from bandit_router.types import FloatArray, IntArray

DAYS = 30
SHARES = np.repeat([0.05, 0.2, 0.5], 10)
"""The share of each day: three stages of ten days."""


class World(NamedTuple):
    """A rollout: its sample, the true difference of quality of each observation, and the last of each day."""

    sample: RolloutSample
    truth: FloatArray
    looks: IntArray


def play_requests(rng: np.random.Generator, per_day: int = 60, gain: float = 0.0) -> World:
    """Each request has a branch of its own; the candidate learns which arm is ``gain`` better.

    Arm 0 is the incumbent's.
    """
    n = DAYS * per_day
    day = np.repeat(np.arange(DAYS), per_day)
    share, learned = SHARES[day], (day + 1.0) / DAYS
    base = rng.uniform(0.3, 0.7, n)
    means = np.stack([base, base - 0.2, base + gain], axis=1)
    candidate = np.stack([np.full(n, 0.2), 0.4 * (1.0 - learned), 0.4 + 0.4 * learned], axis=1)
    mixture = share[:, None] * candidate
    mixture[:, 0] += 1.0 - share
    arm = (rng.random((n, 1)) > np.cumsum(mixture, axis=1)).sum(axis=1)
    rows = np.arange(n)
    p = (arm == 0).astype(float)
    q = candidate[rows, arm]
    believed = np.clip(means + 0.1, 0.0, 1.0)  # a biased belief, which must not matter
    is_candidate = rng.random(n) < share * q / mixture[rows, arm]
    sample = make_sample(
        share=share,
        block=rows,
        is_candidate=is_candidate,
        incumbent_p=p,
        candidate_p=q,
        quality_gain=(candidate * believed).sum(axis=1) - believed[:, 0],
        expected_quality=believed[rows, arm],
        reward=(rng.random(n) < means[rows, arm]).astype(float),
    )
    return World(sample, (candidate * means).sum(axis=1) - means[:, 0], (np.arange(DAYS) + 1) * per_day - 1)


def play_users(rng: np.random.Generator, users: int = 60, gain: float = 0.0) -> World:
    """Users with 1 to 5 requests a day, who all have one branch for a day and one taste of it."""
    n_blocks = DAYS * users
    share = np.repeat(SHARES, users)
    is_candidate = rng.random(n_blocks) < share
    pleased = rng.random(n_blocks) < 0.5 + gain * is_candidate
    block = np.repeat(np.arange(n_blocks), rng.integers(1, 6, n_blocks))
    n = len(block)
    nothing = np.zeros(n)
    sample = make_sample(
        share=share[block],
        block=block,
        is_candidate=is_candidate[block],
        incumbent_p=np.where(is_candidate[block], 0.0, 1.0),
        candidate_p=np.where(is_candidate[block], 1.0, 0.0),
        quality_gain=nothing,
        expected_quality=nothing,
        reward=np.where(rng.random(n) < 0.9, pleased[block], 1 - pleased[block]).astype(float),
    )
    return World(sample, np.full(n_blocks, 0.8 * gain), (np.arange(DAYS) + 1) * users - 1)


def make_sample(**columns: Any) -> RolloutSample:
    """A sample without costs."""
    nothing = np.zeros(len(columns["share"]))
    names = ("cost_gain_usd", "expected_cost_usd", "most_cost_usd", "cost_usd", "cost_weight")
    costs: dict[str, Any] = dict.fromkeys(names, nothing)
    return RolloutSample(**costs, **columns)
