"""An end that comes: the process exits some time after its shutdown began, whatever still waits.

A thread that waits for a database that never answers cannot be ended, and Python waits for its threads.
"""

from __future__ import annotations

import logging
import os
import threading

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)


class ExitAfterShutdown:
    """Middleware of a process that serves nothing else: exits ``seconds`` after the server has asked ``app``
    to shut down, unless it has ended by then. Nothing that was acknowledged is lost.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def receive_and_watch() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                self._start_timer()
            return message

        await self._app(scope, receive_and_watch, send)

    def _start_timer(self) -> None:
        timer = threading.Timer(self._seconds, self._exit)
        timer.daemon = True
        timer.start()

    def _exit(self) -> None:
        log.error("shutdown took more than %g s: exiting with threads that still wait", self._seconds)
        logging.shutdown()
        os._exit(1)
