"""Stores on the test's database, closed when the test is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bandit_router.store.store import Store
from bandit_router.store.timeouts import Timeouts
from tests.store.examples import OpenStore, set_up


@pytest.fixture
def open_store(url: str) -> Iterator[OpenStore]:
    """Opens another store on the test's database, as another worker would."""
    stores: list[Store] = []
    patient = Timeouts(lock_s=60.0)  # a worker of a busy machine may keep others waiting

    def open_one(router: str = "r") -> Store:
        stores.append(Store.open(url, router, timeouts=patient))
        return set_up(stores[-1])

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    """A store of the router "r", with its arms."""
    return open_store()
