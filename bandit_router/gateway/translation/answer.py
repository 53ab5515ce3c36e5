"""A message in one piece as a chat completion, and what streams share with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bandit_router.gateway.dialects.base import AnswerFacts
from bandit_router.gateway.translation.closed import Untranslatable
from bandit_router.providers.usage import write_chat_usage

FINISH_REASONS: Mapping[str | None, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Without ``pause_turn``, which only tools of Anthropic's own cause."""

HIDDEN_BLOCKS = ("thinking", "redacted_thinking")
"""Reasoning, which newer models do unasked. Chat has no form for it: as of OpenAI's models it is counted."""


def translate_message(message: Mapping[str, Any], facts: AnswerFacts, created: int) -> dict[str, Any]:
    """The chat completion of a message that ``facts`` were read from. Raises Untranslatable."""
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    blocks = message.get("content")
    if message.get("type") != "message" or not isinstance(blocks, list):
        raise Untranslatable("no message")
    for block in blocks:
        match read_block_type(block):
            case "text":
                texts.append(read_string(block, "text"))
            case "tool_use":
                calls.append({**write_call(block), "function": write_function(block, write_input(block))})
    said: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": None,
    }
    if calls:
        said["tool_calls"] = calls
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": find_finish_reason(facts)}
    answer = {**write_frame(facts, created, "chat.completion"), "choices": [choice]}
    return answer if facts.usage is None else {**answer, "usage": write_chat_usage(facts.usage)}


def write_frame(facts: AnswerFacts, created: int, kind: str) -> dict[str, Any]:
    """What answers and chunks begin with. The id is upstream's, so that feedback can name it."""
    if facts.answer_id is None or facts.served_model is None:
        raise Untranslatable("no id and model")
    return {"id": facts.answer_id, "object": kind, "created": created, "model": facts.served_model}


def find_finish_reason(facts: AnswerFacts) -> str:
    """Chat's word for why the message ended."""
    if facts.finish not in FINISH_REASONS:
        raise Untranslatable(f"the stop reason {facts.finish!r:.64}")
    return FINISH_REASONS[facts.finish]


def read_block_type(block: object) -> str:
    """The type of a content block, if it has a translation or is hidden."""
    members = block if isinstance(block, dict) else {}
    kind = members.get("type")
    caller = members.get("caller")
    is_own = caller is None or caller == {"type": "direct"}
    if kind == "text" and not members.get("citations"):
        return "text"
    if kind == "tool_use" and is_own and members.get("toolset_name") is None:
        return "tool_use"
    if kind in HIDDEN_BLOCKS:
        return str(kind)
    raise Untranslatable(f"a content block of type {kind!r:.64}")


def read_string(value: Mapping[str, Any], name: str) -> str:
    """A member that has to be a text."""
    text = value.get(name)
    if not isinstance(text, str):
        raise Untranslatable(f"no {name}")
    return text


def write_call(block: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call, but for its function."""
    return {"id": read_string(block, "id"), "type": "function"}


def write_function(block: Mapping[str, Any], arguments: str) -> dict[str, str]:
    """The function of a tool call."""
    return {"name": read_string(block, "name"), "arguments": arguments}


def write_input(block: Mapping[str, Any]) -> str:
    """The input of a tool call as JSON. orjson writes no integer beyond 64 bits."""
    given = block.get("input")
    if not isinstance(given, dict):
        raise Untranslatable("a tool call without input")
    try:
        return json.dumps(given, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise Untranslatable("a tool call with an infinite number") from None
