"""A simulated router that resets arms which drifted, as a live one does with ``posterior.on_drift``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bandit_router.learning.drift import NEWEST, RewardGap, calibrate, find_most_drifted_arm
from bandit_router.store.recent_predictions import PredictedReward

_EVERY = 10  # rewards between two looks


class Expected(NamedTuple):
    """What a decision expected of its arm's quality, and the snapshot it went by."""

    quality: float
    snapshot: int


@dataclass(slots=True)
class Watch:
    """What was expected of each decision, in order, and the rewards that came. Times are decision numbers."""

    expected: list[Expected] = field(default_factory=list)
    told: list[PredictedReward] = field(default_factory=list)
    since: dict[str, int] = field(default_factory=dict)

    def hear(self, decision: int, arm: str, reward: float, snapshot: int) -> None:
        """The reward of a decision, which ``snapshot`` will be the first to count."""
        expected = self.expected[decision]
        now = float(len(self.expected) - 1)
        self.told.append(PredictedReward(arm, *expected, reward, snapshot, float(decision), now))

    def look(self, counts: Mapping[str, int]) -> tuple[str, RewardGap] | None:
        """Every so often: the arm that drifted most, if one did."""
        if len(self.told) % _EVERY:
            return None
        newest = sorted(self.told[-NEWEST:], key=lambda row: row.decided_at)
        return find_most_drifted_arm(
            calibrate([row for row in newest if row.snapshot >= self.since.get(row.arm, 0)], [], counts)
        )
