"""Replies of the gateway: what a client is sent, also when there is no answer, in the form of its dialect."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

from fastapi import Response

from bandit_router.errors import (
    RETRY_AFTER_S,
    ArmForbidden,
    InvalidInput,
    KeyBudgetSpent,
    NoEligibleArm,
    RouterError,
    StoreError,
)
from bandit_router.gateway.dialects import Dialect
from bandit_router.gateway.exchange import UnknownModel
from bandit_router.gateway.gateway import OutOfArms
from bandit_router.gateway.health import COOLING
from bandit_router.gateway.verdicts import client_status
from bandit_router.providers.base import UpstreamError

log = logging.getLogger(__name__)

_PASSED = frozenset({"content-type", "retry-after", "request-id", "x-request-id"})
_PASSED_PREFIXES = ("x-ratelimit-", "anthropic-", "openai-")
_NO_RETRY = frozenset({408, 409, 429})
"""Besides 5xx: the statuses on which an SDK would ask again, which has been done already."""

JSON_TYPE = ("content-type", "application/json")
_OURS = "an error on our side; the log has it"

Headers = Sequence[tuple[str, str]]


async def _end_nothing() -> None:
    pass


class Reply(NamedTuple):
    """An answer to a client: its status, its headers, its bytes as they come, and how to end what sends them.

    ``end`` is awaited however the client got on; a generator that was never begun would not hear of its end.
    """

    status: int
    headers: Headers
    pieces: AsyncIterator[bytes]
    end: Callable[[], Awaitable[None]] = _end_nothing


def reply_to_error(dialect: Dialect, error: Exception, retry_after_s: float) -> Reply:
    """The answer to a request that failed before its answer began, in the form of the dialect."""
    if isinstance(error, OutOfArms):
        failure, wait_s = error.failure, 0.0 if error.failure.status else retry_after_s
        ours = name_decision(error.decision.id, error.decision.arm, error.fallbacks)
        return _reply_to_failure(dialect, failure, [*ours, *_no_retry(client_status(failure), wait_s)])
    if isinstance(error, UpstreamError):
        return _reply_to_failure(dialect, error)
    if isinstance(error, UnknownModel):
        return _reply_in_dialect(dialect, 404, str(error), "model_not_found")
    if isinstance(error, InvalidInput):
        return _reply_in_dialect(dialect, 400, str(error))
    if isinstance(error, ArmForbidden):
        return _reply_in_dialect(dialect, 403, str(error), "arm_forbidden")
    if isinstance(error, KeyBudgetSpent):
        waits = _no_retry(429, error.after_s)
        return _reply_in_dialect(dialect, 429, str(error), "insufficient_quota", waits)
    if isinstance(error, NoEligibleArm):
        if any(why.startswith(COOLING) for why in error.excluded.values()):
            return _reply_in_dialect(dialect, 503, str(error), "no_arm", _no_retry(503, retry_after_s))
        return _reply_in_dialect(dialect, 400, str(error), "no_eligible_arm")
    if isinstance(error, StoreError):
        log.warning("a request to the gateway was refused: %s", error)
        return _reply_in_dialect(
            dialect, 503, "the router cannot decide now", None, _retry_after(RETRY_AFTER_S)
        )
    if isinstance(error, RouterError):
        return _reply_in_dialect(dialect, 503, str(error), None, _retry_after(RETRY_AFTER_S))
    log.error("a request to the gateway failed", exc_info=error)
    return _reply_in_dialect(dialect, 500, _OURS)


def _reply_to_failure(dialect: Dialect, failure: UpstreamError, extra: Headers = ()) -> Reply:
    """What upstream answered; where it gave no answer, an error that says so."""
    status = client_status(failure)
    passed = pass_headers(failure.headers)
    if failure.body:
        return Reply(status, [*passed, *extra], _iterate(failure.body))
    kept = [(name, value) for name, value in passed if name.lower() != "content-type"]
    return _reply_in_dialect(dialect, status, f"no answer from upstream: {failure}", None, [*kept, *extra])


def _no_retry(status: int, retry_after_s: float) -> list[tuple[str, str]]:
    """The headers that keep an SDK from asking again what was asked of every arm.

    ``retry_after_s`` is 0 for an answer of upstream's, which says itself when to come back.
    """
    if status < 500 and status not in _NO_RETRY:
        return []
    return [("x-should-retry", "false"), *(_retry_after(retry_after_s) if retry_after_s > 0.0 else [])]


def _retry_after(seconds: float) -> list[tuple[str, str]]:
    return [("retry-after", f"{max(1.0, seconds):.0f}")]


def pass_headers(headers: Headers) -> list[tuple[str, str]]:
    """The headers of upstream that clients know: request ids, rate limits, when to come back."""
    return [
        (name, value)
        for name, value in headers
        if name.lower() in _PASSED or name.lower().startswith(_PASSED_PREFIXES)
    ]


def name_decision(decision_id: str, arm: str, fallbacks: int) -> list[tuple[str, str]]:
    named = arm.encode("ascii", errors="replace").decode()  # a header takes no more
    return [
        ("x-bandit-decision", decision_id),
        ("x-bandit-arm", named),
        ("x-bandit-fallbacks", str(fallbacks)),
    ]


def _reply_in_dialect(
    dialect: Dialect, status: int, message: str, code: str | None = None, headers: Headers = ()
) -> Reply:
    return Reply(status, [JSON_TYPE, *headers], _iterate(dialect.error_body(status, message, code)))


def make_error_response(dialect: Dialect, status: int, message: str) -> Response:
    return Response(dialect.error_body(status, message), status, media_type=JSON_TYPE[1])


async def _iterate(body: bytes) -> AsyncIterator[bytes]:
    yield body


def write_last_event(dialect: Dialect, error: Exception) -> bytes:
    """The event that ends a stream whose answer never came."""
    if isinstance(error, RouterError):
        return dialect.error_event(str(error))
    log.error("a request to the gateway failed", exc_info=error)
    return dialect.error_event(_OURS)
