"""One service for most tests of the client, and both clients with the same face."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bandit_router import AsyncClient, Client, Router
from tests.services import Service, serving, write_settings

SETTINGS: dict[str, Any] = {
    "policy": {"name": "cascade", "cheap": "small", "expensive": "large", "epsilon": 0.0},
    "cascade": {"enabled": True, "threshold": 1.0, "epsilon": 0.0},
    "conversations": {"sticky": True},
}

OpenClient = Callable[..., Any]
"""Opens a client of a URL; its methods wait for their answers, whichever client it is."""


class Awaited:
    """An :class:`AsyncClient` whose methods are waited for."""

    def __init__(self, runner: asyncio.Runner, client: AsyncClient) -> None:
        self.client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        async def call(*args: Any, **options: Any) -> Any:
            return await method(*args, **options)

        return lambda *args, **options: self._runner.run(call(*args, **options))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(write_settings(tmp_path_factory.mktemp("client"), **SETTINGS)) as running:
        yield running


@pytest.fixture(scope="module")
def router(service: Service) -> Iterator[Router]:
    """The library on the database of the service."""
    with Router.open(service.config) as opened:
        yield opened


@pytest.fixture(params=["sync", "async"])
def open_client(request: pytest.FixtureRequest) -> Iterator[OpenClient]:
    with ExitStack() as stack:
        if request.param == "sync":
            yield lambda url, **options: stack.enter_context(Client(url, **options))
            return
        runner = stack.enter_context(asyncio.Runner())

        def open_awaited(url: str, **options: Any) -> Awaited:
            awaited = Awaited(runner, AsyncClient(url, **options))
            stack.callback(awaited.close)
            return awaited

        yield open_awaited


@pytest.fixture
def client(service: Service, open_client: OpenClient) -> Any:
    return open_client(service.url)
