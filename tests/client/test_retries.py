"""Calls that fail on the way are sent again, act once, and end."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import httpx2
import pytest

from bandit_router import Outcome, Router, errors
from bandit_router.client.attempts import FIRST_WAIT_S, LONGEST_WAIT_S, Attempts, Patience
from tests.client.conftest import OpenClient
from tests.client.relay import LOST, Fault, Relay, relaying
from tests.services import Service


class Time:
    """A clock that only sleeping moves, and the waits so far."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


def keep_time(client: Any) -> Time:
    """Have the client sleep by this clock."""
    time, inner = Time(), getattr(client, "client", client)
    inner._clock = time.clock
    inner._sleep = time.sleep_async if inner is not client else time.sleep
    return time


@contextmanager
def flaky(service: Service, open_client: OpenClient, *faults: Fault, **options: Any) -> Iterator[Any]:
    """A client of the service through a relay with these faults, the relay and the client's clock."""
    with relaying(service.url, *faults) as relay:
        client = open_client(relay.url, **options)
        yield client, relay, keep_time(client)


def count_decisions(service: Service) -> int:
    with closing(sqlite3.connect(service.database)) as connection:
        (count,) = connection.execute("select count(*) from decisions").fetchone()
    return int(count)


def keys_of(relay: Relay) -> set[str]:
    return {request.headers["idempotency-key"] for request in relay.requests}


def test_a_decision_whose_answer_is_lost_is_logged_once(
    service: Service, router: Router, open_client: OpenClient
) -> None:
    before = count_decisions(service)
    with flaky(service, open_client, LOST, LOST) as (client, relay, time):
        decision = client.route("Why is the sky blue?")
        assert len(relay.requests) == 3
        assert len(keys_of(relay)) == 1
        assert len(time.waits) == 2
    assert router.decision(decision.id).arm == decision.arm
    assert count_decisions(service) == before + 1


def test_without_the_key_there_would_be_two(service: Service) -> None:
    before = count_decisions(service)
    with relaying(service.url, LOST) as relay:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"{relay.url}/v1/route", json={"query": "a"})
        httpx.post(f"{relay.url}/v1/route", json={"query": "a"}).raise_for_status()
    assert count_decisions(service) == before + 2


def test_feedback_whose_answer_is_lost_is_recorded_once(
    service: Service, router: Router, open_client: OpenClient
) -> None:
    with flaky(service, open_client) as (client, relay, _):
        decision = client.route("a")
        relay.faults.append(LOST)
        assert client.feedback(decision.id, quality=0.5) == {"quality": Outcome.RECORDED}
    assert router.metrics(decision.id) == {"quality": 0.5}


def test_every_call_has_a_key_of_its_own(service: Service, open_client: OpenClient) -> None:
    with flaky(service, open_client) as (client, relay, _):
        first, second = client.route("a"), client.route("a")
        client.feedback(first.id, quality=1)
        client.feedback(second.id, quality=1)
        assert len(keys_of(relay)) == 4
        client.route("a", idempotency_key="the caller's own")
        assert relay.requests[-1].headers["idempotency-key"] == "the caller's own"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_status_is_tried_again(service: Service, open_client: OpenClient, status: int) -> None:
    with flaky(service, open_client, Fault(status=status), Fault(status=status)) as (client, relay, time):
        assert client.route("a").id
        assert len(relay.requests) == 3
        assert 0.0 <= time.waits[0] <= FIRST_WAIT_S
        assert 0.0 <= time.waits[1] <= 2 * FIRST_WAIT_S


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 413, 422, 501])
def test_a_status_that_stays_is_not(service: Service, open_client: OpenClient, status: int) -> None:
    page = Fault(status=status, body=b"<html>a page of a proxy</html>")
    with flaky(service, open_client, page) as (client, relay, time):
        with pytest.raises(errors.ServiceError) as refused:
            client.route("a")
        assert (refused.value.status, len(relay.requests), time.waits) == (status, 1, [])


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(service: Service, open_client: OpenClient, status: int) -> None:
    with flaky(service, open_client, Fault(status=status, retry_after="7")) as (client, _, time):
        client.route("a")
        (wait,) = time.waits
        assert 7.0 <= wait <= 7.0 + FIRST_WAIT_S


def test_retry_after_may_be_a_date(service: Service, open_client: OpenClient) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    faults = (
        Fault(retry_after=at),
        Fault(retry_after="Sun, 06 Nov 1994 08:49:37 GMT"),
        Fault(retry_after="soon"),
    )
    with flaky(service, open_client, *faults, timeout_s=7200.0) as (client, _, time):
        client.route("a")
        assert 3000.0 < time.waits[0] <= 3600.0 + FIRST_WAIT_S
        assert time.waits[1] <= 2 * FIRST_WAIT_S
        assert time.waits[2] <= 4 * FIRST_WAIT_S


def test_nobody_waits_longer_than_the_time_out(service: Service, open_client: OpenClient) -> None:
    later = Fault(status=429, retry_after="31")
    with flaky(service, open_client, later, timeout_s=30.0) as (client, relay, time):
        with pytest.raises(errors.ServiceError) as refused:
            client.route("a")
        assert (refused.value.status, len(relay.requests), time.waits) == (429, 1, [])


def test_it_gives_up_after_its_attempts(service: Service, open_client: OpenClient) -> None:
    with flaky(service, open_client, *[Fault(status=500)] * 9, attempts=4) as (client, relay, time):
        with pytest.raises(errors.ServiceError, match="500"):
            client.route("a")
        assert (len(relay.requests), len(time.waits)) == (4, 3)


def test_a_service_that_cannot_be_reached_is_named_with_the_key(open_client: OpenClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    client = open_client(url, attempts=2)
    time = keep_time(client)
    with pytest.raises(errors.ServiceUnreachable) as unreachable:
        client.route("a")
    assert url in str(unreachable.value)
    assert len(time.waits) == 1
    assert unreachable.value.idempotency_key


def test_the_caller_may_go_on_where_the_client_gave_up(service: Service, open_client: OpenClient) -> None:
    before = count_decisions(service)
    with flaky(service, open_client, LOST, attempts=1) as (client, relay, _):
        with pytest.raises(errors.ServiceUnreachable) as unreachable:
            client.route("a")
        client.route("a", idempotency_key=unreachable.value.idempotency_key)
        assert len(keys_of(relay)) == 1
    assert count_decisions(service) == before + 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"a"', b"{}", b'{"decision_id": 5, "pmf": []}'])
def test_an_answer_of_something_else_is_an_error(
    service: Service, open_client: OpenClient, body: bytes
) -> None:
    with (
        flaky(service, open_client, Fault(status=200, body=body)) as (client, _, _),
        pytest.raises(errors.ServiceError, match="200: this is no answer of a bandit-router"),
    ):
        client.route("a")


def test_waits_double_up_to_the_longest() -> None:
    time = Time()
    attempts = Attempts(Patience(timeout_s=1e9, attempt_timeout_s=10.0, attempts=12), time.clock, lambda: 0.5)
    waits = [attempts.find_wait(httpx2.ConnectError("")) for _ in range(12)]
    assert waits[:3] == [0.5 * FIRST_WAIT_S, FIRST_WAIT_S, 2 * FIRST_WAIT_S]
    assert waits[10:] == [0.5 * LONGEST_WAIT_S, None]


def test_an_attempt_has_no_more_time_than_is_left() -> None:
    time = Time()
    attempts = Attempts(Patience(timeout_s=30.0, attempt_timeout_s=20.0, attempts=9), time.clock)
    assert attempts.timeout_s() == 20.0
    time.now = 25.0
    assert attempts.timeout_s() == 5.0
    time.now = 31.0
    assert attempts.timeout_s() > 0.0
    assert attempts.find_wait(httpx2.ReadTimeout("")) is None
