"""Escalation: keep the answer of a cheap arm, or retry on the expensive arm when it is not good enough.

The caller sends the query to the arm of a decision and says how confident that arm is of its answer; the
router replies *accept* or with a second decision for the same context. It never sees the answer, and the
caller retries with the original messages, so no answer can leak into the retry.

The first call is paid for, so two actions remain: keep the answer, worth E[r | first arm, c, x], or retry,
worth E[r | expensive arm, c, x] − λ · E[cost]. Both expectations are those of the calibrators
(:mod:`bandit_router.posterior.confidence`). As with arms, a policy turns means and widths into probabilities:
Thompson sampling with a floor, so that it is learned how good retries are. A fixed threshold on the raw
confidence is the usual rule (FrugalGPT, Chen, Zaharia & Zou, 2023, section 3): retry if c < threshold, else
keep, with the same floor.
"""

from __future__ import annotations

import numpy as np

from bandit_router.cascade.escalation_rule import EscalationRule
from bandit_router.cascade.retry import AnsweredDecision, explain_no_retry, make_retry_decision
from bandit_router.policies import sample
from bandit_router.posterior.base import Posterior
from bandit_router.posterior.confidence import append_confidence
from bandit_router.routing.decide import PublishedModel, score_arms
from bandit_router.types import Decision, Escalation, FloatArray, Scores


def escalate(
    view: PublishedModel,
    answered: AnsweredDecision,
    rule: EscalationRule,
    *,
    id: str,
    now: float,
    rng: np.random.Generator,
) -> Escalation:
    """Decide whether to keep the answer or to retry, and say why; ``id`` is that of a retry's decision."""
    first = answered.decision
    assert view.state.calibrators is not None, "the published model is that of a router with a cascade"
    excluded = explain_no_retry(view, answered, rule.expensive)
    costs = dict(zip(first.eligible, first.expected_costs_usd, strict=True))
    scores = score_keep_and_retry(
        view.state.calibrators,
        (first.arm, rule.expensive),
        first.x,
        answered.confidence,
        0.0 if excluded else costs[rule.expensive],
        first.cost_weight,
    )
    pmf = [1.0, 0.0] if excluded else rule.pmf(scores, answered.confidence)
    chosen = sample(pmf, rng)
    quality = [min(max(mean, 0.0), 1.0) for mean in scores.mean.tolist()]
    return Escalation(
        parent=first.id,
        asked_at=now,
        confidence=answered.confidence,
        p_good=quality[0],
        p_retry_good=None if excluded else quality[1],
        propensity=pmf[chosen],
        snapshot=view.version,
        why=excluded or _explain_choice(scores, answered.confidence, rule, against=pmf[chosen] < 0.5),
        decision=make_retry_decision(view, answered, rule.expensive, scores, id, now) if chosen else None,
    )


def accept_expensive_answer(
    first: Decision, rule: EscalationRule, confidence: float, now: float
) -> Escalation | None:
    """Accept the expensive arm's own answer, without logging it; None for another arm's."""
    if first.arm != rule.expensive:
        return None
    return Escalation(
        parent=first.id,
        asked_at=now,
        confidence=confidence,
        p_good=first.expected_quality,
        p_retry_good=None,
        propensity=1.0,
        snapshot=first.snapshot,
        why=f"{rule.expensive} is the expensive arm itself",
    )


def score_keep_and_retry(
    calibrators: Posterior,
    arms: tuple[str, str],
    x: FloatArray,
    confidence: float,
    cost_usd: float,
    cost_weight: float,
) -> Scores:
    """Score two actions: keep the first arm's answer, for free, or retry on the second arm, at its cost."""
    return score_arms(calibrators, arms, append_confidence(x, confidence), (0.0, cost_usd), cost_weight)


def _explain_choice(scores: Scores, confidence: float, rule: EscalationRule, *, against: bool) -> str:
    expensive = scores.arms[1]
    if rule.threshold is not None:
        sign = "≥" if confidence >= rule.threshold else "<"
        explanation = f"confidence {confidence:.3g} {sign} threshold {rule.threshold:.3g}"
    else:
        worth = float(scores.mean[1] - scores.utility[1])
        explanation = (
            f"expected quality {scores.mean[0]:.3f}, of a retry on {expensive} {scores.mean[1]:.3f}, "
            f"at a cost worth {worth:.3g}"
        )
    return f"{explanation}; done otherwise, to learn" if against else explanation
