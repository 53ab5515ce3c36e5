"""Answers judged once: whoever asks again, or at the same time, hears what was done the first time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from bandit_router.store.engine import INSERT
from bandit_router.store.tables import escalations
from bandit_router.types import CONFIDENCE, Decision, Escalation, Feedback

ReadDecision = Callable[[str], Decision | None]

_INSERT = {
    name: into(escalations).on_conflict_do_nothing().returning(escalations.c.parent)
    for name, into in INSERT.items()
}
"""Two workers may judge one answer at once: the key lets one in, and the other waits for its commit."""

_OF = select(escalations).where(
    escalations.c.router == bindparam("router"),
    escalations.c.parent.in_(bindparam("parents", expanding=True)),
)


def judge_once(
    connection: Connection, router: str, asked: Mapping[int, Escalation], read: ReadDecision
) -> tuple[dict[int, Escalation], list[tuple[int, Escalation]]]:
    """The escalation in force for each of those asked for, and those that are new: their retries are to be
    inserted in the same transaction."""
    first = {one.parent: (i, one) for i, one in reversed(list(asked.items()))}
    rows = [_row(router, first[parent][1]) for parent in sorted(first)]
    inserted = sorted(connection.scalars(_INSERT[connection.dialect.name], rows))
    known = _read(connection, router, sorted(first.keys() - set(inserted)), read)
    in_force = {parent: first[parent][1] for parent in inserted} | known
    return {i: in_force[one.parent] for i, one in asked.items()}, [first[parent] for parent in inserted]


def read_escalation(
    connection: Connection, router: str, parent: str, read: ReadDecision
) -> Escalation | None:
    """What was done about the answer of a decision; None when nobody asked."""
    return _read(connection, router, [parent], read).get(parent)


def confidences(escalation: Escalation) -> list[Feedback]:
    """The confidence, said of the answer it is in and of the retry that was made because of it."""
    ids = [escalation.parent] + ([] if escalation.decision is None else [escalation.decision.id])
    metrics = {CONFIDENCE: escalation.confidence}
    return [Feedback(decision_id=i, metrics=metrics, received_at=escalation.asked_at) for i in ids]


def _read(
    connection: Connection, router: str, parents: Sequence[str], read: ReadDecision
) -> dict[str, Escalation]:
    if not parents:
        return {}
    rows = connection.execute(_OF, {"router": router, "parents": list(parents)})
    return {row.parent: _escalation(row, read) for row in rows.all()}


def _row(router: str, escalation: Escalation) -> dict[str, Any]:
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
    }


def _escalation(row: Row[Any], read: ReadDecision) -> Escalation:
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
    )
