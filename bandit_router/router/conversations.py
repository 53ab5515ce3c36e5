"""Sticky conversations: what a request and feedback need of the conversation, which keeps its arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bandit_router.errors import UnknownConversation
from bandit_router.policies import Policy
from bandit_router.routing.decide import PublishedModel, Request, decide
from bandit_router.routing.precedence import StickyConversation
from bandit_router.settings.routing import ConversationsSection
from bandit_router.store.clock import Stamp
from bandit_router.store.conversations import ConversationClaim
from bandit_router.store.store import Store
from bandit_router.types import Conversation, Decision


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestDecider:
    """All that a request is decided from, so that it can be decided again if its conversation changed.

    ``id`` and ``stamp`` are those of the decision. ``rng`` may be shared between threads: numpy
    locks every draw.
    """

    published: PublishedModel
    policy: Policy
    schema_id: str
    section: ConversationsSection
    request: Request
    id: str
    stamp: Stamp
    rng: np.random.Generator

    def decide(self) -> Decision:
        """Draw an arm. Raises NoEligibleArm or InvalidInput."""
        decision = decide(
            self.published,
            self.policy,
            self.schema_id,
            self.request,
            id=self.id,
            now=self.stamp.at,
            rng=self.rng,
        )
        claimed_at = self.stamp.claimed_at
        return decision if claimed_at is None else replace(decision, claimed_at=claimed_at)

    def exclude(self, mask: Mapping[str, str]) -> RequestDecider:
        """The same without these arms; the reasons are given by arm."""
        limits = self.request.limits
        limits = limits._replace(mask={**mask, **limits.mask})
        return replace(self, request=replace(self.request, limits=limits))

    def decide_again(self, conversation: Conversation | None) -> Decision:
        """The decision with the same id, given the conversation as it is; None to begin it."""
        request = with_conversation(self.request, conversation, self.section)
        return replace(self, request=request).decide()


def make_claim(decider: RequestDecider) -> ConversationClaim | None:
    """The claim of the request on its conversation; None when no conversation is to keep its arm."""
    request = decider.request
    if request.since is None:
        return None
    choice = None if request.kept is None else request.kept.conversation.choice
    return ConversationClaim(expiry_cutoff=request.since, expected_choice=choice, decider=decider)


def expiry_cutoff(section: ConversationsSection, now: float) -> float | None:
    """A conversation last seen before this Unix time has expired; None when no conversation keeps its arm."""
    return now - section.ttl_s if section.sticky else None


def load_conversation(request: Request, store: Store, section: ConversationsSection) -> Request:
    """The request with its conversation; reads the database if the conversation is to keep its arm."""
    if request.since is None or request.conversation is None:
        return request
    conversation = store.conversation(request.conversation)
    if conversation is not None and conversation.seen_at < request.since:
        conversation = None
    return with_conversation(request, conversation, section)


def with_conversation(
    request: Request, conversation: Conversation | None, section: ConversationsSection
) -> Request:
    """The request with this conversation to keep to; None begins a new one."""
    switch_usd = section.switch_usd_per_mtok * request.limits.input_tokens / 1e6
    if conversation is None:
        return replace(request, kept=None)
    return replace(request, kept=StickyConversation(conversation, section.promote_gain, switch_usd))


def find_conversation_choice(
    store: Store, conversation_id: str, cutoff: float | None, idempotency_key: str | None
) -> str:
    """The id of the decision that chose the arm a conversation keeps. Raises UnknownConversation."""
    conversation = store.conversation(conversation_id)
    if conversation is None:
        raise UnknownConversation(conversation_id)
    expired = cutoff is None or conversation.seen_at < cutoff
    if expired and not store.has_key(idempotency_key):  # a retry gets the answer of then
        raise UnknownConversation(conversation_id)
    return conversation.choice
