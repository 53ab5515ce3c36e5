"""Scripted models: the official clients read what was scripted, and the same request gets the same answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import anthropic
import openai
import pytest

from bandit_router.providers.base import FailureKind, UpstreamError
from bandit_router.providers.registry import open_provider
from bandit_router.providers.scripted import Scene, ScriptedApp, ScriptedProvider
from bandit_router.types import Usage
from tests.providers.upstream import HELLO, make_arm, serving

USAGE = Usage(
    input_tokens=11,
    cache_read_tokens=5,
    cache_write_tokens=3,
    cache_write_1h_tokens=1,
    output_tokens=7,
    reasoning_tokens=2,
)
SCENE = replace(HELLO, tool=("look_up", '{"word":"bandit"}'), finish="tool", usage=USAGE)
ASK: Any = [{"role": "user", "content": "Hi"}]
BODY = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}'
PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages")


def make_openai(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def make_anthropic(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)


def test_a_chat_client_reads_the_scene() -> None:
    with serving(SCENE) as upstream, make_openai(upstream.url) as client:
        answer = client.chat.completions.create(model="m", messages=ASK)
        stream = client.chat.completions.create(
            model="m", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Hello world", "tool_calls")
    call: Any = (choice.message.tool_calls or [])[0]
    assert (call.function.name, call.function.arguments) == SCENE.tool
    for usage in (answer.usage, chunks[-1].usage):
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens) == (19, 7)
        assert usage.prompt_tokens_details is not None
        assert usage.prompt_tokens_details.cached_tokens == 5
    assert [c.choices[0].delta.content for c in chunks[1:4]] == ["Hello", " wor", "ld"]
    assert chunks[-2].choices[0].finish_reason == "tool_calls"
    assert chunks[-1].choices == []


def test_a_responses_client_reads_the_scene() -> None:
    with serving(SCENE) as upstream, make_openai(upstream.url) as client:
        answer = client.responses.create(model="m", input="Hi")
        with client.responses.stream(model="m", input="Hi") as stream:
            deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
            final = stream.get_final_response()
    for response in (answer, final):
        assert (response.output_text, response.status) == ("Hello world", "completed")
        call: Any = response.output[-1]
        assert (call.name, call.arguments) == SCENE.tool
        assert response.usage is not None
        assert (response.usage.input_tokens, response.usage.output_tokens_details.reasoning_tokens) == (19, 2)
    assert deltas == ["Hello", " wor", "ld"]


def test_a_messages_client_reads_the_scene() -> None:
    with serving(SCENE) as upstream, make_anthropic(upstream.url) as client:
        answer = client.messages.create(model="m", messages=ASK, max_tokens=99)
        with client.messages.stream(model="m", messages=ASK, max_tokens=99) as stream:
            texts = list(stream.text_stream)
            final = stream.get_final_message()
    for message in (answer, final):
        text: Any
        call: Any
        text, call = message.content
        assert (text.text, call.name, call.input) == ("Hello world", "look_up", {"word": "bandit"})
        assert message.stop_reason == "tool_use"
        assert (message.usage.input_tokens, message.usage.output_tokens) == (11, 7)
        assert message.usage.cache_creation is not None
        assert message.usage.cache_creation.ephemeral_1h_input_tokens == 1
    assert texts == ["Hello", " wor", "ld"]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_clients_raise_their_own_error_for_each_status(status: int) -> None:
    names = {
        400: "BadRequestError",
        401: "AuthenticationError",
        404: "NotFoundError",
        429: "RateLimitError",
        500: "InternalServerError",
    }
    with serving(Scene(status=status, error="so it is")) as upstream:
        with (
            make_openai(upstream.url) as chat,
            pytest.raises(getattr(openai, names[status]), match="so it is"),
        ):
            chat.chat.completions.create(model="m", messages=ASK)
        with make_anthropic(upstream.url) as messages:
            error = getattr(anthropic, names[status])
            with pytest.raises(error, match="so it is"):
                messages.messages.create(model="m", messages=ASK, max_tokens=9)


async def play(provider: Any, path: str, body: bytes) -> bytes:
    answer = await provider.send(path, body, {})
    return b"".join([chunk async for chunk in answer.iterate_bytes()])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [BODY, BODY.replace(b"true", b"false")])
def test_an_answer_depends_on_seed_and_request_alone(path: str, body: bytes) -> None:
    def answer(seed: int, body: bytes) -> bytes:
        return asyncio.run(
            play(open_provider(make_arm(provider="scripted", script={"seed": seed})), path, body)
        )

    assert answer(1, body) == answer(1, body)
    assert answer(1, body) != answer(2, body)
    assert answer(1, body) != answer(1, body.replace(b"Hi", b"Ho"))


@pytest.mark.parametrize("path", PATHS)
def test_in_process_and_over_http_are_the_same_bytes(path: str) -> None:
    dialects = ["chat", "responses", "messages"]

    async def call(url: str) -> bytes:
        client = open_provider(make_arm(url, api_key_env=None, dialects=dialects))
        try:
            return await play(client, path, BODY)
        finally:
            await client.aclose()

    with serving(SCENE) as upstream:
        over_http = asyncio.run(call(upstream.url))
    here = asyncio.run(play(ScriptedProvider(make_arm(provider="scripted"), lambda _: SCENE), path, BODY))
    assert here == over_http


def read_statuses(script: dict[str, Any], calls: int) -> list[int]:
    """How an arm with this script answers so many calls, one after another."""
    provider = open_provider(make_arm(provider="scripted", script=script))

    async def read_status(number: int) -> int:
        try:
            await play(provider, PATHS[0], BODY.replace(b"Hi", str(number).encode()))
        except UpstreamError as error:
            return error.status or 0
        return 200

    async def read_all() -> list[int]:
        return [await read_status(number) for number in range(calls)]

    return asyncio.run(read_all())


def test_failures_come_at_their_rate() -> None:
    statuses = Counter(read_statuses({"failure_rate": 0.3, "failure_status": 529}, 300))
    assert statuses.keys() == {200, 529}
    assert 60 <= statuses[529] <= 120


def test_in_an_outage_every_call_fails() -> None:
    statuses = read_statuses({"outage_after": 2, "outage_calls": 3}, 7)
    assert statuses == [200, 200, 503, 503, 503, 200, 200]


def test_a_configured_answer_is_given_word_by_word() -> None:
    provider = open_provider(make_arm(provider="scripted", script={"answer": "one  two\nthree"}))
    completion = asyncio.run(provider.complete("Hi", max_output_tokens=9))
    assert completion.text == "one  two\nthree"
    assert (completion.model, completion.usage.output_tokens) == ("arm", 3)


@pytest.mark.parametrize(
    ("scene", "timeouts", "kind"),
    [
        (replace(HELLO, cut_after=2), {}, FailureKind.CUT),
        (replace(HELLO, stall_after=2), {"gap_timeout_s": 0.05}, FailureKind.TIMEOUT),
        (replace(HELLO, first_token_s=9), {"first_token_timeout_s": 0.05}, FailureKind.TIMEOUT),
    ],
)
def test_it_fails_as_a_real_upstream_does(scene: Scene, timeouts: dict[str, Any], kind: FailureKind) -> None:
    provider = ScriptedProvider(make_arm(provider="scripted", **timeouts), lambda _: scene)
    with pytest.raises(UpstreamError) as caught:
        asyncio.run(play(provider, PATHS[0], BODY))
    assert caught.value.kind is kind


def test_what_is_no_request_of_a_model_is_not_found() -> None:
    with serving(HELLO) as upstream, make_openai(upstream.url) as client:
        with pytest.raises(openai.NotFoundError):
            client.models.list()
        assert isinstance(upstream.app, ScriptedApp)
