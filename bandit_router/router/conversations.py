"""What a request, and feedback, have to know of their conversation, which keeps its arm until it is over."""

from __future__ import annotations

from dataclasses import replace

from bandit_router.errors import UnknownConversation
from bandit_router.routing.decide import Request
from bandit_router.routing.precedence import StickyConversation
from bandit_router.settings.routing import ConversationsSection
from bandit_router.store.store import Store
from bandit_router.types import Conversation


def since_of(section: ConversationsSection, now: float) -> float | None:
    """A conversation not heard of since then, Unix time, is over; None when none keeps its arm."""
    return now - section.ttl_s if section.sticky else None


def recall(request: Request, store: Store, section: ConversationsSection) -> Request:
    """The request, knowing how its conversation stands; reads the database if it is to keep its arm."""
    if request.since is None or request.conversation is None:
        return request
    found = store.conversation(request.conversation)
    return knowing(request, found if found and found.seen_at >= request.since else None, section)


def knowing(request: Request, standing: Conversation | None, section: ConversationsSection) -> Request:
    """The request, knowing that its conversation stands so, or that it has not begun."""
    switch_usd = section.switch_usd_per_mtok * request.limits.input_tokens / 1e6
    kept = None if standing is None else StickyConversation(standing, section.promote_gain, switch_usd)
    return replace(request, kept=kept)


def choice_of(store: Store, conversation: str, since: float | None, idempotency_key: str | None) -> str:
    """The decision that chose the arm a conversation keeps. Raises UnknownConversation."""
    found = store.conversation(conversation)
    if found is None:
        raise UnknownConversation(conversation)
    over = since is None or found.seen_at < since
    if over and not store.knows_key(idempotency_key):  # a retry is owed the answer of then
        raise UnknownConversation(conversation)
    return found.choice
