"""A scene as a chat completion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bandit_router.providers.scripted.events import data_event
from bandit_router.providers.scripted.scene import Scene, ScriptedRequest
from bandit_router.providers.usage import write_chat_usage

ID_PREFIX = "chatcmpl-"
REQUEST_ID_HEADER = "x-request-id"

_FINISH = {"stop": "stop", "length": "length", "tool": "tool_calls", "refusal": "content_filter"}


def answer(scene: Scene, request: ScriptedRequest, answer_id: str) -> dict[str, Any]:
    """The whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": scene.text or None, "refusal": None}
    if scene.tool is not None:
        message["tool_calls"] = [_tool_call(scene.tool)]
    logprobs = _write_logprobs(scene, request, scene.pieces)
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": _FINISH[scene.finish]}
    return _frame(
        request,
        answer_id,
        "chat.completion",
        choices=[choice],
        usage=write_chat_usage(scene.usage),
        scene=scene,
    )


def stream(scene: Scene, request: ScriptedRequest, answer_id: str) -> list[bytes]:
    """One event for each piece; one with the usage at the end if it is asked for."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in scene.pieces]
    if scene.tool is not None:
        deltas.append({"tool_calls": [{"index": 0, **_tool_call(scene.tool)}]})
    wants_usage = bool((request.fields().get("stream_options") or {}).get("include_usage"))
    usage: dict[str, Any] = {"usage": None} if wants_usage else {}

    def chunk(delta: dict[str, Any], finish: str | None) -> bytes:
        pieces = (delta["content"],) if delta.get("content") else ()
        logprobs = _write_logprobs(scene, request, pieces)
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        frame = _frame(request, answer_id, "chat.completion.chunk", choices=[choice], scene=scene, **usage)
        return data_event(frame)

    events = [chunk(delta, None) for delta in deltas] + [chunk({}, _FINISH[scene.finish])]
    if wants_usage:
        last = {"choices": [], "usage": write_chat_usage(scene.usage)}
        events.append(data_event(_frame(request, answer_id, "chat.completion.chunk", scene=scene, **last)))
    return [*events, b"data: [DONE]\n\n"]


def _write_logprobs(scene: Scene, request: ScriptedRequest, pieces: Sequence[str]) -> dict[str, Any] | None:
    """The log-probabilities of tokens, if the request asks for them."""
    if request.fields().get("logprobs") is not True:
        return None
    logprob = math.log(scene.token_probability)
    tokens = [
        {"token": piece, "logprob": logprob, "bytes": list(piece.encode()), "top_logprobs": []}
        for piece in pieces
    ]
    return {"content": tokens, "refusal": None}


def _frame(
    request: ScriptedRequest, answer_id: str, kind: str, *, scene: Scene, **rest: Any
) -> dict[str, Any]:
    tier = scene.usage.service_tier or "default"
    return {
        "id": answer_id,
        "object": kind,
        "created": 1_700_000_000,
        "model": request.model,
        "service_tier": tier,
    } | rest


def _tool_call(tool: tuple[str, str]) -> dict[str, Any]:
    return {"id": "call_scripted", "type": "function", "function": {"name": tool[0], "arguments": tool[1]}}
