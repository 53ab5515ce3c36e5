"""A new beginning for an arm: what was counted of its decisions before some moment is counted no more."""

from __future__ import annotations

from sqlalchemy import delete, select, update

from bandit_router.store.fold import COUNTED, LearnerTransaction, observations
from bandit_router.store.records import Observation
from bandit_router.store.tables import arms, decisions


def forget(fold: LearnerTransaction, arm: str, at: float) -> list[Observation]:
    """Put on record that ``arm`` is another since ``at`` (Unix time), and take what is older off the record.

    Returns what stays on record of the arm: decisions that are younger, by the clock of whoever made them. An
    arm that was reset later than ``at`` stays as it is.
    """
    here = arms.c.router == fold.router, arms.c.name == arm
    before = fold.connection.scalar(select(arms.c.reset_at).where(*here))
    if before is None or before < at:
        other = {"reset_at": at, "reset_snapshot": fold.version + 1}
        fold.connection.execute(update(arms).where(*here).values(other))
    else:
        at = before
    mine = select(decisions.c.id).where(decisions.c.router == fold.router, decisions.c.arm == arm)
    kept: set[str] = set()
    for table, _ in COUNTED.values():
        ours, decision = table.c.router == fold.router, table.c.decision_id
        older = mine.where(decisions.c.decided_at < at)
        fold.connection.execute(delete(table).where(ours, decision.in_(older)))
        kept.update(fold.connection.scalars(select(decision).where(ours, decision.in_(mine))))
    return observations(fold.connection, fold.router, sorted(kept))
