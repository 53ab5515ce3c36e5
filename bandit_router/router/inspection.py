"""One decision with all that is logged of it: for people who look for what happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bandit_router.router.answers import is_answer_id
from bandit_router.router.explain import Explanation, explain_decision
from bandit_router.security.users import hash_user
from bandit_router.store.revisions import Revision
from bandit_router.store.store import Store
from bandit_router.types import CallEnd, Escalation, Reason


class MadeCall(NamedTuple):
    """One link of a chain, and how the gateway's call for it ended; None if none has."""

    decision_id: str
    arm: str
    reason: Reason
    end: CallEnd | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """A decision explained, with the calls of its chain, every value of its feedback, and its judgement.

    ``has_snapshot`` says that the snapshot it was made from is still kept.
    """

    explanation: Explanation
    calls: tuple[MadeCall, ...]
    revisions: tuple[Revision, ...]
    escalation: Escalation | None
    has_snapshot: bool


def inspect_decision(store: Store, decision_id: str) -> Inspection:
    """All that is logged of a decision. Raises UnknownDecision."""
    explanation = explain_decision(store, decision_id)
    decision = explanation.decision
    chain = [
        *((link.decision_id, link.arm, link.reason) for link in explanation.parents),
        (decision.id, decision.arm, decision.reason),
        *((link.decision_id, link.arm, link.reason) for link in explanation.children),
    ]
    return Inspection(
        explanation=explanation,
        calls=tuple(MadeCall(id, arm, reason, store.call(id)) for id, arm, reason in chain),
        revisions=tuple(store.revisions(decision.id)),
        escalation=store.escalation(decision.id),
        has_snapshot=any(each.mean is not None for each in explanation.alternatives),
    )


def find_decision_of(store: Store, text: str) -> str | None:
    """The id of the decision that was answered with this id, or was made for this idempotency key."""
    if is_answer_id(text):
        ids = store.decisions_of_answer(text)
        return ids[0] if len(ids) == 1 else None
    decision = store.decision_of_key(text)
    return None if decision is None else decision.id


def list_user_ids(user: str, secret: str) -> tuple[str, str]:
    """The forms in which the log may have a user, who is named by an id or its hash."""
    return user, hash_user(secret, user)
