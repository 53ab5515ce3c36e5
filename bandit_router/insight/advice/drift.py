"""Advice on arms that drifted: their newest rewards are not what was expected of them."""

from __future__ import annotations

from collections.abc import Iterator

from bandit_router.insight.advice.base import Advice, Facts, describe
from bandit_router.insight.intervals import Z95, Estimate


def find_drifted_arm(facts: Facts) -> Iterator[Advice]:
    """An enabled arm whose alarm is on: the gap is more than chance explains, and large enough to matter."""
    if facts.calibration is None:
        return
    enabled = {arm.name for arm in facts.arms}
    for name, calibration in facts.calibration.arms.items():
        gap = calibration.widest
        if name in enabled and calibration.alarm and gap is not None:
            half = Z95 * gap.standard_error
            difference = Estimate(gap.rewards, gap.difference, gap.difference - half, gap.difference + half)
            yield Advice(
                name="drifted_arm",
                title=f"{name} is not what it was",
                evidence=f"Its newest {gap.rewards} rewards were {gap.mean_reward:.3g} on average, "
                f"{gap.mean_expected:.3g} was expected: the difference is {describe(difference)}.",
                change=f"bandit-router arms reset {name}",
                effect="It is learned anew from the decisions made after that; what was learned before is "
                "forgotten.",
            )
