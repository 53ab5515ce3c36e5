"""One open database: its engine, its transactions that read, and what is said when it fails."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from sqlalchemy import Connection, Engine

from bandit_router.errors import RouterClosed, RouterForked, StoreError
from bandit_router.store.clock import Clock, read_database_time
from bandit_router.store.engine import (
    dispose_engine,
    make_engine,
    read_transaction,
    require_database,
    translate_errors,
)
from bandit_router.store.goal_tracker import GoalTracker
from bandit_router.store.outage_log import OutageLog
from bandit_router.store.schema import ensure_schema
from bandit_router.store.sqlite_read_only import is_read_only_engine
from bandit_router.store.timeouts import DEFAULT_TIMEOUTS, Timeouts
from bandit_router.types import Goal

log = logging.getLogger(__name__)


class Database:
    """A database, open for one router in the process that opened it.

    ``pacing`` tracks the goal for this worker, ``clock`` says the time, ``books_safety`` whether decisions
    are compared with a baseline. Every method raises StoreError when the database fails, and RouterClosed
    after close() or in a forked process.
    """

    def __init__(self, engine: Engine, router: str, goal: Goal | None, clock: Clock) -> None:
        self._open_engine: Engine | None = engine
        self._process = os.getpid()
        self.router = router
        self.clock = clock
        self.pacing = GoalTracker(goal)
        self.books_safety = False
        self._failing_reads = OutageLog(log, "reads of the database")
        self._failing_writes = OutageLog(log, "writes to the database")

    @classmethod
    def open(
        cls,
        url: str,
        router: str,
        goal: Goal | None = None,
        *,
        create: bool = True,
        to_look: bool = False,
        clock: Clock | None = None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> Self:
        """Connect and check the schema. With a goal, costs and rewards of decisions are booked towards it.

        ``create`` makes a missing SQLite database; without it the file must exist. Without it, or ``to_look``
        for those who may not have to write, the file may be one that cannot be written.
        Raises ConfigError, SchemaVersionError or StoreError.
        """
        engine, clock = make_engine(url, timeouts, to_read=to_look or not create), clock or Clock()
        try:
            with translate_errors():
                if not create:
                    require_database(engine)
                ensure_schema(engine, create=create)
                with read_transaction(engine) as connection:
                    clock.set_reference(read_database_time(connection))
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, router, goal, clock)

    def close(self, *, in_use: bool = False) -> None:
        """Close every connection, unless a thread is stuck with one; later calls raise RouterClosed."""
        engine, self._open_engine = self._open_engine, None
        if engine is not None and not in_use:
            dispose_engine(engine)

    @property
    def read_only(self) -> bool:
        """Whether this is a file that cannot be written, opened all the same."""
        return is_read_only_engine(self._engine)

    @property
    def forked(self) -> bool:
        """Whether this process is a child of the one that opened the store."""
        return os.getpid() != self._process

    def require_own_process(self) -> None:
        """Raise RouterForked in a child of the process that opened the store."""
        if self.forked:
            raise RouterForked

    @property
    def _engine(self) -> Engine:
        self.require_own_process()
        if self._open_engine is None:
            raise RouterClosed
        return self._open_engine

    @contextmanager
    def _reading(self, *, whole_log: bool = False) -> Iterator[Connection]:
        try:
            with translate_errors(), read_transaction(self._engine, whole_log=whole_log) as connection:
                yield connection
        except StoreError as error:
            self._failing_reads.add_failures(1, error)
            raise
        self._failing_reads.end()
