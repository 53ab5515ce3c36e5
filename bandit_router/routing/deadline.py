"""Which arms are expected to answer in time, and which may be tried although it is not known yet.

Of an arm whose calls were timed n times, f too late, the *debt* at a level L is f − (1 − L)·n: the late
calls beyond those the level allows. An arm is **ruled out** when the timings contradict the level::

    n · KL(p̂ ‖ L) > 7,    p̂ = 1 − f/n < L

(the chance of that is below e⁻⁷ for an arm that meets it: Chernoff's bound). The others may all be asked
while their debts together are at most 0, that is, while calls as a whole are in time as often as asked for.
When they are not, only arms whose own debt is at most FREE may; and where that leaves none, all of them,
since to answer late sometimes is better than not at all.

So an arm with few timings is tried, and one that had bad luck gets another chance from what the others
have in hand. What is kept is the share in time of all calls together: where others are early, an arm a
little below the level is asked, too. Rules that judge each arm by itself do neither. Played on seven worlds
of log-normal latencies, 5,000 calls each, 40 seeds, at levels 0.9, 0.95 and 0.99:

- Wilson's upper bound at z = 3 keeps asking arms a little below the level (0.004 short on average, 0.012 in
  the worst seed); at z = 1 or 1.64 it shuts out arms above it.
- The posterior mean, the mean after 20 or 50 timings, and a log-normal fitted to few timings shut out arms
  above the level for good: 0.02 to 0.1 of quality lost on average where the best arm is just above it, and
  most requests refused where it is the only one.
- This rule stayed within 0.004 of the quality of one that knows the true quantiles, or above it, and in time
  as often as asked for on average; at 0.99, where all arms but one miss the level, finding that out left it
  0.0001 to 0.0003 short. FREE of 0.5, 1 and 2 did alike.

``simulations/deadlines.py`` plays it on real queries, with the learner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bandit_router.posterior.latency import Latencies

FREE = 1.0
"""Late calls beyond those the level allows, that an arm may have whatever the others do."""
_CONTRADICTED = 7.0  # nats


class Deadline(NamedTuple):
    """An answer within so many seconds, with at least this probability, in (0, 1)."""

    seconds: float
    level: float


def exclude_late_arms(latencies: Latencies, arms: Sequence[str], deadline: Deadline) -> dict[str, str]:
    """Which of these arms are not to be asked, and why; all of them when all are ruled out."""
    counts = (values.tolist() for values in latencies.count_in_time(deadline.seconds))
    calls = {arm: CallCounts(*both) for arm, *both in zip(latencies.arms, *counts, strict=True)}
    debts = {arm: calls[arm].debt(deadline.level) for arm in arms}
    asked = {arm for arm in arms if not calls[arm].contradict(deadline.level)}
    if sum(debts[arm] for arm in asked) > 0.0:
        asked = {arm for arm in asked if debts[arm] <= FREE} or asked
    return {
        arm: f"{calls[arm].in_time / calls[arm].timed:.1%} of {calls[arm].timed:.0f} calls took at most "
        f"deadline_s = {deadline.seconds:g}, deadline_level is {deadline.level:g}"
        for arm in arms
        if arm not in asked
    }


class CallCounts(NamedTuple):
    """The calls of an arm that were timed, and those of them that were in time, by weight."""

    timed: float
    in_time: float

    def debt(self, level: float) -> float:
        """The late calls beyond those that the level allows."""
        return level * self.timed - self.in_time

    def contradict(self, level: float) -> bool:
        """Whether n · KL(p̂ ‖ level) says that an arm of this level would not have these calls."""
        if self.debt(level) <= 0.0:
            return False
        exclude_late_arms = self.timed - self.in_time
        divergence = exclude_late_arms * math.log(exclude_late_arms / (self.timed * (1.0 - level)))
        if self.in_time > 0.0:
            divergence += self.in_time * math.log(self.in_time / (self.timed * level))
        return divergence > _CONTRADICTED
