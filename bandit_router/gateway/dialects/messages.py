"""Anthropic's messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from bandit_router.features import read_prompt
from bandit_router.gateway.dialects.base import DialectRequest, Tap
from bandit_router.gateway.dialects.json_body import find_values, parse_object, replace_spans
from bandit_router.gateway.dialects.request_parts import (
    find_signature,
    find_user,
    is_of_assistant,
    list_mappings,
    read_model,
    read_thread,
    read_token_limit,
    read_tool_results,
    wants_json,
)
from bandit_router.gateway.dialects.taps import AnswerReader, BodyTap, StreamTap, has_text, read_text
from bandit_router.providers.usage import read_messages_usage

_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TRUNCATED = ("max_tokens", "model_context_window_exceeded")
_TEXT_BLOCKS = ("text", "thinking")
_SPOKEN = ("text", "thinking", "partial_json")
_SILENT_BLOCKS = ("text", "thinking", "redacted_thinking")


class Messages:
    """``POST /v1/messages``; the bodies of ``/v1/messages/count_tokens`` are read and written alike."""

    name = "messages"
    path = "/v1/messages"

    def read_request(self, raw: bytes) -> DialectRequest:
        body = parse_object(raw)
        prompt = read_prompt(body)
        messages, metadata = list_mappings(body.get("messages")), body.get("metadata")
        thread, new_thread = read_thread([body.get("system")], body.get("tools"), messages, is_of_assistant)
        return DialectRequest(
            model=read_model(body),
            stream=body.get("stream") is True,
            prompt=prompt,
            fields=frozenset(body),
            spans=find_values(raw),
            user=None if not isinstance(metadata, Mapping) else find_user(metadata, "user_id"),
            thread=thread,
            new_thread=new_thread,
            pin=find_signature(list(filter(is_of_assistant, messages))),
            max_output_tokens=read_token_limit(body, "max_tokens"),
            tool_failed=read_tool_results(messages),
            keeps_text=wants_json(prompt),
        )

    def write_request(self, raw: bytes, request: DialectRequest, model: str) -> bytes:
        return replace_spans(raw, [(request.spans["model"], orjson.dumps(model))])

    def open_tap(self, request: DialectRequest) -> Tap:
        reader = MessageReader(keeps_text=request.keeps_text)
        return StreamTap(reader) if request.stream else BodyTap(reader)

    def strip_logprobs(self, answer: bytes, *, stream: bool) -> bytes:
        del stream
        return answer  # a message has none

    def error_body(self, status: int, message: str, code: str | None = None) -> bytes:
        usual = "invalid_request_error" if status < 500 else "api_error"
        return orjson.dumps(_write_error(_ERROR_TYPES.get(status, usual), message, code))

    def error_event(self, message: str) -> bytes:
        return b"event: error\ndata: " + orjson.dumps(_write_error("api_error", message, None)) + b"\n\n"

    def models_body(self, names: Sequence[str]) -> bytes:
        models = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "1970-01-01T00:00:00Z",  # what Anthropic gives when the time is not known
                "lifecycle": "active",
            }
            for name in names
        ]
        ends = {"first_id": names[0], "last_id": names[-1]} if names else {"first_id": None, "last_id": None}
        return orjson.dumps({"data": models, "has_more": False, **ends})


class MessageReader(AnswerReader):
    """Reads the facts of a message."""

    def __init__(self, *, keeps_text: bool = False) -> None:
        super().__init__(keeps_text=keeps_text)
        self._usage: dict[str, Any] = {}

    def read_body(self, body: Mapping[str, Any]) -> None:
        self._read_message(body)
        if error := body.get("error"):
            self.note_error(error)

    def read_event(self, event: Mapping[str, Any]) -> bool:
        match event.get("type"):
            case "message_start":
                self._read_message(_mapping(event.get("message")))
            case "content_block_start":
                self._read_block(_mapping(event.get("content_block")))
            case "content_block_delta":
                self._read_delta(_mapping(event.get("delta")))
            case "message_delta":
                self._read_end(_mapping(event.get("delta")), event.get("usage"))
            case "message_stop":
                self.facts.complete = True
            case kind:
                if kind == "error" or event.get("error"):
                    self.note_error(event.get("error"))
        return True

    def _read_message(self, message: Mapping[str, Any]) -> None:
        self.note_identity(message)
        for block in list_mappings(message.get("content")):
            self._read_block(block)
        self._read_end(message, message.get("usage"))

    def _read_block(self, block: Mapping[str, Any]) -> None:
        kind = block.get("type")
        if kind not in _TEXT_BLOCKS or has_text(block.get("text")):
            self.facts.began = True
        if kind not in _SILENT_BLOCKS or has_text(block.get("text")):
            self.facts.empty = False
        self._read_output(block)

    def _read_delta(self, delta: Mapping[str, Any]) -> None:
        self.facts.began = True
        if self.facts.empty:
            self.facts.empty = not has_text(delta.get("text"))
        self._read_output(delta)

    def _read_output(self, part: Mapping[str, Any]) -> None:
        self.note_output(*map(part.get, _SPOKEN))
        self.keep_text(part.get("text"))

    def _read_end(self, end: Mapping[str, Any], usage: object) -> None:
        """Read why the message ended, and its usage: the counts of a later event replace earlier ones."""
        reason = read_text(end.get("stop_reason"))
        self.facts.finish = reason or self.facts.finish
        self.facts.truncated |= reason in _TRUNCATED
        self.facts.refused |= reason == "refusal"
        if isinstance(usage, dict):
            self._usage |= {key: value for key, value in usage.items() if value is not None}
            self.facts.usage = read_messages_usage(self._usage)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _write_error(kind: str, message: str, code: str | None) -> dict[str, Any]:
    error = {"type": kind, "message": message}
    return {"type": "error", "error": error if code is None else {**error, "code": code}, "request_id": None}
