"""HTTP calls of an ASGI application in the same event loop, as a server would make them: answers stream.

httpx2's ASGITransport returns an answer once all of it is there, and never tells the app that a client left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import httpx2
from starlette.types import ASGIApp, Message, Scope

log = logging.getLogger(__name__)


class AsgiTransport(httpx2.AsyncBaseTransport):
    """Calls ``app`` for every request, whatever its host."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._exchanges: set[_Exchange] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Returns with the head of the answer.

        Raises httpx2.ReadTimeout, or httpx2.RemoteProtocolError if the app fails before.
        """
        body = await request.aread()
        timeout_s = request.extensions.get("timeout", {}).get("read")
        exchange = _Exchange(self._app, self._make_scope(request), body, timeout_s)
        self._exchanges.add(exchange)
        exchange.task.add_done_callback(lambda _: self._exchanges.discard(exchange))
        try:
            head = await exchange.receive_message()
        except BaseException:
            exchange.leave()
            raise
        return httpx2.Response(head["status"], headers=head.get("headers", []), stream=exchange)

    async def aclose(self) -> None:
        """Leave the requests that are under way, and wait until the app is done with them."""
        for exchange in list(self._exchanges):
            await exchange.aclose()

    def _make_scope(self, request: httpx2.Request) -> Scope:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": None,
            "client": None,  # nobody is connected
        }


class _Exchange(httpx2.AsyncByteStream):
    """One request: the app in a task of its own, and the body of its answer for the client to read.

    The app waits whenever the client has not yet read what it sent.
    """

    def __init__(self, app: ASGIApp, scope: Scope, body: bytes, timeout_s: float | None) -> None:
        self._body: bytes | None = body
        self._timeout_s = timeout_s
        self._left = asyncio.Event()
        self._to_client, self._from_app = anyio.create_memory_object_stream[Message](0)
        self.task = asyncio.create_task(self._run(app, scope))
        self.task.add_done_callback(_log_failure)

    async def receive_message(self) -> Message:
        """The next message of the app. Raises ReadTimeout, ReadError or RemoteProtocolError of httpx2."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._from_app.receive()
        except TimeoutError:
            raise httpx2.ReadTimeout(f"the app sent nothing for {self._timeout_s} s") from None
        except anyio.ClosedResourceError:
            raise httpx2.ReadError("the answer was closed before it was read") from None
        except anyio.EndOfStream:
            await asyncio.wait({self.task})
            cause = None if self.task.cancelled() else self.task.exception()
            raise httpx2.RemoteProtocolError("the app ended before its answer did") from cause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self.receive_message()
            more = message.get("more_body", False)
            yield message.get("body", b"")

    def leave(self) -> None:
        """The client takes no more: what the app still sends is dropped, and it hears of it."""
        self._left.set()
        self._from_app.close()

    async def aclose(self) -> None:
        self.leave()
        await asyncio.wait({self.task})

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        with self._to_client:
            await app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        with suppress(anyio.BrokenResourceError):  # the client has left
            await self._to_client.send(message)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a request failed in the app", exc_info=error)
