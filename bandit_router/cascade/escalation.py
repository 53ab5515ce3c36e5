"""Cheap first, and again on the expensive arm where the answer is not good enough.

The caller asks the arm of a decision and says how sure of its answer that is; the router answers *accept*
or with a second decision, for the very context of the first. It never sees an answer, so that none can get
into the retry: the caller sends the original messages again.

**Rule.** The first call is paid for, so what remains is a choice between two actions: keep the answer, worth
E[r | first arm, c, x], and retry, worth E[r | expensive arm, c, x] − λ · E[cost]. Both expectations are the
calibrators' (:mod:`bandit_router.posterior.confidence`), and as with arms, a policy turns means and widths
into probabilities from which the action is drawn: Thompson sampling with a floor, so that it is learned how
good retries are. (In ``simulations/cascade.py`` the calmer ``tempered`` settled too early in some orders
where nothing is heard of an answer that was replaced.) A fixed threshold on the raw confidence is the rule
that everybody starts with (FrugalGPT, Chen, Zaharia & Zou, 2023, section 3): retry where c < threshold, else
keep; with the same floor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bandit_router.errors import ConfigError
from bandit_router.policies import Policy, sample
from bandit_router.policies.bandit import Thompson
from bandit_router.policies.cheap_first import CheapFirst
from bandit_router.policies.pmf import mix_with_uniform, one_hot_pmf
from bandit_router.posterior.confidence import append_confidence, empty_calibrators
from bandit_router.posterior.latency import Latencies
from bandit_router.posterior.linear import Posterior
from bandit_router.routing.deadline import Deadline
from bandit_router.routing.decide import PublishedModel, predict_high_costs, score_arms
from bandit_router.routing.eligibility import TOO_DEAR
from bandit_router.settings import Settings
from bandit_router.types import Arm, Decision, Escalation, FloatArray, Reason, Scores, Signals

INPUT_TOKENS, DEADLINE_S, DEADLINE_LEVEL = "input_tokens", "deadline_s", "deadline_level"
"""Signals of first decisions, while cascades are on, that a retry goes by."""

_PINNED: Mapping[Reason, str] = {
    Reason.OVERRIDE: "the caller named the model of this decision",
    Reason.WORKFLOW: "the workflow is pinned to its model",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class EscalationRule:
    """When to retry, and where: by expected utility, or below a ``threshold`` of the raw confidence.

    ``epsilon`` is the share of answers about which a coin decides.
    """

    expensive: str
    threshold: float | None = None
    epsilon: float = 0.05

    def pmf(self, scores: Scores, confidence: float) -> list[float]:
        """P(keep) and P(retry); ``scores`` are of these two, with the costs that are still to be paid."""
        if self.threshold is None:
            return Thompson(epsilon=self.epsilon).pmf(scores)
        keep = float(confidence >= self.threshold)
        return mix_with_uniform([keep, 1.0 - keep], self.epsilon)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnsweredDecision:
    """A first decision whose answer is there, and how sure of it its model was.

    ``deadline`` is what remains of it for a retry; ``affordable_usd`` of the budget, for one call.
    """

    decision: Decision
    confidence: float
    deadline: Deadline | None = None
    affordable_usd: float = math.inf


def escalate(
    view: PublishedModel,
    answered: AnsweredDecision,
    rule: EscalationRule,
    *,
    id: str,
    now: float,
    rng: np.random.Generator,
) -> Escalation:
    """Keep the answer or retry, and why; ``id`` is the retry's, if it comes to one."""
    first = answered.decision
    calibrators = view.calibrators or empty_calibrators(view.posterior)
    excluded = explain_no_retry(view, answered, rule.expensive)
    costs = dict(zip(first.eligible, first.expected_costs_usd, strict=True))
    scores = score_keep_and_retry(
        calibrators,
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
        why=excluded or _why(scores, answered.confidence, rule, against=pmf[chosen] < 0.5),
        decision=_retry(view, answered, rule.expensive, scores, id, now) if chosen else None,
    )


def make_escalation_rule(settings: Settings, policy: Policy, arms: Sequence[Arm]) -> EscalationRule | None:
    """The rule of the settings; None when cascades are off.

    Raises ConfigError, which names what is wrong with the expensive arm.
    """
    section = settings.cascade
    if not section.enabled:
        return None
    theirs = policy.expensive if isinstance(policy, CheapFirst) else None
    expensive, names = section.expensive or theirs, [arm.name for arm in arms]
    if expensive is None:
        raise ConfigError(f"cascade.expensive: is missing; name the arm that retries: {', '.join(names)}")
    if theirs not in (None, expensive):
        raise ConfigError(f"cascade.expensive: is {expensive!r}, the policy's is {theirs!r}; name it once")
    if expensive not in names:
        raise ConfigError(f"cascade.expensive: {expensive!r} is not an arm; use one of {', '.join(names)}")
    if expensive in [one.name for one in settings.arms if not one.enabled]:
        raise ConfigError(f"cascade.expensive: {expensive!r} is disabled; enable it or name another arm")
    return EscalationRule(expensive=expensive, threshold=section.threshold, epsilon=section.epsilon)


def accept_expensive_answer(
    first: Decision, rule: EscalationRule, confidence: float, now: float
) -> Escalation | None:
    """What there is to say of an answer that is the expensive arm's already; nothing of it is logged."""
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


class CallChain(NamedTuple):
    """The calls a query came to, in order, and their sums; what no feedback said of every call is None."""

    calls: tuple[Decision, ...]
    expected_cost_usd: float
    cost_usd: float | None
    latency_s: float | None


def sum_calls(calls: Sequence[Decision], metrics: Sequence[Mapping[str, float]]) -> CallChain:
    """A first call and its retry, if any, summed up; ``metrics`` are those in force for each."""
    return CallChain(
        calls=tuple(calls),
        expected_cost_usd=math.fsum(call.expected_cost_usd for call in calls),
        cost_usd=_sum([one.get("cost_usd") for one in metrics]),
        latency_s=_sum([one.get("latency_s") for one in metrics]),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None


def score_keep_and_retry(
    calibrators: Posterior,
    arms: tuple[str, str],
    x: FloatArray,
    confidence: float,
    cost_usd: float,
    cost_weight: float,
) -> Scores:
    """The two actions: keep the answer of the first arm, at no cost, and retry on the second, at its cost."""
    return score_arms(calibrators, arms, append_confidence(x, confidence), (0.0, cost_usd), cost_weight)


def explain_no_retry(view: PublishedModel, answered: AnsweredDecision, expensive: str) -> str | None:
    """Why there can be no retry; None when there can.

    What the query may go to was settled when it was first asked, be it that the budget had too little left
    for the arm; what may have changed for the worse since is looked at again.
    """
    first = answered.decision
    if first.reason in _PINNED:
        return _PINNED[first.reason]
    if expensive not in first.eligible:
        return f"{expensive}: {first.excluded.get(expensive, 'not among the eligible arms')}"
    arm = next((arm for arm in view.arms if arm.name == expensive and arm.enabled), None)
    if arm is None:
        return f"{expensive}: disabled"
    late = None if answered.deadline is None else _late(view.latencies, expensive, answered.deadline)
    if late is not None:
        return f"{expensive}: {late}"
    return f"{expensive}: {TOO_DEAR}" if _may_cost(view, first, arm) > answered.affordable_usd else None


def _may_cost(view: PublishedModel, first: Decision, arm: Arm) -> float:
    """What a retry on this arm may well cost, USD."""
    listed = _list_cost(first, arm)
    if listed is None:
        return first.expected_costs_usd[first.eligible.index(arm.name)]
    return predict_high_costs(view, first.x, {arm.name: listed})[arm.name]


def make_retry_signals(input_tokens: int, deadline: Deadline | None) -> Signals:
    """What has to be logged of a first decision, so that it can be retried."""
    tokens = {INPUT_TOKENS: float(input_tokens)}
    if deadline is None:
        return tokens
    return {**tokens, DEADLINE_S: deadline.seconds, DEADLINE_LEVEL: deadline.level}


def remaining_deadline(first: Decision, asked_s: float | None, level: float, now: float) -> Deadline | None:
    """What remains of the deadline, counted from the first decision: the one asked for, or else its own."""
    seconds = first.signals.get(DEADLINE_S) if asked_s is None else asked_s
    if seconds is None:
        return None
    left = float(seconds) - max(0.0, now - first.decided_at)
    return Deadline(left, float(first.signals.get(DEADLINE_LEVEL, level)))


def _late(latencies: Latencies, arm: str, left: Deadline) -> str | None:
    """Why there is no time for a call; an arm that was never timed is given what there is."""
    if left.seconds <= 0.0:
        return "the deadline has passed"
    share = latencies.share_in_time(arm, left.seconds)
    if share is None or share >= left.level:
        return None
    within = f"{share:.1%} of its calls took at most the {left.seconds:.3g} s that are left"
    return f"{within}, deadline_level is {left.level:g}"


def _retry(
    view: PublishedModel, answered: AnsweredDecision, expensive: str, scores: Scores, id: str, now: float
) -> Decision:
    """The same query again, on the expensive arm: all that was known of it, and nothing of the answer."""
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
    )


def _list_cost(first: Decision, arm: Arm) -> float | None:
    """What the query of a decision is listed to cost on an arm, USD; None where its length was not logged."""
    tokens = first.signals.get(INPUT_TOKENS)
    return None if tokens is None else arm.expected_cost_usd(int(tokens))


def _why(scores: Scores, confidence: float, rule: EscalationRule, *, against: bool) -> str:
    expensive = scores.arms[1]
    if rule.threshold is not None:
        sign = "≥" if confidence >= rule.threshold else "<"
        found = f"confidence {confidence:.3g} {sign} threshold {rule.threshold:.3g}"
    else:
        worth = float(scores.mean[1] - scores.utility[1])
        found = (
            f"expected quality {scores.mean[0]:.3f}, of a retry on {expensive} {scores.mean[1]:.3f}, "
            f"at a cost worth {worth:.3g}"
        )
    return f"{found}; done otherwise, to learn" if against else found
