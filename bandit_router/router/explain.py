"""Explanations: why a decision has its arm, for the library, the service and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from bandit_router.errors import UnknownDecision
from bandit_router.posterior.state import decode_state
from bandit_router.routing.decide import score_arms
from bandit_router.store.store import Store
from bandit_router.store.tasks import describe_task
from bandit_router.types import Arm, Conversation, Decision, Reason, Scores

_REASON_SENTENCES: Mapping[Reason, str] = {
    Reason.POLICY: "the policy drew it with probability {d.propensity:.4g}",
    Reason.OVERRIDE: "the caller named it",
    Reason.STICKY: "conversation {d.conversation!r} keeps it",
    Reason.WORKFLOW: "workflow {workflow!r} is pinned to it",
    Reason.PINNED: "the owner had pinned all traffic to it",
    Reason.TIER: "the tier of the user goes to it",
    Reason.GREEDY: "it is the best known arm, and the answer will not be rated; its probability was "
    "{d.propensity:.4g}",
    Reason.INCUMBENT: "the rollout leaves all traffic to the incumbent, which drew it with probability "
    "{d.propensity:.4g}",
    Reason.ESCALATION: "the answer of decision {d.parent} was not good enough",
    Reason.FALLBACK: "the arm of conversation {d.conversation!r} was not eligible, so that the policy chose "
    "for this call, with probability {d.propensity:.4g}",
    Reason.DEGRADED: "the router could not choose as usual",
    Reason.PROMOTION: "conversation {d.conversation!r} was promoted to it, once and for all",
}
_FALLBACK_SENTENCE = (
    "the call of decision {d.parent} failed, so that the policy chose among the other arms, with probability "
    "{d.propensity:.4g}"
)
_LONGEST_CHAIN = 32


class Alternative(NamedTuple):
    """One eligible arm as the policy scored it; scores are None when the snapshot is pruned."""

    arm: str
    probability: float
    expected_cost_usd: float
    mean: float | None
    std: float | None
    utility: float | None


class ChainLink(NamedTuple):
    """A decision before or after another in a chain."""

    decision_id: str
    arm: str
    reason: Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A decision with its reason, its alternatives, its chain and its feedback.

    ``task`` names its task, ``standing`` is the state of its conversation now, ``parents`` are the
    decisions it follows, oldest first, ``children`` those that follow it, and ``metrics`` the feedback in
    force.
    """

    decision: Decision
    arm: Arm
    why: str
    alternatives: tuple[Alternative, ...]
    task: str | None
    standing: Conversation | None
    parents: tuple[ChainLink, ...]
    children: tuple[ChainLink, ...]
    metrics: Mapping[str, float]

    def facts(self) -> dict[str, Any]:
        """The explanation as plain values, for JSON."""
        decision = self.decision
        return build_route_answer(decision, self.arm) | {
            "why": self.why,
            "decided_at": decision.decided_at,
            "claimed_at": decision.claimed_at,
            "schema_id": decision.schema_id,
            "cost_weight": decision.cost_weight,
            "eligible": [alternative._asdict() for alternative in self.alternatives],
            "signals": dict(decision.signals),
            "user": decision.user,
            "task": self.task,
            "conversation": decision.conversation,
            "standing": None if self.standing is None else asdict(self.standing),
            "parent": decision.parent,
            "parents": [link._asdict() for link in self.parents],
            "children": [link._asdict() for link in self.children],
            "metrics": dict(self.metrics),
        }


def build_route_answer(decision: Decision, arm: Arm) -> dict[str, Any]:
    """The answer to a route request as plain values: which model, why, and with which alternatives."""
    return {
        "decision_id": decision.id,
        "arm": decision.arm,
        "provider": arm.provider,
        "model": arm.model,
        "propensity": decision.propensity,
        "reason": decision.reason,
        "policy": decision.policy,
        "snapshot": decision.snapshot,
        "expected_quality": decision.expected_quality,
        "expected_cost_usd": decision.expected_cost_usd,
        "pmf": dict(zip(decision.eligible, decision.pmf, strict=True)),
        "excluded": decision.excluded,
    }


def explain_reason(decision: Decision) -> str:
    """The reason of a decision in a sentence."""
    if decision.reason is Reason.FALLBACK and decision.parent is not None:
        return _FALLBACK_SENTENCE.format(d=decision)
    return _REASON_SENTENCES[decision.reason].format(d=decision, workflow=decision.signals.get("workflow"))


def explain_decision(store: Store, decision_id: str) -> Explanation:
    """The explanation of a decision, from the database. Raises UnknownDecision."""
    decision = store.decision(decision_id)
    conversation = decision.conversation
    return Explanation(
        decision=decision,
        arm=next(arm for arm in store.arms() if arm.name == decision.arm),
        why=explain_reason(decision),
        alternatives=_alternatives(decision, recompute_scores(store, decision)),
        task=describe_task(store.tasks(), decision.task),
        standing=None if conversation is None else store.conversation(conversation),
        parents=_parent_links(store, decision),
        children=tuple(_chain_link(child) for child in store.child_decisions(decision_id)),
        metrics=store.observation(decision_id).metrics,
    )


def recompute_scores(store: Store, decision: Decision) -> Scores | None:
    """The scores its policy read, recomputed from the decision's snapshot; None when that is pruned."""
    snapshot = store.snapshot(decision.snapshot)
    if snapshot is None:
        return None
    return score_arms(
        decode_state(snapshot).rewards.solve(),
        decision.eligible,
        decision.x,
        decision.expected_costs_usd,
        decision.cost_weight,
        decision.signals,
        decision.task,
    )


def _alternatives(decision: Decision, scores: Scores | None) -> tuple[Alternative, ...]:
    return tuple(
        Alternative(
            arm=arm,
            probability=decision.pmf[i],
            expected_cost_usd=decision.expected_costs_usd[i],
            mean=None if scores is None else float(scores.mean[i]),
            std=None if scores is None else float(scores.std[i]),
            utility=None if scores is None else float(scores.utility[i]),
        )
        for i, arm in enumerate(decision.eligible)
    )


def _parent_links(store: Store, decision: Decision) -> tuple[ChainLink, ...]:
    """The decisions that this one follows, oldest first; the chain ends at an unknown decision."""
    links: list[ChainLink] = []
    while decision.parent is not None and len(links) < _LONGEST_CHAIN:
        try:
            decision = store.decision(decision.parent)
        except UnknownDecision:
            break
        links.append(_chain_link(decision))
    return tuple(reversed(links))


def _chain_link(decision: Decision) -> ChainLink:
    return ChainLink(decision.id, decision.arm, decision.reason)
