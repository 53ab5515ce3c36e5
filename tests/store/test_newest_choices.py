"""The sample that estimates are made from: the newest choices of the policy, and no more of the log."""

from __future__ import annotations

import pytest
import uuid_utils

from bandit_router.store import log_reader
from bandit_router.store.log_reader import LoggedDecision
from bandit_router.store.store import Store
from bandit_router.types import Reason
from tests.store.examples import OpenStore, logged, said

START = 1_700_000_000


def log_one(store: Store, day: int, reason: Reason = Reason.POLICY) -> str:
    """A decision of so many days after the start; its id."""
    at = START + 86_400 * day
    made_id = str(uuid_utils.uuid7(nanoseconds=at * 10**9))
    return logged(store, id=made_id, decided_at=float(at), reason=reason).id


def newest(store: Store, most: int, since_day: int = 0) -> list[str]:
    with store.read_log() as reader:
        pages = reader.newest_choices(most, START + 86_400.0 * since_day, size=2)
        return [row.decision.id for page in pages for row in page if isinstance(row, LoggedDecision)]


def test_it_is_the_newest_of_the_policy_in_the_order_of_time(open_store: OpenStore) -> None:
    store, other = open_store(), open_store("other")
    ids = [log_one(store, day) for day in range(6)]
    log_one(store, 3, Reason.OVERRIDE)
    log_one(store, 7, Reason.OVERRIDE)
    log_one(other, 8)
    assert newest(store, 4) == ids[2:]
    assert newest(store, 99) == ids
    assert newest(store, 99, since_day=4) == ids[4:]
    assert newest(store, 99, since_day=6) == []


def test_it_has_the_feedback(open_store: OpenStore) -> None:
    store = open_store()
    made = logged(store)
    said(store, made, quality=0.25)
    with store.read_log() as reader:
        ((row,),) = reader.newest_choices(10, 0.0)
    assert isinstance(row, LoggedDecision)
    assert row.metrics == {"quality": 0.25}


def test_a_log_with_few_choices_is_not_read_whole(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "_LOOKED_AT", 2)
    store = open_store()
    log_one(store, 0)
    near = log_one(store, 1)
    for day in range(2, 5):
        log_one(store, day, Reason.OVERRIDE)
    assert newest(store, 2) == [near]
    assert newest(store, 1) == []
