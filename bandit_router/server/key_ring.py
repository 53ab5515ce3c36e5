"""The keys that a worker has seen lately, so that a request does not wait for the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from bandit_router.security.keys import ApiKey
from bandit_router.security.rate_limit import fill_bucket, take_one

T = TypeVar("T")

LAG_S = 2.0
"""The longest time, seconds, that a worker goes by what it has read of keys."""

_LOOKUPS_PER_S = 10.0
_MOST_LOOKUPS = 50.0
"""Unknown ids that are looked up per second, and at once: a flood of them must not flood the database."""


class TooManyUnknownKeys(Exception):
    """So many unknown keys came lately that this one is not looked up for ``wait_s`` seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many requests with unknown API keys")
        self.wait_s = wait_s


class _Seen(NamedTuple):
    """A key as it was read, and until when it is believed, seconds of the clock."""

    key: ApiKey
    until: float


class KeyRing:
    """Reads keys, each at most once in LAG_S, whoever asks meanwhile. Errors of reading are raised.

    ``clock`` returns seconds that only grow.
    """

    def __init__(
        self,
        read_key: Callable[[str], Awaitable[ApiKey | None]],
        read_has_keys: Callable[[], Awaitable[bool]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_key = read_key
        self._read_has_keys = read_has_keys
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._unknown: dict[str, float] = {}
        self._reads: dict[str, asyncio.Future[Any]] = {}
        self._lookups = fill_bucket(_LOOKUPS_PER_S, _MOST_LOOKUPS, clock())
        self._has_keys = False
        self._has_no_keys_until = clock()

    async def has_keys(self) -> bool:
        """Whether there ever was a key. Once there was one, it is never asked again."""
        if self._has_keys:
            return True
        now = self._clock()
        if now >= self._has_no_keys_until:
            self._has_keys = await self._read_once("", self._read_has_keys)
            self._has_no_keys_until = now + LAG_S
        return self._has_keys

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of that id; None if there is none. Raises TooManyUnknownKeys."""
        seen, now = self._seen.get(key_id), self._clock()
        if seen is not None and now < seen.until:
            return seen.key
        if seen is None:
            if now < self._unknown.get(key_id, 0.0):
                return None
            self._take_lookup(now)
        key = await self._read_once(key_id, lambda: self._read_key(key_id))
        if key is None:
            self._unknown = {other: until for other, until in self._unknown.items() if now < until}
            self._unknown[key_id] = now + LAG_S
        else:
            self._seen[key_id] = _Seen(key, now + LAG_S)
        return key

    def _take_lookup(self, now: float) -> None:
        self._lookups, wait_s = take_one(self._lookups, now)
        if wait_s > 0.0:
            raise TooManyUnknownKeys(wait_s)

    async def _read_once(self, name: str, read: Callable[[], Awaitable[T]]) -> T:
        """What is read under this name, once for all who ask meanwhile."""
        reading: asyncio.Future[T] | None = self._reads.get(name)
        if reading is None:
            reading = asyncio.ensure_future(read())
            self._reads[name] = reading
            reading.add_done_callback(lambda done: self._end_read(name, done))
        return await asyncio.shield(reading)

    def _end_read(self, name: str, done: asyncio.Future[Any]) -> None:
        del self._reads[name]
        if not done.cancelled():
            done.exception()  # whoever asked may have left
