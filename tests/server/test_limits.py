"""Clients that send too much, too slowly or not at all, and a database that never answers: serving goes on,
and SIGTERM ends the service.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import make_url, text

from tests.databases import sql
from tests.server.conftest import Client, assert_problem
from tests.services import Service, serving, write_settings

_POST = (
    b"POST /v1/route HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n"
)
_BOUND_S = 60.0
"""Far more than any of these takes, and less than for ever."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    limits = {"header_timeout_s": 0.5, "body_timeout_s": 0.5, "max_header_bytes": 16_384}
    with serving(write_settings(tmp_path_factory.mktemp("limits"), server=limits)) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[Client]:
    with Client(service.url) as connected:
        yield connected


@contextmanager
def connection(service: Service) -> Iterator[socket.socket]:
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname or "", address.port or 0), _BOUND_S) as raw:
        yield raw


def _read_to_end(raw: socket.socket) -> bytes:
    answer = b""
    while received := raw.recv(65_536):
        answer += received
    return answer


@pytest.mark.parametrize("begun", [b"", b"POST /v1/route HT", _POST, _POST + b'\r\n{"query": "1'])
def test_a_client_that_stops_sending_is_answered_408_and_closed(service: Service, begun: bytes) -> None:
    with connection(service) as raw:
        raw.sendall(begun)
        assert _read_to_end(raw).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_nobody_reads_is_not_waited_for(service: Service) -> None:
    with connection(service) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
        assert _read_to_end(raw).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_sends_slowly_but_in_time_is_served(service: Service) -> None:
    request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    with connection(service) as raw:
        for i in range(len(request)):
            raw.sendall(request[i : i + 1])
        assert _read_to_end(raw).startswith(b"HTTP/1.1 200 ")


def test_an_idle_connection_is_no_client_that_stopped_sending(client: Client) -> None:
    assert client.get("/healthz").status_code == 200
    time.sleep(1.0)
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("chars", [20_000, 1_000_000])
def test_headers_beyond_the_limit_are_refused(service: Service, chars: int) -> None:
    with connection(service) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx: " + b"a" * chars + b"\r\n\r\n")
        assert raw.recv(65_536).startswith(b"HTTP/1.1 431 ")


def test_headers_without_end_are_refused(service: Service) -> None:
    with connection(service) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\n")
        endless = (b"x-%d: " % i + b"a" * 1_000 + b"\r\n" for i in range(30_000))
        with pytest.raises(OSError, match=r"reset|pipe"):
            deque(map(raw.sendall, endless), maxlen=0)


def test_a_path_beyond_the_limit_is_refused(client: Client) -> None:
    assert client.get("/" + "a" * 20_000).status_code == 431


def test_large_headers_within_the_limit_are_taken(client: Client) -> None:
    assert client.get("/healthz", headers={"x": "a" * 15_000}).status_code == 200


def test_large_bodies_do_not_count_as_headers(client: Client) -> None:
    assert client.route(query="a" * 20_000).status_code == 200


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_half_a_body_does_not_keep_the_service_from_ending(tmp_path: Path, options: tuple[str, ...]) -> None:
    config = write_settings(tmp_path, server={"body_timeout_s": 3600.0, "shutdown_timeout_s": 1.0})
    began = time.monotonic()
    with serving(config, *options) as service, connection(service) as raw:
        raw.sendall(_POST + b'\r\n{"query": "1')
        with Client(service.url) as client:
            assert client.route().status_code == 200
    assert time.monotonic() - began < _BOUND_S
    assert "Finished server process" in service.log


def test_a_database_that_never_answers_does_not_keep_the_service_from_ending(
    tmp_path: Path, postgresql_url: str
) -> None:
    store = {"url": postgresql_url, "commit_timeout_s": 0.5, "close_timeout_s": 0.5}
    config = write_settings(tmp_path, store=store, server={"shutdown_timeout_s": 1.0})
    sessions: list[int] = []
    began = time.monotonic()
    try:
        with serving(config) as service, Client(service.url) as client:
            assert client.route().status_code == 200
            sessions += _stop_sessions(postgresql_url)
            assert "not committed within 0.5 s" in assert_problem(client.route(), 503)["detail"]
            assert client.get("/healthz").status_code == 200
    finally:
        for session in sessions:
            os.kill(session, signal.SIGCONT)
    assert sessions
    assert time.monotonic() - began < _BOUND_S


def _stop_sessions(url: str) -> list[int]:
    """Stop the processes of the server that serve this database, as a hung disk would."""
    with sql(url) as connection:
        others = "SELECT pid FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
        sessions = list(connection.scalars(text(others), {"name": make_url(url).database}))
    for session in sessions:
        os.kill(session, signal.SIGSTOP)
    return sessions
