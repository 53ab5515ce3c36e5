"""Messages: requests and answers written from the types of the official SDK."""

from __future__ import annotations

from typing import Any

from bandit_router.types import Usage
from tests.gateway.dialects.examples.example import METADATA, TEXT, TURNS, USAGE, Example, body, facts, named

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

ANSWERS = {
    "text": Example(
        stream=False,
        answer=body(message([{"type": "text", "text": TEXT}], "end_turn", _MESSAGES_USAGE)),
        facts=facts(**_MESSAGE, finish="end_turn", usage=USAGE),
    ),
    "refusal": Example(
        stream=False,
        answer=body(message([], "refusal", _MESSAGES_USAGE)),
        facts=facts(**_MESSAGE, finish="refusal", refused=True, empty=True, usage=USAGE),
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
        facts=facts(**_MESSAGE, finish="end_turn", usage=USAGE),
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
        facts=facts(**_MESSAGE, finish="max_tokens", truncated=True, empty=True, usage=USAGE),
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
        facts=facts(**_MESSAGE, finish="tool_use", usage=USAGE),
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

REQUEST: dict[str, Any] = {
    "model": "auto",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Why?"}],
}
FULL_REQUEST: dict[str, Any] = {
    **METADATA,
    "model": "auto",
    "system": [{"type": "text", "text": "Be brief."}],
    "messages": TURNS[1:],
    "max_tokens": 5,
}
