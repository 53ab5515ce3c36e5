"""The taps of translated answers: the facts are read from what upstream sends, the client gets chat."""

from __future__ import annotations

import orjson

from bandit_router.gateway.dialects.event_stream import EventSplitter, read_data
from bandit_router.gateway.dialects.messages import MessageReader
from bandit_router.gateway.dialects.taps import parse_json
from bandit_router.gateway.translation.answer import translate_message
from bandit_router.gateway.translation.closed import Untranslatable
from bandit_router.gateway.translation.stream import ChunkWriter
from bandit_router.providers.base import FailureKind, UpstreamError


class TranslatingStreamTap:
    """A tap of server-sent events. What it cannot translate it raises as UpstreamError: the answer is cut."""

    def __init__(self, created: int, *, wants_usage: bool, keeps_text: bool = False) -> None:
        self._reader = MessageReader(keeps_text=keeps_text)
        self.facts = self._reader.facts
        self._writer = ChunkWriter(self.facts, created, wants_usage=wants_usage)
        self._splitter = EventSplitter()

    def feed(self, chunk: bytes) -> bytes:
        return b"".join([self._translate(event) for event in self._splitter.split(chunk)])

    def finish(self) -> bytes:
        held = self._splitter.held
        return self._translate(held) if parse_json(read_data(held)) is not None else b""

    def _translate(self, event: bytes) -> bytes:
        data = read_data(event)
        if not data:
            return b""
        parsed = parse_json(data)
        if parsed is None:
            raise UpstreamError(FailureKind.GARBLED, "the answer has an event that is not JSON")
        self._reader.read_event(parsed)
        try:
            return self._writer.translate(parsed)
        except Untranslatable as error:
            raise _cut(error) from None


class TranslatingBodyTap:
    """A tap of an answer in a single piece."""

    def __init__(self, created: int, *, keeps_text: bool = False) -> None:
        self._reader = MessageReader(keeps_text=keeps_text)
        self.facts = self._reader.facts
        self._created = created
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> bytes:
        self._chunks.append(chunk)
        return b""

    def finish(self) -> bytes:
        body = parse_json(b"".join(self._chunks))
        if body is None:
            raise UpstreamError(FailureKind.GARBLED, "the answer is not JSON")
        self._reader.read_body(body)
        if self.facts.error is not None:
            return b""
        try:
            translated = orjson.dumps(translate_message(body, self.facts, self._created))
        except Untranslatable as error:
            raise _cut(error) from None
        self.facts.began = self.facts.complete = True
        return translated


def _cut(error: Untranslatable) -> UpstreamError:
    return UpstreamError(FailureKind.GARBLED, f"chat has no form for what came: {error.field}")
