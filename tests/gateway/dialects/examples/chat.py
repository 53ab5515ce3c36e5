"""Chat completions: requests and answers written from the types of the official SDK."""

from __future__ import annotations

from typing import Any

from bandit_router.types import Usage
from tests.gateway.dialects.examples.example import METADATA, TEXT, TURNS, USAGE, Example, body, data, facts

_CHAT_USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 90,
    "total_tokens": 1290,
    "prompt_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 50, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
}


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

ANSWERS = {
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
        facts=facts(**_CHAT, finish="stop", refused=True, usage=USAGE),
    ),
    "streamed text": Example(
        stream=True,
        request=_ASKED,
        answer=b": OPENROUTER PROCESSING\n\n"
        + data(CHAT_ROLE, CHAT_SAYS, CHAT_SAYS, CHAT_STOPS, CHAT_USAGE, "[DONE]"),
        facts=facts(**_CHAT, finish="stop", usage=USAGE),
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

REQUEST: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "Why?"}]}
FULL_REQUEST: dict[str, Any] = {
    **METADATA,
    "model": "auto",
    "messages": TURNS,
    "stream": True,
    "stream_options": {"include_usage": False},
    "max_tokens": 5,
    "prompt_cache_key": "k",
}
