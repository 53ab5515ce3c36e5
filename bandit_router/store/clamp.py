"""The last check before the log: a write whose stamp lies ahead of now gets the present time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bandit_router.store.clock import Clock
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Decision, Escalation, Feedback


def clamp_requests(batch: Sequence[WriteRequest], clock: Clock) -> list[WriteRequest]:
    """The batch, each stamp that is too late replaced by the present time, and its claim kept beside it.

    A router's own stamps are right already, see :meth:`Clock.stamp`.
    """
    latest = clock.latest()
    return [
        replace(request, payload=_clamp(request.payload, clock.reference()))
        if _newest_stamp(request.payload) > latest
        else request
        for request in batch
    ]


def _newest_stamp(payload: Decision | Feedback | Escalation) -> float:
    if isinstance(payload, Decision):
        return payload.decided_at
    return payload.received_at if isinstance(payload, Feedback) else payload.asked_at


def _clamp(payload: Decision | Feedback | Escalation, now: float) -> Decision | Feedback | Escalation:
    if isinstance(payload, Decision):
        return _clamp_decision(payload, now)
    if isinstance(payload, Feedback):
        return replace(payload, received_at=now, claimed_at=payload.received_at)
    retry = None if payload.decision is None else _clamp_decision(payload.decision, now)
    return replace(payload, asked_at=now, claimed_at=payload.asked_at, decision=retry)


def _clamp_decision(decision: Decision, now: float) -> Decision:
    return replace(decision, decided_at=now, claimed_at=decision.decided_at)
