"""Arm resets: record that an arm is another model since some time, and drop what was counted before."""

from __future__ import annotations

from sqlalchemy import delete, select, update

from bandit_router.store.learner_transaction import COUNTED_TABLES, LearnerTransaction
from bandit_router.store.observations import read_observations
from bandit_router.store.records import Observation
from bandit_router.store.tables import arms, decisions


def record_arm_reset(transaction: LearnerTransaction, arm: str, at: float) -> list[Observation]:
    """Record that ``arm`` is another model since ``at``, Unix time; delete the records of older decisions.

    Returns the observations that stay counted: those younger by the clock of whoever decided. An arm with a
    later reset keeps that one.
    """
    same_arm = arms.c.router == transaction.router, arms.c.name == arm
    last_reset = transaction.connection.scalar(select(arms.c.reset_at).where(*same_arm))
    if last_reset is None or last_reset < at:
        values = {"reset_at": at, "reset_snapshot": transaction.version + 1}
        transaction.connection.execute(update(arms).where(*same_arm).values(values))
    else:
        at = last_reset
    of_arm = select(decisions.c.id).where(decisions.c.router == transaction.router, decisions.c.arm == arm)
    older = of_arm.where(decisions.c.decided_at < at)
    still_counted: set[str] = set()
    for table, _ in COUNTED_TABLES.values():
        of_router, decision_id = table.c.router == transaction.router, table.c.decision_id
        transaction.connection.execute(delete(table).where(of_router, decision_id.in_(older)))
        remaining = select(decision_id).where(of_router, decision_id.in_(of_arm))
        still_counted.update(transaction.connection.scalars(remaining))
    return read_observations(transaction.connection, transaction.router, sorted(still_counted))
