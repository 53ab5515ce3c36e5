"""Feedback from the caller: check it, and make the write request that logs it."""

from __future__ import annotations

from collections.abc import Mapping

from bandit_router.errors import InvalidInput
from bandit_router.objective.reward import check_metric
from bandit_router.router.conversations import expiry_cutoff, find_conversation_choice
from bandit_router.settings.routing import ConversationsSection
from bandit_router.store.clock import Stamp
from bandit_router.store.store import Store
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import CONFIDENCE, DecisionId, Feedback, Number
from bandit_router.validation import KEY_CHARS, check_text, hash_request, read_id


def make_feedback(
    decision_id: DecisionId | None,
    metrics: Mapping[str, Number | None],
    idempotency_key: str | None,
    *,
    conversation: str | None,
    store: Store,
    section: ConversationsSection,
    stamp: Stamp,
) -> WriteRequest:
    """The write request of feedback that arrived then. A metric of None is retracted.

    With a conversation instead of an id, the store says which decision the feedback is on.
    Raises InvalidInput or UnknownConversation.
    """
    checked = _check_feedback(conversation, metrics, idempotency_key)
    if (decision_id is None) == (conversation is None):
        raise InvalidInput("decision_id", "is given, or else conversation", "send exactly one of them")
    subject: object
    if conversation is None:
        subject = decided = read_id(decision_id)
    else:
        subject = {"conversation": conversation}
        cutoff = expiry_cutoff(section, stamp.at)
        decided = find_conversation_choice(store, conversation, cutoff, idempotency_key)
    feedback = Feedback(
        decision_id=decided,
        metrics=checked,
        received_at=stamp.at,
        claimed_at=stamp.claimed_at,
        idempotency_key=idempotency_key,
    )
    return WriteRequest(payload=feedback, digest=hash_request(idempotency_key, "feedback", subject, checked))


def _check_feedback(
    conversation: str | None, metrics: Mapping[str, Number | None], idempotency_key: str | None
) -> dict[str, float | None]:
    """The metrics as numbers; None is retracted. Raises InvalidInput."""
    check_text("conversation", conversation, KEY_CHARS)
    check_text("idempotency_key", idempotency_key, KEY_CHARS)
    if not metrics:
        raise InvalidInput("metrics", "is empty", "send at least one metric")
    checked = {
        name: check_metric(name, 0.0 if value is None else value, prefix="metrics.")
        for name, value in metrics.items()
    }
    if CONFIDENCE in metrics:  # an escalation was decided by it, so it must not change
        raise InvalidInput(f"metrics.{CONFIDENCE}", "is not feedback", "say it when you escalate")
    return {name: None if metrics[name] is None else value for name, value in checked.items()}
