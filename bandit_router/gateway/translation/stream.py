"""The events of a message as chat chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from bandit_router.gateway.dialects.base import AnswerFacts
from bandit_router.gateway.translation.answer import (
    HIDDEN_BLOCKS,
    find_finish_reason,
    read_block_type,
    read_string,
    write_call,
    write_frame,
    write_function,
    write_input,
)
from bandit_router.gateway.translation.closed import Untranslatable
from bandit_router.gateway.translation.errors import translate_error_object
from bandit_router.providers.usage import write_chat_usage


@dataclass(slots=True)
class _Block:
    """A content block that is open. ``call`` numbers tool calls; ``input`` stands if no part of it comes."""

    kind: str
    call: int = 0
    input: str = ""


class ChunkWriter:
    """Writes the chunks of one stream. ``facts`` are those of its events, read before each is translated."""

    def __init__(self, facts: AnswerFacts, created: int, *, wants_usage: bool) -> None:
        self._facts = facts
        self._created = created
        self._wants_usage = wants_usage
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._said_role = False

    def translate(self, event: Mapping[str, Any]) -> bytes:
        """The chunks of an event, as server-sent events. Raises Untranslatable."""
        chunks = [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in self._translate(event)]
        if event.get("type") == "message_stop":
            chunks.append(b"data: [DONE]\n\n")
        return b"".join(chunks)

    def _translate(self, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        match event.get("type"):
            case "content_block_start":
                yield from self._start_block(event)
            case "content_block_delta":
                yield from self._continue_block(event)
            case "content_block_stop":
                yield from self._end_block(event)
            case "message_stop":
                yield from self._end()
            case "error":
                yield {"error": translate_error_object(event.get("error"))}
            case "message_start":
                self._start(event.get("message"))
            case "message_delta" | "ping":
                pass  # what they say is among the facts
            case kind:
                raise Untranslatable(f"an event of type {kind!r:.64}")

    def _start(self, message: object) -> None:
        if not isinstance(message, dict) or message.get("content"):
            raise Untranslatable("a stream that begins with content")

    def _start_block(self, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        content = event.get("content_block")
        kind = read_block_type(content)
        assert isinstance(content, dict)  # it has a type
        block = self._open_block(event, kind)
        if kind == "text":
            yield self._chunk({"content": read_string(content, "text")})
        elif kind == "tool_use":
            block.call, block.input = self._calls, write_input(content)
            self._calls += 1
            call = {**write_call(content), "function": write_function(content, "")}
            yield self._chunk({"tool_calls": [{"index": block.call, **call}]})

    def _continue_block(self, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        block, given = self._find_block(event), event.get("delta")
        delta = given if isinstance(given, dict) else {}
        kind = delta.get("type")
        if block.kind == "text" and kind == "text_delta":
            yield self._chunk({"content": read_string(delta, "text")})
        elif block.kind == "tool_use" and kind == "input_json_delta":
            if piece := read_string(delta, "partial_json"):
                block.input = ""
                yield self._write_arguments(block, piece)
        elif block.kind not in HIDDEN_BLOCKS:
            raise Untranslatable(f"a delta of type {kind!r:.64}")

    def _end_block(self, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        block = self._find_block(event)
        del self._blocks[_read_index(event)]
        if block.input:
            yield self._write_arguments(block, block.input)

    def _end(self) -> Iterator[dict[str, Any]]:
        if self._blocks:
            raise Untranslatable("a content block without an end")
        yield self._chunk({}, find_finish_reason(self._facts))
        if self._wants_usage:
            usage = None if self._facts.usage is None else write_chat_usage(self._facts.usage)
            yield {**self._frame(), "choices": [], "usage": usage}

    def _write_arguments(self, block: _Block, piece: str) -> dict[str, Any]:
        return self._chunk({"tool_calls": [{"index": block.call, "function": {"arguments": piece}}]})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        if not self._said_role:
            self._said_role = True
            delta = {"role": "assistant", "content": None, **delta}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._frame(), "choices": [choice]}
        return {**chunk, "usage": None} if self._wants_usage else chunk

    def _frame(self) -> dict[str, Any]:
        return write_frame(self._facts, self._created, "chat.completion.chunk")

    def _open_block(self, event: Mapping[str, Any], kind: str) -> _Block:
        index = _read_index(event)
        if index in self._blocks:
            raise Untranslatable("two content blocks of one index")
        self._blocks[index] = block = _Block(kind)
        return block

    def _find_block(self, event: Mapping[str, Any]) -> _Block:
        block = self._blocks.get(_read_index(event))
        if block is None:
            raise Untranslatable("an event of no content block")
        return block


def _read_index(event: Mapping[str, Any]) -> int:
    index = event.get("index")
    if not isinstance(index, int):
        raise Untranslatable("a content block without an index")
    return index
