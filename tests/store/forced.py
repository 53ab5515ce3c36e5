"""Ways to force an interleaving of two connections to PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from sqlalchemy import event, text

from bandit_router.store.engine import make_engine
from bandit_router.store.store import Store
from bandit_router.store.write_requests import WriteBatch, WriteRequest
from tests.databases import sql

_PATIENCE = 3_000  # polls of 10 ms
_COUNT_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
_END_ALL_OTHERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@contextmanager
def uncommitted(
    url: str, request: WriteRequest, *, commit: bool = True
) -> Iterator[Callable[[WriteRequest], None]]:
    """Another worker's write, neither committed nor rolled back before the end of the block.

    Gives a way to write more in the same transaction.
    """
    engine = make_engine(url)
    try:
        with engine.connect() as connection:

            def write(what: WriteRequest) -> None:
                WriteBatch(connection, "r", [what]).apply()

            write(request)
            yield write
            if commit:
                connection.commit()
    finally:
        engine.dispose()


@contextmanager
def after_statement(store: Store, n: int, call: Callable[[], Any]) -> Iterator[list[str]]:
    """Make ``call`` right after the store's n-th statement in the block, from 0; the list then holds it."""
    statements, reached = count(), list[str]()

    def after(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if next(statements) == n:
            reached.append(statement)
            call()

    event.listen(store._engine, "after_cursor_execute", after)
    try:
        yield reached
    finally:
        event.remove(store._engine, "after_cursor_execute", after)


def wait_until_one_waits(url: str) -> None:
    """Return once a connection to the database waits for a lock."""
    _wait_for(url, f"{_COUNT_CONNECTIONS} AND wait_event_type = 'Lock'", 1)


def deadlocks(url: str) -> int:
    """How many there ever were; what a connection saw is on record once it is gone."""
    _wait_for(url, _COUNT_CONNECTIONS, 1)  # the one that counts
    with sql(url) as connection:
        seen = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(connection.execute(text(seen)).scalar_one())


def end_connections(url: str) -> None:
    """Have the server hang up on everybody."""
    with sql(url) as connection:
        connection.execute(text(_END_ALL_OTHERS))


def _wait_for(url: str, number: str, expected: int) -> None:
    for _ in range(_PATIENCE):
        with sql(url) as connection:
            if connection.execute(text(number)).scalar_one() == expected:
                return
        time.sleep(0.01)
    raise AssertionError(f"never {expected}: {number}")
