"""A stream whose answer is held: comments keep the connection alive until it is known which one it gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from bandit_router.gateway.gateway import Answered

COMMENT = b": the answer is being checked\n\n"
"""An event that clients of server-sent events skip (WHATWG HTML, section 9.2.6)."""

HEADERS = [("content-type", "text/event-stream; charset=utf-8")]


class HeldStream:
    """The stream of an answer that is under way; ``write_error`` words an error as its last event."""

    def __init__(
        self,
        answering: asyncio.Future[Answered],
        every_s: float,
        write_error: Callable[[Exception], bytes],
    ) -> None:
        self._answering = answering
        self._every_s = every_s
        self._write_error = write_error

    async def is_answered(self) -> bool:
        """Wait for the time of one comment; whether the answer has begun, or failed, by then."""
        try:
            await asyncio.wait({self._answering}, timeout=self._every_s)
        except asyncio.CancelledError:
            await self.aclose()
            raise
        return self._answering.done()

    async def iterate_bytes(self) -> AsyncIterator[bytes]:
        """Comments, and then the answer, or an error."""
        yield COMMENT
        while not await self.is_answered():
            yield COMMENT
        try:
            answered = self._answering.result()
        except Exception as error:
            yield self._write_error(error)
            return
        async for piece in answered.call.iterate_bytes():
            yield piece

    async def aclose(self) -> None:
        """The client takes no more. Idempotent."""
        self._answering.cancel()
        with suppress(Exception, asyncio.CancelledError):
            answered = await self._answering
            await answered.call.aclose()
