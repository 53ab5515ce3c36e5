"""Estimates: one worker at a time makes one, one for each interval, and a worker that dies is followed."""

from __future__ import annotations

import pytest
from sqlalchemy import true

from bandit_router.store import estimates
from bandit_router.store.store import Store
from tests.store.examples import OpenStore, together

KIND = "savings"
WORKERS = 4


def take(store: Store, holder: str, interval_s: float = 3600.0, lease_s: float = 600.0) -> bool:
    return store.take_lease(KIND, holder, interval_s=interval_s, lease_s=lease_s)


def take_together(open_store: OpenStore) -> list[bool]:
    """Let several workers try at the same moment; who has the lease."""
    stores = [open_store() for _ in range(WORKERS)]
    return together(*(lambda s=s, i=i: take(s, f"w{i}") for i, s in enumerate(stores)))


def test_of_workers_that_try_at_once_one_has_the_lease(open_store: OpenStore) -> None:
    assert sum(take_together(open_store)) == 1


def test_without_the_check_all_would_have_it(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "_is_free", lambda _: true())
    assert sum(take_together(open_store)) == WORKERS


def test_the_next_is_due_after_the_interval(open_store: OpenStore) -> None:
    first, second = open_store(), open_store()
    assert first.estimate(KIND) is None
    assert take(first, "a")
    assert first.estimate(KIND) is None
    assert first.store_estimate(KIND, "a", {"n": 1})
    made = second.estimate(KIND)
    assert made is not None
    assert made.body == {"n": 1}
    assert not take(second, "b")
    assert take(second, "b", interval_s=0.0)


def test_a_holder_that_dies_is_followed_and_cannot_store_any_more(open_store: OpenStore) -> None:
    dead, next_one = open_store(), open_store()
    assert take(dead, "dead", lease_s=0.0)
    assert take(next_one, "next")
    assert not dead.store_estimate(KIND, "dead", {"n": 1})
    assert next_one.estimate(KIND) is None
    assert next_one.store_estimate(KIND, "next", {"n": 2})
    assert not next_one.store_estimate(KIND, "next", {"n": 3})


def test_routers_and_kinds_share_nothing(open_store: OpenStore) -> None:
    one, other = open_store("one"), open_store("other")
    assert take(one, "a")
    assert take(other, "a")
    assert one.take_lease("other", "a", interval_s=3600.0, lease_s=600.0)
    one.store_estimate(KIND, "a", {})
    assert other.estimate(KIND) is None
