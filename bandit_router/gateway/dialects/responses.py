"""OpenAI's responses."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import filterfalse, takewhile
from typing import Any

import orjson

from bandit_router.features import Prompt, read_prompt
from bandit_router.gateway.dialects.base import DialectRequest, Tap
from bandit_router.gateway.dialects.json_body import find_values, parse_object, replace_spans
from bandit_router.gateway.dialects.openai_forms import OpenAIForms, write_error
from bandit_router.gateway.dialects.request_parts import (
    find_signature,
    find_user,
    is_of_assistant,
    is_of_system,
    list_mappings,
    read_fields,
    read_key,
    read_model,
    read_options,
    read_thread,
    read_token_limit,
    read_tool_results,
    wants_json,
)
from bandit_router.gateway.dialects.taps import AnswerReader, BodyTap, StreamTap, has_text, read_text
from bandit_router.providers.usage import read_responses_usage

_RESULTS = "_output"
_KEPT_FIELDS = ("previous_response_id", "conversation", "prompt")
_PRELUDE = frozenset(
    {"response.created", "response.queued", "response.in_progress", "response.content_part.added"}
    | {"response.output_item.added", "keepalive"}
)
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_SILENT_ITEMS = ("message", "reasoning", "compaction")


class Responses(OpenAIForms):
    """``POST /v1/responses``."""

    name = "responses"
    path = "/v1/responses"

    def read_request(self, raw: bytes) -> DialectRequest:
        body = parse_object(raw)
        options = read_options(body)
        thread, new_thread = _read_thread(body)
        prompt = _read_prompt(body)
        return DialectRequest(
            model=read_model(body),
            stream=body.get("stream") is True,
            prompt=prompt,
            fields=read_fields(body, options),
            spans=find_values(raw),
            options=options,
            user=find_user(body, "safety_identifier", "user"),
            cache_key=_read_conversation(body) or read_key(body, "prompt_cache_key"),
            thread=thread,
            new_thread=new_thread,
            pin=_find_pin(body),
            max_output_tokens=read_token_limit(body, "max_output_tokens"),
            tool_failed=read_tool_results(list_mappings(body.get("input"))),
            keeps_text=wants_json(prompt),
        )

    def write_request(self, raw: bytes, request: DialectRequest, model: str) -> bytes:
        return replace_spans(raw, [(request.spans["model"], orjson.dumps(model))])

    def open_tap(self, request: DialectRequest) -> Tap:
        reader = _Reader(keeps_text=request.keeps_text)
        return StreamTap(reader) if request.stream else BodyTap(reader)

    def strip_logprobs(self, answer: bytes, *, stream: bool) -> bytes:
        del stream
        return answer  # none are asked for in this dialect

    def error_event(self, message: str) -> bytes:
        """The error twice: typed clients read it beside the type, the official ones under ``error``."""
        error = write_error(500, message, "upstream_cut")
        event = {**error, "type": "error", "sequence_number": 0, "error": error}
        return b"event: error\ndata: " + orjson.dumps(event) + b"\n\n"


class _Reader(AnswerReader):
    def read_body(self, body: Mapping[str, Any]) -> None:
        self._read_response(body)

    def read_event(self, event: Mapping[str, Any]) -> bool:
        kind = read_text(event.get("type"))
        response = event.get("response")
        if isinstance(response, dict):
            self._read_response(response)
        elif kind == "error" or event.get("error"):
            self.note_error(event.get("error") or {"code": event.get("code")})
        else:
            self._read_content(kind, event)
        self.facts.complete |= kind in _ENDS
        return True

    def _read_content(self, kind: str | None, event: Mapping[str, Any]) -> None:
        facts = self.facts
        item = event.get("item")
        calls_tool = isinstance(item, dict) and item.get("type") not in _SILENT_ITEMS
        facts.began = facts.began or calls_tool or kind not in _PRELUDE
        if facts.empty:
            says = kind in ("response.output_text.delta", "response.refusal.delta")
            facts.empty = not (calls_tool or (says and has_text(event.get("delta"))))
        facts.refused |= kind == "response.refusal.delta"
        if kind is not None and kind.endswith(".delta"):
            self.note_output(event.get("delta"))
            if kind == "response.output_text.delta":
                self.keep_text(event.get("delta"))

    def _read_response(self, response: Mapping[str, Any]) -> None:
        self.note_identity(response)
        facts = self.facts
        usage = response.get("usage")
        if isinstance(usage, dict):
            facts.usage = read_responses_usage(usage, response.get("service_tier"))
        if error := response.get("error"):
            self.note_error(error)
        items = list_mappings(response.get("output"))
        if items:
            facts.output_bytes = 0  # the whole answer repeats its pieces
        for item in items:
            self._read_item(item)
        self._read_status(response)

    def _read_status(self, response: Mapping[str, Any]) -> None:
        status, details = response.get("status"), response.get("incomplete_details")
        if status in ("in_progress", "queued"):
            return
        reason = details.get("reason") if isinstance(details, Mapping) else None
        self.facts.finish = read_text(reason) or read_text(status)
        self.facts.truncated = reason == "max_output_tokens"
        self.facts.refused |= reason == "content_filter"

    def _read_item(self, item: Mapping[str, Any]) -> None:
        facts = self.facts
        self.note_output(item.get("arguments"))
        if item.get("type") not in _SILENT_ITEMS:
            facts.empty = False
        if item.get("type") != "message":
            return
        if facts.text:
            facts.text.clear()  # the last message is the answer
        for part in list_mappings(item.get("content")):
            self.note_output(part.get("text"), part.get("refusal"))
            self.keep_text(part.get("text"))
            facts.refused |= part.get("type") == "refusal"
            if has_text(part.get("text")) or has_text(part.get("refusal")):
                facts.empty = False


def _read_prompt(body: Mapping[str, Any]) -> Prompt:
    """The prompt; where upstream keeps it or the turns before, there may be no input."""
    if body.get("input") is None and any(body.get(field) for field in _KEPT_FIELDS):
        return read_prompt({**body, "input": ""})
    return read_prompt(body if "input" in body else {**body, "input": []})


def _read_thread(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    if body.get("previous_response_id") or body.get("conversation"):
        return None, None  # upstream keeps the earlier turns
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else list_mappings(given)
    system = [body.get("instructions"), *(item.get("content") for item in takewhile(is_of_system, items))]
    return read_thread(system, body.get("tools"), list(filterfalse(is_of_system, items)), _is_of_model)


def _is_of_model(item: Mapping[str, Any]) -> bool:
    """Whether an item is a turn of the assistant: its message, its reasoning or its call of a tool."""
    if "role" in item:
        return is_of_assistant(item)
    return not str(item.get("type", "")).endswith(_RESULTS)


def _read_conversation(body: Mapping[str, Any]) -> str | None:
    """The id of a conversation that upstream keeps, given as a text or in an object. Raises InvalidInput."""
    conversation = body.get("conversation")
    if isinstance(conversation, Mapping):
        return read_key(conversation, "id")
    return read_key(body, "conversation")


def _find_pin(body: Mapping[str, Any]) -> str | None:
    """The answer that the request goes on from, or a signature in its input."""
    if previous := read_key(body, "previous_response_id"):
        return previous
    if conversation := _read_conversation(body):
        return conversation
    items = list_mappings(body.get("input"))
    references = [item.get("id") for item in items if item.get("type") == "item_reference"]
    return find_signature(items) or next((read_text(reference) for reference in references), None)
