"""Resets while several learners are at work: what is younger counts once, what is older not at all."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import select

from bandit_router.router import Router
from bandit_router.settings import load_settings
from bandit_router.store.learner_transaction import LearnerTransaction
from bandit_router.store.tables import arms, decisions, folded
from tests.databases import sql
from tests.durability.helpers import context, eventually, quality, write_config

OpenRouter = Callable[[], Router]
_RESET = "medium"


@pytest.fixture
def config(url: str, tmp_path: Path) -> Path:
    """Settings of a router that learns only when told to."""
    return write_config(tmp_path, url, interval_s=3600)


@pytest.fixture
def open_router(config: Path) -> Iterator[OpenRouter]:
    """Opens another router on the test's database, as another worker would."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Router.open(config))


def say_something(router: Router, rng: random.Random, times: int = 10) -> None:
    for _ in range(times):
        decision = router.route(features=context(rng))
        router.feedback(decision.id, quality=quality(decision.id, 1))


def check_younger_counted_once(config: Path, said: int) -> None:
    """On record, and in the posterior, is every decision since the reset of its arm, and no other."""
    with Router.open(config) as router:
        router.learn()
        report, counts = router.verify(), router.counts()
    assert report.ok, report.problems
    assert report.in_log["rewards"] == said == report.counted["rewards"] + report.forgotten
    with sql(load_settings(config).store.url) as connection:
        since = {row.name: row.reset_at or 0.0 for row in connection.execute(select(arms))}
        made = connection.execute(select(decisions.c.id, decisions.c.arm, decisions.c.decided_at)).all()
        on_record = set(connection.scalars(select(folded.c.decision_id)))
    younger = {row.id: row.arm for row in made if row.decided_at >= since[row.arm]}
    assert on_record == set(younger), "rewards on record are not those since the resets"
    assert counts == dict.fromkeys(counts, 0) | Counter(younger.values())


def test_resets_among_learners_lose_nothing_younger_and_keep_nothing_older(
    open_router: OpenRouter, config: Path
) -> None:
    routers, stop = [open_router() for _ in range(3)], threading.Event()

    def keep_learning(router: Router) -> None:
        while not stop.wait(0.001):
            router.learn()

    with ThreadPoolExecutor(4) as threads:
        learners = [threads.submit(keep_learning, router) for router in routers]
        talk = threads.submit(say_something, routers[0], random.Random(7), 60)
        resets = 0
        while not talk.done() or not resets:
            routers[1].reset_arm(_RESET)
            resets += 1
        talk.result()
        stop.set()
        for learner in learners:
            learner.result()
    say_something(routers[2], random.Random(8), 30)
    check_younger_counted_once(config, said=90)


def test_a_reset_that_reads_before_it_locks_overwrites_and_fails_the_check(
    open_router: OpenRouter, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, rng = open_router(), open_router(), random.Random(7)
    read_before = other._store.published()[2]
    say_something(one, rng)
    one.learn()
    with monkeypatch.context() as broken:
        broken.setattr(LearnerTransaction, "snapshot", lambda _fold: read_before)
        other.reset_arm(_RESET)
    with pytest.raises(AssertionError, match="on record"):
        check_younger_counted_once(config, said=10)


def test_a_worker_that_looks_every_so_often_follows_a_reset(url: str, tmp_path: Path) -> None:
    busy = write_config(tmp_path, url, interval_s=0.01)
    with Router.open(busy) as router, Router.open(busy) as other:
        say_something(router, random.Random(7), 30)
        router.learn()
        assert router.counts()[_RESET] > 0
        router.reset_arm(_RESET)
        eventually(lambda: other.counts()[_RESET] == 0, "the other worker forgot")
        assert sum(other.counts().values()) > 0
