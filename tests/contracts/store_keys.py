"""What every store must do with idempotency keys: the same request twice has one effect and one answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from bandit_router.errors import IdempotencyConflict, RouterError, UnknownDecision
from bandit_router.store.store import Store
from bandit_router.store.tables import decisions, feedback, idempotency, pending
from bandit_router.store.write_requests import Committed, WriteRequest
from bandit_router.types import Decision, Outcome
from tests.store.examples import OpenStore, commit, decision, fields, logged, rows, said, together, with_key
from tests.store.examples import feedback as about

RECORDED, REVISED = Outcome.RECORDED, Outcome.REVISED


def a_key_seen_before_is_answered_as_then(open_store: OpenStore) -> None:
    store = open_store()
    first = commit(store, decision(idempotency_key="k"), digest="d")
    again = commit(open_store(), decision(idempotency_key="k"), digest="d")
    assert isinstance(first, Decision)
    assert isinstance(again, Decision)
    assert fields(again) == fields(first)
    assert rows(store, decisions) == 1


def a_key_twice_in_one_batch_is_one_decision(open_store: OpenStore) -> None:
    store = open_store()
    answers = store.write([WriteRequest(payload=decision(idempotency_key="k"), digest="d") for _ in range(3)])
    assert {answer.id for answer in answers if isinstance(answer, Decision)} == {_only_id(store)}
    assert len(answers) == 3


def a_key_with_another_request_is_a_conflict(open_store: OpenStore) -> None:
    store = open_store()
    one, other = decision(idempotency_key="k"), decision(idempotency_key="k")
    answers = store.write([WriteRequest(payload=one, digest="d"), WriteRequest(payload=other, digest="e")])
    assert isinstance(answers[1], IdempotencyConflict)
    with pytest.raises(IdempotencyConflict):
        commit(store, other, digest="e")
    with pytest.raises(IdempotencyConflict):
        commit(store, with_key("k", about(one, quality=1.0)), digest="f")
    assert _only_id(store) == one.id
    assert rows(store, feedback) == 0


def keyed_feedback_that_arrives_late_again_does_not_undo_a_revision(open_store: OpenStore) -> None:
    store = open_store()
    known = logged(store)
    late = with_key("k", about(known, quality=0.5))
    assert commit(store, late, digest="d") == {"quality": RECORDED}
    said(store, known, quality=1.0)
    assert commit(store, late, digest="d") == {"quality": RECORDED}
    assert store.observation(known.id).metrics == {"quality": 1.0}
    assert rows(store, feedback) == 2


def keyed_feedback_twice_in_one_batch_does_not_undo_what_came_between(open_store: OpenStore) -> None:
    store = open_store()
    known = logged(store)
    keyed = WriteRequest(payload=with_key("k", about(known, quality=0.5)), digest="d")
    answers = store.write([keyed, WriteRequest(payload=about(known, quality=1.0)), keyed])
    assert answers == [{"quality": RECORDED}, {"quality": REVISED}, {"quality": RECORDED}]
    assert store.observation(known.id).metrics == {"quality": 1.0}


def an_error_is_not_remembered_under_its_key(open_store: OpenStore) -> None:
    store, known = open_store(), decision()
    early = with_key("k", about(known, quality=0.5))
    with pytest.raises(UnknownDecision):
        commit(store, early, digest="d")
    commit(store, known)
    assert commit(store, early, digest="d") == {"quality": RECORDED}


def routers_do_not_share_keys(open_store: OpenStore) -> None:
    for router, digest in (("r", "d"), ("s", "e")):
        store = open_store(router)
        commit(store, decision(idempotency_key="k"), digest=digest)
        assert rows(store, decisions) == rows(store, idempotency) == 1


def one_key_at_many_workers_at_once_is_one_decision(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(6)]
    for key in ("a", "b", "c", "d"):

        def decide(store: Store, key: str = key) -> Committed:
            return commit(store, decision(idempotency_key=key), digest="d")

        answers = together(*(lambda s=s: decide(s) for s in stores))
        assert len({answer.id for answer in answers if isinstance(answer, Decision)}) == 1
    assert rows(stores[0], decisions) == 4


def many_keys_at_many_workers_at_once_are_all_answered(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(4)]
    known = [logged(stores[0]) for _ in range(8)]

    def everything(store: Store, order: int) -> list[Committed | RouterError]:
        ordered = known[::order]
        keyed = [WriteRequest(payload=with_key(d.id, about(d, quality=0.5)), digest="d") for d in ordered]
        return store.write([*keyed, *(WriteRequest(payload=about(d, quality=1.0)) for d in ordered)])

    workers = zip(stores, (1, 1, -1, -1), strict=True)
    answers = together(*(lambda s=s, order=order: everything(s, order) for s, order in workers))
    assert all(answer[:8] == [{"quality": RECORDED}] * 8 for answer in answers)
    assert sum(answer[8:].count({"quality": REVISED}) for answer in answers) == 8
    assert rows(stores[0], feedback) == rows(stores[0], pending) == 16


def _only_id(store: Store) -> str:
    with store.read_log() as audit:
        only: str = audit.connection.execute(select(decisions.c.id)).scalar_one()
        return only


IDEMPOTENCY: tuple[Callable[[OpenStore], None], ...] = (
    a_key_seen_before_is_answered_as_then,
    a_key_twice_in_one_batch_is_one_decision,
    a_key_with_another_request_is_a_conflict,
    keyed_feedback_that_arrives_late_again_does_not_undo_a_revision,
    keyed_feedback_twice_in_one_batch_does_not_undo_what_came_between,
    an_error_is_not_remembered_under_its_key,
    routers_do_not_share_keys,
    one_key_at_many_workers_at_once_is_one_decision,
    many_keys_at_many_workers_at_once_are_all_answered,
)
