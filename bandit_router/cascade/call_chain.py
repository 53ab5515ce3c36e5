"""The calls of one query, a first one and its retry, and their sums."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bandit_router.types import Decision


class CallChain(NamedTuple):
    """The calls of a query in order, and their sums; a sum needs feedback on every call, else it is None."""

    calls: tuple[Decision, ...]
    expected_cost_usd: float
    cost_usd: float | None
    latency_s: float | None


def sum_calls(calls: Sequence[Decision], metrics: Sequence[Mapping[str, float]]) -> CallChain:
    """Sum up a first call and its retry, if any; ``metrics`` are the current ones of each call."""
    return CallChain(
        calls=tuple(calls),
        expected_cost_usd=math.fsum(call.expected_cost_usd for call in calls),
        cost_usd=_sum([metric.get("cost_usd") for metric in metrics]),
        latency_s=_sum([metric.get("latency_s") for metric in metrics]),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None
