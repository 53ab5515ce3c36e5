"""The write path: a batch of write requests in one transaction, each applied exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from bandit_router.errors import IdempotencyConflict, RouterError, UnknownDecision
from bandit_router.store.conversations import ConversationClaim, apply_claims
from bandit_router.store.decisions import insert_decisions, read_decision, select_logged_ids
from bandit_router.store.escalations import confidence_feedback, insert_escalations
from bandit_router.store.feedback import insert_feedback
from bandit_router.store.idempotency import insert_keys, read_keys, restore_answer
from bandit_router.store.pacing_ledger import PacingLedger
from bandit_router.types import Decision, Escalation, Feedback, Outcome, Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteRequest:
    """One decision, feedback call or escalation to commit. ``digest`` identifies the request behind a key.

    With a ``claim`` another decision may be committed instead: the one that its conversation calls for.
    """

    payload: Decision | Feedback | Escalation
    digest: str = ""
    claim: ConversationClaim | None = None

    @property
    def decision(self) -> Decision | None:
        """The decision that it would add to the log."""
        if isinstance(self.payload, Escalation):
            return self.payload.decision
        return self.payload if isinstance(self.payload, Decision) else None

    @property
    def idempotency_key(self) -> str | None:
        """The caller's key; an escalation has none, its parent is the key."""
        return None if isinstance(self.payload, Escalation) else self.payload.idempotency_key


Committed = Decision | dict[str, Outcome] | Escalation
"""The result of a write request: the decision or escalation in force, or the outcome of each metric."""

WriteResult = Committed | RouterError
"""The result that a caller gets, or the error to raise."""

Numbered = Sequence[tuple[int, WriteRequest]]
"""Write requests with their place in the batch."""


def apply_write_requests(
    connection: Connection, router: str, batch: Sequence[WriteRequest], ledger: PacingLedger | None = None
) -> list[WriteResult]:
    """Apply the whole batch in the connection's transaction; an answer or an error for each request.

    A request whose idempotency key was used before gets the answer of then and changes nothing. ``ledger``
    collects every decision inserted and every change of a decision's metrics.
    """
    ledger = ledger or PacingLedger()
    answers: list[WriteResult | None] = [None] * len(batch)
    first = _answer_repeated_keys(connection, router, batch, answers)
    fresh = [
        (i, request)
        for i, request in enumerate(batch)
        if answers[i] is None and first.get(request.idempotency_key, i) == i
    ]
    new_decisions = _settle_decisions(connection, router, fresh, answers)
    escalations, new_escalations = _settle_escalations(connection, router, fresh)
    calls = [(i, request.payload) for i, request in fresh if isinstance(request.payload, Feedback)]
    calls += [(i, call) for i, new in new_escalations for call in confidence_feedback(new)]
    retries = [(i, new.decision) for i, new in new_escalations if new.decision is not None]
    unique: dict[str, tuple[int, Decision]] = {}  # by id: a decision submitted twice is booked once
    for i, decision in [*new_decisions.items(), *retries]:
        unique.setdefault(decision.id, (i, decision))
    if unique:
        inserted = insert_decisions(connection, router, [decision for _, decision in unique.values()])
        added = [(i, decision) for i, decision in unique.values() if decision.id in inserted]
        ledger.book([decision for _, decision in added])
        calls += [(i, _override_feedback(decision)) for i, decision in added if _is_replacement(decision)]
    settled: dict[int, Committed] = {**new_decisions, **escalations}
    for i, committed in settled.items():
        answers[i] = committed
    if calls:
        for i, answer in insert_feedback(connection, router, calls, ledger):
            answers[i] = settled.get(i, answer)
    _insert_fresh_keys(connection, router, fresh, answers)
    return [
        answers[first[request.idempotency_key]] if answer is None else answer  # type: ignore[misc]
        for request, answer in zip(batch, answers, strict=True)
    ]


def _settle_decisions(
    connection: Connection, router: str, requests: Numbered, answers: list[WriteResult | None]
) -> dict[int, Decision]:
    """The decisions to insert, as their conversations call for; a replacement of nothing is refused."""
    settled = {i: request.payload for i, request in requests if isinstance(request.payload, Decision)}
    claims = [(i, request.claim) for i, request in requests if request.claim is not None]
    if claims:
        logged = partial(read_decision, connection, router)
        claimed = apply_claims(connection, router, [(settled[i], claim) for i, claim in claims], logged)
        settled |= {i: decision for (i, _), decision in zip(claims, claimed, strict=True)}
    replaced = {i: decision.parent for i, decision in settled.items() if _is_replacement(decision)}
    if replaced:
        existing = select_logged_ids(connection, router, replaced.values())
        for i, parent in replaced.items():
            if parent not in existing:
                answers[i] = UnknownDecision(str(parent))
                del settled[i]
    return settled


def _settle_escalations(
    connection: Connection, router: str, requests: Numbered
) -> tuple[Mapping[int, Escalation], list[tuple[int, Escalation]]]:
    """The escalation in force for each request, and the escalations that are new."""
    requested = {i: request.payload for i, request in requests if isinstance(request.payload, Escalation)}
    if not requested:
        return {}, []
    return insert_escalations(connection, router, requested, partial(read_decision, connection, router))


def _is_replacement(decision: Decision) -> bool:
    """Whether the caller named another model because the parent's answer was not good enough."""
    return decision.reason is Reason.OVERRIDE and decision.parent is not None


def _override_feedback(decision: Decision) -> Feedback:
    """Feedback on the parent: its answer was overridden."""
    return Feedback(
        decision_id=str(decision.parent), metrics={"override": 1.0}, received_at=decision.decided_at
    )


def _answer_repeated_keys(
    connection: Connection, router: str, batch: Sequence[WriteRequest], answers: list[WriteResult | None]
) -> dict[str | None, int]:
    """Answer the keys used before; the first index of every key that is new."""
    keyed = [(i, key) for i, request in enumerate(batch) if (key := request.idempotency_key) is not None]
    if not keyed:
        return {}
    stored = read_keys(connection, router, [key for _, key in keyed])
    first: dict[str | None, int] = {}
    for i, key in keyed:
        digest = stored[key].digest if key in stored else batch[first.setdefault(key, i)].digest
        if digest != batch[i].digest:
            answers[i] = IdempotencyConflict(key)
        elif key in stored:
            answers[i] = restore_answer(connection, router, stored[key].answer)
    return first


def _insert_fresh_keys(
    connection: Connection, router: str, requests: Numbered, answers: Sequence[WriteResult | None]
) -> None:
    """Store the keys of the requests that were answered; a refused request may be sent again."""
    insert_keys(
        connection,
        router,
        [
            (key, request.digest, answer)
            for i, request in requests
            if (key := request.idempotency_key) is not None
            and isinstance(answer := answers[i], Decision | dict)
        ],
    )
