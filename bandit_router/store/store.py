"""One router's part of the database: the only door to SQL for the rest of the package."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Self

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bandit_router.errors import NoBudget, RouterClosed, RouterError, StoreError, UnknownDecision
from bandit_router.objective.pacing import GoalStatus, PacingState, advance_to, goal_status
from bandit_router.store import engine as connections
from bandit_router.store.audit import Audit
from bandit_router.store.conversations import read_conversation
from bandit_router.store.escalations import read_escalation
from bandit_router.store.fold import LearnerTransaction, folding, observations, read_snapshot
from bandit_router.store.recent import Costed, Rewarded, costed, rewarded
from bandit_router.store.records import Observation, arm_from, arm_row
from bandit_router.store.schema import ensure_schema
from bandit_router.store.spending import (
    PacingBook,
    PacingLedger,
    as_expected,
    book_with,
    read_book,
    start_book,
)
from bandit_router.store.tables import arms, pending, routers, snapshots
from bandit_router.store.write import (
    Committed,
    WriteRequest,
    apply,
    decision_of_key,
    decisions_after,
    knows_key,
    read_decision,
)
from bandit_router.types import Arm, Conversation, Decision, Escalation, Goal, Snapshot

log = logging.getLogger(__name__)

_ATTEMPTS = 5
_BACKOFF_S = 0.05
_PATIENCE_S = 10.0
_AWAY = (OperationalError, InterfaceError, PoolTimeout)
"""Failures that are no row's fault: no connection, a deadlock, a lock held too long."""

_INSERT_ROUTER = {
    name: into(routers).on_conflict_do_nothing().returning(routers.c.name)
    for name, into in connections.INSERT.items()
}
"""Two workers may open a new router at once; the second one finds it made, and nothing is returned."""


class Store:
    """The log, the arms and the snapshots of one router. Thread-safe.

    Every method raises StoreError when the database cannot do its part, RouterClosed after close().
    """

    def __init__(self, engine: Engine, router: str, goal: Goal | None) -> None:
        self._connections: Engine | None = engine
        self.router = router
        self._asked = goal
        self._book = PacingBook(goal, PacingState()) if goal is not None else None
        self._flying: dict[str, Decision] = {}  # on their way to a commit, by id

    @classmethod
    def open(cls, url: str, router: str, goal: Goal | None = None, *, create: bool = True) -> Self:
        """Connect, and check the schema. What decisions cost and are worth is booked when there is a goal.

        Without ``create``, for those who only read, a SQLite database must be there already.
        Raises ConfigError, SchemaVersionError or StoreError.
        """
        engine = connections.make_engine(url)
        try:
            with connections.translated():
                if not create:
                    connections.require_database(engine)
                ensure_schema(engine, create=create)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, router, goal)

    def close(self) -> None:
        """Let go of the database; every later call raises RouterClosed."""
        engine, self._connections = self._connections, None
        if engine is not None:
            connections.dispose(engine)

    @property
    def _engine(self) -> Engine:
        if self._connections is None:
            raise RouterClosed
        return self._connections

    # -- the router's head ------------------------------------------------------------------------

    def create_router(self, schema_id: str, first: Snapshot, reward_weights: Mapping[str, float]) -> None:
        """Make the router's row and its first snapshot, unless it has them; begin to book for a goal."""
        with connections.translated(), connections.writing(self._engine) as connection:
            row = {
                "name": self.router,
                "schema_id": schema_id,
                "version": 1,
                "reward_weights": dict(reward_weights),
                "arms_revision": 0,
            }
            if connection.scalar(_INSERT_ROUTER[connection.dialect.name], row) is not None:
                published = {"router": self.router, "version": 1, "published_at": time.time()}
                connection.execute(insert(snapshots), published | first._asdict())
            if self._asked is not None:
                self._book = start_book(connection, self.router, self._asked)
            else:  # another worker's settings may have one
                self._book = read_book(connection, self.router)

    def head(self) -> tuple[str, int, int] | None:
        """Schema id, newest version and arms revision; None when there is no such router."""
        with connections.translated(), connections.reading(self._engine) as connection:
            self._book = read_book(connection, self.router) or self._book
            return self._head(connection)

    @property
    def goal(self) -> Goal | None:
        """What prices are paced by: the goal that is booked for, which other settings may have changed since;
        None for a worker that was opened without one."""
        return None if self._asked is None or self._book is None else self._book.goal

    @property
    def pace(self) -> PacingState:
        """How the goal stood when this process last read the head or committed something, and what its
        own decisions since then are expected to add: many are made between two commits."""
        if self._book is None:
            return PacingState()
        book = self._book
        if self._asked is not None and self._flying:
            book = book_with(book, as_expected(list(self._flying.values())), book.pace.as_of)
        return book.pace

    def pace_at(self, now: float) -> PacingState:
        """The same at ``now``, Unix time, when nothing has come since."""
        return advance_to(self.pace, self.goal, now)

    def goal_status(self) -> GoalStatus:
        """How the goal that is booked for stands now, for all workers together. Raises NoBudget."""
        with connections.translated(), connections.reading(self._engine) as connection:
            book = read_book(connection, self.router)
        if book is None:
            raise NoBudget(self.router)
        return goal_status(book.pace, book.goal, time.time())

    def add_in_flight(self, decision: Decision) -> None:
        """Count a decision towards the goal that is not committed yet; :meth:`remove_in_flight` ends that."""
        if self._asked is not None:
            self._flying[decision.id] = decision

    def remove_in_flight(self, puts: Sequence[WriteRequest]) -> None:
        """These are committed, or will never be."""
        for put in puts:
            if put.decision is not None:
                self._flying.pop(put.decision.id, None)

    def _head(self, connection: Connection) -> tuple[str, int, int] | None:
        columns = routers.c.schema_id, routers.c.version, routers.c.arms_revision
        row = connection.execute(select(*columns).where(routers.c.name == self.router)).one_or_none()
        return None if row is None else (row.schema_id, row.version, row.arms_revision)

    def published(self) -> tuple[int, int, Snapshot, list[Arm]]:
        """Version, arms revision, newest snapshot and all arms, from one moment."""
        with connections.translated(), connections.reading(self._engine) as connection:
            head = self._head(connection)
            if head is None:
                raise StoreError(f"there is no router {self.router!r} in this database")
            found = read_snapshot(connection, self.router, head[1])
            if found is None:
                raise StoreError(f"snapshot {head[1]} is gone; run `bandit-router rebuild`")
            return head[1], head[2], found, self._arms(connection)

    def snapshot(self, version: int) -> Snapshot | None:
        """The snapshot of that version; None when it is pruned or never was."""
        with connections.translated(), connections.reading(self._engine) as connection:
            return read_snapshot(connection, self.router, version)

    def schema_in(self, fold: LearnerTransaction) -> str:
        """The schema id the router learned from."""
        head = self._head(fold.connection)
        assert head is not None, "a fold holds the lock on the router's row"
        return head[0]

    # -- arms -------------------------------------------------------------------------------------

    def arms(self) -> list[Arm]:
        """Every arm the router ever had, by name; ``enabled`` says which may be chosen."""
        with connections.translated(), connections.reading(self._engine) as connection:
            return self._arms(connection)

    def _arms(self, connection: Connection) -> list[Arm]:
        rows = connection.execute(select(arms).where(arms.c.router == self.router).order_by(arms.c.name))
        return [arm_from(row) for row in rows]

    def arms_in(self, fold: LearnerTransaction) -> list[Arm]:
        """Every arm, as the fold's transaction sees them."""
        return self._arms(fold.connection)

    def declare_arms(self, fold: LearnerTransaction, declared: Sequence[Arm]) -> None:
        """Bring the arms of router.toml in line with it; arms added at run time are left alone.

        An arm switched off at run time stays off; one no longer in the file, or off there, is not eligible.
        """
        connection, mine = fold.connection, arms.c.router == self.router
        known = {row.name: row for row in connection.execute(select(arms).where(mine))}
        for arm in declared:
            row = arm_row(self.router, arm, runtime=False)
            if arm.name not in known:
                connection.execute(insert(arms), row)
            else:
                kept = {"enabled": known[arm.name].enabled}
                connection.execute(update(arms).where(mine, arms.c.name == arm.name).values(row | kept))
        names = [arm.name for arm in declared]
        gone = update(arms).where(mine, arms.c.runtime.is_(False), arms.c.name.not_in(names))
        connection.execute(gone.values(declared=False))
        self._touch_arms(connection)

    def put_arm(self, fold: LearnerTransaction, arm: Arm) -> None:
        """Add an arm at run time, or give a known one new prices, limits or capabilities.

        A known arm stays switched on or off as it is.
        """
        row = arm_row(self.router, arm, runtime=True) | {"declared": True}
        here = arms.c.router == self.router, arms.c.name == arm.name
        changed = fold.connection.execute(update(arms).where(*here).values(row | {"enabled": arms.c.enabled}))
        if changed.rowcount == 0:
            fold.connection.execute(insert(arms), row | {"enabled": arm.enabled})
        self._touch_arms(fold.connection)

    def enable_arm(self, name: str, enabled: bool) -> None:
        """Switch an arm on or off."""
        with connections.translated(), connections.writing(self._engine) as connection:
            self._touch_arms(connection)  # first: a fold, too, locks the router's row before its arms
            here = arms.c.router == self.router, arms.c.name == name
            connection.execute(update(arms).where(*here).values(enabled=enabled))

    def _touch_arms(self, connection: Connection) -> None:
        row = update(routers).where(routers.c.name == self.router)
        connection.execute(row.values(arms_revision=routers.c.arms_revision + 1))

    # -- the log ----------------------------------------------------------------------------------

    def write(self, puts: Sequence[WriteRequest]) -> list[Committed | RouterError]:
        """Commit all puts: one answer or error for each, in order.

        All in one transaction. When the database refuses it, the two halves are tried apart, down to
        the row at fault, so that one bad row never takes others with it. When the database is away,
        it is asked again a few times. Nothing is answered that is not committed.
        """
        try:
            return self._write_patiently(puts)
        except (*_AWAY, StoreError) as error:
            log.error("%d writes failed: %s", len(puts), connections.cause(error))
            return [StoreError(f"the database failed: {connections.cause(error)}") for _ in puts]
        except Exception as error:  # a row can also fail in the driver, with whatever Python raises there
            if len(puts) == 1:
                return [StoreError(f"the database refused the write: {connections.cause(error)}")]
            log.warning("%d writes failed (%s): trying each half", len(puts), connections.cause(error))
        middle = len(puts) // 2
        return self.write(puts[:middle]) + self.write(puts[middle:])

    def _write_patiently(self, puts: Sequence[WriteRequest]) -> list[Committed | RouterError]:
        give_up = time.monotonic() + _PATIENCE_S
        for attempt in range(_ATTEMPTS - 1):
            try:
                return self._write_once(puts)
            except _AWAY:
                if time.monotonic() >= give_up:  # it took its time to fail: callers have waited enough
                    raise
                time.sleep(_BACKOFF_S * 2**attempt)
            except IntegrityError:
                continue  # another worker took an idempotency key: its answer is there by now
        return self._write_once(puts)

    def _write_once(self, puts: Sequence[WriteRequest]) -> list[Committed | RouterError]:
        ledger, book = PacingLedger(), None
        with connections.writing(self._engine) as connection:
            answers = apply(connection, self.router, puts, ledger)
            if self._book is not None:  # a statement more in every commit is felt, so that only who must asks
                book = ledger.close(connection, self.router, time.time())
        self._book = book or self._book
        return answers

    def decision(self, decision_id: str) -> Decision:
        """The decision with that id. Raises UnknownDecision."""
        with connections.translated(), connections.reading(self._engine) as connection:
            found = read_decision(connection, self.router, decision_id)
        if found is None:
            raise UnknownDecision(decision_id)
        return found

    def decision_of_key(self, idempotency_key: str) -> Decision | None:
        """The decision that a request with this key was answered with, if any."""
        with connections.translated(), connections.reading(self._engine) as connection:
            return decision_of_key(connection, self.router, idempotency_key)

    def knows_key(self, idempotency_key: str | None) -> bool:
        """Whether a request with this key was answered."""
        with connections.translated(), connections.reading(self._engine) as connection:
            return knows_key(connection, self.router, idempotency_key)

    def conversation(self, conversation: str) -> Conversation | None:
        """How a conversation stands, whether or not it is over; None when it never kept an arm."""
        with connections.translated(), connections.reading(self._engine) as connection:
            return read_conversation(connection, self.router, conversation)

    def decisions_after(self, decision_id: str) -> list[Decision]:
        """The decisions whose parent is this one, in order."""
        with connections.translated(), connections.reading(self._engine) as connection:
            return decisions_after(connection, self.router, decision_id)

    def escalation(self, parent: str) -> Escalation | None:
        """What was done about the answer of a decision; None when nobody asked."""
        with connections.translated(), connections.reading(self._engine) as connection:
            read = partial(read_decision, connection, self.router)
            return read_escalation(connection, self.router, parent, read)

    def observation(self, decision_id: str) -> Observation:
        """What is known of the outcome of a decision. Raises UnknownDecision."""
        with connections.translated(), connections.reading(self._engine) as connection:
            found = observations(connection, self.router, [decision_id])
        if not found:
            raise UnknownDecision(decision_id)
        return found[0]

    def has_pending(self) -> bool:
        """Whether there is feedback no learner has looked at."""
        with connections.translated(), connections.reading(self._engine) as connection:
            some = select(pending.c.decision_id).where(pending.c.router == self.router).limit(1)
            return connection.scalar(some) is not None

    # -- learning, auditing, upkeep ---------------------------------------------------------------

    @contextmanager
    def folding(self, *, wait: bool = False) -> Iterator[LearnerTransaction | None]:
        """The learner's transaction; None when another learner is at it and ``wait`` is false."""
        with connections.translated(), folding(self._engine, self.router, wait=wait) as fold:
            yield fold

    @contextmanager
    def auditing(self) -> Iterator[Audit]:
        """Read everything from one moment, while others go on writing."""
        with connections.translated(), connections.reading(self._engine) as connection:
            yield Audit(connection, self.router)

    def recent(self, last: int) -> tuple[list[Rewarded], list[Costed]]:
        """The newest ``last`` rewards and costs that are counted, beside what was expected."""
        with connections.translated(), connections.reading(self._engine) as connection:
            return rewarded(connection, self.router, last), costed(connection, self.router, last)

    def checkpoint(self) -> None:
        """Keep a SQLite write-ahead log short; nothing on other databases."""
        with connections.translated():
            connections.checkpoint(self._engine)
