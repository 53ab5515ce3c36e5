"""Locks of another program, which hold up every commit of ours, and what a kill then shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bandit_router.settings import load_settings
from bandit_router.store import sqlite_engine
from bandit_router.store.engine import file_lock, is_sqlite, make_engine
from tests.durability.workers import process


@contextmanager
def writes_held_up(url: str) -> Iterator[None]:
    """Nothing is written to the log while the block lasts."""
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            with file_lock(engine):  # queue up for the lock of a SQLite file, then hold it alone
                transaction = connection.begin()
                if is_sqlite(engine):
                    sqlite_engine.begin(connection, to_write=True)
            with transaction:
                if not is_sqlite(engine):
                    connection.exec_driver_sql("LOCK TABLE decisions IN EXCLUSIVE MODE")
                yield
    finally:
        engine.dispose()


def kill_while_held_up(
    config: Path, path: Path, conversations: Callable[..., None], wait: Callable[[], None]
) -> None:
    """Kill a process that holds ``conversations``, noted at ``path``, while it cannot commit."""
    url = load_settings(config).store.url
    with process(conversations, config, path, 0) as (child, pipe), writes_held_up(url):
        pipe.send("go on")
        wait()
        assert child.is_alive(), "it ended by itself"
        child.kill()  # while nothing can be committed
        child.join()
