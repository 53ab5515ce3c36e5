"""What a failed call says: whether another arm is asked, how long this one cools, and whose fault it was."""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from bandit_router.providers.base import FailureKind, UpstreamError

LONG_S = 300.0
"""Seconds that an arm cools whose key, bill or model name is wrong: a person has to mend it."""

LONGEST_RETRY_AFTER_S = 3600.0

_OF_BILL = (b"insufficient_quota", b"billing", b"credit balance")
_OF_ARM = (
    b"context_length_exceeded",
    b"prompt is too long",
    b"maximum context length",
    b"unsupported_parameter",
    b"unsupported_value",
    b"not supported with this model",
)
"""What bodies of status 400 say whose request another arm may take."""

_LOOKED_AT_BYTES = 8_192


class FailureVerdict(NamedTuple):
    """``ends``: no other arm is asked. ``cool_s``: seconds it cools. ``is_fault``: it is upstream's."""

    ends: bool = False
    cool_s: float | None = None
    is_fault: bool = False


def judge_failure(failure: UpstreamError, now: float) -> FailureVerdict:
    """The verdict on a failure at ``now``, Unix time."""
    if failure.kind is not FailureKind.STATUS or failure.status is None:
        return FailureVerdict(is_fault=True)
    status, body = failure.status, failure.body[:_LOOKED_AT_BYTES].lower()
    of_bill = any(words in body for words in _OF_BILL)
    if status in (401, 402, 403, 404) or (of_bill and status in (400, 429)):
        return FailureVerdict(cool_s=LONG_S)
    if status in (429, 529):
        return FailureVerdict(cool_s=read_retry_after(failure, now) or 0.0, is_fault=status == 529)
    if status in (400, 413, 422):
        return FailureVerdict(ends=not any(words in body for words in _OF_ARM))
    if status == 408 or status >= 500:
        return FailureVerdict(cool_s=read_retry_after(failure, now), is_fault=True)
    return FailureVerdict(ends=status != 409)


def read_retry_after(failure: UpstreamError, now: float) -> float | None:
    """Seconds that upstream asks to wait, None if it does not."""
    values = {name.lower(): value for name, value in failure.headers}
    text = values.get("retry-after")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except ValueError:
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S) if math.isfinite(seconds) else None


def client_status(failure: UpstreamError) -> int:
    """The status that a client gets for this failure."""
    if failure.status is not None:
        return failure.status
    return 504 if failure.kind is FailureKind.TIMEOUT else 502
