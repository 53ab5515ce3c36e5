"""Answers of a scripted Anthropic server, and what the client of a chat is to make of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from tests.gateway.dialects.examples.example import named
from tests.gateway.dialects.examples.messages import MESSAGE_STOP, PING, message
from tests.gateway.translation.requests import OBJECTS

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_PIECES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=4)
_COUNTS = st.integers(0, 10_000)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A content block in the pieces that it is streamed in."""

    kind: str
    pieces: tuple[str, ...] = ()
    call_id: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def whole(self) -> dict[str, Any]:
        """The block in an answer in one piece."""
        match self.kind:
            case "tool_use":
                given = json.loads(self.text or "{}")
                return {"type": "tool_use", "id": self.call_id, "name": self.name, "input": given}
            case "thinking":
                return {"type": "thinking", "thinking": self.text, "signature": "EqoB"}
        return {"type": self.kind, "text": self.text}

    def events(self, index: int) -> list[dict[str, Any]]:
        """The block in a stream."""
        empty = {**self.whole(), "text": "", "input": {}, "thinking": "", "signature": ""}
        start = {key: value for key, value in empty.items() if key in self.whole()}
        delta = {"tool_use": ("input_json_delta", "partial_json"), "thinking": ("thinking_delta", "thinking")}
        kind, member = delta.get(self.kind, ("text_delta", "text"))
        deltas = [{"type": kind, member: piece} for piece in self.pieces]
        if self.kind == "thinking":
            deltas.append({"type": "signature_delta", "signature": "EqoB"})
        return [
            {"type": "content_block_start", "index": index, "content_block": start},
            *({"type": "content_block_delta", "index": index, "delta": one} for one in deltas),
            {"type": "content_block_stop", "index": index},
        ]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer, and how many of its input tokens were read from the cache and written to it."""

    blocks: tuple[Block, ...] = ()
    stop: str = "end_turn"
    plain: int = 8
    read: int = 0
    written: int = 0
    output: int = 3
    thinking: int = 0

    def usage(self) -> dict[str, Any]:
        return {
            "input_tokens": self.plain,
            "cache_read_input_tokens": self.read,
            "cache_creation_input_tokens": self.written,
            "output_tokens": self.output,
            "output_tokens_details": {"thinking_tokens": self.thinking},
        }

    def body(self) -> bytes:
        """The answer in one piece."""
        return json.dumps(message([block.whole() for block in self.blocks], self.stop, self.usage())).encode()

    def events(self) -> list[dict[str, Any]]:
        """The events of the answer."""
        begun = message([], None, {**self.usage(), "output_tokens": 1, "output_tokens_details": None})
        events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
        for index, block in enumerate(self.blocks):
            events += [*block.events(index), PING]
        delta = {"stop_reason": self.stop, "stop_sequence": None}
        counts = {key: value for key, value in self.usage().items() if key.startswith("output")}
        return [*events, {"type": "message_delta", "delta": delta, "usage": counts}, MESSAGE_STOP]

    def stream(self) -> bytes:
        return named(*self.events())

    @property
    def text(self) -> str | None:
        texts = [block.text for block in self.blocks if block.kind == "text"]
        return "".join(texts) if texts else None

    @property
    def calls(self) -> list[tuple[str, str, str]]:
        """The tool calls: id, name and arguments as they are streamed."""
        return [
            (block.call_id, block.name, block.text or "{}")
            for block in self.blocks
            if block.kind == "tool_use"
        ]


def _split(text: str, cuts: list[int]) -> tuple[str, ...]:
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return tuple(text[start:end] for start, end in pairwise(places))


_TEXTS = st.builds(lambda pieces: Block(kind="text", pieces=tuple(pieces)), _PIECES)
_THOUGHTS = st.builds(lambda pieces: Block(kind="thinking", pieces=tuple(pieces)), _PIECES)
_CALLS = st.builds(
    lambda name, given, cuts: Block(
        kind="tool_use",
        name=name,
        call_id=f"toolu_{name}",
        pieces=_split(json.dumps(given), cuts) if given else (),
    ),
    st.sampled_from(["f", "look_up"]),
    OBJECTS,
    st.lists(st.integers(0, 100), max_size=3),
)
ANSWERS = st.builds(
    Answer,
    blocks=st.lists(_TEXTS | _CALLS | _THOUGHTS, max_size=4).map(tuple),
    stop=st.sampled_from(list(FINISH)),
    plain=_COUNTS,
    read=_COUNTS,
    written=_COUNTS,
    output=_COUNTS.map(lambda count: count + 10),
    thinking=st.integers(0, 10),
)
