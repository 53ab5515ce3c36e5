"""How a policy stands towards the baseline that it is bound to, for its owner."""

from __future__ import annotations

from dataclasses import dataclass


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
