"""What happens while a learner computes: nothing is lost, counted twice or overwritten, wherever it stops."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from bandit_router.learning.audit import audit_store
from bandit_router.learning.learner import NAMES, Learner
from bandit_router.posterior.state import ModelState, decode_state
from bandit_router.store import learner_transaction
from bandit_router.store.learner_transaction import LearnerTransaction, RebuildUnderWay, StaleRead
from bandit_router.store.pending_batch import PendingBatch
from bandit_router.store.store import Store
from bandit_router.store.tables import folded, pending
from bandit_router.types import Arm, Decision
from tests.store.examples import (
    OpenStore,
    counted_rows,
    learner_of,
    logged,
    posterior_of,
    rows,
    said,
)
from tests.store.forced import after_statement
from tests.store.truth import assert_counted_once

RESET_AT = 1_700_000_000.5
"""Just after the decisions of the examples."""


class Crash(Exception):
    """A learner's process ends here."""


def read(store: Store, limit: int = 10) -> tuple[PendingBatch, ModelState]:
    """What a fold reads before it publishes."""
    batch = store.pending_batch(NAMES, limit)
    assert batch is not None
    assert batch.state is not None
    return batch, decode_state(batch.state)


def rated(store: Store, n: int = 3) -> dict[str, tuple[Decision, float | None]]:
    """Decisions whose reward is pending."""
    truth: dict[str, tuple[Decision, float | None]] = {}
    for i in range(n):
        decision = logged(store, snapshot=0)  # a snapshot that is pruned
        said(store, decision, quality=0.1 * (i + 1))
        truth[decision.id] = (decision, 0.1 * (i + 1))
    return truth


def fold_one(store: Store) -> None:
    learner_of(store, batch=1).fold()


def reset_cheap(store: Store) -> None:
    learner_of(store).reset("cheap", RESET_AT)


def add_an_arm(store: Store) -> None:
    arm = Arm(name="new", provider="p", model="m", input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)
    with store.learner_transaction() as transaction:
        transaction.put_arm(arm)
        learner_of(store).add_arms(transaction, decode_state(transaction.snapshot()), [arm])


def rebuild(store: Store) -> None:
    learner_of(store).rebuild()


@pytest.mark.parametrize("interlope", [fold_one, reset_cheap, add_an_arm, rebuild])
def test_a_fold_that_was_overtaken_publishes_nothing_and_starts_over(
    open_store: OpenStore, interlope: Callable[[Store], None]
) -> None:
    store, other = open_store(), open_store()
    truth = rated(store)
    batch, state = read(store)
    interlope(other)
    published = store.published()
    with pytest.raises(StaleRead):
        learner_of(store).publish_fold(batch, state)
    assert store.published() == published
    learner_of(store).fold_all(wait=True)
    if interlope is reset_cheap:
        truth = {}
    live = posterior_of(store)
    assert live.count.sum() == len(truth) == counted_rows(store)
    assert ("new" in live) == (interlope is add_an_arm)
    assert rows(store, pending) == 0
    assert audit_store(store).problems == []


def test_feedback_that_comes_while_a_fold_computes_is_folded_next(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    truth = rated(store)
    batch, state = read(store)
    (decision, _), *_ = truth.values()
    said(other, decision, quality=1.0)
    learner_of(store).publish_fold(batch, state)
    assert rows(store, pending) == 1
    learner_of(store).fold()
    assert_counted_once(store, truth | {decision.id: (decision, 1.0)})


@pytest.mark.parametrize("interlope", [fold_one, reset_cheap])
def test_a_fold_without_the_version_check_is_noticed(
    open_store: OpenStore, interlope: Callable[[Store], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: what another learner published is overwritten."""
    store, other = open_store(), open_store()
    rated(store, 2)
    learner_of(store).fold()
    rated(store, 2)
    batch, state = read(store)
    last = batch._replace(marks=batch.marks[1:], observations=batch.observations[1:])
    interlope(other)
    monkeypatch.setattr(LearnerTransaction, "require_head", lambda *_: None)
    learner_of(store).publish_fold(last, state)
    assert "on record" in " ".join(audit_store(store).problems)


@pytest.mark.parametrize("work", [Learner.fold, Learner.rebuild], ids=["fold", "rebuild"])
def test_a_learner_that_dies_after_any_statement_loses_nothing(
    open_store: OpenStore, work: Callable[[Learner], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = open_store(), open_store()
    monkeypatch.setattr(learner_transaction, "_REBUILD_ALIVE_S", 0.0)  # the dead are given up at once
    truth: dict[str, tuple[Decision, float | None]] = {}
    for n in count():
        truth |= rated(store, 2)

        def crash() -> None:
            raise Crash

        with after_statement(store, n, crash) as reached:
            try:
                work(learner_of(store))
            except Crash:
                assert reached
        if not reached:
            break
        assert audit_store(store).problems == []
        learner_of(other).fold_all(wait=True)
        assert_counted_once(other, truth)
    assert n > 6, "the learner has more statements than that"
    learner_of(other).fold_all(wait=True)
    learner_of(other).rebuild()
    assert_counted_once(other, truth)
    assert rows(other, folded) == len(truth), "what the dead left behind is swept away"


def test_what_is_folded_while_a_rebuild_runs_is_in_it(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    truth = rated(store)
    for n in count():
        (decision, _), *_ = truth.values()
        value = (n % 10) / 10

        def revise_and_fold(decision: Decision = decision, value: float = value) -> None:
            said(other, decision, quality=value)
            learner_of(other).fold_all(wait=True)

        with between_transactions(store, n, revise_and_fold) as reached:
            learner_of(store).rebuild()
        if not reached:
            break
        truth[decision.id] = (decision, value)
        learner_of(store).fold_all(wait=True)
        assert_counted_once(store, truth)
        assert audit_store(store).problems == []
    assert n >= 3, "a rebuild has more transactions than that"


@pytest.mark.parametrize("interlope", [reset_cheap, add_an_arm])
def test_a_rebuild_starts_over_when_what_it_began_with_has_changed(
    open_store: OpenStore, interlope: Callable[[Store], None]
) -> None:
    for n in count():
        store, other = open_store(f"router {n}"), open_store(f"router {n}")
        rated(store)
        learner_of(store).fold()
        with between_transactions(store, n, lambda other=other: interlope(other)) as reached:  # type: ignore[misc]
            learner_of(store).rebuild()
        if not reached:
            break
        live = posterior_of(store)
        assert live.count.sum() == (0 if interlope is reset_cheap else 3)
        assert ("new" in live) == (interlope is add_an_arm)
        assert audit_store(store).problems == []
    assert n >= 3


def test_a_second_rebuild_waits_for_the_first(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    truth = rated(store)
    with store.learner_transaction() as transaction:
        generation = transaction.begin_rebuild()
    with other.learner_transaction() as transaction, pytest.raises(RebuildUnderWay):
        transaction.begin_rebuild()
    with store.learner_transaction() as transaction:
        transaction.finish_rebuild(generation)
    learner_of(other).rebuild()
    learner_of(other).fold()
    assert_counted_once(other, truth)


def test_a_rebuild_that_was_given_up_does_not_come_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.learner_transaction() as transaction:
        dead = transaction.begin_rebuild()
    monkeypatch.setattr(learner_transaction, "_REBUILD_ALIVE_S", -1.0)
    with store.learner_transaction() as transaction:
        transaction.take_marks([])  # as a fold does, which gives up the dead
    with store.learner_transaction() as transaction, pytest.raises(StaleRead):
        transaction.require_rebuild(dead)
    with store.learner_transaction() as transaction:
        assert transaction.begin_rebuild() > dead
    with store.learner_transaction() as transaction, pytest.raises(StaleRead):
        transaction.require_rebuild(dead)


class between_transactions:  # noqa: N801
    """Make ``call`` right before the store's n-th learner's transaction in the block, from 0."""

    def __init__(self, store: Store, n: int, call: Callable[[], object]) -> None:
        self._store, self._n, self._call = store, n, call
        self.reached: list[int] = []

    def __enter__(self) -> list[int]:
        begin, transactions = self._store.learner_transaction, count()

        def counted() -> object:
            if next(transactions) == self._n:
                self.reached.append(self._n)
                self._call()
            return begin()

        self._store.learner_transaction = counted  # type: ignore[method-assign, assignment]
        return self.reached

    def __exit__(self, *_: object) -> None:
        del self._store.learner_transaction
