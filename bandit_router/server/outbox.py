"""Where requests wait for their commit."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from bandit_router.errors import RouterError
from bandit_router.router import Router
from bandit_router.store.write import Committed, WriteRequest

Answer = Committed | RouterError


class Outbox:
    """Hands the writes of one pass of the event loop to the writer together.

    So the writer's thread wakes once for all of them and finds one large batch, instead of competing
    for Python's global lock with every request still being worked on.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._waiting: list[tuple[WriteRequest, asyncio.Future[Answer]]] = []

    async def commit(self, put: WriteRequest) -> Any:
        """What the write came to, once it is committed. Raises the RouterError it came to."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush, loop)
        self._waiting.append((put, future))
        answer = await future
        if isinstance(answer, RouterError):
            raise answer
        return answer

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, self._waiting = self._waiting, []
        for put, future in waiting:
            try:
                self._router.submit(put, partial(_tell, loop, future))
            except RouterError as error:
                _settle(future, error)


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Answer], answer: Answer) -> None:
    loop.call_soon_threadsafe(_settle, future, answer)


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():  # the client may have gone
        future.set_result(answer)
