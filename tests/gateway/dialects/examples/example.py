"""What the examples of all dialects share."""

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


USAGE = Usage(
    input_tokens=150, cache_read_tokens=1000, cache_write_tokens=50, output_tokens=90, reasoning_tokens=64
)
"""The usage of the examples, in our own words."""

TURNS: list[dict[str, Any]] = [
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
"""A conversation with everything in its turns that is read."""

METADATA: dict[str, Any] = {
    "metadata": {"x-bandit-tier": "premium"},
    "tools": [{"type": "function", "name": "f"}],
}
