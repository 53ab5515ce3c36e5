"""The feedback log: insert revisions with their pending marks, and read the metrics in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, func, insert, select

from bandit_router.errors import UnknownDecision
from bandit_router.store.decisions import SLICE_COLUMNS
from bandit_router.store.pacing_ledger import Correction, PacingLedger
from bandit_router.store.rollups.tally import Tally, find_slice
from bandit_router.store.tables import decisions, feedback, pending
from bandit_router.types import Feedback, Outcome

_IDS: BindParameter[str] = bindparam("ids", expanding=True)
_LOCK_DECISIONS = (
    select(
        decisions.c.id,
        decisions.c.expected_cost_usd,
        decisions.c.expected_quality,
        *SLICE_COLUMNS,
    )
    .where(decisions.c.router == bindparam("router"), decisions.c.id.in_(_IDS))
    .order_by(decisions.c.id)
    .with_for_update(key_share=True)
)
_NEWEST = (
    select(feedback.c.decision_id, feedback.c.metric, func.max(feedback.c.revision).label("revision"))
    .where(feedback.c.router == bindparam("router"), feedback.c.decision_id.in_(_IDS))
    .group_by(feedback.c.decision_id, feedback.c.metric)
    .subquery()
)
NEWEST_FEEDBACK = select(
    feedback.c.decision_id, feedback.c.metric, feedback.c.revision, feedback.c.value
).join_from(
    _NEWEST,
    feedback,
    (feedback.c.router == bindparam("router"))
    & (feedback.c.decision_id == _NEWEST.c.decision_id)
    & (feedback.c.metric == _NEWEST.c.metric)
    & (feedback.c.revision == _NEWEST.c.revision),
)
"""The newest revision of every metric of the given decisions: one metric may have thousands of revisions."""

Revisions = dict[str, tuple[int, float | None]]
"""The newest revision and value of each metric of one decision; a value of None is retracted."""


def insert_feedback(
    connection: Connection, router: str, calls: Sequence[Feedback], ledger: PacingLedger, tally: Tally
) -> list[dict[str, Outcome] | UnknownDecision]:
    """Insert the values that differ from those in force, with their pending marks; the outcome of each call.

    ``ledger`` and ``tally`` collect what changes. The decisions are locked first, so that two transactions
    never give one metric the same revision.
    """
    ids = {"router": router, "ids": sorted({call.decision_id for call in calls})}
    logged = {row.id: (row, find_slice(row)) for row in connection.execute(_LOCK_DECISIONS, ids)}
    current: dict[str, Revisions] = {}
    for row in connection.execute(NEWEST_FEEDBACK, ids):
        current.setdefault(row.decision_id, {})[row.metric] = (row.revision, row.value)
    new_values: list[dict[str, Any]] = []
    results: list[dict[str, Outcome] | UnknownDecision] = []
    for call in calls:
        if call.decision_id not in logged:
            results.append(UnknownDecision(call.decision_id))
            continue
        made, where = logged[call.decision_id]
        outcomes, revisions = {}, current.setdefault(call.decision_id, {})
        before = _metrics_in_force(revisions)
        for metric, value in call.metrics.items():
            revision, old = revisions.get(metric, (-1, None))
            outcomes[metric] = _outcome(revision, old, value)
            if outcomes[metric] is not Outcome.DUPLICATE:
                mark = {"decision_id": call.decision_id, "metric": metric, "revision": revision + 1}
                stamp = {"received_at": call.received_at, "claimed_at": call.claimed_at}
                new_values.append({"router": router, **mark, "value": value, **stamp})
                revisions[metric] = (revision + 1, value)
                tally.revise_metric(where, metric, old, value)
        firsts = [metric for metric, outcome in outcomes.items() if outcome is Outcome.RECORDED]
        if firsts:
            tally.add_delay(where, firsts, call.received_at - made.decided_at)
        after = _metrics_in_force(revisions)
        if after != before:
            expected = made.expected_cost_usd, made.expected_quality
            ledger.correct(Correction(made.decided_at, *expected, before, after))
        results.append(outcomes)
    if new_values:
        connection.execute(insert(feedback), new_values)
        keys = ("router", "decision_id", "metric", "revision")
        connection.execute(insert(pending), [{key: values[key] for key in keys} for values in new_values])
    return results


def read_metrics(connection: Connection, router: str, ids: Sequence[str]) -> dict[str, dict[str, float]]:
    """The metrics in force of each decision that has feedback; empty where all of it was retracted."""
    metrics: dict[str, dict[str, float]] = {}
    for row in connection.execute(NEWEST_FEEDBACK, {"router": router, "ids": list(ids)}):
        in_force = metrics.setdefault(row.decision_id, {})
        if row.value is not None:
            in_force[row.metric] = row.value
    return metrics


def _metrics_in_force(revisions: Mapping[str, tuple[int, float | None]]) -> dict[str, float]:
    return {metric: value for metric, (_, value) in revisions.items() if value is not None}


def _outcome(revision: int, before: float | None, value: float | None) -> Outcome:
    """The outcome of a value, given the newest revision (-1 without one) and its value."""
    if value == before:
        return Outcome.DUPLICATE
    if value is None:
        return Outcome.RETRACTED
    return Outcome.RECORDED if revision < 0 else Outcome.REVISED
