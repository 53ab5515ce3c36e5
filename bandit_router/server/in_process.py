"""The service without a server: HTTP clients, for OpenAI's and Anthropic's SDKs, that call it in process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import httpx2

from bandit_router.errors import RouterError, RouterForked
from bandit_router.gateway.gateway import Gateway
from bandit_router.server.app import assemble_app, create_api
from bandit_router.server.asgi_transport import AsgiTransport
from bandit_router.server.loop_in_thread import LoopInThread
from bandit_router.settings import Settings, load_settings


def http_client(settings: Settings | str | Path) -> httpx2.Client:
    """An ``http_client`` for OpenAI and Anthropic: the gateway answers their calls in this process.

    ``settings`` are those of :meth:`Router.open`. The router opens with the first request, or with the HTTP
    client as a context manager, and closes with the client. It is thread-safe, and does not survive a fork.

    A request raises what opening raises, and RouterForked; Anthropic's SDK wraps it in an APIConnectionError.
    Raises ConfigError.
    """
    return httpx2.Client(transport=InProcessTransport(_load(settings)))


def async_http_client(settings: Settings | str | Path) -> httpx2.AsyncClient:
    """The same for AsyncOpenAI and AsyncAnthropic, in one event loop of asyncio. Raises ConfigError."""
    return httpx2.AsyncClient(transport=AsyncInProcessTransport(_load(settings)))


class AsyncInProcessTransport(httpx2.AsyncBaseTransport):
    """Has the application of these settings answer every request, whatever its host."""

    def __init__(self, settings: Settings) -> None:
        self._api = create_api(settings)
        self._asgi = AsgiTransport(assemble_app(self._api))
        self._stack = AsyncExitStack()
        self._opening: asyncio.Task[None] | None = None
        self._process = os.getpid()

    async def open(self) -> None:
        """Open the router and the gateway, unless they are. Raises what :meth:`Router.open` raises."""
        if self._opening is None:
            self._process = os.getpid()
            self._opening = asyncio.create_task(self._open())
        self._require_opener(self._opening)
        await asyncio.shield(self._opening)  # others wait for it, too

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """As :meth:`AsgiTransport.handle_async_request`, and what :meth:`open` raises."""
        await self.open()
        return await self._asgi.handle_async_request(request)

    async def end_calls(self) -> None:
        """Leave the requests under way, and account all calls: the part of closing that must not be lost."""
        if self._opening is None or not self._opening.done():
            return
        await self._asgi.aclose()
        gateway: Gateway = self._api.state.gateway
        await gateway.close()

    async def aclose(self) -> None:
        """Leave the requests under way, account all calls, and close the router. Idempotent."""
        if self._opening is None or os.getpid() != self._process:  # there is nothing, or it is the parent's
            return
        self._require_opener(self._opening)
        await asyncio.wait({self._opening})
        await self._asgi.aclose()
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def _open(self) -> None:
        try:
            await self._stack.enter_async_context(self._api.router.lifespan_context(self._api))
        except BaseException:
            self._opening = None  # the next request tries again
            raise

    def _require_opener(self, opening: asyncio.Task[None]) -> None:
        """Raise an error in a child of the process that opened the router, or in another event loop."""
        if os.getpid() != self._process:
            raise RouterForked
        if opening.get_loop() is not asyncio.get_running_loop():
            raise RouterError(
                "the HTTP client was opened in another event loop; make one in each, or use http_client"
            )


class InProcessTransport(httpx2.BaseTransport):
    """The same for callers without an event loop: it has one, in a thread, from the first request on."""

    def __init__(self, settings: Settings) -> None:
        self._transport = AsyncInProcessTransport(settings)
        self._loop = LoopInThread(self._transport.end_calls)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        response = self._loop.call(lambda: self._transport.handle_async_request(request))
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        body = _Body(self._loop, response.stream)
        return httpx2.Response(response.status_code, headers=response.headers, stream=body)

    def close(self) -> None:
        self._loop.stop(self._transport.aclose)

    def __enter__(self) -> Self:
        try:
            self._loop.call(self._transport.open)
        except BaseException:
            self.close()
            raise
        return self


class _Body(httpx2.SyncByteStream):
    """The body of an answer, read through the event loop that it comes from."""

    def __init__(self, loop: LoopInThread, stream: httpx2.AsyncByteStream) -> None:
        self._loop = loop
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        chunks = aiter(self._stream)

        async def read_chunk() -> bytes | None:
            return await anext(chunks, None)

        while (chunk := self._loop.call(read_chunk)) is not None:
            yield chunk

    def close(self) -> None:
        if not self._loop.stopped:
            self._loop.call(self._stream.aclose)


def _load(settings: Settings | str | Path) -> Settings:
    return settings if isinstance(settings, Settings) else load_settings(settings)
