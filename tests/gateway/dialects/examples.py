"""Requests and answers in each dialect, written from the types of the official SDKs, with what they say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bandit_router.gateway.dialects import AnswerFacts
from bandit_router.types import Usage

TEXT = 'Grüße, 東京 🙂\n\n"model": no, data: neither.\r\n'
"""A text that what splits and searches bytes could trip over."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """An answer, the events before its first content, and what a tap is to see in it."""

    stream: bool
    answer: bytes
    facts: AnswerFacts
    prelude: int = 0
    request: dict[str, Any] | None = None


def body(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, indent=1).encode()


def data(*events: dict[str, Any] | str) -> bytes:
    """Events without a name, as in chat."""
    texts = [event if isinstance(event, str) else json.dumps(event, ensure_ascii=False) for event in events]
    return b"".join(b"data: " + text.encode() + b"\n\n" for text in texts)


def named(*events: dict[str, Any]) -> bytes:
    """Events named by their type, as in responses and messages."""
    return b"".join(b"event: " + event["type"].encode() + b"\n" + data(event) for event in events)


def facts(**seen: Any) -> AnswerFacts:
    """The facts of an answer with content that ended as it should, but for what is given."""
    return AnswerFacts(**{"began": True, "complete": True, "empty": False} | seen)


# Chat completions.

_CHAT_USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 90,
    "total_tokens": 1290,
    "prompt_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 50, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
}
_CHAT_SEEN = Usage(
    input_tokens=150, cache_read_tokens=1000, cache_write_tokens=50, output_tokens=90, reasoning_tokens=64
)


def chunk(*choices: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A chunk of a chat completion."""
    head = {"id": "chatcmpl-Ab1", "object": "chat.completion.chunk", "created": 1796000000}
    return {**head, "model": "gpt-5.5-mini-2026-03-01", "choices": list(choices), **members}


def choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def completion(message: dict[str, Any], finish: str, **members: Any) -> dict[str, Any]:
    """A chat completion in one piece."""
    answer = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {**chunk(**members), "object": "chat.completion", "choices": [answer]}


CHAT_ROLE = chunk(choice({"role": "assistant", "content": "", "refusal": None}), usage=None)
CHAT_SAYS = chunk(choice({"content": TEXT}), usage=None)
CHAT_STOPS = chunk(choice({}, "stop"), usage=None)
CHAT_USAGE = chunk(usage=_CHAT_USAGE, service_tier="default")
_CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_CHAT: dict[str, Any] = {"answer_id": "chatcmpl-Ab1", "served_model": "gpt-5.5-mini-2026-03-01"}
_ASKED = {"stream_options": {"include_usage": True}}

CHAT = {
    "text": Example(
        stream=False,
        answer=body(completion({"content": TEXT}, "stop", usage=_CHAT_USAGE, service_tier="flex")),
        facts=facts(
            **_CHAT,
            finish="stop",
            usage=Usage(
                input_tokens=150,
                cache_read_tokens=1000,
                cache_write_tokens=50,
                output_tokens=90,
                reasoning_tokens=64,
                service_tier="flex",
            ),
        ),
    ),
    "refusal": Example(
        stream=False,
        answer=body(completion({"content": None, "refusal": "I can't."}, "stop", usage=_CHAT_USAGE)),
        facts=facts(**_CHAT, finish="stop", refused=True, usage=_CHAT_SEEN),
    ),
    "streamed text": Example(
        stream=True,
        request=_ASKED,
        answer=b": OPENROUTER PROCESSING\n\n"
        + data(CHAT_ROLE, CHAT_SAYS, CHAT_SAYS, CHAT_STOPS, CHAT_USAGE, "[DONE]"),
        facts=facts(**_CHAT, finish="stop", usage=_CHAT_SEEN),
        prelude=2,
    ),
    "streamed reasoning": Example(
        stream=True,
        request=_ASKED,
        answer=data(
            CHAT_ROLE, chunk(choice({"reasoning_content": "Hm."})), chunk(choice({}, "length")), "[DONE]"
        ),
        facts=facts(**_CHAT, finish="length", truncated=True, empty=True),
        prelude=1,
    ),
    "streamed tool call": Example(
        stream=True,
        request=_ASKED,
        answer=data(
            CHAT_ROLE, chunk(choice({"tool_calls": [_CALL]})), chunk(choice({}, "tool_calls")), "[DONE]"
        ),
        facts=facts(**_CHAT, finish="tool_calls"),
        prelude=1,
    ),
    "streamed refusal": Example(
        stream=True,
        request=_ASKED,
        answer=data(CHAT_ROLE, chunk(choice({"refusal": "No."})), CHAT_STOPS, "[DONE]"),
        facts=facts(**_CHAT, finish="stop", refused=True),
        prelude=1,
    ),
    "streamed error": Example(
        stream=True,
        request=_ASKED,
        answer=data(CHAT_ROLE, {"error": {"message": "sk-secret", "type": "server_error", "code": None}}),
        facts=facts(**_CHAT, error="server_error", complete=False, empty=True),
        prelude=1,
    ),
}

# Responses.

_RESPONSES_USAGE = {
    "input_tokens": 1200,
    "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 50},
    "output_tokens": 90,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 1290,
}
_OUTPUT_TEXT = {"type": "output_text", "text": TEXT, "annotations": []}


def message_item(part: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def response(status: str, *output: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A response, as in one piece or in an event."""
    return {
        "id": "resp_Ab1",
        "object": "response",
        "created_at": 1796000000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "gpt-5.5-2026-03-01",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
        **members,
    }


def event(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, "sequence_number": 1, **members}


def _in_message(kind: str, **members: Any) -> dict[str, Any]:
    return event(kind, item_id="msg_1", output_index=0, content_index=0, **members)


_CREATED = (
    event("response.created", response=response("in_progress")),
    event("response.in_progress", response=response("in_progress")),
)
_ITEM_ADDED = event("response.output_item.added", output_index=0, item={**message_item({}), "content": []})
_PART_ADDED = _in_message("response.content_part.added", part={**_OUTPUT_TEXT, "text": ""})
_TEXT_DELTA = _in_message("response.output_text.delta", delta=TEXT, logprobs=[])
_FUNCTION_CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}
_ENDED = response("completed", message_item(_OUTPUT_TEXT), usage=_RESPONSES_USAGE)
_RESPONSE: dict[str, Any] = {"answer_id": "resp_Ab1", "served_model": "gpt-5.5-2026-03-01"}

RESPONSES = {
    "text": Example(
        stream=False,
        answer=body(_ENDED),
        facts=facts(**_RESPONSE, finish="completed", usage=_CHAT_SEEN),
    ),
    "filtered": Example(
        stream=False,
        answer=body(response("incomplete", incomplete_details={"reason": "content_filter"})),
        facts=facts(**_RESPONSE, finish="content_filter", refused=True, empty=True),
    ),
    "streamed text": Example(
        stream=True,
        answer=named(
            *_CREATED, _ITEM_ADDED, _PART_ADDED, _TEXT_DELTA, event("response.completed", response=_ENDED)
        ),
        facts=facts(**_RESPONSE, finish="completed", usage=_CHAT_SEEN),
        prelude=4,
    ),
    "streamed reasoning": Example(
        stream=True,
        answer=named(
            *_CREATED,
            event(
                "response.reasoning_summary_text.delta",
                delta="Hm.",
                item_id="rs_1",
                output_index=0,
                summary_index=0,
            ),
            event(
                "response.incomplete",
                response=response("incomplete", incomplete_details={"reason": "max_output_tokens"}),
            ),
        ),
        facts=facts(**_RESPONSE, finish="max_output_tokens", truncated=True, empty=True),
        prelude=2,
    ),
    "streamed tool call": Example(
        stream=True,
        answer=named(
            *_CREATED,
            event("response.output_item.added", output_index=0, item={**_FUNCTION_CALL, "arguments": ""}),
            event("response.completed", response=response("completed", _FUNCTION_CALL)),
        ),
        facts=facts(**_RESPONSE, finish="completed"),
        prelude=2,
    ),
    "streamed refusal": Example(
        stream=True,
        answer=named(
            *_CREATED,
            _in_message("response.refusal.delta", delta="I can't."),
            event(
                "response.completed",
                response=response("completed", message_item({"type": "refusal", "refusal": "I can't."})),
            ),
        ),
        facts=facts(**_RESPONSE, finish="completed", refused=True),
        prelude=2,
    ),
    "streamed error": Example(
        stream=True,
        answer=named(*_CREATED, event("error", code="rate_limit_exceeded", message="sk-secret", param=None)),
        facts=facts(**_RESPONSE, error="rate_limit_exceeded", complete=False, empty=True),
        prelude=2,
    ),
    "streamed failure": Example(
        stream=True,
        answer=named(
            *_CREATED,
            event(
                "response.failed",
                response=response("failed", error={"code": "server_error", "message": "sk-secret"}),
            ),
        ),
        facts=facts(**_RESPONSE, finish="failed", error="server_error", empty=True),
        prelude=2,
    ),
}

# Messages.

_MESSAGES_USAGE = {
    "input_tokens": 150,
    "cache_creation_input_tokens": 50,
    "cache_read_input_tokens": 1000,
    "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 90,
    "output_tokens_details": {"thinking_tokens": 64},
    "service_tier": "standard",
}


def message(content: list[dict[str, Any]], stop: str | None, usage: dict[str, Any]) -> dict[str, Any]:
    """A message, as in one piece or in ``message_start``."""
    return {
        "id": "msg_01Ab",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-20260701",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def block(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": {"type": kind, **members}}


def delta(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **members}}


def message_delta(stop: str, **usage: Any) -> dict[str, Any]:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": stop, "stop_sequence": None},
        "usage": {"output_tokens": 90, **usage},
    }


MESSAGE_START = {
    "type": "message_start",
    "message": message([], None, {**_MESSAGES_USAGE, "output_tokens": 1, "output_tokens_details": None}),
}
PING = {"type": "ping"}
BLOCK_STOP = {"type": "content_block_stop", "index": 0}
MESSAGE_STOP = {"type": "message_stop"}
_THINKS = (block("thinking", thinking="", signature=""), delta("thinking_delta", thinking="Hm."))
_THOUGHT = {"output_tokens_details": {"thinking_tokens": 64}}
_MESSAGE: dict[str, Any] = {"answer_id": "msg_01Ab", "served_model": "claude-opus-5-20260701"}
_UNDONE = Usage(input_tokens=150, cache_read_tokens=1000, cache_write_tokens=50, output_tokens=1)

MESSAGES = {
    "text": Example(
        stream=False,
        answer=body(message([{"type": "text", "text": TEXT}], "end_turn", _MESSAGES_USAGE)),
        facts=facts(**_MESSAGE, finish="end_turn", usage=_CHAT_SEEN),
    ),
    "refusal": Example(
        stream=False,
        answer=body(message([], "refusal", _MESSAGES_USAGE)),
        facts=facts(**_MESSAGE, finish="refusal", refused=True, empty=True, usage=_CHAT_SEEN),
    ),
    "streamed text": Example(
        stream=True,
        answer=named(
            MESSAGE_START,
            block("text", text=""),
            PING,
            delta("text_delta", text=TEXT),
            BLOCK_STOP,
            message_delta("end_turn", **_THOUGHT),
            MESSAGE_STOP,
        ),
        facts=facts(**_MESSAGE, finish="end_turn", usage=_CHAT_SEEN),
        prelude=3,
    ),
    "streamed reasoning": Example(
        stream=True,
        answer=named(
            MESSAGE_START,
            *_THINKS,
            delta("signature_delta", signature="EqoB"),
            BLOCK_STOP,
            message_delta("max_tokens", **_THOUGHT),
            MESSAGE_STOP,
        ),
        facts=facts(**_MESSAGE, finish="max_tokens", truncated=True, empty=True, usage=_CHAT_SEEN),
        prelude=2,
    ),
    "streamed tool call": Example(
        stream=True,
        answer=named(
            MESSAGE_START,
            block("tool_use", id="toolu_1", name="f", input={}),
            delta("input_json_delta", partial_json="{}"),
            BLOCK_STOP,
            message_delta("tool_use", **_THOUGHT),
            MESSAGE_STOP,
        ),
        facts=facts(**_MESSAGE, finish="tool_use", usage=_CHAT_SEEN),
        prelude=1,
    ),
    "streamed error": Example(
        stream=True,
        answer=named(
            MESSAGE_START,
            {"type": "error", "error": {"type": "overloaded_error", "message": "sk-secret"}},
        ),
        facts=facts(**_MESSAGE, error="overloaded_error", complete=False, empty=True, usage=_UNDONE),
        prelude=1,
    ),
}

EXAMPLES: dict[str, dict[str, Example]] = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES}
"""Answers by dialect and by what they are."""

REQUESTS: dict[str, dict[str, Any]] = {
    "chat": {"model": "auto", "messages": [{"role": "user", "content": "Why?"}]},
    "responses": {"model": "auto", "input": "Why?"},
    "messages": {"model": "auto", "max_tokens": 64, "messages": [{"role": "user", "content": "Why?"}]},
}
"""The least request of each dialect."""

_TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
    {"role": "user", "content": "Why?"},
    {
        "role": "assistant",
        "content": [{"type": "text", "text": "Because.", "signature": "s"}],
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAAA"}],
        "tool_calls": [
            {"id": "c", "type": "function", "extra_content": {"google": {"thought_signature": "s"}}}
        ],
    },
    {"role": "user", "content": [{"type": "text", "text": "And then?"}]},
]
_METADATA = {"metadata": {"x-bandit-tier": "premium"}, "tools": [{"type": "function", "name": "f"}]}
FULL_REQUESTS: dict[str, dict[str, Any]] = {
    "chat": {
        **_METADATA,
        "model": "auto",
        "messages": _TURNS,
        "stream": True,
        "stream_options": {"include_usage": False},
        "max_tokens": 5,
        "prompt_cache_key": "k",
    },
    "responses": {
        **_METADATA,
        "model": "auto",
        "instructions": "Be brief.",
        "input": [
            *_TURNS,
            {"type": "reasoning", "encrypted_content": "g"},
            {"type": "item_reference", "id": "i"},
        ],
        "previous_response_id": "resp_1",
        "conversation": {"id": "conv_1"},
        "max_output_tokens": 5,
    },
    "messages": {
        **_METADATA,
        "model": "auto",
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": _TURNS[1:],
        "max_tokens": 5,
    },
}
"""Requests with all that is read of them."""
