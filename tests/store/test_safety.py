"""The book of safety: every decision is in it exactly once, whoever folds it and wherever that stops."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest

from bandit_router.learning.safety import SafetyBook, add_decisions, bound_loss, predict_loss
from bandit_router.learning.safety_codec import decode_book, encode_book
from bandit_router.learning.safety_fold import book_batch, fold_safety
from bandit_router.objective.safety import SafetyGoal
from bandit_router.router.published_model import load_published_model
from bandit_router.store import safety
from bandit_router.store.learner_transaction import StaleRead
from bandit_router.store.safety import SafetyRecord, declare_safety, read_record
from bandit_router.store.store import Store
from bandit_router.store.tables import safety_books, safety_marks
from bandit_router.types import SAFETY_SHARE, Decision, Reason
from tests.store.examples import ARMS, OpenStore, bind, learner_of, logged, rows, said, together
from tests.store.forced import after_statement

GOAL = SafetyGoal(baseline="dear", at_most=0.02)
RNG = np.random.default_rng(4)

on_sqlite = pytest.mark.parametrize("make_url", ["sqlite"], indirect=True)
"""For tests whose SQL is that of others here."""


class Crash(Exception):
    """A learner's process ends here."""


@pytest.fixture
def bound(open_store: OpenStore) -> Store:
    store = open_store()
    bind(store)
    return store


def decide(store: Store, n: int, **changes: Any) -> list[Decision]:
    """Log decisions of a bound policy, each with probabilities, a context and a task of its own."""
    made = []
    for i in range(n):
        p = float(RNG.random())
        of_one = {"pmf": (p, 1.0 - p), "propensity": p, "x": RNG.normal(size=3), "task": i % 3}
        made.append(logged(store, **of_one, signals={SAFETY_SHARE: 0.5}, cost_weight=2.0, **changes))
    return made


def fold(store: Store, batch: int = 5) -> float | None:
    model = load_published_model(store, cascades=False)
    return fold_safety(learner_of(store, batch=batch), model, interval_s=1.0, wait=True)


def record_of(store: Store) -> SafetyRecord:
    with store.read_log() as log:
        record = read_record(log.connection, store.router)
    assert record is not None
    return record


def book_of(store: Store) -> SafetyBook:
    book = record_of(store).book
    assert book is not None
    return decode_book(book)


def assert_booked_once(store: Store, made: list[Decision]) -> None:
    """The book is the sum over these decisions, and nothing is left to be booked."""
    posterior = load_published_model(store, cascades=False).state.rewards
    expected = SafetyBook.empty(posterior.arms, 3)
    expected = add_decisions(expected, sorted(made, key=lambda d: d.id), posterior, GOAL)
    book, record = book_of(store), record_of(store)
    assert book.decisions == record.decisions == len(made)
    for mine, theirs in zip(book.past, expected.past, strict=True):
        assert np.asarray(mine) == pytest.approx(np.asarray(theirs), rel=1e-9, abs=1e-12)
    assert book.earned == record.earned == pytest.approx(expected.earned)
    assert rows(store, safety_marks) == 0


def test_workers_at_once_book_every_decision_once(bound: Store, open_store: OpenStore) -> None:
    other, writer = open_store(), open_store()
    writer.head()
    made: list[Decision] = []

    def write() -> None:
        for _ in range(6):
            made.extend(decide(writer, 3))

    def fold_often(store: Store) -> None:
        for _ in range(6):
            fold(store)

    together(write, lambda: fold_often(bound), lambda: fold_often(other))
    fold(other)
    assert_booked_once(bound, made)
    assert (head := bound.head()) is not None
    assert head.safety_share == record_of(bound).share < 1.0


def test_a_fold_that_was_overtaken_writes_nothing(bound: Store, open_store: OpenStore) -> None:
    made = decide(bound, 4)
    model = load_published_model(bound, cascades=False)
    batch = bound.safety_batch(model.version, 10)
    assert batch is not None
    fold(open_store())
    with pytest.raises(StaleRead):
        book_batch(learner_of(bound), batch, model, 0.0)
    assert fold(bound) is None, "there is nothing left to do"
    assert_booked_once(bound, made)


@on_sqlite
def test_a_fold_that_leaves_marks_to_another_transaction_is_noticed(
    bound: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: a decision is counted twice."""
    made = decide(bound, 4)
    monkeypatch.setattr(safety, "_take_marks", lambda _connection, _router, marks: len(marks))
    model = load_published_model(bound, cascades=False)
    batch = bound.safety_batch(model.version, 10)
    assert batch is not None
    book_batch(learner_of(bound), batch, model, 0.0)
    monkeypatch.undo()
    fold(bound)
    with pytest.raises(AssertionError):
        assert_booked_once(bound, made)


@on_sqlite
def test_a_fold_that_does_not_look_for_others_is_noticed(
    bound: Store, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: what another learner booked is lost."""
    model = load_published_model(bound, cascades=False)
    batch = bound.safety_batch(model.version, 10)
    assert batch is not None
    made = decide(bound, 4)
    fold(open_store())
    monkeypatch.setattr(safety, "_require_same", lambda *_: None)
    book_batch(learner_of(bound), batch, model, 0.0)
    with pytest.raises(AssertionError):
        assert_booked_once(bound, made)


def test_a_learner_that_dies_after_any_statement_loses_nothing(bound: Store, open_store: OpenStore) -> None:
    other, made = open_store(), list[Decision]()
    other.head()
    for n in count():
        made += decide(other, 2)

        def crash() -> None:
            raise Crash

        with after_statement(bound, n, crash) as reached:
            try:
                fold(bound)
            except Crash:
                assert reached
        fold(other)
        assert_booked_once(other, made)
        if not reached:
            break
    assert n > 6, "the learner has more statements than that"


@on_sqlite
def test_what_others_choose_and_second_answers_are_not_compared(bound: Store) -> None:
    first = (Reason.POLICY, Reason.GREEDY, Reason.INCUMBENT, Reason.STICKY, Reason.DEGRADED)
    named = (Reason.OVERRIDE, Reason.WORKFLOW, Reason.TIER, Reason.PINNED)
    cases = [
        *((reason, None, True) for reason in first),
        *((reason, None, False) for reason in named),
        (Reason.PROMOTION, "another", True),
        (Reason.ESCALATION, "another", False),
        (Reason.FALLBACK, "another", False),
        (Reason.FALLBACK, None, True),  # a conversation whose arm is not eligible any more
    ]
    assert {reason for reason, *_ in cases} == set(Reason)
    for reason, parent, marked in cases:
        before = rows(bound, safety_marks)
        logged(bound, reason=reason, parent=parent)
        assert rows(bound, safety_marks) - before == marked, reason


@on_sqlite
def test_nothing_is_marked_where_nothing_is_bound(store: Store) -> None:
    logged(store)
    assert rows(store, safety_marks) == 0
    assert fold(store) is None


@on_sqlite
def test_it_is_predicted_anew_when_a_snapshot_is_published_and_only_then(bound: Store) -> None:
    (first, *_) = decide(bound, 20)
    assert fold(bound) is not None
    revision = record_of(bound).revision
    assert fold(bound) is None
    assert record_of(bound).revision == revision
    said(bound, first, quality=1.0)
    learner_of(bound).fold()
    assert fold(bound) is not None
    model, record = load_published_model(bound, cascades=False), record_of(bound)
    assert (record.revision, record.snapshot) == (revision + 1, model.version)
    loss = predict_loss(book_of(bound), model.state.rewards)
    assert record.lost_mean == pytest.approx(loss.mean)
    assert record.lost_high == pytest.approx(bound_loss(loss, 20, GOAL))


@on_sqlite
def test_decisions_of_a_newer_snapshot_wait_for_a_model_that_knows_their_arms(bound: Store) -> None:
    model = load_published_model(bound, cascades=False)
    decide(bound, 2, snapshot=model.version + 1)
    fold(bound)
    assert record_of(bound).decisions == 0
    assert rows(bound, safety_marks) == 2


@on_sqlite
def test_a_reset_puts_down_what_was_lost(bound: Store) -> None:
    made = decide(bound, 10)
    fold(bound)
    before, old = record_of(bound), load_published_model(bound, cascades=False)
    learner_of(bound).reset("cheap", made[-1].decided_at + 1.0)
    decide(bound, 3)
    learner = learner_of(bound)
    assert fold_safety(learner, old, interval_s=1.0, wait=True) is None, "that model knows of no reset"
    fold(bound)
    book = book_of(bound)
    assert (book.settled, book.decisions) == (before.lost_high, 13)
    assert book.recent_weight == pytest.approx(1 + 0.99 + 0.99**2)
    fold(bound)
    decide(bound, 1)
    fold(bound)
    assert book_of(bound).settled == before.lost_high, "it is settled once"


@on_sqlite
@pytest.mark.parametrize(
    ("incumbent", "share", "tells"),
    [("fixed:dear", 0.5, True), ("fixed:cheap", 0.5, False), ("fixed:cheap", 1.0, True)],
)
def test_another_incumbent_does_not_stand_for_the_policy(
    bound: Store, incumbent: str, share: float, tells: bool
) -> None:
    decide(bound, 2, policy=f"rollout:share={share},incumbent=[{incumbent}]|safe:baseline=dear|tempered")
    fold(bound)
    book = book_of(bound)
    assert (book.decisions, book.recent_weight > 0.0) == (2, tells)


@on_sqlite
def test_decisions_of_a_renamed_arm_count_for_the_new_name(bound: Store) -> None:
    decide(bound, 6)
    fold(bound)
    decide(bound, 4)
    learner_of(bound).rename("cheap", "new")
    fold(bound)
    book = book_of(bound)
    assert (set(book.arms), book.decisions) == ({"new", "dear"}, 10)
    np.testing.assert_allclose(book.past.x[book.row["new"]], -book.past.x[book.row["dear"]])
    assert np.abs(book.past.x).max() > 0.0


@on_sqlite
def test_a_new_arm_has_a_row(bound: Store) -> None:
    decide(bound, 3)
    fold(bound)
    kept = book_of(bound).past
    new = replace(ARMS[0], name="a new one")
    with bound.learner_transaction() as transaction:
        transaction.put_arm(new)
    learner_of(bound).align_with_settings()
    fold(bound)
    book = book_of(bound)
    assert book.arms == load_published_model(bound, cascades=False).state.rewards.arms
    assert len(book.arms) == 3
    assert book.past.x[book.row["cheap"]].tolist() == kept.x[0].tolist()


@on_sqlite
def test_a_damaged_book_goes_on_from_the_most_that_was_lost(
    bound: Store, caplog: pytest.LogCaptureFixture
) -> None:
    decide(bound, 10)
    fold(bound)
    before = record_of(bound)
    with bound.learner_transaction() as transaction:
        transaction.connection.execute(safety_books.update().values(book=b"BRSB nonsense"))
    made = decide(bound, 2)
    with caplog.at_level(logging.ERROR):
        fold(bound)
    assert "the book of safety is damaged" in caplog.text
    book, posterior = book_of(bound), load_published_model(bound, cascades=False).state.rewards
    later = add_decisions(SafetyBook.empty(posterior.arms, 3), made, posterior, GOAL)
    assert (book.decisions, book.settled) == (12, before.lost_high)
    assert book.earned == pytest.approx(before.earned + later.earned)


@on_sqlite
def test_a_book_reads_back_as_it_was(bound: Store) -> None:
    decide(bound, 5)
    fold(bound)
    book = book_of(bound)
    assert encode_book(decode_book(encode_book(book))) == encode_book(book)
    assert book.past.by_task.any()
    assert book.recent.squares.any()


def test_another_baseline_begins_a_book_and_another_goal_goes_on_with_it(bound: Store) -> None:
    def declare(goal: SafetyGoal | None) -> None:
        with bound.learner_transaction() as transaction:
            declare_safety(transaction, goal)

    decide(bound, 8)
    fold(bound)
    decide(bound, 1)
    declare(SafetyGoal(baseline="dear", at_most=0.5, probability=0.9))
    assert rows(bound, safety_marks) == 1
    fold(bound)
    assert (record_of(bound).decisions, record_of(bound).goal.at_most) == (9, 0.5)
    decide(bound, 1)
    declare(SafetyGoal(baseline="cheap", at_most=0.02, probability=0.9))
    assert (record_of(bound).decisions, record_of(bound).share, rows(bound, safety_marks)) == (0, 0.001, 0)
    declare(None)
    assert (rows(bound, safety_books), rows(bound, safety_marks)) == (0, 0)
    assert (head := bound.head()) is not None
    assert head.safety_share is None
    kinds = [str(act.kind) for act in bound.acts(9)]
    assert kinds == ["safety_begun", "safety_changed", "safety_begun", "safety_ended"]
