"""Safety: a router's book of what it lost to a baseline, and a mark for each decision that the book lacks.

A decision is booked in two transactions, as a reward is counted: the first inserts it and its mark; a fold
computes the next book without a lock, and the second, short transaction takes exactly its marks away and
writes that book, unless another one was written meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from bandit_router.objective.safety import SafetyGoal, SafetyStatus
from bandit_router.store.acts import ActKind
from bandit_router.store.arms import read_renamed_arms
from bandit_router.store.learner_transaction import LearnerTransaction, StaleRead, chunks
from bandit_router.store.records import decision_from
from bandit_router.store.tables import arms, decisions, routers, safety_books, safety_marks
from bandit_router.types import Decision, Reason

log = logging.getLogger(__name__)

_OF_OTHERS = {Reason.OVERRIDE, Reason.WORKFLOW, Reason.TIER, Reason.PINNED}


class SafetyRecord(NamedTuple):
    """The book of a router as it is stored; ``book`` is None before the first fold.

    ``snapshot`` is the newest that its predictions are from, ``reset_snapshot`` the newest reset of an arm
    that is settled in it, and ``newest_reset`` the newest on record, 0 without one.
    """

    goal: SafetyGoal
    since: float
    share: float
    decisions: int
    earned: float
    lost_mean: float
    lost_high: float
    book: bytes | None
    revision: int
    snapshot: int
    reset_snapshot: int
    folded_at: float
    ahead: float
    newest_reset: int

    @property
    def status(self) -> SafetyStatus:
        """What is shown of it."""
        return SafetyStatus(
            **asdict(self.goal),
            since=self.since,
            share=self.share,
            decisions=self.decisions,
            lost=self.lost_mean,
            lost_at_most=self.lost_high,
            allowed=self.goal.at_most * max(0.0, self.earned),
        )


class SafetyBatch(NamedTuple):
    """Marks, their decisions in id order, the book that lacks them, and the name now of each renamed arm."""

    record: SafetyRecord
    marks: list[str]
    decisions: list[Decision]
    renamed: dict[str, str]


def insert_marks(connection: Connection, router: str, new: Sequence[Decision]) -> None:
    """Mark decisions that were inserted, but for those that somebody else chose and second answers."""
    rows = [{"router": router, "decision_id": decision.id} for decision in new if _is_compared(decision)]
    if rows:
        connection.execute(insert(safety_marks), rows)


def _is_compared(decision: Decision) -> bool:
    """Whether the baseline would have decided it, and its query is compared by no earlier decision.

    What callers and owners name, learning did not cost. A retry or the fallback of a call is the second
    decision of one query.
    """
    if decision.reason is Reason.FALLBACK:
        return decision.parent is None
    return decision.reason is not Reason.ESCALATION and decision.reason not in _OF_OTHERS


def read_record(connection: Connection, router: str) -> SafetyRecord | None:
    """The book of a router; None when nothing is bound."""
    newest_reset = (
        select(func.coalesce(func.max(arms.c.reset_snapshot), 0))
        .where(arms.c.router == router)
        .scalar_subquery()
    )
    statement = select(
        safety_books, routers.c.safety_share.label("share"), newest_reset.label("newest_reset")
    ).join(routers, routers.c.name == safety_books.c.router)
    row = connection.execute(statement.where(safety_books.c.router == router)).one_or_none()
    if row is None:
        return None
    goal = SafetyGoal(baseline=row.baseline, at_most=row.at_most, probability=row.probability)
    return SafetyRecord(goal, *(getattr(row, name) for name in SafetyRecord._fields[1:]))


def read_safety_batch(connection: Connection, router: str, version: int, limit: int) -> SafetyBatch | None:
    """The oldest ``limit`` marks of decisions that snapshots up to ``version`` made; None without a book.

    That snapshot knows all their arms.
    """
    record = read_record(connection, router)
    if record is None:
        return None
    marked = decisions.join(
        safety_marks,
        (safety_marks.c.router == decisions.c.router) & (safety_marks.c.decision_id == decisions.c.id),
    )
    wanted = decisions.c.router == router, decisions.c.snapshot <= version
    oldest = select(decisions).select_from(marked).where(*wanted).order_by(decisions.c.id).limit(limit)
    rows = connection.execute(oldest).all()
    readable = [decision for row in rows if (decision := _read_decision(row)) is not None]
    return SafetyBatch(record, [row.id for row in rows], readable, read_renamed_arms(connection, router))


def _read_decision(row: Any) -> Decision | None:
    try:
        return decision_from(row)
    except (TypeError, ValueError) as error:  # it must not keep all others from being booked
        log.error("decision %s is damaged, and not compared with the baseline: %r", row.id, error)
        return None


def write_fold(
    transaction: LearnerTransaction, batch: SafetyBatch, share: float, values: Mapping[str, Any]
) -> None:
    """Write the next book, take the marks of its decisions away, and give the policy this share of traffic.

    Raises StaleRead if the book, its marks or the arms are not what the batch was read with.
    """
    connection, router, record = transaction.connection, transaction.router, batch.record
    _require_same(record, read_record(connection, router))
    if _take_marks(connection, router, batch.marks) != len(batch.marks):
        raise StaleRead
    settled = {"revision": record.revision + 1, "reset_snapshot": record.newest_reset}
    _update_book(connection, router, **settled, **values)
    _write_share(connection, router, share)


def _require_same(record: SafetyRecord, newest: SafetyRecord | None) -> None:
    """Raise StaleRead if the book or the arms have changed since the record was read."""
    if newest is None or (newest.revision, newest.newest_reset) != (record.revision, record.newest_reset):
        raise StaleRead


def declare_safety(transaction: LearnerTransaction, goal: SafetyGoal | None) -> None:
    """Keep a book towards a baseline, begun anew with another one; None ends it.

    A new book begins with the least share. Another goal with the same baseline goes on with the book.
    """
    connection, router = transaction.connection, transaction.router
    record = read_record(connection, router)
    before = None if record is None else record.goal
    if goal == before:
        return
    if goal is None or before is None or goal.baseline != before.baseline:
        connection.execute(delete(safety_marks).where(safety_marks.c.router == router))
        connection.execute(delete(safety_books).where(safety_books.c.router == router))
        _write_share(connection, router, None)
    if goal is None:
        transaction.record_act(ActKind.SAFETY_ENDED)
    elif before is not None and before.baseline == goal.baseline:
        again = {"snapshot": 0, "revision": safety_books.c.revision + 1}  # the share is found anew
        _update_book(connection, router, at_most=goal.at_most, probability=goal.probability, **again)
        transaction.record_act(ActKind.SAFETY_CHANGED, **asdict(goal))
    else:
        _insert_book(transaction, goal)
        _write_share(connection, router, goal.least_share)
        transaction.record_act(ActKind.SAFETY_BEGUN, **asdict(goal))


def _insert_book(transaction: LearnerTransaction, goal: SafetyGoal) -> None:
    now = transaction.clock.reference()
    nothing = dict.fromkeys(("decisions", "earned", "lost_mean", "lost_high", "revision", "ahead"), 0)
    row = {
        **asdict(goal),
        **nothing,
        "router": transaction.router,
        "since": now,
        "folded_at": now,
        "snapshot": 0,
        "reset_snapshot": transaction.version,  # older resets are no loss of this book
    }
    transaction.connection.execute(insert(safety_books), row)


def _take_marks(connection: Connection, router: str, marks: Sequence[str]) -> int:
    taken = 0
    for chunk in chunks(marks):
        mine = safety_marks.c.router == router, safety_marks.c.decision_id.in_(chunk)
        taken += connection.execute(delete(safety_marks).where(*mine)).rowcount
    return taken


def _update_book(connection: Connection, router: str, **values: Any) -> None:
    connection.execute(update(safety_books).where(safety_books.c.router == router).values(**values))


def _write_share(connection: Connection, router: str, share: float | None) -> None:
    connection.execute(update(routers).where(routers.c.name == router).values(safety_share=share))
