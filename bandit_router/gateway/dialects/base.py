"""What every dialect knows: how to read a request, to watch an answer go by, and to word an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from bandit_router.features import Prompt
from bandit_router.types import Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class DialectRequest:
    """What routing needs of a request.

    ``fields`` are the names of its top-level fields, which an arm may not take. ``options`` are those of a
    route call that its metadata names. ``thread`` identifies the conversation by content: a hash of system,
    tools and first message; None where the request has no turn of the assistant, which begins anew.
    ``pin`` names an answer or a signature that only the arm of before can go on from.
    """

    model: str
    stream: bool
    prompt: Prompt
    fields: frozenset[str]
    options: dict[str, str] = field(default_factory=dict)
    cache_key: str | None = None
    thread: str | None = None
    pin: str | None = None
    max_output_tokens: int | None = None
    wants_usage: bool = True


@dataclass(kw_only=True, slots=True)
class AnswerFacts:
    """What a tap has seen of an answer so far.

    ``began`` says whether its first content has come: text, reasoning, a tool call or an error event.
    ``finish`` is the reason in the dialect's own word; ``complete`` whether the answer ended as it should.
    """

    began: bool = False
    complete: bool = False
    answer_id: str | None = None
    served_model: str | None = None
    usage: Usage | None = None
    finish: str | None = None
    refused: bool = False
    truncated: bool = False
    empty: bool = True
    error: str | None = None


class Tap(Protocol):
    """Reads an answer as it passes; never changes what it does not have to."""

    facts: AnswerFacts

    def feed(self, chunk: bytes) -> bytes:
        """The bytes to pass on for this chunk: the same, but for a usage chunk nobody asked for."""

    def finish(self) -> bytes:
        """The bytes held back so far, at the end of the answer."""


class Dialect(Protocol):
    """One form of HTTP API."""

    name: str
    path: str

    def read_request(self, raw: bytes) -> DialectRequest:
        """Read a request body. Raises InvalidInput naming the field."""

    def write_request(self, raw: bytes, request: DialectRequest, model: str) -> bytes:
        """The body for upstream: the same bytes with another model, and usage included in chat streams."""

    def open_tap(self, request: DialectRequest) -> Tap:
        """A tap for one answer."""

    def error_body(self, status: int, message: str, code: str | None = None) -> bytes:
        """The JSON body of an error in this dialect."""

    def error_event(self, message: str) -> bytes:
        """The event that ends a stream which was cut."""
