"""The client itself: its key, its end, its threads."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest

import bandit_router
from bandit_router import AsyncClient, Client, errors
from bandit_router.security.issue import KeyRequest
from bandit_router.store.store import Store
from tests.client.conftest import OpenClient
from tests.client.relay import Fault, relaying
from tests.providers.upstream import wait_until
from tests.services import Service, clean_environment, serving, write_settings


def make_key(service: Service, *scopes: str, **limits: Any) -> str:
    with closing(Store.open(f"sqlite:///{service.database}", "default", create=False)) as store:
        return store.create_key(KeyRequest(name="test", scopes=scopes, **limits)).credential


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks for a key."""
    with serving(write_settings(tmp_path_factory.mktemp("keyed"))) as running:
        make_key(running, "admin")
        wait_until(lambda: httpx.get(f"{running.url}/v1/arms").status_code == 401)
        yield running


def test_the_key_lets_in(keyed: Service, open_client: OpenClient) -> None:
    client = open_client(keyed.url, api_key=make_key(keyed, "route", "feedback"))
    assert client.feedback(client.route("a").id, quality=1)
    with pytest.raises(errors.PermissionDenied, match="lacks the scope read"):
        client.budget()


def test_a_refused_key_is_an_error_of_its_own(keyed: Service, open_client: OpenClient) -> None:
    with pytest.raises(errors.AuthenticationError, match="send an API key"):
        open_client(keyed.url).route("a")
    with pytest.raises(errors.AuthenticationError, match="is not valid"):
        open_client(keyed.url, api_key=f"br_{'0' * 12}_{'a' * 43}").route("a")
    bound = open_client(keyed.url, api_key=make_key(keyed, "route", arms=["small"]))
    with pytest.raises(errors.ArmForbidden) as forbidden:
        bound.route("a", override="large")
    assert forbidden.value.arm == "large"
    hurried = open_client(keyed.url, api_key=make_key(keyed, "route", requests_per_second=0.001), attempts=3)
    hurried.route("a")
    with pytest.raises(errors.RateLimited, match="requests per second"):
        hurried.route("a")


def test_the_key_is_sent_and_told_nowhere(
    keyed: Service, open_client: OpenClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = make_key(keyed, "feedback")
    with relaying(keyed.url) as relay:
        client = open_client(relay.url, api_key=key)
        with pytest.raises(errors.PermissionDenied) as denied:
            client.route("a")
        assert relay.requests[0].headers["authorization"] == f"Bearer {key}"
    with pytest.raises(errors.ServiceUnreachable) as unreachable:
        open_client("http://127.0.0.1:1", api_key=key, attempts=1).route("a")
    inner: Any = getattr(client, "client", client)
    told = [caplog.text, repr(inner), str(inner), repr(inner._http), repr(inner._http.headers)]
    told += [f"{error!r} {error.__cause__!r}" for error in (denied.value, unreachable.value)]
    assert caplog.records
    assert [text for text in told if key in text or key[-20:] in text] == []


@pytest.mark.parametrize("key", ["br_a\n", "br a", "", "bré", "br_a\r\nx: y"])
def test_what_is_no_key_is_refused_and_not_repeated(key: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(errors.InvalidInput) as refused:
            kind("http://127.0.0.1", api_key=key)
        assert refused.value.field == "api_key"
        assert key == "" or key not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "router.example:8080",
        "ftp://router.example",
        "http://",
        "http://a:b@router",
        "http://a?b=c",
        "http://a:port",
        5,
    ],
)
def test_what_is_no_url_is_refused(url: Any) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(errors.InvalidInput) as refused:
            kind(url)
        assert refused.value.field == "url"


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": 101},
        {"attempts": True},
        {"timeout_s": -1},
        {"attempt_timeout_s": float("nan")},
    ],
)
def test_patience_is_checked(options: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        Client("http://127.0.0.1", **options)
    assert refused.value.field == next(iter(options))


def test_a_closed_client_says_so(service: Service, open_client: OpenClient) -> None:
    client = open_client(service.url)
    client.route("a")
    client.close()
    client.close()
    with pytest.raises(errors.ClientClosed):
        client.route("a")
    with pytest.raises(errors.RouterClosed):
        client.feedback("a", quality=1)


def test_context_managers_close(service: Service) -> None:
    with Client(service.url) as client:
        assert client.route("a").arm
    with pytest.raises(errors.ClientClosed):
        client.route("a")

    async def use() -> AsyncClient:
        async with AsyncClient(service.url) as opened:
            decisions = await asyncio.gather(*(opened.route("a") for _ in range(20)))
        assert len({decision.id for decision in decisions}) == 20
        return opened

    closed = asyncio.run(use())
    with pytest.raises(errors.ClientClosed):
        asyncio.run(closed.route("a"))


_FORKS = """
import os, sys
from bandit_router import Client, errors
with Client(sys.argv[1]) as client:
    client.route("a")
    if os.fork() == 0:
        try:
            client.route("a")
        except errors.RouterForked:
            os._exit(7)
        os._exit(1)
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_fork_does_not_share_the_connections(service: Service) -> None:
    ended = subprocess.run([sys.executable, "-c", _FORKS, service.url], env=clean_environment(), check=False)
    assert ended.returncode == 7


def test_threads_share_a_client(service: Service) -> None:
    def use(i: int) -> tuple[str, str]:
        decision = client.route("a", override=("small", "large")[i % 2])
        client.feedback(decision.id, quality=i / 200)
        return decision.id, decision.arm

    with Client(service.url) as client, ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(use, range(200)))
    assert [arm for _, arm in decisions] == ["small", "large"] * 100
    assert len({id for id, _ in decisions}) == 200
    with bandit_router.Router.open(service.config) as router:
        assert [router.metrics(id) for id, _ in decisions] == [{"quality": i / 200} for i in range(200)]


def test_a_path_before_the_service_is_kept(service: Service, open_client: OpenClient) -> None:
    with relaying(service.url, Fault(status=404)) as relay, pytest.raises(errors.ServiceError):
        open_client(f"{relay.url}/routers/one/").route("a")
    assert relay.requests[0].path == "/routers/one/v1/route"
