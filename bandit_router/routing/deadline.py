"""Deadline: exclude arms whose calls contradict it, and bound how many late calls the others cause together.

For an arm with n timed calls, f of them late, the *debt* at level L is f − (1 − L)·n: its late calls beyond
those that the level allows. An arm is **ruled out** when its calls contradict the level::

    n · KL(p̂ ‖ L) > 7,    p̂ = 1 − f/n < L

(for an arm that meets the level the chance is below e⁻⁷, by Chernoff's bound). The other arms are all
eligible while the sum of their debts is at most 0, that is, while calls as a whole are in time as often as
asked for. Otherwise only arms whose own debt is at most FREE_LATE_CALLS are eligible, or all of them if that
leaves none, since a late answer is better than none.

So an arm with few timed calls is tried, and one with bad luck is tried again while the others are in time.
The share in time of all calls together is kept: an arm a little below the level is asked while others are
early. ``simulations/deadlines.py`` plays the rule on real queries, with the learner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bandit_router.posterior.latency import Latencies

FREE_LATE_CALLS = 1.0
"""Late calls beyond those the level allows that an arm may have whatever the debt of the others."""
_CONTRADICTED = 7.0  # nats


class Deadline(NamedTuple):
    """The answer is due within ``seconds``, with a probability of at least ``level``, in (0, 1)."""

    seconds: float
    level: float


def exclude_late_arms(latencies: Latencies, arms: Sequence[str], deadline: Deadline) -> dict[str, str]:
    """The arms to exclude, each with the reason; all of them if all are ruled out."""
    counts = (values.tolist() for values in latencies.count_in_time(deadline.seconds))
    calls = {arm: CallCounts(*both) for arm, *both in zip(latencies.arms, *counts, strict=True)}
    debts = {arm: calls[arm].debt(deadline.level) for arm in arms}
    asked = {arm for arm in arms if not calls[arm].contradict(deadline.level)}
    if sum(debts[arm] for arm in asked) > 0.0:
        asked = {arm for arm in asked if debts[arm] <= FREE_LATE_CALLS} or asked
    return {
        arm: f"{calls[arm].in_time / calls[arm].timed:.1%} of {calls[arm].timed:.0f} calls took at most "
        f"deadline_s = {deadline.seconds:g}, deadline_level is {deadline.level:g}"
        for arm in arms
        if arm not in asked
    }


class CallCounts(NamedTuple):
    """The weights of an arm's timed calls and of those in time."""

    timed: float
    in_time: float

    def debt(self, level: float) -> float:
        """The late calls beyond those that the level allows."""
        return level * self.timed - self.in_time

    def contradict(self, level: float) -> bool:
        """Whether n · KL(p̂ ‖ level) is too large for an arm that meets the level."""
        if self.debt(level) <= 0.0:
            return False
        late = self.timed - self.in_time
        divergence = late * math.log(late / (self.timed * (1.0 - level)))
        if self.in_time > 0.0:
            divergence += self.in_time * math.log(self.in_time / (self.timed * level))
        return divergence > _CONTRADICTED
