"""What every dialect knows: how to read a request, to watch an answer go by, and to word an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bandit_router.features import Prompt
from bandit_router.types import Usage

OPTION_PREFIX = "x-bandit-"
OPTION_NAMES = (
    *("tier", "task", "conversation", "workflow", "deadline", "max-cost", "forbid", "user", "will-be-rated"),
    "incumbent",
)
"""Options of a route call: with the prefix, the names of headers and of members of ``metadata``."""

UNREADABLE = "unreadable_answer"
"""The error of an answer that is not what its dialect says."""

Span = tuple[int, int]
"""Where a value begins and ends in the bytes of a body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DialectRequest:
    """What routing needs of a request.

    ``fields`` are the names of its top-level fields, which an arm may not take; ``spans`` says where their
    values stand. ``options`` are those of a route call that its metadata names, by ``OPTION_NAMES``.
    ``user`` is what the client calls its user in the dialect's own field.
    ``cache_key`` is what the client says of the conversation: its prompt cache key, or the id of a
    conversation that upstream keeps.

    ``thread`` identifies the conversation by content: a hash of system, tools and first message. It is None
    where the request has no turn of the assistant, which begins anew; ``new_thread`` is then the hash that
    the later turns will have. Both are None where upstream keeps the earlier turns.
    ``max_output_tokens`` limits each of its ``answers``.
    ``tool_failed`` says whether a tool failed whose result is at its end; None if it ends with no result.
    ``pin`` names what only the arm of before can go on from: an answer (``resp_…``), a conversation that
    upstream keeps (``conv_…``) or a signature (``signature:…``).

    A tap keeps the text of the answer with ``keeps_text``, and with ``keeps_logprobs`` the log-probabilities
    of its tokens: these are asked for, too, if the client does not want them itself.
    """

    model: str
    stream: bool
    prompt: Prompt
    fields: frozenset[str]
    spans: Mapping[str, Span] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    cache_key: str | None = None
    thread: str | None = None
    new_thread: str | None = None
    pin: str | None = None
    max_output_tokens: int | None = None
    answers: int = 1
    wants_usage: bool = True
    wants_logprobs: bool = False
    tool_failed: bool | None = None
    keeps_text: bool = False
    keeps_logprobs: bool = False

    @property
    def in_tool_loop(self) -> bool:
        """Whether it ends with what a tool gave back."""
        return self.tool_failed is not None


@dataclass(kw_only=True, slots=True)
class AnswerFacts:
    """What a tap has seen of an answer so far.

    ``began`` says whether its first content has come: text, reasoning, a tool call or an error event; of an
    answer in one piece, the whole of it. ``complete`` says whether its end mark has come.
    ``finish`` is the reason in the dialect's own word. ``empty``: no text but white space, and no tool call.
    ``error`` is upstream's code or type of an error, never its message, which may quote the prompt.
    ``output_bytes`` is the size in UTF-8 of its texts, reasoning and tool arguments so far; ``text`` has the
    pieces of its text, ``logprobs`` the log-probabilities of its tokens, where the request keeps them.
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
    output_bytes: int = field(default=0, compare=False)
    text: list[str] | None = field(default=None, compare=False)
    logprobs: list[float] | None = field(default=None, compare=False)


class Tap(Protocol):
    """Reads an answer as it passes; never changes what it does not have to."""

    facts: AnswerFacts

    def feed(self, chunk: bytes) -> bytes:
        """The bytes to pass on now: whole events of a stream, but for a usage chunk nobody asked for.

        The piece of an event at the end of a chunk is held back until the rest comes, so that an error event
        can follow at any time.
        """

    def finish(self) -> bytes:
        """Read what was held back as the last event, and return it, when upstream has closed the answer.

        Pass it on if ``facts.complete``. Otherwise the answer was cut: pass on the error event instead,
        unless ``facts.error`` says that upstream has sent one.
        """


class Dialect(Protocol):
    """One form of HTTP API."""

    name: str
    path: str

    def read_request(self, raw: bytes) -> DialectRequest:
        """Read a request body. Raises InvalidInput naming the field."""

    def write_request(self, raw: bytes, request: DialectRequest, model: str) -> bytes:
        """The body for upstream: the same bytes with another model, and what the tap needs asked for.

        That is usage in chat streams, and log-probabilities that the request keeps.
        """

    def open_tap(self, request: DialectRequest) -> Tap:
        """A tap for one answer."""

    def strip_logprobs(self, answer: bytes, *, stream: bool) -> bytes:
        """A whole answer with null for its log-probabilities, which the client has not asked for."""

    def error_body(self, status: int, message: str, code: str | None = None) -> bytes:
        """The JSON body of an error in this dialect."""

    def error_event(self, message: str) -> bytes:
        """The event that ends a stream which was cut."""

    def models_body(self, names: Sequence[str]) -> bytes:
        """The JSON body of the list of models."""
