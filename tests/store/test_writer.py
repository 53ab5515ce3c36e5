"""Group commit: every caller is told once, after the commit, whatever happens to the database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import OperationalError

from bandit_router.errors import (
    IdempotencyConflict,
    Overloaded,
    RouterClosed,
    RouterError,
    StoreError,
    UnknownDecision,
)
from bandit_router.store.store import Store
from bandit_router.store.tables import decisions, feedback, pending
from bandit_router.store.write_requests import Committed, WriteRequest
from bandit_router.store.writer import Writer
from bandit_router.types import CallEnd, CallOutcome, Decision, Outcome
from tests.databases import sql
from tests.store.examples import OpenStore, decision, learner_of, logged, rows, with_key
from tests.store.examples import feedback as about
from tests.store.truth import assert_counted_once

Answers = list[Committed | RouterError]


@pytest.fixture
def writer(store: Store) -> Iterator[Writer]:
    writer = Writer(store, queue_size=10)
    yield writer
    writer.close()


def end_of(called: Decision) -> CallEnd:
    return CallEnd(decision_id=called.id, outcome=CallOutcome.ANSWERED, cost_usd=0.01)


@contextmanager
def count_commits(store: Store) -> Iterator[list[Connection]]:
    """The commits of the store during the block, so far."""
    commits: list[Connection] = []
    note = commits.append
    event.listen(store._engine, "commit", note)
    try:
        yield commits
    finally:
        event.remove(store._engine, "commit", note)


@contextmanager
def busy(writer: Writer) -> Iterator[None]:
    """Keep the writer's thread from its queue during the block: a caller is slow to hear its answer."""
    reached, leave = Event(), Event()

    def hear(_answer: Committed | RouterError) -> None:
        reached.set()
        leave.wait()

    writer.submit(WriteRequest(payload=decision()), hear)
    reached.wait()
    try:
        yield
    finally:
        leave.set()


# -- answers --------------------------------------------------------------------------------------


def test_a_caller_is_told_after_the_commit(writer: Writer, open_store: OpenStore) -> None:
    other_worker, seen = open_store(), list[Decision]()
    written = decision()

    def look(answer: Committed | RouterError) -> None:
        assert isinstance(answer, Decision)
        seen.append(other_worker.decision(answer.id))

    writer.submit(WriteRequest(payload=written), look)
    writer.close()
    assert [one.id for one in seen] == [written.id]


def test_write_returns_the_answer_or_raises_it(writer: Writer) -> None:
    known = decision(idempotency_key="k")
    assert writer.write(WriteRequest(payload=known, digest="d")) is known
    assert writer.write(WriteRequest(payload=about(known, quality=1.0))) == {"quality": Outcome.RECORDED}
    with pytest.raises(UnknownDecision):
        writer.write(WriteRequest(payload=about("nobody", quality=1.0)))
    with pytest.raises(IdempotencyConflict):
        writer.write(WriteRequest(payload=known, digest="e"))


def test_what_queues_up_during_a_commit_is_committed_together(writer: Writer, store: Store) -> None:
    answers, commits = Answers(), list[Connection]()
    with busy(writer):
        event.listen(store._engine, "commit", commits.append)
        for _ in range(10):
            writer.submit(WriteRequest(payload=decision()), answers.append)
    writer.close()
    assert len(commits) == 1
    assert [type(answer) for answer in answers] == [Decision] * 10


def test_the_end_of_a_call_goes_with_the_next_write_that_somebody_waits_for(store: Store) -> None:
    answers = Answers()
    writer = Writer(store, queue_size=10, longest_wait_s=600.0)
    called, later = decision(), decision()
    writer.write(WriteRequest(payload=called, begins_call=True))
    with count_commits(store) as commits:
        writer.submit(WriteRequest(payload=end_of(called)), answers.append)
        writer.write(WriteRequest(payload=later))
    writer.close()
    assert (answers, len(commits)) == ([Outcome.RECORDED], 1)


def test_the_end_of_a_call_is_committed_when_no_other_write_comes(writer: Writer, store: Store) -> None:
    called = decision()
    writer.write(WriteRequest(payload=called, begins_call=True))
    assert writer.write(WriteRequest(payload=end_of(called))) is Outcome.RECORDED
    assert store.call(called.id) is not None


def test_close_does_not_wait_for_another_write(store: Store) -> None:
    writer = Writer(store, queue_size=10, longest_wait_s=600.0)
    called = decision()
    writer.write(WriteRequest(payload=called, begins_call=True))
    writer.submit(WriteRequest(payload=end_of(called)), Answers().append)
    assert writer.close(timeout_s=60.0)
    assert store.call(called.id) is not None


def test_many_threads_each_hear_their_own_answer(writer: Writer, store: Store) -> None:
    mine = [decision() for _ in range(60)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda one: writer.write(WriteRequest(payload=one)), mine))
    assert all(answer is one for answer, one in zip(answers, mine, strict=True))
    assert rows(store, decisions) == 60


def test_a_caller_that_went_away_does_not_keep_others_from_hearing(writer: Writer) -> None:
    answers = Answers()

    def gone(_answer: Committed | RouterError) -> None:
        raise ConnectionResetError

    with busy(writer):
        writer.submit(WriteRequest(payload=decision()), gone)
        writer.submit(WriteRequest(payload=decision()), answers.append)
    assert isinstance(writer.write(WriteRequest(payload=decision())), Decision)
    assert len(answers) == 1


# -- full and closed ------------------------------------------------------------------------------


def test_a_full_queue_says_when_to_come_back(writer: Writer, store: Store) -> None:
    answers = Answers()
    with busy(writer):
        for _ in range(10):
            writer.submit(WriteRequest(payload=decision()), answers.append)
        with pytest.raises(Overloaded, match="retry after 1 s"):
            writer.submit(WriteRequest(payload=decision()), answers.append)
    writer.close()
    assert len(answers) == 10
    assert rows(store, decisions) == 1 + 10


def test_close_commits_what_is_queued(writer: Writer, store: Store) -> None:
    answers = Answers()
    with ThreadPoolExecutor(1) as thread:
        with busy(writer):
            for _ in range(10):
                writer.submit(WriteRequest(payload=decision()), answers.append)
            closing = thread.submit(writer.close)
        closing.result()
    assert len(answers) == 10
    assert rows(store, decisions) == 1 + 10


def test_a_closed_writer_takes_nothing_and_can_be_closed_again(writer: Writer, store: Store) -> None:
    writer.close()
    writer.close()
    with pytest.raises(RouterClosed):
        writer.write(WriteRequest(payload=decision()))
    assert rows(store, decisions) == 0


# -- a database in trouble ------------------------------------------------------------------------


def test_a_database_that_cannot_write_is_told_to_everybody_and_outlived(
    writer: Writer, store: Store, url: str
) -> None:
    answers = Answers()
    with busy(writer):
        with sql(url) as connection:
            connection.execute(text("ALTER TABLE decisions RENAME TO elsewhere"))
        for _ in range(5):
            writer.submit(WriteRequest(payload=decision()), answers.append)
    with pytest.raises(StoreError):
        writer.write(WriteRequest(payload=decision()))
    assert [type(answer) for answer in answers] == [StoreError] * 5
    with sql(url) as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO decisions"))
    assert isinstance(writer.write(WriteRequest(payload=decision())), Decision)
    assert rows(store, decisions) == 2


def test_a_commit_whose_answer_is_lost_takes_effect_once(writer: Writer, store: Store) -> None:
    known, keyed = logged(store), decision(idempotency_key="a")
    answers = Answers()
    with busy(writer):
        _lose_the_answer_of_the_next_commit(store)
        for what in (decision(), keyed, with_key("b", about(known, quality=0.5)), about(known, cost_usd=0.1)):
            writer.submit(WriteRequest(payload=what, digest="d"), answers.append)
    writer.close()
    assert isinstance(answers[1], Decision)
    assert answers[1].id == keyed.id
    assert answers[2:] == [{"quality": Outcome.RECORDED}, {"cost_usd": Outcome.DUPLICATE}]
    assert rows(store, decisions) == 1 + 1 + 2
    assert rows(store, feedback) == rows(store, pending) == 2
    learner_of(store).fold()
    assert_counted_once(store, {known.id: (known, 0.5)})


def _lose_the_answer_of_the_next_commit(store: Store) -> None:
    def commit_and_hang_up(connection: Connection) -> None:
        event.remove(store._engine, "commit", commit_and_hang_up)
        connection.connection.commit()
        raise OperationalError("COMMIT", None, ConnectionResetError("hung up"))

    event.listen(store._engine, "commit", commit_and_hang_up)
