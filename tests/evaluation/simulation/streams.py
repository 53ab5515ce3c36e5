"""Streams small enough to know everything about."""

from __future__ import annotations

import numpy as np

from bandit_router.evaluation.datasets import Dataset
from bandit_router.evaluation.simulation.stream import Stream, make_stream


def a_stream(n: int = 60, seed: int = 0, arms: tuple[str, ...] = ("small", "medium", "large")) -> Stream:
    """Random outcomes: dearer arms are better on average, and no arm is best everywhere."""
    rng = np.random.default_rng(seed)
    k = len(arms)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    quality = 1 / (1 + np.exp(-(0.5 * np.arange(k) + x @ rng.standard_normal((3, k)))))
    return make_stream(
        Dataset(
            name="random",
            queries=tuple(f"query {i}" for i in range(n)),
            models=arms,
            quality=quality,
            cost_usd=1e-4 * 4.0 ** np.arange(k) * rng.gamma(4.0, 0.25, (n, k)),
        ),
        x,
    )
