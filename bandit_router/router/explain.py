"""Why a decision has the arm it has: what the library, the service and the command line tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from bandit_router.errors import UnknownDecision
from bandit_router.posterior.codec import decode
from bandit_router.routing.decide import score
from bandit_router.store.store import Store
from bandit_router.types import Arm, Conversation, Decision, Reason, Scores

_WHY: Mapping[Reason, str] = {
    Reason.POLICY: "the policy drew it with probability {d.propensity:.4g}",
    Reason.OVERRIDE: "the caller named it",
    Reason.STICKY: "conversation {d.conversation!r} keeps it",
    Reason.WORKFLOW: "workflow {workflow!r} is pinned to it",
    Reason.TIER: "the tier of the user goes to it",
    Reason.ESCALATION: "the answer of decision {d.parent} was not good enough",
    Reason.FALLBACK: "the arm of conversation {d.conversation!r} was not eligible, so that the policy chose "
    "for this call, with probability {d.propensity:.4g}",
    Reason.DEGRADED: "the router could not choose as usual",
    Reason.PROMOTION: "conversation {d.conversation!r} was promoted to it, once and for all",
}
_LONGEST_CHAIN = 32


class Alternative(NamedTuple):
    """One eligible arm as the policy saw it; scores are None when the snapshot is pruned."""

    arm: str
    probability: float
    expected_cost_usd: float
    mean: float | None
    std: float | None
    utility: float | None


class Link(NamedTuple):
    """A decision before or after another in a chain."""

    decision_id: str
    arm: str
    reason: Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A decision and all that is known of it.

    ``standing`` is how its conversation stands now, ``parents`` the decisions it follows, oldest first,
    ``children`` those that follow it; ``metrics`` the feedback in force.
    """

    decision: Decision
    arm: Arm
    why: str
    alternatives: tuple[Alternative, ...]
    standing: Conversation | None
    parents: tuple[Link, ...]
    children: tuple[Link, ...]
    metrics: Mapping[str, float]

    def facts(self) -> dict[str, Any]:
        """All of it for a program to read."""
        decision = self.decision
        return answer(decision, self.arm) | {
            "why": self.why,
            "decided_at": decision.decided_at,
            "schema_id": decision.schema_id,
            "cost_weight": decision.cost_weight,
            "eligible": [one._asdict() for one in self.alternatives],
            "signals": dict(decision.signals),
            "conversation": decision.conversation,
            "standing": None if self.standing is None else asdict(self.standing),
            "parent": decision.parent,
            "parents": [link._asdict() for link in self.parents],
            "children": [link._asdict() for link in self.children],
            "metrics": dict(self.metrics),
        }


def answer(decision: Decision, arm: Arm) -> dict[str, Any]:
    """What a caller is told: which model, why, and with what alternatives."""
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


def why(decision: Decision) -> str:
    """The reason in a sentence."""
    return _WHY[decision.reason].format(d=decision, workflow=decision.signals.get("workflow"))


def explain(store: Store, decision_id: str) -> Explanation:
    """Everything the database knows of a decision. Raises UnknownDecision."""
    decision = store.decision(decision_id)
    conversation = decision.conversation
    return Explanation(
        decision=decision,
        arm=next(arm for arm in store.arms() if arm.name == decision.arm),
        why=why(decision),
        alternatives=_alternatives(decision, scores_of(store, decision)),
        standing=None if conversation is None else store.conversation(conversation),
        parents=_parents(store, decision),
        children=tuple(_link(child) for child in store.decisions_after(decision_id)),
        metrics=store.observation(decision_id).metrics,
    )


def scores_of(store: Store, decision: Decision) -> Scores | None:
    """What the policy saw, recomputed from the decision's snapshot; None when that is pruned."""
    snapshot = store.snapshot(decision.snapshot)
    if snapshot is None:
        return None
    return score(
        decode(snapshot.posterior),
        decision.eligible,
        decision.x,
        decision.expected_costs_usd,
        decision.cost_weight,
        decision.signals,
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


def _parents(store: Store, decision: Decision) -> tuple[Link, ...]:
    found: list[Link] = []
    while decision.parent is not None and len(found) < _LONGEST_CHAIN:
        try:
            decision = store.decision(decision.parent)
        except UnknownDecision:
            break
        found.append(_link(decision))
    return tuple(reversed(found))


def _link(decision: Decision) -> Link:
    return Link(decision.id, decision.arm, decision.reason)
