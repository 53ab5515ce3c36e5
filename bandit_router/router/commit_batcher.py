"""The commit batcher: hands the writes of one pass of the event loop to the writer together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from bandit_router.errors import CommitTimeout, RouterError
from bandit_router.store.write_requests import WriteRequest, WriteResult
from bandit_router.store.writer import Done


class CommitBatcher:
    """Collects writes until the event loop has run every ready request, then submits them all.

    The writer's thread then wakes once and commits one large batch, instead of competing for Python's global
    lock with every request still being worked on.
    """

    def __init__(self, submit: Callable[[WriteRequest, Done], None], timeout_s: float) -> None:
        self._submit = submit
        self._timeout_s = timeout_s
        self._waiting: list[tuple[WriteRequest, asyncio.Future[WriteResult]]] = []

    async def commit(self, request: WriteRequest) -> Any:
        """The result of a write, once it is committed.

        Raises the RouterError of a failed write, CommitTimeout after ``timeout_s``.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[WriteResult] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._submit_waiting, loop)
        self._waiting.append((request, future))
        timer = loop.call_later(self._timeout_s, self._give_up, future)
        try:
            result = await future
        finally:
            timer.cancel()
        if isinstance(result, RouterError):
            raise result
        return result

    def _submit_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, self._waiting = self._waiting, []
        for request, future in waiting:
            try:
                self._submit(request, partial(_set_result_from_writer, loop, future))
            except RouterError as error:
                _set_result(future, error)

    def _give_up(self, future: asyncio.Future[WriteResult]) -> None:
        _set_result(future, CommitTimeout(self._timeout_s))


def _set_result_from_writer(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[WriteResult], result: WriteResult
) -> None:
    loop.call_soon_threadsafe(_set_result, future, result)


def _set_result(future: asyncio.Future[WriteResult], result: WriteResult) -> None:
    if not future.done():  # the client may have gone
        future.set_result(result)
