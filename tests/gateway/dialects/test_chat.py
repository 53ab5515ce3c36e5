"""Chat completions: what is read of a request, and the usage that is asked for and dropped."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.errors import InvalidInput
from bandit_router.gateway.dialects import DIALECTS, DialectRequest
from bandit_router.types import Need
from tests.contracts.dialect import write_requests
from tests.gateway.dialects.examples import REQUESTS
from tests.gateway.dialects.examples.chat import CHAT_ROLE, CHAT_SAYS, CHAT_STOPS, CHAT_USAGE, choice, chunk
from tests.gateway.dialects.examples.example import data

CHAT = DIALECTS["chat"]
USER, AGAIN = {"role": "user", "content": "Why?"}, {"role": "user", "content": "And then?"}
SAID = {"role": "assistant", "content": "Because."}
SYSTEM = {"role": "system", "content": "Be brief."}


def read(**members: Any) -> DialectRequest:
    return CHAT.read_request(json.dumps({**REQUESTS["chat"], **members}).encode())


def send(text: str) -> bytes:
    raw = (
        f'{{"messages":[{{"role":"user","content":"Why?"}}], "model" : "auto", "stream":true{text}}}'.encode()
    )
    return CHAT.write_request(raw, CHAT.read_request(raw), "gpt")


@pytest.mark.parametrize(
    ("given_options", "sent_options"),
    [
        ("", ""),
        (', "stream_options" : null', ', "stream_options" : {"include_usage":true}'),
        (', "stream_options":{ }', ', "stream_options":{"include_usage":true }'),
        (
            ', "stream_options": { "include_obfuscation":false}',
            ', "stream_options": {"include_usage":true, "include_obfuscation":false}',
        ),
        (
            ', "stream_options": { "x":[{"include_usage":0}], "include_\\u0075sage" : false }',
            ', "stream_options": { "x":[{"include_usage":0}], "include_\\u0075sage" : true }',
        ),
        (', "stream_options":{"include_usage" : true}', ', "stream_options":{"include_usage" : true}'),
        (', "stream_options":"all"', ', "stream_options":"all"'),
    ],
)
def test_usage_is_asked_for(given_options: str, sent_options: str) -> None:
    added = "" if given_options else ',"stream_options":{"include_usage":true}'
    expected = '{"messages":[{"role":"user","content":"Why?"}], "model" : "gpt"' + added
    assert send(given_options).decode() == f'{expected}, "stream":true{sent_options}}}'


@given(data=st.data())
def test_all_else_is_as_it_came(data: st.DataObject) -> None:
    written = data.draw(write_requests("chat"))
    raw = written.before + written.model + written.after[:-1] + b',"stream" :true}'
    sent = CHAT.write_request(raw, CHAT.read_request(raw), "gpt")
    added = b'"gpt","stream_options":{"include_usage":true}'
    assert sent == written.before + added + written.after[:-1] + b',"stream" :true}'


@given(cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_a_usage_chunk_nobody_asked_for_is_dropped(cuts: list[int]) -> None:
    head, tail = data(CHAT_ROLE, CHAT_SAYS, CHAT_STOPS), data("[DONE]")
    answer = head + data(CHAT_USAGE) + tail
    ends = sorted({0, *(min(cut, len(answer)) for cut in cuts), len(answer)})
    tap = CHAT.open_tap(read(stream=True))
    passed = b"".join([tap.feed(answer[start:end]) for start, end in pairwise(ends)])
    assert passed + tap.finish() == head + tail
    assert tap.facts.usage is not None
    assert tap.facts.usage.cache_read_tokens == 1000
    assert tap.facts.complete


@pytest.mark.parametrize(
    "kept",
    [
        chunk(choice({}, "stop"), usage=CHAT_USAGE["usage"]),
        chunk(usage=None, prompt_filter_results=[]),
        chunk(usage=CHAT_USAGE["usage"], moderation={"input": {}, "output": {}}),
        {"error": {"message": "no", "type": "server_error"}},
    ],
)
def test_chunks_that_say_anything_else_are_kept(kept: dict[str, Any]) -> None:
    assert CHAT.open_tap(read(stream=True)).feed(data(kept)) == data(kept)


def test_the_last_usage_counts() -> None:
    """Some servers send it with every chunk, and some leave reasoning out of the output."""
    tap = CHAT.open_tap(read(stream=True))
    for tokens in (1, 2, 3):
        usage = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens + 7}
        tap.feed(data(chunk(choice({"content": "a"}), usage=usage)))
    assert tap.facts.usage is not None
    assert (tap.facts.usage.input_tokens, tap.facts.usage.output_tokens) == (5, 10)


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": "5"}, {"prompt_tokens": -5, "total_tokens": True}])
def test_usage_that_makes_no_sense_counts_nothing(usage: dict[str, Any]) -> None:
    tap = CHAT.open_tap(read())
    tap.feed(json.dumps({"choices": [None, 5, {"message": None}], "usage": usage}).encode())
    tap.finish()
    assert tap.facts.usage is not None
    assert tap.facts.usage.input_tokens == tap.facts.usage.output_tokens == 0


def test_what_is_read() -> None:
    request = read(stream=True, max_tokens=5, max_completion_tokens=7, prompt_cache_key="k", temperature=0)
    assert request.stream
    assert not request.wants_usage
    assert request.max_output_tokens == 7
    assert request.cache_key == "k"
    assert request.fields >= {"model", "messages", "temperature"}
    assert request.prompt.text == "Why?"
    assert read(max_tokens=5).max_output_tokens == 5
    assert read(max_tokens="5").max_output_tokens is None
    assert read(stream=True, stream_options={"include_usage": True}).wants_usage
    assert read(prompt_cache_key="").cache_key is None


def test_needs() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    request = read(
        messages=[{"role": "user", "content": [image]}],
        tools=[{"type": "function", "function": {"name": "f"}}],
        response_format={"type": "json_object"},
    )
    assert set(request.prompt.needs) == {Need.VISION, Need.TOOLS, Need.JSON}


def test_options_in_metadata() -> None:
    metadata = {"x-bandit-tier": "premium", "x-bandit-max-cost": "0.01", "app": "mine"}
    request = read(metadata=metadata)
    assert request.options == {"tier": "premium", "max-cost": "0.01"}
    assert "metadata" not in request.fields  # an arm that takes no metadata is not masked for our own
    assert "metadata" in read(metadata={"app": "mine"}).fields
    assert read(metadata=None).options == read(metadata="text").options == {}


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"x-bandit-teir": "premium"}, "metadata.x-bandit-teir: is not an option"),
        ({"x-bandit-tier": 5}, "metadata.x-bandit-tier: is int"),
        ({"x-bandit-tier": ""}, "metadata.x-bandit-tier: is empty"),
    ],
)
def test_wrong_options_are_named(metadata: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        read(metadata=metadata)


def test_thread() -> None:
    first = read(messages=[SYSTEM, USER])
    assert first.thread is None
    later = read(messages=[SYSTEM, USER, SAID, AGAIN])
    assert later.thread == first.new_thread is not None
    assert later.new_thread is None
    as_parts = {
        "role": "user",
        "content": [{"type": "text", "text": "Why?", "cache_control": {"type": "ephemeral"}}],
    }
    assert read(messages=[SYSTEM, as_parts, SAID, AGAIN]).thread == later.thread
    assert read(messages=[SYSTEM, USER, SAID, SYSTEM, AGAIN]).thread == later.thread
    for other in (
        read(messages=[USER, SAID, AGAIN]),
        read(messages=[SYSTEM, AGAIN, SAID, USER]),
        read(messages=[SYSTEM, USER, SAID, AGAIN], tools=[{"type": "function"}]),
    ):
        assert other.thread not in (None, later.thread)


def test_a_prefill_begins_anew() -> None:
    assert read(messages=[USER, {"role": "assistant", "content": "{"}]).thread is None


@pytest.mark.parametrize(
    "signed",
    [
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAAA"}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "EqoB"}]},
        {"tool_calls": [{"id": "1", "extra_content": {"google": {"thought_signature": "CpcB"}}}]},
    ],
)
def test_signed_reasoning_pins(signed: dict[str, Any]) -> None:
    pin = read(messages=[USER, {**SAID, **signed}, AGAIN]).pin
    assert pin is not None
    assert pin.startswith("signature:")
    assert pin == read(messages=[USER, {**SAID, **signed}, AGAIN, SAID, USER]).pin
    assert read(messages=[USER, SAID, AGAIN]).pin is None
    assert read(messages=[{**USER, **signed}, SAID, AGAIN]).pin is None


def test_a_filtered_answer_is_refused() -> None:
    tap = CHAT.open_tap(read(stream=True))
    tap.feed(data(CHAT_SAYS, chunk(choice({}, "content_filter"))))
    assert tap.facts.refused
    assert tap.facts.finish == "content_filter"


def test_the_end_mark_alone_is_no_answer() -> None:
    tap = CHAT.open_tap(read(stream=True))
    assert tap.feed(data("[DONE]")) == data("[DONE]")
    assert not tap.facts.complete
