"""Chat completions: OpenAI's, and the form that most other servers speak."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import filterfalse, takewhile
from typing import Any

import orjson

from bandit_router.features import read_prompt
from bandit_router.gateway.dialects.base import DialectRequest, Span, Tap
from bandit_router.gateway.dialects.event_stream import EventSplitter
from bandit_router.gateway.dialects.json_body import find_items, find_values, parse_object, replace_spans
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
from bandit_router.providers.usage import read_chat_usage

_NOT_TEXT = ("tool_calls", "function_call", "refusal", "audio")
_DATA = b"data: "
_INCLUDE = b'"include_usage":true'


class Chat(OpenAIForms):
    """``POST /v1/chat/completions``."""

    name = "chat"
    path = "/v1/chat/completions"

    def read_request(self, raw: bytes) -> DialectRequest:
        body = parse_object(raw)
        options = read_options(body)
        stream = body.get("stream") is True
        thread, new_thread = _read_thread(body)
        prompt, messages = read_prompt(body), list_mappings(body.get("messages"))
        return DialectRequest(
            model=read_model(body),
            stream=stream,
            prompt=prompt,
            fields=read_fields(body, options),
            spans=find_values(raw),
            options=options,
            user=find_user(body, "safety_identifier", "user"),
            cache_key=read_key(body, "prompt_cache_key"),
            thread=thread,
            new_thread=new_thread,
            pin=find_signature(list(filter(is_of_assistant, messages))),
            max_output_tokens=read_token_limit(body, "max_completion_tokens", "max_tokens"),
            answers=read_token_limit(body, "n") or 1,
            wants_usage=not stream or _asks_for_usage(body),
            wants_logprobs=body.get("logprobs") is True,
            tool_failed=read_tool_results(messages),
            keeps_text=wants_json(prompt),
        )

    def write_request(self, raw: bytes, request: DialectRequest, model: str) -> bytes:
        spans, edits, added = request.spans, [], b""
        if not request.wants_usage:
            if "stream_options" in spans:
                edits += _include_usage(raw, spans["stream_options"])
            else:
                added += b',"stream_options":{' + _INCLUDE + b"}"
        if request.keeps_logprobs and not request.wants_logprobs:
            if "logprobs" in spans:
                edits.append((spans["logprobs"], b"true"))
            else:
                added += b',"logprobs":true'
        return replace_spans(raw, [(spans["model"], orjson.dumps(model) + added), *edits])

    def open_tap(self, request: DialectRequest) -> Tap:
        reader = _Reader(
            wants_usage=request.wants_usage,
            keeps_text=request.keeps_text,
            keeps_logprobs=request.keeps_logprobs,
        )
        return StreamTap(reader) if request.stream else BodyTap(reader)

    def strip_logprobs(self, answer: bytes, *, stream: bool) -> bytes:
        if not stream:
            return _strip_logprobs(answer, answer.find(b"{"))
        splitter = EventSplitter()
        events = splitter.split(answer)
        return b"".join(map(_strip_event, events)) + splitter.held

    def error_event(self, message: str) -> bytes:
        return b"data: " + orjson.dumps({"error": write_error(500, message, "upstream_cut")}) + b"\n\n"


class _Reader(AnswerReader):
    def __init__(self, *, wants_usage: bool, keeps_text: bool, keeps_logprobs: bool) -> None:
        super().__init__(keeps_text=keeps_text, keeps_logprobs=keeps_logprobs)
        self._wants_usage = wants_usage
        self._has_read = False
        self._tier: object = None

    def read_body(self, body: Mapping[str, Any]) -> None:
        self._read(body, "message")

    def read_event(self, event: Mapping[str, Any]) -> bool:
        self._read(event, "delta")
        return self._wants_usage or not _is_only_usage(event)

    def read_done(self) -> None:
        self.facts.complete = self._has_read  # the mark alone is no answer

    def _read(self, answer: Mapping[str, Any], part: str) -> None:
        self._has_read = True
        self.note_identity(answer)
        if error := answer.get("error"):
            self.note_error(error)
        for choice in list_mappings(answer.get("choices")):
            said = choice.get(part)
            if not isinstance(said, dict):
                said = {}
            self._read_choice(choice.get("finish_reason"), said)
            self._read_output(choice.get("index"), said)
            self._keep_logprobs(choice.get("logprobs"))
        self._tier = answer.get("service_tier") or self._tier
        usage = answer.get("usage")  # the last one counts: some servers send it with every chunk
        if isinstance(usage, dict):
            self.facts.usage = read_chat_usage(usage, self._tier)

    def _read_output(self, index: object, said: Mapping[str, Any]) -> None:
        self.note_output(*said.values())  # its role is too short to matter
        if calls := said.get("tool_calls"):
            for call in list_mappings(calls):
                function = call.get("function")
                self.note_output(function.get("arguments") if isinstance(function, dict) else None)
        if not index:
            self.keep_text(said.get("content"))

    def _keep_logprobs(self, logprobs: object) -> None:
        if self.facts.logprobs is not None and isinstance(logprobs, dict):
            values = (token.get("logprob") for token in list_mappings(logprobs.get("content")))
            self.facts.logprobs += [value for value in values if isinstance(value, int | float)]

    def _read_choice(self, finish: object, said: Mapping[str, Any]) -> None:
        facts = self.facts
        if not facts.began:
            facts.began = any(value for key, value in said.items() if key != "role")
        if facts.empty:
            facts.empty = not (has_text(said.get("content")) or any(said.get(key) for key in _NOT_TEXT))
        facts.refused |= bool(said.get("refusal")) or finish == "content_filter"
        facts.truncated |= finish == "length"
        facts.finish = facts.finish or read_text(finish)


def _read_thread(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    messages = list_mappings(body.get("messages"))
    system = [message.get("content") for message in takewhile(is_of_system, messages)]
    turns = list(filterfalse(is_of_system, messages))
    return read_thread(system, body.get("tools") or body.get("functions"), turns, is_of_assistant)


def _asks_for_usage(body: Mapping[str, Any]) -> bool:
    """Whether a stream is to end with a usage chunk. Upstream refuses options of another type."""
    options = body.get("stream_options")
    if options is None:
        return False
    return not isinstance(options, Mapping) or options.get("include_usage") is True


def _include_usage(raw: bytes, stream_options: Span) -> list[tuple[Span, bytes]]:
    """The edits of ``stream_options``, null or an object, so that upstream sends usage."""
    start, end = stream_options
    if raw[start:end] == b"null":
        return [(stream_options, b"{" + _INCLUDE + b"}")]
    values = find_values(raw, start)
    if "include_usage" in values:
        return [(values["include_usage"], b"true")]
    inside = start + 1
    return [((inside, inside), _INCLUDE + (b"," if values else b""))]


def _strip_event(event: bytes) -> bytes:
    return _strip_logprobs(event, len(_DATA)) if event.startswith(_DATA + b"{") else event


def _strip_logprobs(raw: bytes, start: int) -> bytes:
    """The bytes with null for the log-probabilities of each choice of the object at ``start``."""
    choices = find_values(raw, start).get("choices")
    if choices is None or raw[choices[0] : choices[0] + 1] != b"[":
        return raw
    found = (find_values(raw, item[0]).get("logprobs") for item in find_items(raw, choices[0]))
    return replace_spans(raw, [(span, b"null") for span in found if span is not None])


def _is_only_usage(event: Mapping[str, Any]) -> bool:
    """Whether a chunk is the one that ``include_usage`` adds; one with choices is part of the answer."""
    return isinstance(event.get("usage"), dict) and not event.get("choices") and not event.get("moderation")
