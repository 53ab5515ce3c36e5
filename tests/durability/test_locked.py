"""Locks that others hold: every call ends with an answer, and closing ends, too."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url as parsed

from bandit_router.errors import CommitTimeout, DatabaseBusy, RouterClosed, StoreError
from bandit_router.router import AsyncRouter, Router
from tests.databases import sql
from tests.durability.helpers import eventually, write_config
from tests.durability.locks import writes_held_up

CONTEXT = [1.0, 0.0, 0.0, 0.0]

_HOLD = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def lock_file_held(url: str) -> Iterator[None]:
    """Another program holds the lock file of a SQLite database while the block lasts."""
    command = [sys.executable, "-c", _HOLD, f"{parsed(url).database}.lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"held\n"
        yield


def test_a_lock_file_that_another_program_holds_is_an_answer_and_ends_with_it(
    sqlite_url: str, tmp_path: Path
) -> None:
    with Router.open(write_config(tmp_path, sqlite_url, interval_s=3600, lock_timeout_s=0.05)) as router:
        decision = router.route(features=CONTEXT)
        with lock_file_held(sqlite_url):
            for call in (
                lambda: router.route(features=CONTEXT),
                lambda: router.feedback(decision.id, quality=1.0),
                lambda: router.enable_arm("small", False),
                lambda: router.reset_arm("small"),
                router.rebuild,
                router.ping,
            ):
                with pytest.raises(DatabaseBusy, match="locked"):
                    call()
            assert router.decision(decision.id).id == decision.id
        router.ping()
        assert router.feedback(decision.id, quality=1.0) == {"quality": "recorded"}


def test_locked_tables_are_an_answer_and_end_with_the_lock(url: str, tmp_path: Path) -> None:
    with Router.open(write_config(tmp_path, url, interval_s=3600, lock_timeout_s=0.05)) as router:
        with writes_held_up(url):
            for call in (lambda: router.route(features=CONTEXT), router.ping):
                with pytest.raises(DatabaseBusy, match="locked"):
                    call()
        router.ping()
        router.route(features=CONTEXT)


def test_an_outage_is_a_line_when_it_begins_and_one_when_it_ends(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = write_config(tmp_path, url, interval_s=0.01, lock_timeout_s=0.1)
    with Router.open(config) as router:
        decision = router.route(features=CONTEXT)
        with writes_held_up(url):
            for _ in range(20):
                with pytest.raises(DatabaseBusy):
                    router.feedback(decision.id, quality=1.0)
        router.feedback(decision.id, quality=1.0)
    writes = [record.getMessage() for record in caplog.records if "writes to the database" in record.message]
    assert len(writes) == 2, writes
    assert writes[0].startswith("writes to the database fail: the database is locked")
    assert writes[1].startswith("writes to the database work again, after 20 failures in ")


def test_tables_that_nobody_may_read_are_an_answer(postgresql_url: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, postgresql_url, interval_s=3600, lock_timeout_s=0.05)
    with Router.open(config) as router:
        decision = router.route(features=CONTEXT)
        with sql(postgresql_url) as connection:
            connection.exec_driver_sql("LOCK TABLE decisions, routers IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(DatabaseBusy, match="locked"):
                router.decision(decision.id)
            with pytest.raises(DatabaseBusy, match="locked"):
                Router.open(config).close()
        assert router.decision(decision.id).id == decision.id


def test_a_router_does_not_wait_for_a_lock_for_ever_to_open_or_close(sqlite_url: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, sqlite_url, interval_s=3600, lock_timeout_s=0.05)
    router = Router.open(config)
    with lock_file_held(sqlite_url):
        with pytest.raises(DatabaseBusy, match="locked"):
            Router.open(config)
        router.close()
    with pytest.raises(RouterClosed):
        router.ping()


def test_callers_are_told_when_a_commit_takes_too_long(url: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, url, interval_s=3600, commit_timeout_s=0.2)
    with Router.open(config) as router:
        with writes_held_up(url), pytest.raises(CommitTimeout):
            router.route(features=CONTEXT, idempotency_key="one")
        assert router.route(features=CONTEXT, idempotency_key="one").id  # one decision, whichever was first
    with sql(url) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM decisions").scalar_one() == 1


def test_callers_on_asyncio_are_told_when_a_commit_takes_too_long(url: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, url, interval_s=3600, commit_timeout_s=0.2)

    async def route() -> None:
        async with AsyncRouter.open(config) as router:
            with writes_held_up(url):
                with pytest.raises(CommitTimeout):
                    await router.route(features=CONTEXT)
                with pytest.raises(CommitTimeout):
                    await router.feedback("0" * 36, quality=1.0)

    asyncio.run(route())


def test_closing_refuses_what_the_database_does_not_take(url: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, url, interval_s=3600, close_timeout_s=0.2)
    router = Router.open(config)
    engine = router._store._engine
    answers: list[object] = []
    prepared = router._prepare(None, {"features": CONTEXT})
    with writes_held_up(url):
        router._submit(router._choose(*prepared), answers.append)
        eventually(lambda: router._writer._queue.empty(), "the writer waits for the lock")
        router._submit(router._choose(*prepared), answers.append)
        router.close()
        assert [type(answer) for answer in answers] == [RouterClosed]
    eventually(lambda: len(answers) == 2, "the first write is answered, too")
    router._writer._thread.join()
    engine.dispose()


def test_a_statement_that_takes_too_long_is_an_answer(postgresql_url: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, postgresql_url, interval_s=3600, statement_timeout_s=0.1)
    with Router.open(config) as router:
        with pytest.raises(StoreError, match="statement timeout"), router._store._reading() as connection:
            connection.exec_driver_sql("SELECT pg_sleep(60)")
        with router._store.read_log() as log:  # may take any time
            log.connection.exec_driver_sql("SELECT pg_sleep(0.3)")
