"""Limits of what a client may send, and of how long it may take: uvicorn has none for headers and bodies."""

from __future__ import annotations

from asyncio import TimerHandle
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bandit_router.settings.serving import ServerSection


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestLimits:
    """Bytes of the headers of a request with its path, seconds to send them, seconds to send the body."""

    header_bytes: int
    header_timeout_s: float
    body_timeout_s: float


class _Awaited(Enum):
    """The part of a request that the client has to send now."""

    HEADERS = auto()
    BODY = auto()
    NOTHING = auto()


class _HeadersTooLarge(Exception):
    """Ends the parsing of a request."""


class LimitedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which closes a connection that exceeds the limits.

    A request that arrives whole, as most do, arms no timer.
    """

    def __init__(self, *args: Any, limits: RequestLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._awaited = _Awaited.HEADERS
        self._timed: _Awaited = _Awaited.NOTHING
        self._timer: TimerHandle | None = None
        self._header_bytes = 0  # received since the request began, which may include some of its body
        self._refusal = 400

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._awaited = _Awaited.NOTHING
        self._set_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._header_bytes += len(data)
        super().data_received(data)
        if self._awaited is _Awaited.HEADERS and self._header_bytes > self._limits.header_bytes:
            self._refuse(431)
        elif self._awaited is not self._timed:
            self._set_timer()

    # -- what the parser says ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._awaited = _Awaited.HEADERS
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._header_bytes > self._limits.header_bytes and self._count_header_bytes():
            self._refusal = 431
            raise _HeadersTooLarge
        self._awaited = _Awaited.BODY
        super().on_headers_complete()

    def _count_header_bytes(self) -> bool:
        """Whether they are over the limit, which what was received only may be."""
        counted = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.url) + counted > self._limits.header_bytes

    def on_message_complete(self) -> None:
        self._awaited = _Awaited.NOTHING
        self._header_bytes = 0
        super().on_message_complete()

    # -- refusals ---------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        self._refuse(self._refusal)

    def _set_timer(self) -> None:
        """Have the timer wait for what is awaited now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timed = self._awaited
        if self._awaited is not _Awaited.NOTHING:
            of_headers = self._awaited is _Awaited.HEADERS
            seconds = self._limits.header_timeout_s if of_headers else self._limits.body_timeout_s
            self._timer = self.loop.call_later(seconds, self._end_wait)

    def _end_wait(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.flow.read_paused or (self._awaited is _Awaited.HEADERS and answering):
            self._set_timer()  # it is our turn, not the client's
        else:
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        """Answer with this status unless an answer has begun, and close."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        if cycle is not None:  # whoever waits for the body hears that there is no more
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()


def make_http_protocol(section: ServerSection) -> Any:
    """What makes connections, for ``uvicorn.Config(http=…)``, with the limits of the settings."""
    limits = RequestLimits(
        header_bytes=section.max_header_bytes,
        header_timeout_s=section.header_timeout_s,
        body_timeout_s=section.body_timeout_s,
    )
    return partial(LimitedHttpProtocol, limits=limits)
