"""Bodies that the gateway's arms answer, for requests whose paths say little of their bodies."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

Body = dict[str, Any]

_MODELS = ("auto", "small", "large")
_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
_FUNCTION = {"name": "weather", "description": "The weather", "parameters": _PARAMETERS}


def make_body(path: str, drawn: Any) -> Any:
    """Instead of two in three of the bodies that are drawn for a path of the gateway, a valid one.

    Which, and what is in it, follows from the body drawn.
    """
    make, number = _MAKE.get(path), zlib.crc32(repr(drawn).encode())
    if make is None or number % 3 == 0:
        return drawn
    body = {"model": _MODELS[number // 3 % 3], **make(repr(drawn)[:200], bool(number // 9 % 2))}
    if number // 18 % 2 and path != "/v1/messages/count_tokens":
        body["stream"] = True
    return body


def _make_chat(text: str, has_tools: bool) -> Body:
    tools = {"tools": [{"type": "function", "function": _FUNCTION}]} if has_tools else {}
    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": text}
    return {"messages": [system, user], **tools}


def _make_responses(text: str, has_tools: bool) -> Body:
    tools = {"tools": [{"type": "function", "strict": False, **_FUNCTION}]} if has_tools else {}
    return {"input": text, **tools}


def _make_messages(text: str, has_tools: bool) -> Body:
    return {"max_tokens": 64, **_make_counted(text, has_tools)}


def _make_counted(text: str, has_tools: bool) -> Body:
    tools = {"tools": [{"name": "weather", "input_schema": _PARAMETERS}]} if has_tools else {}
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}], **tools}


_MAKE: Mapping[str, Callable[[str, bool], Body]] = {
    "/v1/chat/completions": _make_chat,
    "/v1/responses": _make_responses,
    "/v1/messages": _make_messages,
    "/v1/messages/count_tokens": _make_counted,
}
