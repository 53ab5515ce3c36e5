"""What every provider does: send the bytes of a request, and return those of the answer as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bandit_router.errors import RouterError
from bandit_router.types import Usage


class FailureKind(StrEnum):
    """How a call failed."""

    STATUS = "status"  # upstream answered with a status of 400 or more
    CONNECT = "connect"
    TIMEOUT = "timeout"  # no headers, or no byte, in time
    CUT = "cut"  # the connection ended early
    GARBLED = "garbled"  # a call of our own was answered by something else


class UpstreamError(RouterError):
    """A call failed upstream. ``status``, ``headers`` and ``body`` are those of its answer, if it had one."""

    def __init__(
        self,
        kind: FailureKind,
        detail: str,
        status: int | None = None,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status = status
        self.headers = headers
        self.body = body


class UpstreamAnswer(Protocol):
    """An answer whose headers have come: its status, its headers, and its bytes as they come."""

    status: int
    headers: Sequence[tuple[str, str]]

    def iterate_bytes(self) -> AsyncIterator[bytes]:
        """The decoded bytes of the body. Raises UpstreamError when they end early or stop coming."""

    async def aclose(self) -> None:
        """End the call, also upstream. Idempotent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """The answer to a call of our own."""

    text: str
    usage: Usage
    model: str


class Provider(Protocol):
    """The client of one arm. It retries nothing: going to another arm is the retry."""

    async def send(
        self, path: str, body: bytes, headers: Mapping[str, str], *, stream: bool = True
    ) -> UpstreamAnswer:
        """Send a request; returns with the headers of a successful answer. Raises UpstreamError.

        ``path`` is of a dialect that the arm speaks. ``stream`` says whether the body asks for a stream,
        which has to begin in time. ``headers`` come on top of the SDK's: never a client's credentials.
        """

    async def complete(self, text: str, *, max_output_tokens: int) -> Completion:
        """Answer a text. Raises UpstreamError."""

    async def aclose(self) -> None:
        """Close its connections."""
