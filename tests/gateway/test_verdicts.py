"""What a failure says: whether another arm is asked, how long this one cools, whose fault it was."""

from __future__ import annotations

import pytest

from bandit_router.gateway.verdicts import LONG_S, FailureVerdict, client_status, judge_failure
from bandit_router.providers.base import FailureKind, UpstreamError

NOW = 1_700_000_000.0


def failed(status: int, body: bytes = b"", retry_after: str | None = None) -> UpstreamError:
    headers = [] if retry_after is None else [("Retry-After", retry_after)]
    return UpstreamError(FailureKind.STATUS, f"upstream answered {status}", status, headers, body)


@pytest.mark.parametrize(
    ("failure", "verdict"),
    [
        (failed(400), FailureVerdict(ends=True)),
        (failed(413), FailureVerdict(ends=True)),
        (failed(422), FailureVerdict(ends=True)),
        (failed(400, b'{"error":{"code":"context_length_exceeded"}}'), FailureVerdict()),
        (failed(400, b'{"error":{"message":"prompt is too long: 9 > 8"}}'), FailureVerdict()),
        (failed(400, b'{"error":{"code":"unsupported_parameter"}}'), FailureVerdict()),
        (failed(400, b"Your credit balance is too low"), FailureVerdict(cool_s=LONG_S)),
        (failed(401), FailureVerdict(cool_s=LONG_S)),
        (failed(402), FailureVerdict(cool_s=LONG_S)),
        (failed(403), FailureVerdict(cool_s=LONG_S)),
        (failed(404), FailureVerdict(cool_s=LONG_S)),
        (failed(408), FailureVerdict(is_fault=True)),
        (failed(409), FailureVerdict()),
        (failed(418), FailureVerdict(ends=True)),
        (failed(429), FailureVerdict(cool_s=0.0)),
        (failed(429, retry_after="17"), FailureVerdict(cool_s=17.0)),
        (failed(429, b'{"error":{"code":"insufficient_quota"}}', "1"), FailureVerdict(cool_s=LONG_S)),
        (failed(500), FailureVerdict(is_fault=True)),
        (
            failed(503, retry_after="Tue, 14 Nov 2023 22:13:50 GMT"),
            FailureVerdict(cool_s=30.0, is_fault=True),
        ),
        (failed(529, retry_after="nonsense"), FailureVerdict(cool_s=0.0, is_fault=True)),
        (failed(529, retry_after="1e9"), FailureVerdict(cool_s=3600.0, is_fault=True)),
        (UpstreamError(FailureKind.CONNECT, "refused"), FailureVerdict(is_fault=True)),
        (UpstreamError(FailureKind.CUT, "cut"), FailureVerdict(is_fault=True)),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_verdict_on_a_failure(failure: UpstreamError, verdict: FailureVerdict) -> None:
    assert judge_failure(failure, NOW) == verdict


def test_a_failure_without_a_status_is_a_bad_gateway_or_its_time_out() -> None:
    assert client_status(UpstreamError(FailureKind.CUT, "cut")) == 502
    assert client_status(UpstreamError(FailureKind.TIMEOUT, "late")) == 504
    assert client_status(failed(418)) == 418
