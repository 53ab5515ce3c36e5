"""Conversations that keep their arm, decided by the database in the very transaction of the decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from bandit_router.store.engine import INSERT
from bandit_router.store.tables import conversations
from bandit_router.types import Conversation, Decision, Reason

_FIELDS = [field.name for field in fields(Conversation)]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversationClaim:
    """What a decision took for granted of its conversation, to be checked when it is committed.

    ``known`` is the choice that was in force, None where the decision is the first. A conversation that was
    not heard of since ``since``, Unix time, is over. ``again`` decides once more, with the same id, knowing
    how the conversation really stands.
    """

    since: float
    known: str | None
    redecide: Callable[[Conversation | None], Decision]


Logged = Callable[[str], Decision | None]
"""The decision of that id, if it is in the log."""

_CLAIM = {
    name: into(conversations).on_conflict_do_nothing().returning(conversations.c.id)
    for name, into in INSERT.items()
}
"""Of two workers that begin a conversation at the same moment, the database takes one."""

_LOCK = (
    select(conversations)
    .where(
        conversations.c.router == bindparam("router"),
        conversations.c.id.in_(bindparam("ids", expanding=True)),
    )
    .order_by(conversations.c.id)
    .with_for_update()
)

_CHANGE = {
    name: (statement := into(conversations)).on_conflict_do_update(
        index_elements=["router", "id"],
        set_={name: statement.excluded[name] for name in _FIELDS if name != "id"},
    )
    for name, into in INSERT.items()
}


def apply_claims(
    connection: Connection, router: str, made: Sequence[tuple[Decision, ConversationClaim]], logged: Logged
) -> list[Decision]:
    """The decisions as they are to be committed: those that knew better than they do are made again.

    Rows are claimed and then locked, each in order of their ids and before any row of another table, so that
    two transactions never wait for each other.
    """
    first: dict[str, Decision] = {}
    for decision, _ in made:
        first.setdefault(_name(decision), decision)
    names, dialect = sorted(first), connection.dialect.name
    claims = [_row(router, _begin(first[name])) for name in names]
    claimed = set(connection.scalars(_CLAIM[dialect], claims))
    locked = connection.execute(_LOCK, {"router": router, "ids": names})
    standing = {row.id: None if row.id in claimed else _conversation(row) for row in locked}
    kept = []
    for decision, keeping in made:
        name = _name(decision)
        present = standing[name]
        if present is not None and present.seen_at < keeping.since:
            present = None
        known = present and present.choice
        before = None if known == keeping.known else logged(decision.id)
        if before is None:  # else it was committed, and only its answer was lost
            decision = decision if known == keeping.known else keeping.redecide(present)
            standing[name] = _after(present, decision)
        kept.append(before or decision)
    changes = [_row(router, one) for _, one in sorted(standing.items()) if one is not None]
    connection.execute(_CHANGE[dialect], changes)
    return kept


def read_conversation(connection: Connection, router: str, conversation: str) -> Conversation | None:
    """How a conversation stands, whether or not it is over."""
    here = conversations.c.router == router, conversations.c.id == conversation
    row = connection.execute(select(conversations).where(*here)).one_or_none()
    return None if row is None else _conversation(row)


def _after(present: Conversation | None, decision: Decision) -> Conversation:
    if present is None:
        return _begin(decision)
    seen = replace(present, seen_at=max(present.seen_at, decision.decided_at))
    if decision.reason is not Reason.PROMOTION:
        return seen
    return replace(seen, arm=decision.arm, choice=decision.id, promoted=True)


def _begin(decision: Decision) -> Conversation:
    at = decision.decided_at
    return Conversation(id=_name(decision), arm=decision.arm, choice=decision.id, started_at=at, seen_at=at)


def _name(decision: Decision) -> str:
    assert decision.conversation is not None, "only a decision of a conversation keeps to one"
    return decision.conversation


def _row(router: str, conversation: Conversation) -> dict[str, Any]:
    return {"router": router, **asdict(conversation)}


def _conversation(row: Row[Any]) -> Conversation:
    return Conversation(**{name: getattr(row, name) for name in _FIELDS})
