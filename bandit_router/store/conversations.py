"""Conversations: each keeps its arm, settled by the database in the transaction of the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from sqlalchemy import Connection, Row, select

from bandit_router.store.engine import INSERT
from bandit_router.store.records import ReadDecision
from bandit_router.store.tables import conversations
from bandit_router.types import Conversation, Decision, Reason

_FIELDS = [field.name for field in fields(Conversation)]


class Decider(Protocol):
    """Decides a request again when another worker's choice of its conversation's arm came first."""

    def decide_again(self, conversation: Conversation | None) -> Decision:
        """The decision with the same id, given the conversation as it is; None to begin it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversationClaim:
    """The assumptions of a decision about its conversation, checked in the transaction that commits it.

    ``expected_choice`` is the choice it read, None when it would begin the conversation. A conversation last
    seen before ``expiry_cutoff``, Unix time, has expired.
    """

    expiry_cutoff: float
    expected_choice: str | None
    decider: Decider


_CLAIM = {
    name: (statement := into(conversations))
    .on_conflict_do_update(index_elements=["router", "id"], set_={"id": statement.excluded.id})
    .returning(*(conversations.c[name] for name in _FIELDS))
    for name, into in INSERT.items()
}
"""Inserts a conversation, or else locks and reads the one that is there.

When two workers begin one at once, the second waits for the first, and gets its row.
"""

_CHANGE = {
    name: (statement := into(conversations)).on_conflict_do_update(
        index_elements=["router", "id"],
        set_={name: statement.excluded[name] for name in _FIELDS if name != "id"},
    )
    for name, into in INSERT.items()
}


def apply_claims(
    connection: Connection,
    router: str,
    claimed: Sequence[tuple[Decision, ConversationClaim]],
    logged: ReadDecision,
) -> list[Decision]:
    """The decisions to commit: one whose claim does not hold is decided again.

    Rows are claimed in order of their ids and before any row of another table, so that two transactions never
    wait for each other. ``logged`` reads a decision of the log, if it is there.
    """
    first: dict[str, Decision] = {}
    for decision, _ in claimed:
        first.setdefault(_conversation_id(decision), decision)
    ids, dialect = sorted(first), connection.dialect.name
    begun = {id: _begin_conversation(first[id]) for id in ids}
    rows = connection.execute(_CLAIM[dialect], [_conversation_row(router, begun[id]) for id in ids])
    stored = {row.id: _conversation_from(row) for row in rows}
    current = {id: None if stored[id] == begun[id] else stored[id] for id in ids}
    settled = []
    for decision, claim in claimed:
        id = _conversation_id(decision)
        conversation = current[id]
        if conversation is not None and conversation.seen_at < claim.expiry_cutoff:
            conversation = None
        holds = (conversation and conversation.choice) == claim.expected_choice
        committed = None if holds else logged(decision.id)
        if committed is None:  # else it was committed before, and only its answer was lost
            decision = decision if holds else claim.decider.decide_again(conversation)
            current[id] = _conversation_after(conversation, decision)
        settled.append(committed or decision)
    changed = [state for id, state in current.items() if state is not None and state != stored[id]]
    if changed:
        connection.execute(_CHANGE[dialect], [_conversation_row(router, state) for state in changed])
    return settled


def read_conversation(connection: Connection, router: str, conversation: str) -> Conversation | None:
    """The state of a conversation, expired or not; None when it never kept an arm."""
    same_id = conversations.c.router == router, conversations.c.id == conversation
    row = connection.execute(select(conversations).where(*same_id)).one_or_none()
    return None if row is None else _conversation_from(row)


def _conversation_after(conversation: Conversation | None, decision: Decision) -> Conversation:
    """The conversation once this decision is committed."""
    if conversation is None:
        return _begin_conversation(decision)
    later = replace(conversation, seen_at=max(conversation.seen_at, decision.decided_at))
    if decision.reason is not Reason.PROMOTION:
        return later
    return replace(later, arm=decision.arm, choice=decision.id, promoted=True)


def _begin_conversation(decision: Decision) -> Conversation:
    """The conversation that this decision begins."""
    at = decision.decided_at
    return Conversation(
        id=_conversation_id(decision), arm=decision.arm, choice=decision.id, started_at=at, seen_at=at
    )


def _conversation_id(decision: Decision) -> str:
    assert decision.conversation is not None, "only a decision of a conversation has a claim"
    return decision.conversation


def _conversation_row(router: str, conversation: Conversation) -> dict[str, Any]:
    return {"router": router} | {name: getattr(conversation, name) for name in _FIELDS}


def _conversation_from(row: Row[Any]) -> Conversation:
    return Conversation(**{name: getattr(row, name) for name in _FIELDS})
