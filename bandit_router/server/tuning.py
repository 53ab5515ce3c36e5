"""The tuning of a process that does nothing but serve: whoever mounts the app in a program keeps theirs."""

from __future__ import annotations

import gc

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from threadpoolctl import threadpool_limits

_GC_THRESHOLD = 50_000


class TuneProcess:
    """Middleware of such a process: one BLAS thread while it runs, and rarer garbage collection.

    The objects of start-up are exempt from garbage collection, whose pauses make the latency tail.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_and_freeze(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                gc.collect()
                gc.freeze()
                gc.set_threshold(_GC_THRESHOLD)
            await send(message)

        with threadpool_limits(1, "blas"):
            await self._app(scope, receive, send_and_freeze)
