"""What a scripted model does with a request: its words, tokens and times, and how it fails."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

import numpy as np
import orjson

from bandit_router.settings.script import ScriptSection
from bandit_router.types import DialectName, Usage

Finish = Literal["stop", "length", "tool", "refusal"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScriptedRequest:
    """A request as a scripted model sees it. Headers have lower-case names."""

    path: str
    dialect: DialectName
    model: str
    stream: bool
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str, body: bytes, headers: Mapping[str, str]) -> ScriptedRequest | None:
        """The request, or None if it is not one that a model answers."""
        if (dialect := PATHS.get(path)) is None:
            return None
        try:
            fields = orjson.loads(body)
            model, stream = str(fields["model"]), bool(fields.get("stream", False))
        except (ValueError, TypeError, LookupError, AttributeError):
            return None
        return cls(path=path, dialect=dialect, model=model, stream=stream, body=body, headers=headers)

    def fields(self) -> dict[str, Any]:
        """The body, read."""
        fields: dict[str, Any] = orjson.loads(self.body)
        return fields


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One answer. A ``status`` of 400 or more is an error with ``error`` as its message.

    ``pieces`` are the texts of the chunks of a stream, each a token of this probability. ``tool`` is a tool
    call: name and arguments as JSON. After ``cut_after`` chunks the connection ends, after ``stall_after`` no
    more comes. ``raw`` is sent instead of the answer.
    """

    pieces: tuple[str, ...] = ()
    token_probability: float = 1.0
    tool: tuple[str, str] | None = None
    finish: Finish = "stop"
    usage: Usage = field(default_factory=Usage)
    status: int = 200
    error: str = "scripted failure"
    headers: Mapping[str, str] = field(default_factory=dict)
    first_token_s: float = 0.0
    gap_s: float = 0.0
    cut_after: int | None = None
    stall_after: int | None = None
    raw: bytes | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


Script = Callable[[ScriptedRequest], Scene]
"""A scripted model: what it does with each request."""

PATHS: Mapping[str, DialectName] = {
    "/v1/chat/completions": DialectName.CHAT,
    "/v1/responses": DialectName.RESPONSES,
    "/v1/messages": DialectName.MESSAGES,
}

_WORDS = "the arm learns from every answer and regret grows slower than the log of time does"
_CHARS_PER_TOKEN = 4


def improvise(section: ScriptSection) -> Script:
    """A script that makes everything up from the seed and the bytes of the request, but for an outage."""
    calls = count()
    outage = range(section.outage_after, section.outage_after + section.outage_calls)

    def play(request: ScriptedRequest) -> Scene:
        rng = _make_rng(section.seed, request.body)
        first = section.first_token_s * float(rng.exponential())
        fails = rng.random() < section.failure_rate
        if next(calls) in outage or fails:
            return Scene(status=section.failure_status, first_token_s=first)
        pieces = _split(section.answer) or _make_up(rng, section.output_tokens)
        usage = Usage(
            input_tokens=max(1, len(request.body) // _CHARS_PER_TOKEN), output_tokens=max(1, len(pieces))
        )
        probability = float(rng.uniform(section.least_token_probability, 1.0))
        return Scene(
            pieces=pieces,
            token_probability=probability,
            usage=usage,
            first_token_s=first,
            gap_s=section.gap_s,
        )

    return play


def digest(*parts: bytes) -> str:
    """A name for a request: 32 hexadecimal digits."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def _make_rng(seed: int, body: bytes) -> np.random.Generator:
    return np.random.default_rng([seed, int(digest(body), 16)])


def _split(text: str) -> tuple[str, ...]:
    """The words of a text, each with the space before it."""
    words = text.split(" ")
    return (words[0], *(f" {word}" for word in words[1:])) if text else ()


def _make_up(rng: np.random.Generator, mean_tokens: int) -> tuple[str, ...]:
    count = 1 + int(rng.poisson(mean_tokens - 1))
    words = _WORDS.split()
    return _split(" ".join(words[i] for i in rng.integers(len(words), size=count)))
