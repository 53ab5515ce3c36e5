"""Escalations from the log: prepare one for a decision's answer, and add up the calls of a chain."""

from __future__ import annotations

from bandit_router.cascade.call_chain import CallChain, sum_calls
from bandit_router.cascade.escalation import accept_expensive_answer
from bandit_router.cascade.escalation_rule import EscalationRule
from bandit_router.cascade.retry import AnsweredDecision, remaining_deadline
from bandit_router.errors import InvalidInput
from bandit_router.objective.pacing import affordable_usd
from bandit_router.store.store import Store
from bandit_router.types import CONFIDENCE, Decision, DecisionId, Escalation, Reason
from bandit_router.validation import check_number, read_id, read_number


def prepare_escalation(
    store: Store,
    rule: EscalationRule,
    decision_id: DecisionId,
    *,
    confidence: float,
    deadline_s: float | None,
    level: float,
    now: float,
) -> Escalation | AnsweredDecision:
    """The escalation on record or certain in advance, or else the answered decision to judge.

    ``deadline_s`` counts from the first decision, ``level`` is the router's own, ``now`` is Unix time.
    Raises InvalidInput or UnknownDecision.
    """
    confidence = read_number(CONFIDENCE, confidence, most=1.0)
    deadline = None if deadline_s is None else check_number("deadline_s", deadline_s, 0.0)
    first = store.decision(read_id(decision_id))
    if first.reason is Reason.ESCALATION:
        raise InvalidInput("decision_id", "is a retry already", "accept it: a query is retried once")
    settled = store.escalation(first.id) or accept_expensive_answer(first, rule, confidence, now)
    if settled is not None:
        return settled
    return AnsweredDecision(
        decision=first,
        confidence=confidence,
        deadline=remaining_deadline(first, deadline, level, now),
        affordable_usd=affordable_usd(store.pacing.state_at(now), store.pacing.goal),
    )


def load_chain(store: Store, decision: Decision) -> CallChain:
    """The calls of a decision's query, its retry included, with their sums."""
    first = decision
    if decision.reason is Reason.ESCALATION and decision.parent is not None:
        first = store.decision(decision.parent)
    escalation = store.escalation(first.id)
    retry = None if escalation is None else escalation.decision
    calls = [first] if retry is None else [first, retry]
    return sum_calls(calls, [store.observation(call.id).metrics for call in calls])
