"""A stream that is easy to learn, and what plays it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.simulation.agents import MakeAgent, Setting
from bandit_router.evaluation.simulation.channel import Channel
from bandit_router.evaluation.simulation.play import play_stream
from bandit_router.evaluation.simulation.stream import Stream, make_stream
from bandit_router.types import IntArray

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
ARMS = ("small", "medium", "large")
LAMBDA = 10.0


def an_easy_stream(n: int) -> Stream:
    """Three kinds of query, each answered well by one arm (0.9) and badly by the others (0.1)."""
    rng = np.random.default_rng(0)
    kind = np.eye(3)[rng.integers(3, size=n)]
    noise = 0.05 * rng.standard_normal((n, 2))
    data = Dataset(
        name="easy",
        queries=tuple(f"query {i}" for i in range(n)),
        models=ARMS,
        quality=0.1 + 0.8 * kind,
        cost_usd=np.tile([1e-4, 1e-3, 2e-3], (n, 1)),
    )
    return make_stream(data, np.column_stack([np.ones(n), kind, noise]))


def a_setting(stream: Stream, seed: int = 0, cost_weight: float = LAMBDA) -> Setting:
    return Setting.of(stream, cost_weight, np.random.default_rng(seed))


def actions(stream: Stream, make: MakeAgent, seed: int = 0, cost_weight: float = LAMBDA) -> IntArray:
    """What an agent chooses that hears of every outcome at once."""
    agent = make(a_setting(stream, seed, cost_weight))
    return play_stream(stream, agent, Channel(), np.random.default_rng(0)).action
