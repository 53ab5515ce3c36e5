"""Answers that are no message, and what is none of chat's business."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit_router.gateway.dialects import DIALECTS
from bandit_router.gateway.translation import (
    TranslatingBodyTap,
    TranslatingStreamTap,
    translate_error,
)
from bandit_router.providers.base import UpstreamError
from tests.contracts.dialect import change_answer
from tests.gateway.dialects.examples import EXAMPLES, REQUESTS, Example
from tests.gateway.dialects.examples.example import named
from tests.gateway.dialects.examples.messages import (
    BLOCK_STOP,
    MESSAGE_START,
    MESSAGE_STOP,
    PING,
    block,
    delta,
    message,
    message_delta,
)
from tests.gateway.translation.conftest import CREATED

ANSWERS = EXAMPLES["messages"]
USAGE = {"input_tokens": 1, "output_tokens": 1}


def open_tap(stream: bool) -> TranslatingStreamTap | TranslatingBodyTap:
    return TranslatingStreamTap(CREATED, wants_usage=True) if stream else TranslatingBodyTap(CREATED)


def translate(answer: bytes, *, stream: bool) -> bytes:
    tap = open_tap(stream)
    return tap.feed(answer) + tap.finish()


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_facts_are_those_of_the_message(kind: str) -> None:
    example = ANSWERS[kind]
    tap = open_tap(example.stream)
    tap.feed(example.answer)
    tap.finish()
    assert tap.facts == example.facts


@pytest.mark.parametrize("kind", ANSWERS)
@given(data=st.data())
def test_whatever_comes_is_translated_or_cut(kind: str, data: st.DataObject) -> None:
    example: Example = ANSWERS[kind]
    changed = data.draw(change_answer(example))
    request = {**REQUESTS["chat"], "stream": example.stream}
    tap = DIALECTS["chat"].open_tap(DIALECTS["chat"].read_request(json.dumps(request).encode()))
    try:
        translated = translate(changed, stream=example.stream)
    except UpstreamError:
        return
    tap.feed(translated)
    tap.finish()
    assert tap.facts.error != "unreadable_event"


@given(
    garbage=st.binary() | st.lists(st.sampled_from([b"data:", b"\n", b"\r", b"{", b"}", b" "])).map(b"".join)
)
@pytest.mark.parametrize("stream", [False, True])
def test_garbage_is_no_answer(stream: bool, garbage: bytes) -> None:
    tap = open_tap(stream)
    try:
        tap.feed(garbage)
        tap.finish()
    except UpstreamError:
        pass
    assert not tap.facts.complete


TEXT = {"type": "text", "text": "Hi"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}


@pytest.mark.parametrize(
    ("content", "stop"),
    [
        ([{"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}}], "end_turn"),
        ([{**TEXT, "citations": [{"type": "char_location"}]}], "end_turn"),
        ([{**CALL, "caller": {"type": "code_execution_20260120", "tool_id": "x"}}], "tool_use"),
        ([{**CALL, "toolset_name": "browser"}], "tool_use"),
        ([TEXT], "pause_turn"),
        ([TEXT], "a new reason"),
        ([TEXT], None),
    ],
)
def test_what_chat_has_no_form_for_is_cut(content: list[dict[str, Any]], stop: str | None) -> None:
    with pytest.raises(UpstreamError, match="chat has no form"):
        translate(json.dumps(message(content, stop, USAGE)).encode(), stream=False)
    parts = [event for one in content for event in (block(one["type"], **one), BLOCK_STOP)]
    events = [MESSAGE_START, *parts, {"type": "message_delta", "delta": {"stop_reason": stop}}, MESSAGE_STOP]
    with pytest.raises(UpstreamError, match="chat has no form"):
        translate(named(*events), stream=True)


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "a_new_event"}],
        [block("text", text=""), delta("a_new_delta")],
        [block("text", text=""), delta("citations_delta", citation={})],
        [block("text", text=""), delta("input_json_delta", partial_json="{}")],
        [delta("text_delta", text="Hi")],
        [block("text", text=""), block("text", text="")],
        [block("text", text=""), message_delta("end_turn"), MESSAGE_STOP],
    ],
)
def test_events_that_chat_has_no_form_for_are_cut(events: list[dict[str, Any]]) -> None:
    with pytest.raises(UpstreamError, match="chat has no form"):
        translate(named(MESSAGE_START, PING, *events), stream=True)


def test_an_error_event_passes_in_the_form_of_chat() -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    answer = translate(named(MESSAGE_START, {"type": "error", "error": error}), stream=True)
    assert json.loads(answer.removeprefix(b"data: ")) == {"error": {**error, "param": None, "code": None}}


def test_tools_are_numbered_without_the_blocks_between() -> None:
    calls = [
        {"type": "content_block_start", "index": i, "content_block": {**CALL, "id": f"toolu_{i}"}}
        for i in (1, 3)
    ]
    ends = [{"type": "content_block_stop", "index": i} for i in (1, 3)]
    texts = [block("text", text="a"), BLOCK_STOP]
    answer = translate(
        named(
            MESSAGE_START,
            *texts,
            calls[0],
            ends[0],
            *texts,
            calls[1],
            ends[1],
            message_delta("tool_use"),
            MESSAGE_STOP,
        ),
        stream=True,
    )
    chunks = [json.loads(line[6:]) for line in answer.split(b"\n\n") if line.startswith(b"data: {")]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    calls_said = [call for one in deltas for call in one.get("tool_calls", [])]
    assert [(call["index"], call["function"]["arguments"]) for call in calls_said] == [
        (0, ""),
        (0, "{}"),
        (1, ""),
        (1, "{}"),
    ]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 1}', b'{"type": "error"}'])
def test_an_error_in_no_form_of_anthropic_keeps_its_status(body: bytes) -> None:
    error = json.loads(translate_error(body, 502))["error"]
    assert (error["message"], error["type"]) == ("upstream answered 502", "server_error")
