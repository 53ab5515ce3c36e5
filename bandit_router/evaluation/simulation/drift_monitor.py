"""Reset of drifted arms in a simulation, as a live router does with ``posterior.on_drift = "reset"``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bandit_router.learning.drift import NEWEST, RewardGap, calibrate, find_most_drifted_arm
from bandit_router.store.recent_predictions import PredictedReward
from bandit_router.types import Decision

_EVERY = 10  # rewards between two checks


@dataclass(slots=True)
class DriftMonitor:
    """The rewards of a simulated router beside what its decisions expected.

    ``reset_at`` is, by arm, the first snapshot after its last reset: older predictions of it do not count.
    """

    rewarded: list[PredictedReward] = field(default_factory=list)
    reset_at: dict[str, int] = field(default_factory=dict)

    def record(self, decision: Decision, reward: float, snapshot: int, now: float) -> None:
        """Record the reward of a decision at time ``now``; ``snapshot`` will be the first to count it."""
        expected, made_on = decision.expected_quality, decision.snapshot
        self.rewarded.append(
            PredictedReward(decision.arm, expected, made_on, reward, snapshot, decision.decided_at, now)
        )

    def find_drifted(self, counts: Mapping[str, int]) -> tuple[str, RewardGap] | None:
        """The arm that drifted most, if one did; checked after every tenth reward.

        ``counts`` is the number of rewards counted of each arm.
        """
        if len(self.rewarded) % _EVERY:
            return None
        newest = sorted(self.rewarded[-NEWEST:], key=lambda reward: reward.decided_at)
        valid = [reward for reward in newest if reward.snapshot >= self.reset_at.get(reward.arm, 0)]
        return find_most_drifted_arm(calibrate(valid, [], counts))
