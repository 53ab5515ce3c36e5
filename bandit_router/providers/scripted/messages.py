"""A scene as a message of Anthropic's API."""

from __future__ import annotations

from typing import Any

import orjson

from bandit_router.providers.scripted.events import named_event
from bandit_router.providers.scripted.scene import Scene, ScriptedRequest
from bandit_router.types import Usage

ID_PREFIX = "msg_"
REQUEST_ID_HEADER = "request-id"

_FINISH = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use", "refusal": "refusal"}


def answer(scene: Scene, request: ScriptedRequest, answer_id: str) -> dict[str, Any]:
    """The whole answer."""
    content: list[dict[str, Any]] = [{"type": "text", "text": scene.text}] if scene.pieces else []
    if scene.tool is not None:
        content.append(_tool_use(scene.tool[0], orjson.loads(scene.tool[1])))
    usage = write_usage(scene.usage)
    return _frame(request, answer_id) | {
        "content": content,
        "stop_reason": _FINISH[scene.finish],
        "usage": usage,
    }


def stream(scene: Scene, request: ScriptedRequest, answer_id: str) -> list[bytes]:
    """The events of the answer."""
    began = write_usage(scene.usage) | {"output_tokens": 1}
    start = _frame(request, answer_id) | {"content": [], "stop_reason": None, "usage": began}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    index = 0
    if scene.pieces:
        texts = [{"type": "text_delta", "text": piece} for piece in scene.pieces]
        events += _block(index, {"type": "text", "text": ""}, texts)
        index += 1
    if scene.tool is not None:
        arguments = [{"type": "input_json_delta", "partial_json": scene.tool[1]}]
        events += _block(index, _tool_use(scene.tool[0], {}), arguments)
    delta = {"stop_reason": _FINISH[scene.finish], "stop_sequence": None}
    usage = {"output_tokens": scene.usage.output_tokens}
    events += [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]
    return [named_event(event) for event in events]


def write_usage(usage: Usage) -> dict[str, Any]:
    """Anthropic's input excludes cached tokens."""
    hour = usage.cache_write_1h_tokens
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens - hour,
            "ephemeral_1h_input_tokens": hour,
        },
        "output_tokens": usage.output_tokens,
        "service_tier": usage.service_tier or "standard",
    }


def _block(index: int, block: dict[str, Any], deltas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    start = {"type": "content_block_start", "index": index, "content_block": block}
    middle = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [start, *middle, {"type": "content_block_stop", "index": index}]


def _frame(request: ScriptedRequest, answer_id: str) -> dict[str, Any]:
    return {
        "id": answer_id,
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "stop_sequence": None,
    }


def _tool_use(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_scripted", "name": name, "input": arguments}
