"""The two taps: one for a stream of events, one for an answer in a single piece.

Every event is parsed. jiter reads one in two microseconds, as long as any search of its bytes would take
that is sure not to be misled by a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jiter

from bandit_router.gateway.dialects.base import UNREADABLE, AnswerFacts
from bandit_router.gateway.dialects.event_stream import EventSplitter, read_data

_DONE = b"[DONE]"
_ERROR_CHARS = 64


class AnswerReader:
    """What a dialect makes of the objects of an answer. The facts begin empty and are filled on the way."""

    def __init__(self, *, keeps_text: bool = False, keeps_logprobs: bool = False) -> None:
        self.facts = AnswerFacts(text=[] if keeps_text else None, logprobs=[] if keeps_logprobs else None)

    def read_body(self, body: Mapping[str, Any]) -> None:
        """Read an answer in a single piece."""
        raise NotImplementedError

    def read_event(self, event: Mapping[str, Any]) -> bool:
        """Read the data of one event; whether it is to be passed on."""
        raise NotImplementedError

    def read_done(self) -> None:
        """Read the mark ``[DONE]``, which ends the streams of some dialects."""

    def note_error(self, error: object) -> None:
        """Note the error that an answer brings, by its code or type."""
        names = [error.get(key) for key in ("code", "type")] if isinstance(error, Mapping) else []
        named = [str(name) for name in names if name and isinstance(name, str | int)]
        self.facts.error = named[0][:_ERROR_CHARS] if named else "error"
        self.facts.began = True

    def note_output(self, *pieces: object) -> None:
        """Note the size of what the model said, in any form."""
        for piece in pieces:
            if isinstance(piece, str):
                self.facts.output_bytes += len(piece.encode())

    def keep_text(self, piece: object) -> None:
        """Keep a piece of the text, if texts are kept."""
        if self.facts.text is not None and piece and isinstance(piece, str):
            self.facts.text.append(piece)

    def note_identity(self, answer: Mapping[str, Any]) -> None:
        """Note the answer's id and the model that served it, as upstream says."""
        facts = self.facts
        facts.answer_id = facts.answer_id or read_text(answer.get("id"))
        facts.served_model = facts.served_model or read_text(answer.get("model"))


class StreamTap:
    """A tap of server-sent events."""

    def __init__(self, reader: AnswerReader) -> None:
        self.facts = reader.facts
        self._reader = reader
        self._splitter = EventSplitter()

    def feed(self, chunk: bytes) -> bytes:
        return b"".join([event for event in self._splitter.split(chunk) if self._read(event)])

    def finish(self) -> bytes:
        held = self._splitter.held
        if _is_whole(read_data(held)):
            return held if self._read(held) else b""
        return held  # it was cut, which is no error that upstream has sent

    def _read(self, event: bytes) -> bool:
        """Read one event; whether it is to be passed on."""
        data = read_data(event)
        if not data:
            return True  # a comment, which keeps the connection alive
        if data.startswith(_DONE):
            self._reader.read_done()
            return True
        parsed = parse_json(data)
        if parsed is not None:
            return self._reader.read_event(parsed)
        self._reader.note_error({"code": UNREADABLE})
        return True


class BodyTap:
    """A tap of an answer in a single piece, which it reads at the end."""

    def __init__(self, reader: AnswerReader) -> None:
        self.facts = reader.facts
        self._reader = reader
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> bytes:
        self._chunks.append(chunk)
        return chunk

    def finish(self) -> bytes:
        body = parse_json(b"".join(self._chunks))
        if body is None:
            self._reader.note_error({"code": UNREADABLE})
            return b""
        self.facts.began = self.facts.complete = True
        self._reader.read_body(body)
        return b""


def read_text(value: object) -> str | None:
    """``value`` if it is a text that is not empty."""
    return value if isinstance(value, str) and value else None


def has_text(value: object) -> bool:
    """Whether a value says something: any but white space, null and what is empty."""
    return bool(value.strip()) if isinstance(value, str) else bool(value)


def _is_whole(data: bytes) -> bool:
    """Whether the data of the last event is all there."""
    return not data or data.startswith(_DONE) or parse_json(data) is not None


def parse_json(data: bytes) -> dict[str, Any] | None:
    """The JSON object in ``data``; None if there is none."""
    try:
        parsed = jiter.from_json(data)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
