"""Clients that leave at the worst moment: each call ends, at once and not when garbage is collected."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.types import Message, Receive

from bandit_router import load_settings
from bandit_router.gateway.exchange import Exchange
from bandit_router.gateway.gateway import Answered, Gateway
from bandit_router.providers.scripted import Scene
from bandit_router.server.app import assemble_app, create_api
from bandit_router.types import CallOutcome
from tests.gateway.conftest import arms_to, read_calls

WORDS = Scene(pieces=("Hello", " wor", "ld"), stall_after=4)
BODY = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "Say hello."}]}
SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/v1/chat/completions",
    "query_string": b"",
    "headers": [(b"content-type", b"application/json")],
}


def make_receive(gone: asyncio.Event) -> Receive:
    """What the server hears of the client: its request, and when it is gone."""
    body: Message = {"type": "http.request", "body": orjson.dumps(BODY), "more_body": False}
    received = iter([body])

    async def receive() -> Message:
        if (message := next(received, None)) is not None:
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


@pytest.mark.parametrize("never_sent", ["http.response.start", "http.response.body"])
def test_a_client_that_leaves_while_it_is_sent_to(tmp_path: Path, never_sent: str) -> None:
    async def leave(settings: Path) -> None:
        loaded = load_settings(settings)
        api = create_api(loaded)
        gone = asyncio.Event()

        async def send(message: Message) -> None:
            if message["type"] == never_sent:
                gone.set()
                await asyncio.Event().wait()

        async with api.router.lifespan_context(api):
            await assemble_app(api)(SCOPE, make_receive(gone), send)
            await asyncio.to_thread(read_calls, tmp_path / "router.db", 1)

    with arms_to(tmp_path, {"cheap": WORDS, "dear": WORDS}, {"max_concurrency": 1}) as (settings, _):
        gc.disable()
        try:
            asyncio.run(leave(settings))
        finally:
            gc.enable()
        ((_, end),) = read_calls(tmp_path / "router.db", 1)
        assert end.outcome is CallOutcome.LEFT


CASCADE = {"enabled": True, "expensive": "dear", "confidence": "agreement"}


@pytest.mark.parametrize("cascade", [{}, CASCADE], ids=["passed on", "maybe held"])
def test_a_client_that_leaves_at_the_moment_of_the_answer(tmp_path: Path, cascade: dict[str, Any]) -> None:
    async def leave(settings: Path) -> None:
        api = create_api(load_settings(settings))
        gone = asyncio.Event()

        async def send(message: Message) -> None:
            del message

        async with api.router.lifespan_context(api):
            gateway: Gateway = api.state.gateway
            answer = gateway.answer

            async def answer_and_leave(exchange: Exchange) -> Answered:
                answered = await answer(exchange)
                (serving,) = [task for task in asyncio.all_tasks() if "_serve" in repr(task)]
                asyncio.get_running_loop().call_soon(serving.cancel)
                return answered

            gateway.answer = answer_and_leave  # type: ignore[method-assign]
            await assemble_app(api)(SCOPE, make_receive(gone), send)
            await asyncio.to_thread(read_calls, tmp_path / "router.db", 1)

    hello = Scene(pieces=("Hello",), tool=("f", "{}"), finish="tool")
    with arms_to(tmp_path, {"cheap": hello, "dear": hello}, cascade=cascade) as (settings, _):
        gc.disable()
        try:
            asyncio.run(leave(settings))
        finally:
            gc.enable()
