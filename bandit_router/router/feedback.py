"""What may be said of a decision, and the feedback that comes of it once it is checked."""

from __future__ import annotations

from collections.abc import Mapping

from bandit_router.errors import InvalidInput
from bandit_router.objective.reward import check_metric
from bandit_router.router.conversations import choice_of, since_of
from bandit_router.settings.routing import ConversationsSection
from bandit_router.store.store import Store
from bandit_router.store.write import WriteRequest
from bandit_router.types import CONFIDENCE, Feedback
from bandit_router.validation import KEY_CHARS, check_id, check_text, digest_of


def make_feedback(
    decision_id: str | None,
    metrics: Mapping[str, float | None],
    idempotency_key: str | None,
    *,
    conversation: str | None,
    store: Store,
    section: ConversationsSection,
    now: float,
) -> WriteRequest:
    """Check feedback that came at ``now``, Unix time: what is to be written. None takes a metric back.

    With a conversation instead of an id, the store says which decision it is about.
    Raises InvalidInput or UnknownConversation.
    """
    checked = _check(decision_id, conversation, metrics, idempotency_key)
    about: object = decision_id
    if conversation is not None:
        about = {"conversation": conversation}
        decision_id = choice_of(store, conversation, since_of(section, now), idempotency_key)
    assert decision_id is not None, "feedback is about a decision or else a conversation"
    what = Feedback(
        decision_id=decision_id,
        metrics=checked,
        received_at=now,
        idempotency_key=idempotency_key,
    )
    return WriteRequest(what=what, digest=digest_of(idempotency_key, "feedback", about, checked))


def _check(
    decision_id: str | None,
    conversation: str | None,
    metrics: Mapping[str, float | None],
    idempotency_key: str | None,
) -> dict[str, float | None]:
    """The metrics, as numbers; None is taken back."""
    check_id(decision_id)
    check_text("conversation", conversation, KEY_CHARS)
    check_text("idempotency_key", idempotency_key, KEY_CHARS)
    if not metrics:
        raise InvalidInput("metrics", "is empty", "send at least one metric")
    checked = {
        name: check_metric(name, 0.0 if value is None else value, prefix="metrics.")
        for name, value in metrics.items()
    }
    if CONFIDENCE in metrics:  # what was decided by it must stay what it was
        raise InvalidInput(f"metrics.{CONFIDENCE}", "is not feedback", "say it when you escalate")
    if (decision_id is None) == (conversation is None):
        raise InvalidInput("decision_id", "is given, or else conversation", "send exactly one of them")
    return {name: None if metrics[name] is None else value for name, value in checked.items()}
