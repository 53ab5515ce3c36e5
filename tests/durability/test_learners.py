"""Several learners on one database, and rows that become visible late."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import event

from bandit_router.errors import UnknownDecision
from bandit_router.learning.learner import NAMES
from bandit_router.posterior.state import decode_state
from bandit_router.router import Router
from bandit_router.settings import load_settings
from bandit_router.store.engine import make_engine, write_transaction
from bandit_router.store.learner_transaction import LearnerTransaction
from bandit_router.store.write_requests import WriteBatch, WriteRequest
from bandit_router.types import Decision
from tests.durability.checks import Ledger, check_counted_once
from tests.durability.helpers import context, quality, write_config

OpenRouter = Callable[[], Router]


@pytest.fixture
def quiet(url: str, tmp_path: Path) -> Path:
    """Settings of a router that learns only when told to."""
    return write_config(tmp_path, url, interval_s=3600)


@pytest.fixture
def open_router(quiet: Path) -> Iterator[OpenRouter]:
    """Opens another router on the test's database, as another worker would."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Router.open(quiet))


@pytest.fixture
def rng() -> random.Random:
    return random.Random(7)


def say_something(router: Router, ledger: Ledger, rng: random.Random, times: int = 10) -> None:
    for _ in range(times):
        decision = router.route(features=context(rng))
        router.feedback(decision.id, quality=quality(decision.id, 1))
        ledger.arms[decision.id] = decision.arm
        ledger.say(decision.id, quality(decision.id, 1))


def test_a_learner_adds_to_what_another_published_while_it_waited(
    open_router: OpenRouter, quiet: Path, rng: random.Random
) -> None:
    one, other, ledger = open_router(), open_router(), Ledger()
    say_something(one, ledger, rng)
    with ThreadPoolExecutor(1) as thread:
        waiting: list[Future[int]] = []
        with _before_statement(one, 0, lambda: waiting.append(thread.submit(other.learn))):
            assert one.learn() == 10
        say_something(one, ledger, rng)
        assert waiting.pop().result() + other.learn() == 10
    assert sum(other.counts().values()) == 20
    check_counted_once(quiet, ledger)


def test_a_learner_that_does_not_check_what_it_read_overwrites_and_fails_the_check(
    open_router: OpenRouter, quiet: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, ledger = open_router(), open_router(), Ledger()
    say_something(one, ledger, rng)
    one.learn()
    say_something(one, ledger, rng)
    batch = other._store.pending_batch(NAMES, 10)
    assert batch is not None
    assert batch.state is not None
    later = batch._replace(marks=batch.marks[5:], observations=batch.observations[5:])
    assert replace(one._learner, batch=5).fold() == 5
    with monkeypatch.context() as broken:
        broken.setattr(LearnerTransaction, "require_head", lambda *_: None)
        other._learner.publish_fold(later, decode_state(batch.state))
    with pytest.raises(AssertionError, match="the posterior counts 15 rewards, 20 are on record"):
        check_counted_once(quiet, ledger)


def test_learners_at_the_same_time_share_the_work_and_lose_none(
    open_router: OpenRouter, quiet: Path, rng: random.Random
) -> None:
    routers, ledger, stop = [open_router() for _ in range(3)], Ledger(), threading.Event()

    def keep_learning(router: Router) -> None:
        while not stop.wait(0.001):
            router.learn()

    with ThreadPoolExecutor(len(routers)) as threads:
        learners = [threads.submit(keep_learning, router) for router in routers]
        say_something(routers[0], ledger, rng, times=50)
        stop.set()
        for learner in learners:
            learner.result()
    check_counted_once(quiet, ledger)


def test_after_learn_a_router_counts_all_that_was_acknowledged_whoever_learns(
    url: str, tmp_path: Path, rng: random.Random
) -> None:
    busy = write_config(tmp_path, url, interval_s=0.01)
    counted = []
    with Router.open(busy) as router, Router.open(busy):
        for _ in range(50):
            say_something(router, Ledger(), rng, times=1)
            router.learn()
            counted.append(sum(router.counts().values()))
    assert counted == list(range(1, 51))


@pytest.mark.parametrize("act", [Router.learn, Router.rebuild], ids=["fold", "rebuild"])
def test_a_revision_counts_at_whichever_moment_of_a_fold_it_commits(
    act: Callable[[Router], int], postgresql_url: str, tmp_path: Path, rng: random.Random
) -> None:  # PostgreSQL only: a SQLite file is locked while a learner publishes
    config = write_config(tmp_path, postgresql_url, interval_s=3600)
    ledger = Ledger()
    with Router.open(config) as one, Router.open(config) as other:
        for moment in count():
            say_something(other, ledger, rng, times=2)
            revised = list(ledger.arms)[-1]

            def revise(decision_id: str = revised) -> None:
                other.feedback(decision_id, quality=quality(decision_id, 2))

            with _before_statement(one, moment, revise) as statements:
                act(one)
            if len(statements) <= moment + 1:  # it was over before that moment
                break
            ledger.say(revised, quality(revised, 2))
            one.learn()
            assert one.verify().problems == []
    assert moment >= 5
    check_counted_once(config, ledger)


@contextmanager
def _before_statement(router: Router, moment: int, act: Callable[[], object]) -> Iterator[list[str]]:
    """Act once before statement number ``moment`` after a fold has its lock; the lock and what follows."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statements or "FOR NO KEY UPDATE" in statement or statement == "BEGIN IMMEDIATE":
            statements.append(statement)
            if len(statements) == moment + 2:
                act()

    event.listen(router._store._engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(router._store._engine, "before_cursor_execute", note)


# -- rows that become visible late ----------------------------------------------------------------


def test_a_decision_that_commits_after_younger_ones_were_folded_still_counts(
    open_router: OpenRouter, quiet: Path, rng: random.Random
) -> None:
    router, ledger = open_router(), Ledger()
    old = router._begin(None, {"features": context(rng)})
    assert isinstance(old.payload, Decision)
    say_something(router, ledger, rng)
    assert router.learn() == 10
    router._writer.write(old)  # its caller was slow between deciding and writing
    router.feedback(old.payload.id, quality=quality(old.payload.id, 1))
    assert router.learn() == 1
    ledger.arms[old.payload.id] = old.payload.arm
    ledger.say(old.payload.id, quality(old.payload.id, 1))
    check_counted_once(quiet, ledger)


def test_a_fold_that_runs_before_a_decision_is_visible_leaves_it_to_the_next(
    open_router: OpenRouter, quiet: Path, rng: random.Random
) -> None:
    router, ledger = open_router(), Ledger()
    decided = router._begin(None, {"features": context(rng)})
    assert isinstance(decided.payload, Decision)
    decision_id, value = decided.payload.id, quality(decided.payload.id, 1)
    said = router._begin_feedback(decision_id, {"quality": value})
    with _uncommitted(quiet, [decided, said]):
        assert router.learn() == 0
        assert sum(router.counts().values()) == 0
    assert router.learn() == 1
    ledger.arms[decision_id] = decided.payload.arm
    ledger.say(decision_id, value)
    check_counted_once(quiet, ledger)


@contextmanager
def _uncommitted(config: Path, requests: list[WriteRequest]) -> Iterator[None]:
    """Another worker's transaction, which has written but commits only at the end of the block."""
    settings = load_settings(config)
    engine = make_engine(settings.store.url)
    try:
        with write_transaction(engine) as connection:
            WriteBatch(connection, settings.router.name, requests).apply()
            yield
    finally:
        engine.dispose()


def test_feedback_that_overtakes_its_decision_is_refused_and_counts_when_sent_again(
    postgresql_url: str, tmp_path: Path, rng: random.Random
) -> None:
    config = write_config(tmp_path, postgresql_url, interval_s=0.01)
    ledger = Ledger()
    with Router.open(config) as router:
        decided = router._begin(None, {"features": context(rng)})
        assert isinstance(decided.payload, Decision)
        decision_id, value = decided.payload.id, quality(decided.payload.id, 1)
        with _uncommitted(config, [decided]), pytest.raises(UnknownDecision):
            router.feedback(decision_id, quality=value)
        router.feedback(decision_id, quality=value)
    ledger.arms[decision_id] = decided.payload.arm
    ledger.say(decision_id, value)
    check_counted_once(config, ledger)
