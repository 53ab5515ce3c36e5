"""Feedback from the caller: check it, and make the write request that logs it."""

from __future__ import annotations

from collections.abc import Mapping

from bandit_router.errors import InvalidInput
from bandit_router.objective.reward import check_metric, check_metric_name
from bandit_router.router.answers import find_answered_decision, is_answer_id
from bandit_router.router.conversations import expiry_cutoff, find_conversation_choice
from bandit_router.settings.routing import ConversationsSection
from bandit_router.store.clock import Stamp
from bandit_router.store.store import Store
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import CONFIDENCE, DecisionId, Feedback, Number, Scale
from bandit_router.validation import KEY_CHARS, check_text, hash_request, read_id

_PREFIX = "metrics."


def make_feedback(
    decision_id: DecisionId | None,
    metrics: Mapping[str, Number | None],
    idempotency_key: str | None,
    *,
    conversation: str | None,
    store: Store,
    section: ConversationsSection,
    scales: Mapping[str, Scale],
    stamp: Stamp,
) -> WriteRequest:
    """The write request of feedback that arrived then. A metric of None is retracted.

    ``scales`` are those of the owner's metrics. With a conversation, or the id of an answer, the store says
    which decision the feedback is on. Raises InvalidInput, UnknownConversation, UnknownAnswer or
    AmbiguousAnswer.
    """
    checked = _check_feedback(conversation, metrics, idempotency_key, scales)
    if (decision_id is None) == (conversation is None):
        raise InvalidInput("decision_id", "is given, or else conversation", "send exactly one of them")
    subject: object = decision_id
    if isinstance(decision_id, str) and is_answer_id(decision_id):
        decided = find_answered_decision(store, decision_id)
    elif conversation is None:
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
    conversation: str | None,
    metrics: Mapping[str, Number | None],
    idempotency_key: str | None,
    scales: Mapping[str, Scale],
) -> dict[str, float | None]:
    """The metrics as they are logged; None is retracted. Raises InvalidInput."""
    check_text("conversation", conversation, KEY_CHARS)
    check_text("idempotency_key", idempotency_key, KEY_CHARS)
    if not metrics:
        raise InvalidInput("metrics", "is empty", "send at least one metric")
    checked: dict[str, float | None] = {}
    for name, value in metrics.items():
        check_metric_name(name, scales, _PREFIX)
        checked[name] = None if value is None else check_metric(name, value, _PREFIX, scales)
    if CONFIDENCE in metrics:  # an escalation was decided by it, so it must not change
        raise InvalidInput(_PREFIX + CONFIDENCE, "is not feedback", "say it when you escalate")
    return checked
