"""Escalations: the answer of a decision is judged once, and every later request gets that escalation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from bandit_router.store.engine import INSERT
from bandit_router.store.records import ReadDecision
from bandit_router.store.tables import escalations
from bandit_router.types import CONFIDENCE, Escalation, Feedback

_INSERT = {
    name: into(escalations).on_conflict_do_nothing().returning(escalations.c.parent)
    for name, into in INSERT.items()
}
"""Two workers may judge one answer at once: the key admits the first, and the second waits for its commit."""

_ESCALATIONS_OF = select(escalations).where(
    escalations.c.router == bindparam("router"),
    escalations.c.parent.in_(bindparam("parents", expanding=True)),
)


def insert_escalations(
    connection: Connection, router: str, requested: Sequence[Escalation], read: ReadDecision
) -> tuple[dict[str, Escalation], list[Escalation]]:
    """Insert the first escalation of each answer; the one in force for every parent, and the new ones.

    The caller inserts the retries of the new ones in the same transaction.
    """
    first: dict[str, Escalation] = {}
    for escalation in requested:
        first.setdefault(escalation.parent, escalation)
    parents = sorted(first)
    rows = [_escalation_row(router, first[parent]) for parent in parents]
    inserted = set(connection.scalars(_INSERT[connection.dialect.name], rows))
    new = [first[parent] for parent in parents if parent in inserted]
    earlier = _read_escalations(connection, router, sorted(first.keys() - inserted), read)
    return {escalation.parent: escalation for escalation in new} | earlier, new


def read_escalation(
    connection: Connection, router: str, parent: str, read: ReadDecision
) -> Escalation | None:
    """The escalation of a decision; None when its answer was never judged."""
    return _read_escalations(connection, router, [parent], read).get(parent)


def confidence_feedback(escalation: Escalation) -> list[Feedback]:
    """The confidence, as a metric of the decision that was judged and of its retry."""
    ids = [escalation.parent] + ([] if escalation.decision is None else [escalation.decision.id])
    metrics, at = {CONFIDENCE: escalation.confidence}, escalation.asked_at
    claimed_at = escalation.claimed_at
    return [Feedback(decision_id=i, metrics=metrics, received_at=at, claimed_at=claimed_at) for i in ids]


def _read_escalations(
    connection: Connection, router: str, parents: Sequence[str], read: ReadDecision
) -> dict[str, Escalation]:
    """The escalations of these parents, with their retries, by parent."""
    if not parents:
        return {}
    rows = connection.execute(_ESCALATIONS_OF, {"router": router, "parents": list(parents)})
    return {row.parent: _escalation_from(row, read) for row in rows.all()}


def _escalation_row(router: str, escalation: Escalation) -> dict[str, Any]:
    """The row of the escalations table."""
    retry = escalation.decision
    return {
        "router": router,
        "parent": escalation.parent,
        "asked_at": escalation.asked_at,
        "confidence": escalation.confidence,
        "p_good": escalation.p_good,
        "p_retry_good": escalation.p_retry_good,
        "propensity": escalation.propensity,
        "snapshot": escalation.snapshot,
        "why": escalation.why,
        "decision_id": None if retry is None else retry.id,
        "claimed_at": escalation.claimed_at,
    }


def _escalation_from(row: Row[Any], read: ReadDecision) -> Escalation:
    return Escalation(
        parent=row.parent,
        asked_at=row.asked_at,
        confidence=row.confidence,
        p_good=row.p_good,
        p_retry_good=row.p_retry_good,
        propensity=row.propensity,
        snapshot=row.snapshot,
        why=row.why,
        decision=None if row.decision_id is None else read(row.decision_id),
        claimed_at=row.claimed_at,
    )
