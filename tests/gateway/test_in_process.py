"""The official clients with our transport: the gateway answers in their own process, without a server."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import httpx2
import openai
import pytest

import bandit_router
from bandit_router import Router, load_settings
from bandit_router.errors import ConfigError, RouterError, StoreError
from bandit_router.providers.scripted import Scene
from bandit_router.security.issue import KeyRequest
from bandit_router.server.app import assemble_app, create_api
from bandit_router.server.asgi_transport import AsgiTransport
from bandit_router.server.guard import Guard
from bandit_router.types import CallOutcome, Reason, Usage
from tests.gateway.conftest import arms_to, read_calls
from tests.providers.upstream import wait_until

USAGE = Usage(input_tokens=8, output_tokens=3)
HELLO = Scene(pieces=("Hello", " wor", "ld"), usage=USAGE)
STALLS = Scene(pieces=("Hello", " wor", "ld"), usage=USAGE, stall_after=5)
"""After its first words it says nothing more, ever."""

MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
KEY = "in-process"


class Answer(NamedTuple):
    text: str
    id: str


def make_client(settings: Path, **options: Any) -> openai.OpenAI:
    """A client that asks once."""
    http_client = bandit_router.http_client(settings)
    return openai.OpenAI(api_key=KEY, http_client=http_client, max_retries=0, **options)


def ask_openai(settings: Path, stream: bool) -> Answer:
    with make_client(settings) as client:
        if not stream:
            answer = client.chat.completions.create(model="auto", messages=MESSAGES)
            return Answer(answer.choices[0].message.content or "", answer.id)
        chunks = list(client.chat.completions.create(model="auto", messages=MESSAGES, stream=True))
        return Answer("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), chunks[0].id)


async def ask_async_openai(settings: Path, stream: bool) -> Answer:
    http_client = bandit_router.async_http_client(settings)
    async with openai.AsyncOpenAI(api_key=KEY, http_client=http_client) as client:
        if not stream:
            response = await client.responses.create(model="auto", input="Say hello.")
            return Answer(response.output_text, response.id)
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(
                model="auto", messages=MESSAGES, stream=True
            )
        ]
        return Answer("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), chunks[0].id)


def ask_anthropic(settings: Path, stream: bool) -> Answer:
    http_client = bandit_router.http_client(settings)
    with anthropic.Anthropic(api_key=KEY, http_client=http_client) as client:
        if not stream:
            answer = client.messages.create(model="claude-auto", max_tokens=9, messages=MESSAGES)
            return Answer(read_text(answer), answer.id)
        with client.messages.stream(model="claude-auto", max_tokens=9, messages=MESSAGES) as events:
            return Answer(events.get_final_text(), events.get_final_message().id)


async def ask_async_anthropic(settings: Path, stream: bool) -> Answer:
    http_client = bandit_router.async_http_client(settings)
    async with anthropic.AsyncAnthropic(api_key=KEY, http_client=http_client) as client:
        if not stream:
            answer = await client.messages.create(model="claude-auto", max_tokens=9, messages=MESSAGES)
            return Answer(read_text(answer), answer.id)
        async with client.messages.stream(model="claude-auto", max_tokens=9, messages=MESSAGES) as events:
            return Answer(await events.get_final_text(), (await events.get_final_message()).id)


def read_text(answer: anthropic.types.Message) -> str:
    return "".join(block.text for block in answer.content if block.type == "text")


CLIENTS: list[Callable[[Path, bool], Answer | Awaitable[Answer]]] = [
    ask_openai,
    ask_async_openai,
    ask_anthropic,
    ask_async_anthropic,
]


@contextmanager
def nothing_left() -> Iterator[None]:
    """The block leaves neither a thread nor a socket of this process behind."""
    threads, sockets = set(threading.enumerate()), count_sockets()
    yield
    wait_until(lambda: set(threading.enumerate()) <= threads)
    wait_until(lambda: count_sockets() <= sockets)


def count_sockets() -> int:
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")
        except OSError:
            continue  # that of the listing itself
    return count


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ask", CLIENTS)
def test_every_client_is_answered_and_learned_from_by_the_answers_id(
    tmp_path: Path, ask: Callable[[Path, bool], Any], stream: bool
) -> None:
    with arms_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as (settings, upstreams):
        with nothing_left():
            asked = ask(settings, stream)
            answer = asyncio.run(asked) if asyncio.iscoroutine(asked) else asked
        assert answer.text == "Hello world"
        ((decision, end),) = read_calls(tmp_path / "router.db", 1)
        assert (decision.arm, decision.reason) == ("cheap", Reason.POLICY)
        assert (end.outcome, end.answer_id, end.usage) == (CallOutcome.ANSWERED, answer.id, USAGE)
        assert KEY not in str(upstreams["cheap"].call.headers)
        with Router.open(settings) as router:
            router.feedback(answer.id, quality=1.0)
            router.learn()
            assert router.counts() == {"cheap": 1, "dear": 0}


def test_the_first_words_come_at_once_and_leaving_cancels_upstream(tmp_path: Path) -> None:
    with (
        arms_to(tmp_path, {"cheap": STALLS, "dear": HELLO}) as (settings, upstreams),
        nothing_left(),
        make_client(settings) as client,
    ):
        with client.chat.completions.create(model="auto", messages=MESSAGES, stream=True) as chunks:
            assert read_words(next(chunks) for _ in range(3)) == "Hello wor"
            assert not upstreams["cheap"].call.departed.is_set()
        wait_until(upstreams["cheap"].call.departed.is_set)
        ((decision, end),) = read_calls(tmp_path / "router.db", 1)
        assert end.outcome is CallOutcome.LEFT
        assert end.cost_usd == decision.expected_cost_usd > 0.0


def test_the_same_asynchronously(tmp_path: Path) -> None:
    with arms_to(tmp_path, {"cheap": STALLS, "dear": HELLO}) as (settings, upstreams), nothing_left():

        async def leave_early() -> None:
            http_client = bandit_router.async_http_client(settings)
            async with openai.AsyncOpenAI(api_key=KEY, http_client=http_client) as client:
                stream = await client.chat.completions.create(model="auto", messages=MESSAGES, stream=True)
                async with stream as chunks:
                    assert read_words([await anext(chunks) for _ in range(3)]) == "Hello wor"
                await asyncio.to_thread(wait_until, upstreams["cheap"].call.departed.is_set)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(leave_early())
        ((_, end),) = read_calls(tmp_path / "router.db", 1)
        assert end.outcome is CallOutcome.LEFT


def read_words(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_a_client_that_closes_leaves_what_it_has_not_read(tmp_path: Path) -> None:
    with arms_to(tmp_path, {"cheap": STALLS, "dear": HELLO}) as (settings, upstreams), nothing_left():
        client = make_client(settings)
        chunks = client.chat.completions.create(model="auto", messages=MESSAGES, stream=True)
        assert next(chunks).choices
        client.close()
        wait_until(upstreams["cheap"].call.departed.is_set)
        ((_, end),) = read_calls(tmp_path / "router.db", 1)
        assert end.outcome is CallOutcome.LEFT
        chunks.close()
        client.close()


@pytest.mark.usefixtures("interruptible")
def test_a_caller_that_is_interrupted_cancels_upstream(tmp_path: Path) -> None:
    """As by Ctrl-C, while it waits for an answer of which nothing is there."""
    silent = Scene(pieces=("Hello",), first_token_s=3600.0)
    with (
        arms_to(tmp_path, {"cheap": silent, "dear": silent}) as (settings, upstreams),
        make_client(settings) as client,
    ):

        def interrupt() -> None:
            wait_until(lambda: len(upstreams["cheap"].app.calls) == 1)
            os.kill(os.getpid(), signal.SIGINT)

        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            client.chat.completions.create(model="auto", messages=MESSAGES)
        interrupting.join()
        wait_until(upstreams["cheap"].call.departed.is_set)
        ((_, end),) = read_calls(tmp_path / "router.db", 1)
        assert end.outcome is CallOutcome.LEFT


def test_requests_at_once_share_one_router(tmp_path: Path) -> None:
    with arms_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as (settings, _):

        async def ask_at_once() -> None:
            http_client = bandit_router.async_http_client(settings)
            async with openai.AsyncOpenAI(api_key=KEY, http_client=http_client) as client:
                await asyncio.gather(
                    *(client.chat.completions.create(model="auto", messages=MESSAGES) for _ in range(8))
                )
                learners = [thread for thread in threading.enumerate() if "learner" in thread.name]
                assert len(learners) == 1

        asyncio.run(ask_at_once())
        with (
            make_client(settings) as client,
            ThreadPoolExecutor(4) as threads,
        ):
            asking = [
                threads.submit(client.chat.completions.create, model="auto", messages=MESSAGES)
                for _ in range(8)
            ]
            assert {answer.result().choices[0].message.content for answer in asking} == {"Hello world"}
            assert len([thread for thread in threading.enumerate() if "learner" in thread.name]) == 1
        outcomes = [end.outcome for _, end in read_calls(tmp_path / "router.db", 16)]
        assert outcomes == [CallOutcome.ANSWERED] * 16


def test_one_http_client_serves_both_sdks(tmp_path: Path) -> None:
    with (
        arms_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as (settings, _),
        bandit_router.http_client(load_settings(settings)) as http_client,
    ):
        chat = openai.OpenAI(api_key=KEY, http_client=http_client)
        claude = anthropic.Anthropic(api_key=KEY, http_client=http_client)
        chat.chat.completions.create(model="auto", messages=MESSAGES)
        claude.messages.create(model="auto", max_tokens=9, messages=MESSAGES)
        assert [model.id for model in chat.models.list()] == ["auto", "claude-auto", "cheap", "dear"]
        read_calls(tmp_path / "router.db", 2)


def test_errors_are_those_of_the_sdk_and_headers_name_the_decision(tmp_path: Path) -> None:
    limited = Scene(status=429, error="scripted words", headers={"retry-after": "7"})
    with (
        arms_to(tmp_path, {"cheap": limited, "dear": limited}) as (settings, _),
        bandit_router.http_client(settings) as http_client,
    ):
        chat = openai.OpenAI(api_key=KEY, http_client=http_client)
        with pytest.raises(openai.RateLimitError, match="scripted words") as caught:
            chat.chat.completions.create(model="auto", messages=MESSAGES)
        headers = caught.value.response.headers
        assert (headers["retry-after"], headers["x-should-retry"]) == ("7", "false")
        _, (decision, _) = read_calls(tmp_path / "router.db", 2)
        assert headers["x-bandit-decision"] == decision.id
        assert (headers["x-bandit-arm"], headers["x-bandit-fallbacks"]) == (decision.arm, "1")
        with pytest.raises(openai.NotFoundError):
            chat.chat.completions.create(model="gpt-nothing", messages=MESSAGES)
        claude = anthropic.Anthropic(api_key=KEY, http_client=http_client, max_retries=0)
        with pytest.raises(anthropic.NotFoundError):
            claude.messages.create(model="claude-nothing", max_tokens=9, messages=MESSAGES)


def test_the_timeout_of_a_client_holds(tmp_path: Path) -> None:
    silent = Scene(pieces=("Hello",), first_token_s=3600.0)
    with (
        arms_to(tmp_path, {"cheap": silent, "dear": silent}) as (settings, _),
        make_client(settings, timeout=0.2) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        client.chat.completions.create(model="auto", messages=MESSAGES)


def test_a_program_needs_no_key_of_its_own_router_and_everybody_else_does(tmp_path: Path) -> None:
    with arms_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as (path, _):
        settings = load_settings(path)
        with Router.open(settings) as router:
            router.create_key(KeyRequest(name="other", scopes=["route"]))
        with make_client(path) as client:
            client.chat.completions.create(model="auto", messages=MESSAGES)

        async def ask_from_outside() -> int:
            api = create_api(settings)
            guard = Guard(assemble_app(api), lambda: api.state.router, open_to_all=True)
            async with (
                api.router.lifespan_context(api),
                httpx2.AsyncClient(transport=AsgiTransport(guard)) as client,
            ):
                answer = await client.post("http://localhost/v1/chat/completions", json={})
            return answer.status_code

        assert asyncio.run(ask_from_outside()) == 401


def test_wrong_settings_are_an_error_at_once(tmp_path: Path) -> None:
    for make in (bandit_router.http_client, bandit_router.async_http_client):
        with pytest.raises(ConfigError, match="no such file"):
            make(tmp_path / "missing.toml")


def test_what_keeps_the_router_from_opening_is_raised_and_the_next_request_tries(
    tmp_path: Path,
) -> None:
    database = tmp_path / "router.db"
    database.write_text("no database")
    with (
        arms_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as (settings, _),
        make_client(settings) as chat,
        anthropic.Anthropic(
            api_key=KEY, http_client=bandit_router.http_client(settings), max_retries=0
        ) as claude,
    ):
        with pytest.raises(StoreError), nothing_left(), bandit_router.http_client(settings):
            pass
        with pytest.raises(StoreError, match="not a database"):
            chat.chat.completions.create(model="auto", messages=MESSAGES)
        with pytest.raises(anthropic.APIConnectionError) as caught:
            claude.messages.create(model="auto", max_tokens=9, messages=MESSAGES)
        assert isinstance(caught.value.__cause__, StoreError)
        database.unlink()
        assert chat.chat.completions.create(model="auto", messages=MESSAGES).choices
        assert claude.messages.create(model="auto", max_tokens=9, messages=MESSAGES).content


def test_another_event_loop_is_told_so(tmp_path: Path) -> None:
    with arms_to(tmp_path, {"cheap": HELLO, "dear": HELLO}) as (settings, _):
        http_client = bandit_router.async_http_client(settings)

        async def open_and_ask_from_another_loop() -> None:
            async with http_client:
                with pytest.raises(RouterError, match="another event loop"):
                    await asyncio.to_thread(asyncio.run, http_client.get("http://any/healthz"))

        asyncio.run(open_and_ask_from_another_loop())
