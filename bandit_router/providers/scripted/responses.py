"""A scene as a response of OpenAI's newer API."""

from __future__ import annotations

from typing import Any

from bandit_router.providers.scripted.events import named_event
from bandit_router.providers.scripted.scene import Scene, ScriptedRequest
from bandit_router.types import Usage

ID_PREFIX = "resp_"
REQUEST_ID_HEADER = "x-request-id"


def answer(scene: Scene, request: ScriptedRequest, answer_id: str) -> dict[str, Any]:
    """The whole answer."""
    incomplete = {"length": "max_output_tokens", "refusal": "content_filter"}.get(scene.finish)
    return _frame(scene, request, answer_id) | {
        "status": "incomplete" if incomplete else "completed",
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "output": _output(scene),
        "usage": write_usage(scene.usage),
    }


def stream(scene: Scene, request: ScriptedRequest, answer_id: str) -> list[bytes]:
    """The events of the answer."""
    whole = answer(scene, request, answer_id)
    started = _frame(scene, request, answer_id) | {"status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
    ]
    for index, item in enumerate(whole["output"]):
        events += _item_events(index, item, scene)
    events.append({"type": f"response.{whole['status']}", "response": whole})
    return [named_event(event | {"sequence_number": number}) for number, event in enumerate(events)]


def write_usage(usage: Usage) -> dict[str, Any]:
    """OpenAI's input includes cached tokens."""
    tokens_in = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return {
        "input_tokens": tokens_in,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": tokens_in + usage.output_tokens,
    }


def _output(scene: Scene) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if scene.pieces:
        items.append(_message([_text_part(scene.text)], "completed"))
    if scene.tool is not None:
        items.append(_call(scene.tool[0], scene.tool[1], "completed"))
    return items


def _item_events(index: int, item: dict[str, Any], scene: Scene) -> list[dict[str, Any]]:
    """An item from its start to its end."""
    place = {"output_index": index, "item_id": item["id"]}
    done = {"type": "response.output_item.done", "output_index": index, "item": item}
    added = {"type": "response.output_item.added", "output_index": index}
    if item["type"] == "function_call":
        name, arguments = item["name"], item["arguments"]
        return [
            added | {"item": _call(name, "", "in_progress")},
            {"type": "response.function_call_arguments.delta", "delta": arguments} | place,
            {"type": "response.function_call_arguments.done", "arguments": arguments, "name": name} | place,
            done,
        ]
    place["content_index"] = 0
    deltas = [
        {"type": "response.output_text.delta", "delta": piece, "logprobs": []} | place
        for piece in scene.pieces
    ]
    return [
        added | {"item": _message([], "in_progress")},
        {"type": "response.content_part.added", "part": _text_part("")} | place,
        *deltas,
        {"type": "response.output_text.done", "text": scene.text, "logprobs": []} | place,
        {"type": "response.content_part.done", "part": _text_part(scene.text)} | place,
        done,
    ]


def _frame(scene: Scene, request: ScriptedRequest, answer_id: str) -> dict[str, Any]:
    return {
        "id": answer_id,
        "object": "response",
        "created_at": 1_700_000_000,
        "model": request.model,
        "service_tier": scene.usage.service_tier or "default",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
    }


def _message(content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(name: str, arguments: str, status: str) -> dict[str, Any]:
    return {
        "id": "fc_scripted",
        "type": "function_call",
        "call_id": "call_scripted",
        "name": name,
        "arguments": arguments,
        "status": status,
    }
