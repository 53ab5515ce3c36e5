"""The baseline that a policy is bound to: what may be lost to it, and how the policy stands."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri

_PARTS = 20.0  # of what may be lost; one is always given


@dataclass(frozen=True, kw_only=True, slots=True)
class SafetyGoal:
    """Lose at most the share ``at_most`` of what the arm ``baseline`` earns, with this probability."""

    baseline: str
    at_most: float
    probability: float = 0.95

    @property
    def least_share(self) -> float:
        """The share that the policy has whatever it lost."""
        return self.at_most / _PARTS

    def count_deviations(self, decisions: int) -> float:
        """z_k: the standard deviations that a loss may be above its mean."""
        k = 1 + math.floor(math.log2(1 + decisions))
        return -float(ndtri((1.0 - self.probability) / (k * (k + 1))))


@dataclass(frozen=True, kw_only=True, slots=True)
class SafetyStatus:
    """How a router stands towards its baseline, for all workers together.

    ``share`` is the part of traffic that the policy decides by itself, ``since`` a Unix time, seconds.
    Utility: ``lost`` as expected, ``lost_at_most`` with the probability, and ``allowed``.
    """

    baseline: str
    at_most: float
    probability: float
    since: float
    share: float
    decisions: int
    lost: float
    lost_at_most: float
    allowed: float
