"""A server of scripted models: a plain ASGI application that speaks all three dialects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from bandit_router.providers.scripted.forms import render
from bandit_router.providers.scripted.performance import perform
from bandit_router.providers.scripted.scene import Script, ScriptedRequest

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(kw_only=True, slots=True)
class ReceivedCall:
    """A request as it came, and how far its answer got before the client left or the answer ended.

    ``client`` is the address it came from; ``ended`` says that nothing is done for it any more.
    """

    path: str
    headers: dict[str, str]
    client: tuple[str, int]
    body: bytes
    chunks: int = 0
    departed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False


class ScriptedApp:
    """An ASGI application whose models follow a script. ``calls`` are the requests so far."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.calls: list[ReceivedCall] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        call = ReceivedCall(
            path=scope["path"],
            headers=headers,
            client=tuple(scope["client"]),
            body=await _read_body(receive),
        )
        self.calls.append(call)
        try:
            await self._serve(call, receive, send)
        finally:
            call.ended = True

    async def _serve(self, call: ReceivedCall, receive: Receive, send: Send) -> None:
        request = ScriptedRequest.read(call.path, call.body, call.headers)
        if request is None:
            await _start(send, 404, {})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        answering = asyncio.ensure_future(self._answer(call, request, send))
        leaving = asyncio.ensure_future(_wait_for_departure(call, receive))
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not answering.done():
            answering.cancel()
            await asyncio.wait({answering})
            return
        answering.result()

    async def _answer(self, call: ReceivedCall, request: ScriptedRequest, send: Send) -> None:
        scene = self.script(request)
        headers, chunks = render(scene, request)
        await asyncio.sleep(scene.first_token_s)
        if scene.cut_after is None and not (request.stream and scene.status < 400):
            headers["content-length"] = str(sum(map(len, chunks)))
        await _start(send, scene.status, headers)
        async for chunk in perform(scene, chunks):  # a cut raises: the server then ends the connection
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            call.chunks += 1
        await send({"type": "http.response.body", "body": b""})


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _read_body(receive: Receive) -> bytes:
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


async def _wait_for_departure(call: ReceivedCall, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    call.departed.set()
