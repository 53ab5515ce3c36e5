"""The database goes away in the middle of traffic: every call is answered, every "yes" is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue

import pytest
from sqlalchemy import event

from bandit_router.errors import Overloaded, StoreError
from bandit_router.router import Router
from bandit_router.types import Decision
from tests.durability.checks import check_nothing_lost
from tests.durability.helpers import Acknowledgements, converse, plain, write_config
from tests.durability.locks import writes_held_up
from tests.durability.sessions import allow_connections, cut_sessions

CALLERS = 4
ANSWERS = 40


@contextmanager
def traffic(config: Path, told: Acknowledgements) -> Iterator[None]:
    """Callers on one router while the block lasts, and some more answers after it.

    Fails when a caller is given anything but an answer or a StoreError, or is left waiting.
    """
    stop = threading.Event()
    with Router.open(config) as router, ThreadPoolExecutor(CALLERS) as threads:
        talks: list[Future[None]] = [
            threads.submit(
                converse,
                lambda x, key: plain(router.route(features=x, idempotency_key=key)),
                lambda decision_id, value: router.feedback(decision_id, quality=value),
                told,
                caller,
                stop,
            )
            for caller in range(CALLERS)
        ]
        try:
            told.wait_for(ANSWERS)
            yield
            told.wait_for(ANSWERS)
        finally:
            stop.set()
        for talk in talks:
            talk.result()


def test_sessions_that_are_cut_again_and_again_lose_nothing(
    postgresql_url: str, tmp_path: Path, told: Acknowledgements
) -> None:
    config = write_config(tmp_path, postgresql_url, interval_s=0.01)
    with traffic(config, told):
        for _ in range(10):
            cut_sessions(postgresql_url)
            told.wait_for(ANSWERS)
    check_nothing_lost(config, told.read())


def test_a_server_that_refuses_connections_for_a_while_loses_nothing(
    postgresql_url: str, tmp_path: Path, told: Acknowledgements
) -> None:
    config = write_config(tmp_path, postgresql_url, interval_s=0.01)
    with traffic(config, told):
        for _ in range(2):
            allow_connections(postgresql_url, False)
            try:
                cut_sessions(postgresql_url)
                told.wait_for(CALLERS, refused=True)
            finally:
                allow_connections(postgresql_url, True)
            told.wait_for(ANSWERS)
    check_nothing_lost(config, told.read())


def test_a_lock_that_is_held_for_a_while_refuses_nobody(
    url: str, tmp_path: Path, told: Acknowledgements
) -> None:
    config = write_config(tmp_path, url, interval_s=0.01)
    with traffic(config, told):
        for _ in range(3):
            with writes_held_up(url):
                time.sleep(0.3)
            told.wait_for(ANSWERS)
    check_nothing_lost(config, told.read())
    assert told.read().refusals == 0


def test_a_sqlite_lock_that_is_held_too_long_is_a_store_error(
    sqlite_url: str, tmp_path: Path, told: Acknowledgements
) -> None:
    config = write_config(tmp_path, sqlite_url, interval_s=0.01, lock_timeout_s=0.02)
    with traffic(config, told):
        for _ in range(2):
            with writes_held_up(sqlite_url):
                told.wait_for(CALLERS, refused=True)
            told.wait_for(ANSWERS)
    check_nothing_lost(config, told.read())


def test_a_lock_that_outlasts_our_patience_is_not_waited_for_again(sqlite_url: str, tmp_path: Path) -> None:
    waits: list[str] = []
    config = write_config(tmp_path, sqlite_url, interval_s=3600, lock_timeout_s=0.02)
    with Router.open(config) as router:
        event.listen(
            router._store._engine,
            "before_cursor_execute",
            lambda _connection, _cursor, statement, *_: waits.append(statement),
        )
        with writes_held_up(sqlite_url), pytest.raises(StoreError, match="locked"):
            router.route(features=[1.0, 0.0, 0.0, 0.0])
    assert waits == ["BEGIN IMMEDIATE"]


def test_what_the_queue_took_is_written_and_what_it_refused_is_overloaded(
    url: str, tmp_path: Path, told: Acknowledgements
) -> None:
    config = write_config(tmp_path, url, interval_s=3600, queue_size=20)
    answers: SimpleQueue[object] = SimpleQueue()
    taken = 0
    with Router.open(config) as router:
        request = router._prepare(None, {"features": [1.0, 0.0, 0.0, 0.0]})
        with writes_held_up(url), suppress(Overloaded):
            while taken < 2_000:  # the writer, held up, takes only what is there when it begins
                router._submit(router._choose(*request), answers.put)
                taken += 1
    assert 20 <= taken < 2_000
    for _ in range(taken):
        decision = answers.get_nowait()
        assert isinstance(decision, Decision)
        told.note("decision", plain(decision))
    assert answers.empty()
    check_nothing_lost(config, told.read())


def test_a_router_cannot_open_while_the_database_is_away(postgresql_url: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, postgresql_url)
    allow_connections(postgresql_url, False)
    with pytest.raises(StoreError, match="not currently accepting connections"):
        Router.open(config)
