"""The calls of an arm at once, in this process."""

from __future__ import annotations

from asyncio import Semaphore
from collections.abc import Mapping


class ConcurrencyLimits:
    """A semaphore for each arm with a ``max_concurrency``."""

    def __init__(self, max_concurrency: Mapping[str, int | None]) -> None:
        self._semaphores = {arm: Semaphore(most) for arm, most in max_concurrency.items() if most is not None}

    def find_full(self) -> dict[str, str]:
        """The arms that have as many calls as they may have, and why they are not to be called now."""
        return {arm: "has max_concurrency calls" for arm, calls in self._semaphores.items() if calls.locked()}

    async def acquire(self, arm: str) -> None:
        """Wait until a call of the arm may begin."""
        if arm in self._semaphores:
            await self._semaphores[arm].acquire()

    def release(self, arm: str) -> None:
        """A call of the arm has ended."""
        if arm in self._semaphores:
            self._semaphores[arm].release()
