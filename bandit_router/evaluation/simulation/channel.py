"""The feedback channel of a simulation: outcomes arrive late, never, or twice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.types import BoolArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """An outcome is known after ``delay`` queries on average (geometric); 0 means at once.

    A share ``missing`` of the outcomes never arrives; of the rest a share ``duplicated`` arrives a second
    time, after a delay of its own.
    """

    delay: float = 0.0
    missing: float = 0.0
    duplicated: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.delay < math.inf:
            raise InvalidInput("delay", f"is {self.delay:g}", "give a number of queries")
        for name in ("missing", "duplicated"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInput(name, f"is {getattr(self, name):g}", "give a share in [0, 1]")

    def arrivals(self, n: int, rng: np.random.Generator) -> list[list[int]]:
        """For each of n queries: the decisions whose outcomes arrive after it was routed, in order."""
        sent = np.flatnonzero(rng.random(n) >= self.missing)
        twice = sent[rng.random(len(sent)) < self.duplicated]
        decisions = np.concatenate([sent, twice])
        after: list[list[int]] = [[] for _ in range(n)]
        delays = rng.geometric(1.0 / (1.0 + self.delay), len(decisions)) - 1
        for decision, step in zip(decisions.tolist(), (decisions + delays).tolist(), strict=True):
            if step < n:
                after[step].append(decision)
        return after


@dataclass(frozen=True, kw_only=True, slots=True)
class RatedOnly(Channel):
    """The outcome of a query that is rated (n,) is known at once, that of another never."""

    rated: BoolArray

    def arrivals(self, n: int, rng: np.random.Generator) -> list[list[int]]:
        del rng
        return [[i] if self.rated[i] else [] for i in range(n)]
