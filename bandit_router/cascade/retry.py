"""The retry of an answered decision: whether it is possible, what it may cost, and the second decision."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from bandit_router.policies.pmf import one_hot_pmf
from bandit_router.posterior.latency import Latencies
from bandit_router.routing.deadline import Deadline
from bandit_router.routing.decide import PublishedModel, predict_high_costs
from bandit_router.routing.eligibility import NOT_GRANTED, TOO_DEAR
from bandit_router.types import Arm, Decision, Reason, Scores, Signals

INPUT_TOKENS, DEADLINE_S, DEADLINE_LEVEL = "input_tokens", "deadline_s", "deadline_level"
"""Signals logged with first decisions while cascades are on; a retry reads them."""

_PINNED: Mapping[Reason, str] = {
    Reason.OVERRIDE: "the caller named the model of this decision",
    Reason.WORKFLOW: "the workflow is pinned to its model",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class AnsweredDecision:
    """A first decision that was answered, and the confidence in that answer.

    ``deadline`` is the time left for a retry, ``affordable_usd`` what the budget has left for one call.
    With ``granted``, the caller may have only these arms called. ``pinned_arm`` is the one that the owner has
    all traffic go to.
    """

    decision: Decision
    confidence: float
    deadline: Deadline | None = None
    affordable_usd: float = math.inf
    granted: Collection[str] | None = None
    pinned_arm: str | None = None


def explain_no_retry(view: PublishedModel, answered: AnsweredDecision, expensive: str) -> str | None:
    """Why a retry is impossible; None if it is possible.

    The first decision settled which arms are eligible, including those too dear for the budget. What may have
    become worse since is checked again: whether the arm is enabled, the deadline and the budget.
    """
    first = answered.decision
    if first.reason in _PINNED:
        return _PINNED[first.reason]
    if answered.pinned_arm not in (None, expensive):
        return f"all traffic is pinned to {answered.pinned_arm}"
    if answered.granted is not None and expensive not in answered.granted:
        return f"{expensive}: {NOT_GRANTED}"
    if expensive not in first.eligible:
        return f"{expensive}: {first.excluded.get(expensive, 'not among the eligible arms')}"
    arm = next((arm for arm in view.arms if arm.name == expensive and arm.enabled), None)
    if arm is None:
        return f"{expensive}: disabled"
    late = (
        None
        if answered.deadline is None
        else _explain_lateness(view.state.latencies, expensive, answered.deadline)
    )
    if late is not None:
        return f"{expensive}: {late}"
    return (
        f"{expensive}: {TOO_DEAR}"
        if _predict_high_retry_cost(view, first, arm) > answered.affordable_usd
        else None
    )


def make_retry_decision(
    view: PublishedModel, answered: AnsweredDecision, expensive: str, scores: Scores, id: str, now: float
) -> Decision:
    """The decision to send the same query to the expensive arm; it holds nothing of the first answer."""
    first = answered.decision
    chosen = first.eligible.index(expensive)
    listed = next(arm for arm in view.arms if arm.name == expensive)
    return replace(
        first,
        id=id,
        decided_at=now,
        pmf=tuple(one_hot_pmf(len(first.eligible), chosen)),
        arm=expensive,
        propensity=1.0,
        reason=Reason.ESCALATION,
        snapshot=view.version,
        expected_quality=float(scores.mean[1]),
        expected_cost_usd=first.expected_costs_usd[chosen],
        list_cost_usd=_list_cost(first, listed),
        parent=first.id,
        idempotency_key=None,
        greedy_utility=None,
    )


def make_retry_signals(input_tokens: int, deadline: Deadline | None) -> Signals:
    """The signals to log with a first decision so that it can be retried."""
    tokens = {INPUT_TOKENS: float(input_tokens)}
    if deadline is None:
        return tokens
    return {**tokens, DEADLINE_S: deadline.seconds, DEADLINE_LEVEL: deadline.level}


def remaining_deadline(first: Decision, asked_s: float | None, level: float, now: float) -> Deadline | None:
    """Time left of the deadline, counted from the first decision: the requested one, else its own."""
    seconds = first.signals.get(DEADLINE_S) if asked_s is None else asked_s
    if seconds is None:
        return None
    left = float(seconds) - max(0.0, now - first.decided_at)
    return Deadline(left, float(first.signals.get(DEADLINE_LEVEL, level)))


def _predict_high_retry_cost(view: PublishedModel, first: Decision, arm: Arm) -> float:
    """The cost, USD, that a retry on this arm exceeds rarely."""
    listed = _list_cost(first, arm)
    if listed is None:
        return first.expected_costs_usd[first.eligible.index(arm.name)]
    return predict_high_costs(view, first.x, {arm.name: listed}, first.task)[arm.name]


def _explain_lateness(latencies: Latencies, arm: str, left: Deadline) -> str | None:
    """Why there is no time for a call; None if there is, or if the arm was never timed."""
    if left.seconds <= 0.0:
        return "the deadline has passed"
    share = latencies.share_in_time(arm, left.seconds)
    if share is None or share >= left.level:
        return None
    in_time = f"{share:.1%} of its calls took at most the {left.seconds:.3g} s that are left"
    return f"{in_time}, deadline_level is {left.level:g}"


def _list_cost(first: Decision, arm: Arm) -> float | None:
    """List cost, USD, of the decision's query on an arm; None if its length was not logged."""
    tokens = first.signals.get(INPUT_TOKENS)
    return None if tokens is None else arm.expected_cost_usd(int(tokens))
