"""Responses: requests and answers written from the types of the official SDK."""

from __future__ import annotations

from typing import Any

from tests.gateway.dialects.examples.example import METADATA, TEXT, TURNS, USAGE, Example, body, facts, named

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

ANSWERS = {
    "text": Example(
        stream=False,
        answer=body(_ENDED),
        facts=facts(**_RESPONSE, finish="completed", usage=USAGE),
    ),
    "refusal": Example(
        stream=False,
        answer=body(response("completed", message_item({"type": "refusal", "refusal": "I can't."}))),
        facts=facts(**_RESPONSE, finish="completed", refused=True),
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
        facts=facts(**_RESPONSE, finish="completed", usage=USAGE),
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

REQUEST: dict[str, Any] = {"model": "auto", "input": "Why?"}
FULL_REQUEST: dict[str, Any] = {
    **METADATA,
    "model": "auto",
    "instructions": "Be brief.",
    "input": [*TURNS, {"type": "reasoning", "encrypted_content": "g"}, {"type": "item_reference", "id": "i"}],
    "previous_response_id": "resp_1",
    "conversation": {"id": "conv_1"},
    "max_output_tokens": 5,
}
