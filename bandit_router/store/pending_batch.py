"""A batch of pending marks with all that a fold of them needs, read from one moment and without a lock."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from bandit_router.store.observations import CountedValues, read_observations
from bandit_router.store.records import Observation
from bandit_router.store.snapshots import Head, read_head, read_snapshot
from bandit_router.store.tables import pending

_CHUNK = 5_000  # ids per statement: both databases bound the number of parameters

Mark = tuple[str, str, int]
"""One row of ``pending``: decision, metric and revision."""


class PendingBatch(NamedTuple):
    """Pending marks, the observations of their decisions, and the state to add them to: None when its
    snapshot is gone."""

    head: Head
    state: bytes | None
    marks: list[Mark]
    observations: list[Observation]


def read_pending_batch(
    connection: Connection, router: str, quantities: tuple[str, ...], limit: int
) -> PendingBatch | None:
    """The oldest ``limit`` marks; None when nothing is pending.

    Feedback that commits later has marks of its own, so that it is looked at then.
    """
    oldest = (
        select(pending.c.decision_id, pending.c.metric, pending.c.revision)
        .where(pending.c.router == router, pending.c.rebuild.is_(None))
        .order_by(pending.c.decision_id, pending.c.metric, pending.c.revision)
        .limit(limit)
    )
    marks = [(row.decision_id, row.metric, row.revision) for row in connection.execute(oldest)]
    if not marks:
        return None
    head = read_head(connection, router)
    assert head is not None, "a mark belongs to a router"
    ids = sorted({decision_id for decision_id, _, _ in marks})
    counted = CountedValues(head.generation, quantities)
    observations = [
        observation
        for i in range(0, len(ids), _CHUNK)
        for observation in read_observations(connection, router, ids[i : i + _CHUNK], counted)
    ]
    return PendingBatch(head, read_snapshot(connection, router, head.version), marks, observations)
