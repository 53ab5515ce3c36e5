"""Raw decisions to compute figures of, and the roll-up rows that they make, by brute force."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bandit_router.posterior.latency import BINS, find_bin
from bandit_router.store.rollups.measures import MEASURES
from bandit_router.store.rollups.reader import RollupRow

FAULTS = (
    *("error", "refusal", "truncated", "empty", "invalid_json"),
    *("tool_error", "regenerated", "abandoned"),
)
HOUR = 472_224
"""A midnight, as hours since 1970 UTC."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A decision: ``values`` are by measure, ``delays`` by metric, seconds."""

    hour: int
    arm: str
    reason: str = "policy"
    member: str = ""
    values: dict[str, float] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)


def make_log(n: int = 400, seed: int = 5) -> list[Made]:
    """Decisions of two days; some have no feedback, and those of the second day less."""
    rng = np.random.default_rng(seed)
    log = []
    for i in range(n):
        hour = HOUR + int(rng.integers(48))
        arm = ("large", "small")[int(rng.random() < 0.7)]
        reason = "policy" if rng.random() < 0.8 else "sticky"
        values = {
            "decisions": 0.0,
            "expected_quality": float(rng.normal(0.6, 0.1)),
            "cost_weight": float(rng.uniform(1.0, 5.0)),
            "exploration_price": float(max(0.0, rng.normal(0.01, 0.02))),
            "cost_usd": float(rng.gamma(2.0, 1e-4)),
        }
        delays = {"cost_usd": 1.0}
        if rng.random() < (0.6 if hour < HOUR + 24 else 0.2):
            values["quality"] = float(rng.beta(4.0, 2.0))
            delays["quality"] = float(rng.exponential(600.0))
        if rng.random() < 0.3:
            values["satisfaction"] = float(rng.random() < 0.7)
            delays["satisfaction"] = float(rng.exponential(60.0))
        for fault in FAULTS:
            values[fault] = float(rng.random() < 0.05)
        if values["error"] == 0.0:
            values |= {"latency_s": float(rng.lognormal(0.0, 0.8)), "ttft_s": float(rng.lognormal(-1.0, 0.5))}
        if i % 5 == 0:
            values["escalated"] = float(rng.random() < 0.3)
        if i % 11 == 0:
            values["override"] = 1.0
        if i % 4 == 0:
            values["judged"], delays["judged"] = i * 7 % 11 / 10.0, 5.0
        log.append(Made(hour=hour, arm=arm, reason=reason, values=values, delays=delays))
    return log


def roll_up(log: Iterable[Made], step: int = 1) -> list[RollupRow]:
    """What the reader returns of these decisions."""
    values: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    delays: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for made in log:
        where = made.hour - made.hour % step, made.member, made.arm, made.reason
        for measure, value in made.values.items():
            values[*where, measure].append(value)
        for metric, delay in made.delays.items():
            delays[*where, metric].append(delay)
    return [
        RollupRow(
            hour=hour,
            member=member,
            arm=arm,
            reason=reason,
            measure=measure,
            count=len(of),
            total=sum(of),
            squares=sum(value**2 for value in of),
            bins=count_bins(of) if MEASURES[measure].binned else None,
            delays=count_bins(delays[hour, member, arm, reason, measure]),
        )
        for (hour, member, arm, reason, measure), of in sorted(values.items())
    ]


def count_bins(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """How many of these there are in each bin; None if there are none."""
    return np.bincount([find_bin(value) for value in values], minlength=BINS) if values else None
