"""Every value that the feedback on one decision ever had, for people who look at it."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from bandit_router.store.tables import feedback


class Revision(NamedTuple):
    """One value of a metric, Unix time of its arrival in seconds; None retracts the metric."""

    metric: str
    revision: int
    value: float | None
    received_at: float


def read_revisions(connection: Connection, router: str, decision_id: str, most: int = 200) -> list[Revision]:
    """The newest ``most`` values of a decision's metrics, in the order of their arrival."""
    newest = (
        select(feedback.c.metric, feedback.c.revision, feedback.c.value, feedback.c.received_at)
        .where(feedback.c.router == router, feedback.c.decision_id == decision_id)
        .order_by(feedback.c.received_at.desc(), feedback.c.metric.desc(), feedback.c.revision.desc())
        .limit(most)
    )
    return [Revision._make(row) for row in reversed(connection.execute(newest).all())]
