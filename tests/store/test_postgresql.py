"""Workers that meet on PostgreSQL: the interleavings are forced, none is left to chance or to a clock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, event, insert, text

from bandit_router.errors import StoreError
from bandit_router.learning.learner import NAMES, Learner
from bandit_router.posterior.state import ModelState, decode_state
from bandit_router.store.learner_transaction import StaleRead
from bandit_router.store.pending_batch import PendingBatch
from bandit_router.store.store import Store
from bandit_router.store.tables import decisions, routers
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Decision, Outcome
from tests.databases import sql
from tests.store.examples import (
    ARMS,
    OpenStore,
    commit,
    decision,
    learner_of,
    logged,
    rows,
    said,
    set_up,
    together,
)
from tests.store.examples import feedback as about
from tests.store.forced import (
    after_statement,
    deadlocks,
    end_connections,
    uncommitted,
    wait_until_one_waits,
)
from tests.store.truth import assert_counted_once


@pytest.fixture
def url(postgresql_url: str) -> str:
    return postgresql_url


def _read(store: Store) -> tuple[PendingBatch, ModelState]:
    """What Learner.fold reads before it publishes."""
    batch = store.pending_batch(NAMES, 10)
    assert batch is not None
    assert batch.state is not None
    return batch, decode_state(batch.state)


# -- learners -------------------------------------------------------------------------------------


def test_a_learner_goes_away_when_another_was_faster(open_store: OpenStore) -> None:
    one, other = open_store(), open_store()
    known, learner = logged(one), learner_of(one)
    said(one, known, quality=0.5)
    with after_statement(one, 0, lambda: learner_of(other).fold()) as reached:
        assert learner.fold() is None
    assert reached
    assert learner_of(other).fold() == 0
    assert_counted_once(other, {known.id: (known, 0.5)})


def test_a_learner_of_another_router_is_not_in_the_way(open_store: OpenStore) -> None:
    one, other = open_store("r"), open_store("s")
    with one.learner_transaction() as first, other.learner_transaction() as second:
        assert first.router != second.router


def test_decisions_and_feedback_do_not_wait_for_what_is_published(open_store: OpenStore) -> None:
    one, other = open_store(), open_store()
    known = logged(one)
    said(one, known, quality=0.5)
    with one.learner_transaction() as transaction:
        learner_of(one).publish(transaction, decode_state(transaction.snapshot()))
        logged(other)
        said(other, known, quality=1.0)
    assert rows(one, decisions) == 2


def test_a_learner_that_waits_sees_what_the_first_published_and_starts_over(
    open_store: OpenStore, url: str
) -> None:
    one, other = open_store(), open_store()
    known, later = logged(one), logged(one)
    said(one, known, quality=0.5)
    batch, state = _read(other)
    with ThreadPoolExecutor(1) as thread:
        with one.learner_transaction() as first:
            waiting = thread.submit(learner_of(other).publish_fold, batch, state)
            wait_until_one_waits(url)
            learner_of(one).publish(first, decode_state(first.snapshot()))
        with pytest.raises(StaleRead):
            waiting.result()
    said(one, later, quality=1.0)
    assert learner_of(other).fold_all(wait=True) == 2
    assert_counted_once(one, {known.id: (known, 0.5), later.id: (later, 1.0)})


@pytest.mark.parametrize("value", [1.0, None])
@pytest.mark.parametrize("learn", [Learner.fold, Learner.rebuild], ids=["fold", "rebuild"])
def test_feedback_that_commits_after_any_statement_of_the_learner_is_counted_once(
    open_store: OpenStore, learn: Callable[[Learner], Any], value: float | None
) -> None:
    one, other = open_store(), open_store()
    learner, truth = learner_of(one), dict[str, tuple[Decision, float | None]]()
    for n in count():
        known = logged(one)
        said(one, known, quality=0.5)

        def revise(known: Decision = known) -> None:
            said(other, known, quality=value)

        with after_statement(one, n, revise) as reached:
            learn(learner)
        if not reached:
            break
        truth[known.id] = (known, value)
        learner.fold()
        assert_counted_once(one, truth)
    assert n > 6, "the learner has more statements than that"


# -- writers --------------------------------------------------------------------------------------


def test_a_revision_waits_for_the_one_before_it(open_store: OpenStore, url: str) -> None:
    store, rollbacks = open_store(), list[Connection]()
    known = logged(store)
    event.listen(store._engine, "rollback", rollbacks.append)
    with ThreadPoolExecutor(1) as thread:
        with uncommitted(url, WriteRequest(payload=about(known, quality=0.5))):
            waiting = thread.submit(said, store, known, quality=1.0)
            wait_until_one_waits(url)
        assert waiting.result() == {"quality": Outcome.REVISED}
    assert not rollbacks
    learner_of(store).fold()
    assert_counted_once(store, {known.id: (known, 1.0)})


def test_a_key_that_is_being_committed_is_answered_with_that_decision(
    open_store: OpenStore, url: str
) -> None:
    store, unkeyed, first = open_store(), decision(), decision(idempotency_key="k")
    batch = [WriteRequest(payload=unkeyed), WriteRequest(payload=decision(idempotency_key="k"), digest="d")]
    with ThreadPoolExecutor(1) as thread:
        with uncommitted(url, WriteRequest(payload=first, digest="d")):
            waiting = thread.submit(store.write, batch)
            wait_until_one_waits(url)
        answers = waiting.result()
    assert [answer.id for answer in answers if isinstance(answer, Decision)] == [unkeyed.id, first.id]
    assert rows(store, decisions) == 2


def test_a_key_whose_first_writer_gives_up_belongs_to_the_second(open_store: OpenStore, url: str) -> None:
    store, second = open_store(), decision(idempotency_key="k")
    with ThreadPoolExecutor(1) as thread:
        with uncommitted(url, WriteRequest(payload=decision(idempotency_key="k"), digest="d"), commit=False):
            waiting = thread.submit(commit, store, second, "d")
            wait_until_one_waits(url)
        assert waiting.result() is second
    assert store.decision(second.id).idempotency_key == "k"
    assert rows(store, decisions) == 1


@pytest.mark.parametrize("what", ["decisions", "keys"])
def test_a_batch_takes_its_locks_in_order(url: str, what: str) -> None:
    store = set_up(Store.open(url, "r"))
    last, first = (logged(store, id=id) for id in ("b", "a"))
    with sql(url) as connection:
        connection.execute(text("ANALYZE"))  # then so small a table is read as it lies: the last one first

    def touch(one: Decision) -> WriteRequest:
        if what == "keys":
            return WriteRequest(payload=decision(idempotency_key=one.id), digest="d")
        return WriteRequest(payload=about(one, quality=0.5))

    with ThreadPoolExecutor(1) as thread:
        with uncommitted(url, touch(first)) as write_more:
            waiting = thread.submit(store.write, [touch(last), touch(first)])
            wait_until_one_waits(url)
            write_more(touch(last))
        waiting.result()
    store.close()
    assert deadlocks(url) == 0


def test_writers_and_learners_never_deadlock(url: str) -> None:
    stores = [set_up(Store.open(url, "r")) for _ in range(4)]
    known = [logged(stores[0]) for _ in range(6)]
    start = Barrier(len(stores), timeout=30)  # a worker that fails must not keep the others waiting

    def work(store: Store, seed: int) -> None:
        rng, learner = np.random.default_rng(seed), learner_of(store)
        for i in range(8):
            keys = [f"{i} {k}" for k in rng.permutation(30)]
            start.wait()  # all with the same keys and the same decisions, each in an order of its own
            store.write([WriteRequest(payload=decision(idempotency_key=key), digest="d") for key in keys])
            store.write(
                [WriteRequest(payload=about(known[k], quality=rng.random())) for k in rng.permutation(6)]
            )
            learner.fold()
            store.enable_arm("dear", bool(i % 2))
            with store.learner_transaction() as transaction:
                transaction.declare_arms(ARMS)

    together(*(lambda s=s, seed=seed: work(s, seed) for seed, s in enumerate(stores)))
    assert rows(stores[0], decisions) == 6 + 8 * 30
    for store in stores:
        store.close()
    assert deadlocks(url) == 0


def test_a_text_that_postgresql_refuses_fails_alone(open_store: OpenStore) -> None:
    store, good, bad = open_store(), [decision() for _ in range(4)], decision(query="a\0b")
    answers = store.write([WriteRequest(payload=what) for what in (*good[:2], bad, *good[2:])])
    assert [isinstance(answer, StoreError) for answer in answers] == [False, False, True, False, False]
    assert rows(store, decisions) == 4


def test_connections_the_server_ended_cost_nobody_an_answer(open_store: OpenStore, url: str) -> None:
    store = open_store()
    end_connections(url)
    assert isinstance(commit(store, decision()), Decision)
    assert rows(store, decisions) == 1


def test_a_connection_the_server_ends_in_a_transaction_costs_nobody_an_answer(
    open_store: OpenStore, url: str
) -> None:
    store, written = open_store(), decision()
    known = logged(store)
    with after_statement(store, 0, lambda: end_connections(url)) as reached:
        answers = store.write(
            [WriteRequest(payload=written), WriteRequest(payload=about(known, quality=0.5))]
        )
    assert reached
    assert answers == [written, {"quality": Outcome.RECORDED}]
    assert rows(store, decisions) == 2


# -- routers and arms -----------------------------------------------------------------------------


def test_a_router_that_another_worker_is_making_is_found_made(open_store: OpenStore, url: str) -> None:
    store = open_store()
    store.router = "new"
    row = {"name": "new", "schema_id": "theirs", "version": 1, "reward_weights": {}, "arms_revision": 0}
    with ThreadPoolExecutor(1) as thread:
        with sql(url) as connection:
            connection.execute(insert(routers), row)
            waiting = thread.submit(store.create_router, "mine", b"mine", {})
            wait_until_one_waits(url)
        waiting.result()
    head = store.head()
    assert head is not None
    assert (head.schema_id, head.version, head.arms_revision) == ("theirs", 1, 0)


def test_switching_an_arm_waits_for_a_fold_that_changes_it(open_store: OpenStore, url: str) -> None:
    one, other = open_store(), open_store()
    with ThreadPoolExecutor(1) as thread:
        with one.learner_transaction() as transaction:
            waiting = thread.submit(other.enable_arm, "cheap", False)
            wait_until_one_waits(url)
            transaction.put_arm(ARMS[0])
        waiting.result()
    assert [arm.name for arm in one.arms() if arm.enabled] == ["dear"]
