"""Locks of another program, which hold up every commit of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bandit_router.store.engine import file_lock, is_sqlite, make_engine


@contextmanager
def writes_held_up(url: str) -> Iterator[None]:
    """Nothing is written to the log while the block lasts."""
    engine = make_engine(url)
    try:
        with engine.connect().execution_options(bandit_router_write=True) as connection:
            with file_lock(engine):  # queue up for the lock of a SQLite file, then hold it alone
                transaction = connection.begin()
            with transaction:
                if not is_sqlite(engine):
                    connection.exec_driver_sql("LOCK TABLE decisions IN EXCLUSIVE MODE")
                yield
    finally:
        engine.dispose()
