"""The ring of keys: what a worker believes of keys, for how long, and what a flood of wrong ones costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from typing import Any

import pytest

from bandit_router.errors import StoreError
from bandit_router.security.issue import KeyRequest
from bandit_router.security.keys import ApiKey
from bandit_router.server.key_ring import LAG_S, KeyRing, TooManyUnknownKeys
from bandit_router.store.store import Store
from tests.databases import MakeUrl
from tests.store.examples import set_up

REQUEST = KeyRequest(name="ci", scopes=["route"])


class Worker:
    """A ring on a real store, which counts what is read, with a clock that the test sets."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.time = 1_000.0
        self.reads: Counter[str] = Counter()
        self.is_away = False
        self.ring = KeyRing(self._read_key, self._read_has_keys, lambda: self.time)

    async def _read_key(self, key_id: str) -> ApiKey | None:
        self.reads[key_id] += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreError("away")
        return await asyncio.to_thread(self.store.find_key, key_id)

    async def _read_has_keys(self) -> bool:
        self.reads["any"] += 1
        return await asyncio.to_thread(self.store.has_keys)


@pytest.fixture
def store(make_sqlite_url: MakeUrl) -> Iterator[Store]:
    with closing(Store.open(make_sqlite_url(migrated=True), "r")) as opened:
        yield set_up(opened)


def play(store: Store, scene: Callable[[Worker], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await scene(Worker(store))

    asyncio.run(run())


def test_a_key_is_read_once_in_a_while_whoever_asks(store: Store) -> None:
    key = store.create_key(REQUEST).key

    async def scene(worker: Worker) -> None:
        assert await asyncio.gather(*(worker.ring.find(key.id) for _ in range(200))) == [key] * 200
        worker.time += 0.4 * LAG_S
        assert await worker.ring.find(key.id) == key
        assert worker.reads[key.id] == 1
        worker.time += 0.6 * LAG_S
        assert await worker.ring.find(key.id) == key
        assert worker.reads[key.id] == 2

    play(store, scene)


def test_a_key_in_use_is_read_anew_before_anybody_has_to_wait(store: Store) -> None:
    key = store.create_key(REQUEST).key

    async def scene(worker: Worker) -> None:
        await worker.ring.find(key.id)
        store.revoke_key(key.id)
        worker.time += 0.6 * LAG_S
        assert await asyncio.gather(*(worker.ring.find(key.id) for _ in range(20))) == [key] * 20
        while worker.ring._reads:
            await asyncio.sleep(0.001)
        worker.time += 0.6 * LAG_S
        worker.is_away = True  # nothing has to be read now
        read = await worker.ring.find(key.id)
        assert read is not None
        assert read.revoked_at is not None
        assert worker.reads[key.id] == 2

    play(store, scene)


def test_a_revoked_key_is_known_as_such_within_the_lag(store: Store) -> None:
    key = store.create_key(REQUEST).key

    async def scene(worker: Worker) -> None:
        await worker.ring.find(key.id)
        store.revoke_key(key.id)
        worker.time += LAG_S
        read = await worker.ring.find(key.id)
        assert read is not None
        assert read.revoked_at is not None

    play(store, scene)


def test_the_first_key_is_noticed_within_the_lag_and_never_forgotten(store: Store) -> None:
    async def scene(worker: Worker) -> None:
        assert not await worker.ring.has_keys()
        store.create_key(REQUEST)
        worker.time += LAG_S
        assert await worker.ring.has_keys()
        worker.time += 100 * LAG_S
        assert await worker.ring.has_keys()
        assert worker.reads["any"] == 2

    play(store, scene)


def test_a_new_key_works_at_once_and_one_that_was_unknown_within_the_lag(store: Store) -> None:
    async def scene(worker: Worker) -> None:
        key = store.create_key(REQUEST).key
        assert await worker.ring.find(key.id) == key
        assert await worker.ring.find("0123456789ab") is None
        assert await worker.ring.find("0123456789ab") is None
        assert worker.reads["0123456789ab"] == 1
        worker.time += LAG_S
        assert await worker.ring.find("0123456789ab") is None
        assert worker.reads["0123456789ab"] == 2

    play(store, scene)


def test_a_flood_of_unknown_keys_is_not_looked_up_and_known_keys_go_on(store: Store) -> None:
    key = store.create_key(REQUEST).key

    async def scene(worker: Worker) -> None:
        await worker.ring.find(key.id)
        flood = (worker.ring.find(f"{i:012x}") for i in range(1_000))
        answers = await asyncio.gather(*flood, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, TooManyUnknownKeys)]
        assert len(refused) > 900
        assert all(0.0 < error.wait_s <= 1.0 for error in refused)
        assert answers.count(None) == 1_000 - len(refused) == sum(worker.reads.values()) - 1
        worker.time += LAG_S
        assert await worker.ring.find(key.id) == key
        assert await worker.ring.find("f" * 12) is None

    play(store, scene)


def test_a_key_that_cannot_be_read_any_more_is_believed_no_longer(store: Store) -> None:
    key = store.create_key(REQUEST).key

    async def scene(worker: Worker) -> None:
        await worker.ring.find(key.id)
        worker.is_away = True
        assert await worker.ring.find(key.id) == key
        worker.time += LAG_S
        for _ in range(2):
            with pytest.raises(StoreError):
                await worker.ring.find(key.id)
        worker.is_away = False
        assert await worker.ring.find(key.id) == key

    play(store, scene)


def test_whoever_leaves_while_a_key_is_read_fails_nobody_else(store: Store) -> None:
    key = store.create_key(REQUEST).key

    async def scene(worker: Worker) -> None:
        first = asyncio.ensure_future(worker.ring.find(key.id))
        second = asyncio.ensure_future(worker.ring.find(key.id))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == key
        assert worker.reads[key.id] == 1

    play(store, scene)
