"""Faults that other gateways have: each check fails on the naive way, written here, and passes on ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bandit_router.gateway.dialects import DIALECTS, AnswerFacts, DialectRequest
from bandit_router.types import Need, Usage
from tests.contracts.dialect import list_events, read_event
from tests.gateway.dialects.examples import EXAMPLES, REQUESTS, Example
from tests.gateway.dialects.examples.chat import CHAT_SAYS, CHAT_USAGE, choice, chunk
from tests.gateway.dialects.examples.example import data

CHAT, RESPONSES, MESSAGES = (EXAMPLES[name] for name in ("chat", "responses", "messages"))

Watch = Callable[[str, bytes], AnswerFacts]
Write = Callable[[str, bytes], bytes]
Read = Callable[[str, dict[str, Any]], DialectRequest]

THOUGHT = (
    b'{ "model":"auto", "max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant",'
    b'"content":[{"type":"thinking","thinking":"1\\/2 \\u00fc","signature":"EqoB" }]},'
    b'{"role":"user","content":"b"}]}'
)


def read(name: str, members: dict[str, Any]) -> DialectRequest:
    return DIALECTS[name].read_request(json.dumps({**REQUESTS[name], **members}).encode())


def watch(name: str, answer: bytes, stream: bool = True) -> AnswerFacts:
    tap = DIALECTS[name].open_tap(read(name, {"stream": stream}))
    tap.feed(answer)
    tap.finish()
    return tap.facts


def write(name: str, raw: bytes) -> bytes:
    dialect = DIALECTS[name]
    return dialect.write_request(raw, dialect.read_request(raw), "claude")


def must_fail(check: Callable[[Any], None], naive: Any) -> None:
    with pytest.raises(AssertionError):
        check(naive)


def list_data(answer: bytes) -> list[Any]:
    return [read_event(event) for event in list_events(answer)]


def test_usage_on_a_chunk_with_choices() -> None:
    answer = data(chunk(choice({"content": "a"}, "stop"), usage=CHAT_USAGE["usage"]), "[DONE]")

    def check(watch: Watch) -> None:
        usage = watch("chat", answer).usage
        assert usage is not None
        assert usage.output_tokens == 90

    def naive(name: str, answer: bytes) -> AnswerFacts:
        last = [event for event in list_data(answer) if isinstance(event, dict) and not event["choices"]]
        return replace(watch(name, answer), usage=Usage(output_tokens=90) if last else None)

    check(watch)
    must_fail(check, naive)


@pytest.mark.parametrize(
    ("name", "example", "input_key"),
    [
        ("chat", CHAT["text"], "prompt_tokens"),
        ("responses", RESPONSES["text"], "input_tokens"),
        ("messages", MESSAGES["text"], "input_tokens"),
    ],
)
def test_cached_tokens_at_full_rate(name: str, example: Example, input_key: str) -> None:
    """All three answers have 150 fresh tokens, 1,000 read from the cache and 50 written to it."""

    def check(watch: Watch) -> None:
        usage = watch(name, example.answer).usage
        assert usage is not None
        assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (150, 1000, 50)

    def naive(name: str, answer: bytes) -> AnswerFacts:
        """One rule for all: the input is what is called so, of which some was cached."""
        usage = json.loads(answer)["usage"]
        details = usage.get(f"{input_key}_details", {})
        cached = usage.get("cache_read_input_tokens", 0) + details.get("cached_tokens", 0)
        fresh = usage[input_key] - (cached if name == "messages" else 0)
        return AnswerFacts(usage=Usage(input_tokens=fresh, cache_read_tokens=cached, cache_write_tokens=50))

    check(lambda name, answer: watch(name, answer, stream=False))
    must_fail(check, naive)


def test_reasoning_is_part_of_the_output() -> None:
    def check(watch: Watch) -> None:
        usage = watch("chat", CHAT["text"].answer).usage
        assert usage is not None
        assert (usage.output_tokens, usage.reasoning_tokens) == (90, 64)

    def naive(_name: str, answer: bytes) -> AnswerFacts:
        usage = json.loads(answer)["usage"]
        reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
        tokens = Usage(output_tokens=usage["completion_tokens"] + reasoning, reasoning_tokens=reasoning)
        return AnswerFacts(usage=tokens)

    check(lambda name, answer: watch(name, answer, stream=False))
    must_fail(check, naive)


def test_end_turn_for_tool_use() -> None:
    def check(watch: Watch) -> None:
        assert watch("messages", MESSAGES["streamed tool call"].answer).finish == "tool_use"

    def naive(_name: str, answer: bytes) -> AnswerFacts:
        stopped = any(event["type"] == "message_stop" for event in list_data(answer))
        return AnswerFacts(finish="end_turn" if stopped else None)

    check(watch)
    must_fail(check, naive)


def test_thinking_blocks_altered() -> None:
    """A signature holds for the text it was made of, and caches for the bytes before a mark."""

    def check(write: Write) -> None:
        assert write("messages", THOUGHT) == THOUGHT.replace(b'"auto"', b'"claude"')

    def naive(_name: str, raw: bytes) -> bytes:
        return json.dumps({**json.loads(raw), "model": "claude"}).encode()

    check(write)
    must_fail(check, naive)


def test_the_word_model_elsewhere() -> None:
    raw = (
        b'{"messages":[{"role":"user","content":"say \\"model\\":\\"auto\\""}],"tools":[{"type":"function",'
        b'"function":{"name":"f","parameters":{"model":"auto"}}}],"model":"auto"}'
    )

    def check(write: Write) -> None:
        assert write("chat", raw) == raw.removesuffix(b'"auto"}') + b'"claude"}'

    def naive(_name: str, raw: bytes) -> bytes:
        return raw.replace(b'"model":"auto"', b'"model":"claude"', 1)

    check(write)
    must_fail(check, naive)


def test_a_model_that_lies() -> None:
    def check(watch: Watch) -> None:
        assert watch("chat", CHAT["streamed text"].answer).served_model == "gpt-5.5-mini-2026-03-01"

    def naive(name: str, answer: bytes) -> AnswerFacts:
        return replace(watch(name, answer), served_model=read(name, {}).model)

    check(watch)
    must_fail(check, naive)


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("chat", CHAT["streamed text"]),
        ("responses", RESPONSES["streamed text"]),
        ("messages", MESSAGES["streamed text"]),
    ],
)
def test_a_cut_upstream_that_ends_clean(name: str, example: Example) -> None:
    def check(watch: Watch) -> None:
        events = list_events(example.answer)
        assert watch(name, b"".join(events)).complete
        assert not watch(name, b"".join(events[:-1])).complete

    def naive(_name: str, _answer: bytes) -> AnswerFacts:
        return AnswerFacts(complete=True)  # the connection was closed in order

    check(watch)
    must_fail(check, naive)


def test_an_error_event_glued_to_half_an_event() -> None:
    """Bytes that were passed on at once leave half an event, which the client cannot read."""
    cut = data(CHAT_SAYS) + data(CHAT_SAYS)[:40]

    def check(relay: Callable[[bytes], bytes]) -> None:
        try:
            error = list_data(relay(cut) + DIALECTS["chat"].error_event("cut"))[-1]
        except ValueError as unreadable:
            raise AssertionError from unreadable
        assert error["error"]["message"] == "cut"

    check(DIALECTS["chat"].open_tap(read("chat", {"stream": True})).feed)
    must_fail(check, lambda chunk: chunk)


def test_chunks_taken_for_events() -> None:
    answer = CHAT["streamed text"].answer
    chunks = [answer[i : i + 50] for i in range(0, len(answer), 50)]

    def check(watch: Callable[[list[bytes]], bool]) -> None:
        assert watch(chunks)

    def ours(chunks: list[bytes]) -> bool:
        tap = DIALECTS["chat"].open_tap(read("chat", {"stream": True}))
        for piece in chunks:
            tap.feed(piece)
        return tap.facts.usage is not None

    def naive(chunks: list[bytes]) -> bool:
        return any(b'"usage": {' in piece and piece.startswith(b"data: ") for piece in chunks)

    check(ours)
    must_fail(check, naive)


def test_an_error_in_a_200() -> None:
    answer = CHAT["streamed error"].answer

    def check(watch: Watch) -> None:
        assert watch("chat", answer).error == "server_error"

    check(watch)
    must_fail(check, lambda _name, _answer: AnswerFacts())  # the status was 200


def test_encrypted_reasoning_sent_to_another_arm() -> None:
    items = [
        {"role": "user", "content": "a"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
        {"role": "user", "content": "b"},
    ]

    def check(read: Read) -> None:
        assert read("responses", {"input": items}).pin
        assert read("responses", {"input": items[::2]}).pin is None

    def naive(name: str, members: dict[str, Any]) -> DialectRequest:
        return replace(read(name, members), pin=members.get("previous_response_id"))

    check(read)
    must_fail(check, naive)


def test_images_to_a_text_only_arm() -> None:
    images = {
        "chat": {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        "responses": {"type": "input_image", "image_url": "https://example.com/a.png"},
        "messages": {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    }

    def check(read: Read) -> None:
        for name, image in images.items():
            field = "input" if name == "responses" else "messages"
            request = read(name, {field: [{"role": "user", "content": [image]}]})
            assert Need.VISION in request.prompt.needs, name

    def naive(name: str, members: dict[str, Any]) -> DialectRequest:
        needs = (Need.VISION,) if '"image_url"' in json.dumps(members) else ()
        request = read(name, members)
        return replace(request, prompt=request.prompt._replace(needs=needs))

    check(read)
    must_fail(check, naive)
