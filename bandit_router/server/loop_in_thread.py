"""An event loop in a thread, for callers that have none."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from bandit_router.errors import RouterClosed, RouterForked

T = TypeVar("T")

Work = Callable[[], Coroutine[Any, Any, T]]
"""A coroutine function without arguments."""


class LoopInThread:
    """Starts with the first call. In a program that exits without :meth:`stop`, ``at_exit`` runs there last.

    anyio's portal to such a loop is ended by the garbage collector, which a forked child never survives.
    """

    def __init__(self, at_exit: Work[None]) -> None:
        self._at_exit = at_exit
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._process = os.getpid()
        self._stopping = asyncio.Event()
        self.stopped = False

    def call(self, work: Work[T]) -> T:
        """The result of the work, which is cancelled if the caller is interrupted.

        Raises RouterForked, RouterClosed, or what the work raises.
        """
        self._start()
        future = asyncio.run_coroutine_threadsafe(work(), self._loop.result())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self, last: Work[None]) -> None:
        """Do this last work, and end the thread. Idempotent; a forked child leaves it all to its parent."""
        if self._thread is None or self.stopped or os.getpid() != self._process:
            return
        atexit.unregister(self._finish)
        try:
            self.call(last)
        finally:
            self.stopped = True
            self._loop.result().call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def _start(self) -> None:
        if self._thread is not None and os.getpid() != self._process:
            raise RouterForked  # before a lock that a thread of the parent may have held
        with self._starting:
            if self.stopped:
                raise RouterClosed
            if self._thread is None:
                self._process = os.getpid()
                self._thread = threading.Thread(target=self._run, name="bandit-router-loop", daemon=True)
                self._thread.start()
                atexit.register(self._finish)

    def _run(self) -> None:
        asyncio.run(self._wait_until_stopped())

    async def _wait_until_stopped(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        await self._stopping.wait()

    def _finish(self) -> None:
        if os.getpid() == self._process:
            self.call(self._at_exit)
