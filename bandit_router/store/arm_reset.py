"""Arm resets: record that an arm is another model since some time, and drop what was counted before."""

from __future__ import annotations

from sqlalchemy import delete, func, or_, select, update

from bandit_router.store.learner_transaction import LearnerTransaction
from bandit_router.store.observations import CountedValues, read_observations
from bandit_router.store.records import Observation
from bandit_router.store.tables import arms, decisions, folded


def record_arm_reset(
    transaction: LearnerTransaction,
    arm: str,
    at: float,
    quantities: tuple[str, ...],
    claimed_at: float | None = None,
) -> list[Observation]:
    """Record that ``arm`` is another model since ``at``, Unix time; delete the records of older decisions.

    Returns the observations that stay counted: those younger by the clock of whoever decided. An arm with a
    later reset keeps that one.
    """
    connection, router = transaction.connection, transaction.router
    here = arms.c.router == router, or_(arms.c.name == arm, arms.c.renamed_to == arm)
    before = connection.scalar(select(func.max(arms.c.reset_at)).where(*here))
    if before is None or before < at:
        reset = {
            "reset_at": at,
            "reset_claimed_at": claimed_at,
            "reset_snapshot": transaction.version + 1,
        }
        connection.execute(update(arms).where(*here).values(reset))
    else:
        at = before
    transaction.raise_arms_revision()
    names = select(arms.c.name).where(*here)
    of_arm = select(decisions.c.id).where(decisions.c.router == router, decisions.c.arm.in_(names))
    older, younger = of_arm.where(decisions.c.decided_at < at), of_arm.where(decisions.c.decided_at >= at)
    in_force = folded.c.router == router, folded.c.generation == transaction.head.generation
    connection.execute(delete(folded).where(*in_force, folded.c.decision_id.in_(older)))
    learned = folded.c.quantity.in_(quantities), folded.c.decision_id.in_(younger)
    kept = sorted(connection.scalars(select(folded.c.decision_id).where(*in_force, *learned).distinct()))
    return read_observations(connection, router, kept, CountedValues(transaction.head.generation, quantities))
