"""The attempts of one call: which outcome is final, how long to wait after another, and what it all came to.

The wait before attempt n + 1 is drawn from [0, min(LONGEST_WAIT_S, FIRST_WAIT_S 2^(n − 1))), so that clients
do not come back all at once; with Retry-After it comes on top of that.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx2

from bandit_router.client.calls import Call
from bandit_router.errors import RouterError, ServiceError, ServiceUnreachable
from bandit_router.problems import rebuild_error

T = TypeVar("T")

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0

_RETRIED = frozenset({429, 500, 502, 503, 504})
_NEVER_SENT = (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol)
_LEAST_TIMEOUT_S = 0.001
_MOST_DETAIL = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long a client tries: seconds in all and for each attempt, and attempts at most."""

    timeout_s: float
    attempt_timeout_s: float
    attempts: int


class Attempts:
    """The attempts of one call so far. ``draw`` returns numbers in [0, 1)."""

    def __init__(
        self,
        patience: Patience,
        clock: Callable[[], float],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._draw = draw
        self._give_up_at = clock() + patience.timeout_s
        self._made = 0

    def timeout_s(self) -> float:
        """Seconds that the next attempt may take."""
        return max(_LEAST_TIMEOUT_S, min(self._patience.attempt_timeout_s, self._give_up_at - self._clock()))

    def find_wait(self, outcome: httpx2.Response | httpx2.RequestError) -> float | None:
        """Seconds to wait before the next attempt; None when this outcome is the last."""
        self._made += 1
        if not _is_passing(outcome) or self._made >= self._patience.attempts:
            return None
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (self._made - 1))
        wait_s = _read_retry_after(outcome) + longest * self._draw()
        return wait_s if self._clock() + wait_s < self._give_up_at else None


def read_outcome(call: Call[T], outcome: httpx2.Response | httpx2.RequestError) -> T:
    """What the service said. Raises the error that it answered with, ServiceError or ServiceUnreachable."""
    if isinstance(outcome, httpx2.RequestError):
        url, why = outcome.request.url, f"{type(outcome).__name__}: {outcome}".removesuffix(": ")
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        raise ServiceUnreachable(origin, why, call.idempotency_key) from outcome
    content = _read_json(outcome)
    if not outcome.is_success:
        raise _find_error(outcome, content)
    try:
        return call.read(content)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ServiceError(outcome.status_code, "this is no answer of a bandit-router") from None


def _find_error(response: httpx2.Response, content: Any) -> RouterError:
    problem = content if isinstance(content, dict) else {}
    detail = str(problem.get("detail") or response.reason_phrase)[:_MOST_DETAIL]
    return rebuild_error(problem) or ServiceError(response.status_code, detail)


def _read_json(response: httpx2.Response) -> Any:
    """The content of an answer; None if it is no JSON."""
    try:
        return response.json()
    except ValueError:
        return None


def _is_passing(outcome: httpx2.Response | httpx2.RequestError) -> bool:
    """Whether another attempt may end otherwise."""
    if isinstance(outcome, httpx2.Response):
        return outcome.status_code in _RETRIED
    return isinstance(outcome, httpx2.TransportError) and not isinstance(outcome, _NEVER_SENT)


def _read_retry_after(outcome: httpx2.Response | httpx2.RequestError) -> float:
    """Seconds that the service asks to wait, by number or by date; 0 if it asks for none."""
    text = outcome.headers.get("retry-after", "") if isinstance(outcome, httpx2.Response) else ""
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
