"""The last check before the log: a write whose stamp lies ahead of now gets the present time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from bandit_router.store.clock import Clock
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import CallEnd, Decision, Escalation, Feedback

_Payload = Decision | Feedback | Escalation | CallEnd


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


def _newest_stamp(payload: _Payload) -> float:
    if isinstance(payload, Decision):
        return payload.decided_at
    if isinstance(payload, CallEnd):
        return -math.inf if payload.feedback is None else payload.feedback.received_at
    return payload.received_at if isinstance(payload, Feedback) else payload.asked_at


def _clamp(payload: _Payload, now: float) -> _Payload:
    if isinstance(payload, Decision):
        return _clamp_decision(payload, now)
    if isinstance(payload, Feedback):
        return _clamp_feedback(payload, now)
    if isinstance(payload, CallEnd):
        feedback = None if payload.feedback is None else _clamp_feedback(payload.feedback, now)
        return replace(payload, feedback=feedback)
    retry = None if payload.decision is None else _clamp_decision(payload.decision, now)
    return replace(payload, asked_at=now, claimed_at=payload.asked_at, decision=retry)


def _clamp_feedback(feedback: Feedback, now: float) -> Feedback:
    return replace(feedback, received_at=now, claimed_at=feedback.received_at)


def _clamp_decision(decision: Decision, now: float) -> Decision:
    return replace(decision, decided_at=now, claimed_at=decision.decided_at)
