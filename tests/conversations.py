"""What must hold of conversations, read off the decisions in the order they were committed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from bandit_router.types import Decision, Reason


def assert_kept(committed: Iterable[Decision]) -> None:
    """No conversation changes its arm but for one promotion; what fell back is none of its business."""
    by_name: dict[str, list[Decision]] = defaultdict(list)
    for decision in committed:
        if decision.conversation is not None and decision.reason is not Reason.FALLBACK:
            by_name[decision.conversation].append(decision)
    for name, (first, *steps) in by_name.items():
        assert first.reason is Reason.POLICY, f"{name} begins with {first.reason}"
        arm, promoted = first.arm, False
        for step in steps:
            if step.reason is Reason.PROMOTION:
                assert not promoted, f"{name} is promoted twice"
                assert cost_of(step, step.arm) > cost_of(step, arm), f"{name} is promoted to a cheaper arm"
                arm, promoted = step.arm, True
            assert step.arm == arm, f"{name} changes from {arm} to {step.arm} by {step.reason}"
            assert step.reason in (Reason.STICKY, Reason.PROMOTION), f"{name} begins again by {step.reason}"
            assert_certain(step)


def assert_certain(decision: Decision) -> None:
    """Its PMF is one-hot on its arm."""
    assert decision.propensity == 1.0
    assert decision.pmf == tuple(float(arm == decision.arm) for arm in decision.eligible)


def cost_of(decision: Decision, arm: str) -> float:
    """What a call of the arm was expected to cost when the decision was made."""
    return dict(zip(decision.eligible, decision.expected_costs_usd, strict=True))[arm]
