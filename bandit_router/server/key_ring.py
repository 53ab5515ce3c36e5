"""The keys and sessions that a worker has seen lately, so that a request does not wait for the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, NamedTuple, TypeVar

from bandit_router.security.keys import ApiKey
from bandit_router.security.rate_limit import fill_bucket, take_one

T = TypeVar("T")
Found = TypeVar("Found")

LAG_S = 2.0
"""The longest time, seconds, that a worker goes by what it has read of keys and sessions."""

_LOOKUPS_PER_S = 10.0
_MOST_LOOKUPS = 50.0
"""Unknown ids that are looked up per second, and at once: a flood of them must not flood the database."""


class TooManyUnknownKeys(Exception):
    """So many unknown keys came lately that this one is not looked up for ``wait_s`` seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many requests with unknown API keys")
        self.wait_s = wait_s


class _Seen(NamedTuple):
    """What was read, and until when it is believed, seconds of the clock."""

    value: Any
    until: float

    def is_fresh(self, now: float) -> bool:
        """Whether it need not be read anew yet."""
        return now < self.until - LAG_S / 2.0


class Ring(Generic[Found]):
    """Reads things by id, each once at a time, and anew while it is still believed, so that few wait for it.

    Errors of a read that a request waits for are raised. ``clock`` returns seconds that only grow.
    """

    def __init__(
        self,
        read: Callable[[str], Coroutine[Any, Any, Found | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_by_id = read
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._reads: dict[str, asyncio.Task[Any]] = {}
        self._lookups = fill_bucket(_LOOKUPS_PER_S, _MOST_LOOKUPS, clock())

    def recall(self, id: str) -> Found | None:
        """What has that id, without a read; None, too, once it is time to read it anew."""
        seen = self._seen.get(id)
        return seen.value if seen is not None and seen.is_fresh(self._clock()) else None

    async def find(self, id: str) -> Found | None:
        """What has that id; None if nothing has. Raises TooManyUnknownKeys."""
        seen, now = self._seen.get(id), self._clock()
        if seen is not None and seen.is_fresh(now):  # as nearly always
            known: Found | None = seen.value
            return known
        is_known = seen is not None and (seen.value is not None or now < seen.until)
        if not is_known and id not in self._reads:
            self._take_lookup(now)
        return await self._find(id, lambda: self._read_by_id(id), now)

    async def _find(self, name: str, read: Callable[[], Coroutine[Any, Any, T]], now: float) -> T:
        """What is under this name, as of LAG_S ago at most."""
        seen = self._seen.get(name)
        if seen is None or now >= seen.until:
            return await asyncio.shield(self._begin_read(name, read))
        if not seen.is_fresh(now):
            self._begin_read(name, read)
        value: T = seen.value
        return value

    def _begin_read(self, name: str, read: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The read under way, or else one that begins now."""
        reading: asyncio.Task[T] | None = self._reads.get(name)
        if reading is None:
            reading = asyncio.create_task(self._read(name, read))
            self._reads[name] = reading
            reading.add_done_callback(lambda done: self._end_read(name, done))
        return reading

    async def _read(self, name: str, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        began_at = self._clock()
        value = await read()
        if value is None:  # forget other unknown keys, so that they do not pile up
            self._seen = {
                other: seen
                for other, seen in self._seen.items()
                if seen.value is not None or began_at < seen.until
            }
        self._seen[name] = _Seen(value, began_at + LAG_S)
        return value

    def _end_read(self, name: str, done: asyncio.Task[Any]) -> None:
        del self._reads[name]
        if not done.cancelled():
            done.exception()  # whoever waited may have left

    def _take_lookup(self, now: float) -> None:
        self._lookups, wait_s = take_one(self._lookups, now)
        if wait_s > 0.0:
            raise TooManyUnknownKeys(wait_s)


class KeyRing(Ring[ApiKey]):
    """The ring of API keys, which also knows whether there are any."""

    def __init__(
        self,
        read_key: Callable[[str], Coroutine[Any, Any, ApiKey | None]],
        read_has_keys: Callable[[], Coroutine[Any, Any, bool]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(read_key, clock)
        self._read_has_keys = read_has_keys
        self._has_keys = False

    async def has_keys(self) -> bool:
        """Whether there ever was a key. Once there was one, it is never asked again."""
        if not self._has_keys:
            self._has_keys = await self._find("", self._read_has_keys, self._clock())
        return self._has_keys
