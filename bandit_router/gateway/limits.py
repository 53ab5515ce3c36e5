"""The limits of one worker: how many requests it serves at once, and how many calls of each arm it makes."""

from __future__ import annotations

import asyncio
from asyncio import Semaphore
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bandit_router.errors import RouterError


class TooBusy(RouterError):
    """There is no room for a request now; retry after a moment."""


class RequestSlots:
    """Counts the requests that are being served, ``most`` at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Count a request while it is served. Raises TooBusy if there are too many."""
        if self._held >= self._most:
            raise TooBusy(f"this worker serves gateway.max_concurrency = {self._most} requests already")
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1


class ConcurrencyLimits:
    """A semaphore for each arm with a ``max_concurrency``; a call waits for it ``max_wait_s`` at most."""

    def __init__(self, max_concurrency: Mapping[str, int | None], max_wait_s: float) -> None:
        self._semaphores = {arm: Semaphore(most) for arm, most in max_concurrency.items() if most is not None}
        self._max_wait_s = max_wait_s

    def find_full(self) -> dict[str, str]:
        """The arms that have as many calls as they may have, and why they are not to be called now."""
        return {arm: "has max_concurrency calls" for arm, calls in self._semaphores.items() if calls.locked()}

    async def acquire(self, arm: str) -> None:
        """Wait until a call of the arm may begin. Raises TooBusy."""
        if arm not in self._semaphores:
            return
        try:
            async with asyncio.timeout(self._max_wait_s):
                await self._semaphores[arm].acquire()
        except TimeoutError:
            raise TooBusy(
                f"arm {arm!r} has max_concurrency calls, and none ended within {self._max_wait_s:g} s"
            ) from None

    def release(self, arm: str) -> None:
        """A call of the arm has ended."""
        if arm in self._semaphores:
            self._semaphores[arm].release()
