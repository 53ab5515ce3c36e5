"""What the log says of answers: what was decided about one, or is to be, and what a query came to."""

from __future__ import annotations

from bandit_router.cascade.escalation import Answered, Chain, EscalationRule, chain, deadline_of, unasked
from bandit_router.errors import InvalidInput
from bandit_router.objective.pacing import affordable_usd
from bandit_router.objective.reward import check_metric
from bandit_router.store.store import Store
from bandit_router.types import CONFIDENCE, Decision, Escalation, Reason
from bandit_router.validation import check_id, check_number


def ask(
    store: Store,
    rule: EscalationRule,
    decision_id: str,
    *,
    confidence: float,
    deadline_s: float | None,
    level: float,
    now: float,
) -> Escalation | Answered:
    """What is known already of an answer of this confidence, or what its escalation is decided by.

    ``deadline_s`` is counted from the first decision, ``level`` is the router's own, ``now`` is Unix time.
    Raises InvalidInput or UnknownDecision.
    """
    confidence = check_metric(CONFIDENCE, confidence)
    asked_s = None if deadline_s is None else check_number("deadline_s", deadline_s, 0.0)
    check_id(decision_id)
    first = store.decision(decision_id)
    if first.reason is Reason.ESCALATION:
        raise InvalidInput("decision_id", "is a retry already", "accept it: a query is retried once")
    earlier = store.escalation(first.id) or unasked(first, rule, confidence, now)
    if earlier is not None:
        return earlier
    return Answered(
        decision=first,
        confidence=confidence,
        deadline=deadline_of(first, asked_s, level, now),
        affordable_usd=affordable_usd(store.pace_at(now), store.goal),
    )


def chain_of(store: Store, decision: Decision) -> Chain:
    """The calls of a decision's query, its retry included, and what they came to."""
    first = decision
    if decision.reason is Reason.ESCALATION and decision.parent is not None:
        first = store.decision(decision.parent)
    escalation = store.escalation(first.id)
    retry = None if escalation is None else escalation.decision
    calls = [first] if retry is None else [first, retry]
    return chain(calls, [store.observation(call.id).metrics for call in calls])
