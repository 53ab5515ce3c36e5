"""Calls of an ASGI app in the same event loop, as a server would make them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from bandit_router.server.asgi_transport import AsgiTransport

START = {"type": "http.response.start", "status": 201, "headers": [(b"x-one", b"1"), (b"x-one", b"2")]}
END = {"type": "http.response.body", "body": b"", "more_body": False}


def chunk(body: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": True}


def run_with(app: ASGIApp, use: Callable[[httpx2.AsyncClient], Awaitable[None]]) -> None:
    """Use a client of the app, after which no task of it is left."""

    async def run() -> None:
        transport = AsgiTransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="https://any.example") as client:
            await use(client)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_the_app_sees_the_request_and_the_client_the_answer() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        message = await receive()
        await send(START)
        await send(chunk(message["body"]))
        await send(END)

    async def use(client: httpx2.AsyncClient) -> None:
        answer = await client.post("/v1/a%20b?c=d", content=b"body", headers={"X-Name": "value"})
        assert (answer.status_code, answer.content) == (201, b"body")
        assert answer.headers.get_list("x-one") == ["1", "2"]

    run_with(app, use)
    (scope,) = scopes
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("POST", "/v1/a b", b"/v1/a%20b")
    assert (scope["query_string"], scope["client"]) == (b"c=d", None)
    assert dict(scope["headers"])[b"x-name"] == b"value"
    assert dict(scope["headers"])[b"host"] == b"any.example"


def test_an_answer_streams_at_the_pace_of_its_reader() -> None:
    sent: list[int] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(START)
        for number in range(100):
            await send(chunk(b"%d " % number))
            sent.append(number)
        await send(END)

    async def use(client: httpx2.AsyncClient) -> None:
        async with client.stream("GET", "/") as answer:
            pieces = answer.aiter_bytes()
            for read in range(10):
                assert await anext(pieces) == b"%d " % read
                for _ in range(20):  # however often the app could go on
                    await asyncio.sleep(0)
                assert len(sent) <= read + 1
            async for _ in pieces:
                pass
        assert len(sent) == 100

    run_with(app, use)


@pytest.mark.parametrize("began", [False, True])
def test_an_app_hears_when_its_client_leaves(began: bool) -> None:
    heard = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.request"
        if began:
            await send(START)
            await send(chunk(b"first"))
        assert (await receive())["type"] == "http.disconnect"
        await send(chunk(b"for nobody"))  # is dropped, as by a server
        heard.set()

    async def use(client: httpx2.AsyncClient) -> None:
        if began:
            async with client.stream("GET", "/") as answer:
                assert await anext(answer.aiter_bytes()) == b"first"
        else:
            with pytest.raises(httpx2.ReadTimeout):
                await client.get("/", timeout=0.05)
        await heard.wait()

    run_with(app, use)


def test_a_caller_that_is_cancelled_has_left() -> None:
    called, heard = asyncio.Event(), asyncio.Event()

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        called.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        heard.set()

    async def use(client: httpx2.AsyncClient) -> None:
        asking = asyncio.create_task(client.get("/"))
        await called.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await heard.wait()

    run_with(app, use)


def test_closing_the_client_ends_what_is_under_way() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        while (await receive())["type"] != "http.disconnect":
            pass

    async def use(client: httpx2.AsyncClient) -> None:
        answer = await client.send(client.build_request("GET", "/"), stream=True)
        reading = asyncio.create_task(answer.aread())
        await asyncio.sleep(0)
        await client.aclose()
        with pytest.raises(httpx2.TransportError):
            await reading
        await answer.aclose()

    run_with(app, use)


@pytest.mark.parametrize("began", [False, True])
def test_an_app_that_fails_ends_its_answer_early(began: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        if began:
            await send(START)
            await send(chunk(b"first"))
        raise LookupError("scripted")

    async def use(client: httpx2.AsyncClient) -> None:
        with pytest.raises(httpx2.RemoteProtocolError) as caught:
            await client.get("/")
        assert isinstance(caught.value.__cause__, LookupError)

    run_with(app, use)
    assert "a request failed in the app" in caplog.text
