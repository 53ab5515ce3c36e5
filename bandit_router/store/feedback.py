"""The feedback log: insert revisions with their pending marks, and read the metrics in force.

In force is the newest revision that no key in quarantine gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, Connection, bindparam, case, func, insert, or_, select

from bandit_router.errors import UnknownDecision
from bandit_router.security.influence import FeedbackKey
from bandit_router.store.decisions import SLICE_COLUMNS
from bandit_router.store.key_weights import KeyWeights
from bandit_router.store.pacing_ledger import Correction, PacingLedger
from bandit_router.store.rollups.tally import Tally, find_slice
from bandit_router.store.tables import api_keys, decisions, feedback, pending
from bandit_router.types import Feedback, Outcome

_ROUTER: BindParameter[str] = bindparam("router")
_INSERT, _INSERT_MARKS = insert(feedback), insert(pending)
_MARK = ("router", "decision_id", "metric", "revision")

_IDS: BindParameter[str] = bindparam("ids", expanding=True)
_LOCK_DECISIONS = (
    select(
        decisions.c.id,
        decisions.c.expected_cost_usd,
        decisions.c.expected_quality,
        *SLICE_COLUMNS,
    )
    .where(decisions.c.router == _ROUTER, decisions.c.id.in_(_IDS))
    .order_by(decisions.c.id)
    .with_for_update(key_share=True)
)


def counts(router: BindParameter[str] | str) -> ColumnElement[bool]:
    """Whether no key in quarantine gave a row of feedback."""
    quarantined = select(api_keys.c.id).where(
        api_keys.c.router == router, api_keys.c.quarantined_at.is_not(None)
    )
    return or_(feedback.c.key_id.is_(None), feedback.c.key_id.not_in(quarantined))


_REVISIONS = (
    select(
        feedback.c.decision_id,
        feedback.c.metric,
        func.max(feedback.c.revision).label("latest"),
        func.max(case((counts(_ROUTER), feedback.c.revision))).label("in_force"),
    )
    .where(feedback.c.router == _ROUTER, feedback.c.decision_id.in_(_IDS))
    .group_by(feedback.c.decision_id, feedback.c.metric)
    .subquery()
)
"""The revisions that are looked at: one metric may have thousands of them."""

_OF_REVISIONS = select(
    feedback.c.decision_id,
    feedback.c.metric,
    feedback.c.revision,
    feedback.c.value,
    feedback.c.weight,
    feedback.c.key_id,
    _REVISIONS.c.in_force,
).join_from(
    _REVISIONS,
    feedback,
    (feedback.c.router == _ROUTER)
    & (feedback.c.decision_id == _REVISIONS.c.decision_id)
    & (feedback.c.metric == _REVISIONS.c.metric)
    & feedback.c.revision.in_([_REVISIONS.c.latest, _REVISIONS.c.in_force]),
)

LATEST_FEEDBACK = _OF_REVISIONS
"""The latest revision of every metric of the given decisions, and the one in force, if that is another."""

NEWEST_FEEDBACK = _OF_REVISIONS.where(feedback.c.revision == _REVISIONS.c.in_force)


class GivenFeedback(NamedTuple):
    """Feedback, and the API key that it came with."""

    feedback: Feedback
    key: FeedbackKey | None = None


class MetricsInForce(NamedTuple):
    """The metrics in force of a decision, and the weights of those that do not weigh 1."""

    values: dict[str, float]
    weights: dict[str, float]


class _Latest(NamedTuple):
    """The latest revision of a metric, who gave it and what it weighs; and the value in force.

    A value of None is retracted, or never was.
    """

    revision: int = -1
    value: float | None = None
    weight: float = 1.0
    key_id: str | None = None
    in_force: float | None = None

    def is_of(self, key_id: str | None) -> bool:
        """Whether there is a revision, which this key gave."""
        return self.revision >= 0 and self.key_id == key_id


def insert_feedback(
    connection: Connection, router: str, calls: Sequence[GivenFeedback], ledger: PacingLedger, tally: Tally
) -> list[dict[str, Outcome] | UnknownDecision]:
    """Insert the values that differ from those in force, with their pending marks; the outcome of each call.

    ``ledger`` and ``tally`` collect what changes. The decisions are locked first, so that two transactions
    never give one metric the same revision.
    """
    ids = {"router": router, "ids": sorted({call.feedback.decision_id for call in calls})}
    logged = {row.id: (row, find_slice(row)) for row in connection.execute(_LOCK_DECISIONS, ids)}
    latest = _read_latest(connection, ids)
    key_weights = KeyWeights(connection, router)
    key_weights.lock(call.key.key_id for call in calls if call.key is not None)
    new_values: list[dict[str, Any]] = []
    results: list[dict[str, Outcome] | UnknownDecision] = []
    for call in calls:
        said = call.feedback
        if said.decision_id not in logged:
            results.append(UnknownDecision(said.decision_id))
            continue
        made, where = logged[said.decision_id]
        metrics = latest.setdefault(said.decision_id, {})
        before = _metrics_in_force(metrics)
        outcomes, changed = _apply_call(call, metrics, key_weights)
        for metric in changed:
            mark = {"decision_id": said.decision_id, "metric": metric, "revision": metrics[metric].revision}
            stamp = {"received_at": said.received_at, "claimed_at": said.claimed_at}
            row = {name: getattr(metrics[metric], name) for name in ("value", "weight", "key_id")}
            new_values.append({"router": router, **mark, **stamp, **row})
        firsts = [metric for metric in changed if metrics[metric].revision == 0]
        if firsts:
            tally.add_delay(where, firsts, said.received_at - made.decided_at)
        after = _metrics_in_force(metrics)
        for metric in changed:
            if before.get(metric) != after.get(metric):
                tally.revise_metric(where, metric, before.get(metric), after.get(metric))
        if after != before:
            expected = made.expected_cost_usd, made.expected_quality
            ledger.correct(Correction(made.decided_at, *expected, before, after))
        results.append(outcomes)
    if new_values:
        connection.execute(_INSERT, new_values)
        marks = [{key: values[key] for key in _MARK} for values in new_values]
        connection.execute(_INSERT_MARKS, marks)
        key_weights.close()
    return results


def _read_latest(connection: Connection, ids: Mapping[str, Any]) -> dict[str, dict[str, _Latest]]:
    """The latest revision of each metric of each decision."""
    latest: dict[str, dict[str, _Latest]] = {}
    in_force: dict[tuple[str, str], float | None] = {}
    for row in connection.execute(LATEST_FEEDBACK, ids):
        if row.revision == row.in_force:
            in_force[row.decision_id, row.metric] = row.value
        metrics = latest.setdefault(row.decision_id, {})
        if row.revision > metrics.get(row.metric, _Latest()).revision:
            metrics[row.metric] = _Latest(row.revision, row.value, row.weight, row.key_id)
    for (decision_id, metric), value in in_force.items():
        latest[decision_id][metric] = latest[decision_id][metric]._replace(in_force=value)
    return latest


def _apply_call(
    call: GivenFeedback, metrics: dict[str, _Latest], key_weights: KeyWeights
) -> tuple[dict[str, Outcome], list[str]]:
    """Bring the metrics of a decision up to date with a call; the outcome of each, and which have a new row.

    What a key revises of its own keeps its weight. All else that is new in a call weighs the same, as one
    more piece of feedback of the key.
    """
    key_id = None if call.key is None else call.key.key_id
    fresh: float | None = None
    unheard = key_weights.is_quarantined(call.key)
    outcomes: dict[str, Outcome] = {}
    for metric, value in call.feedback.metrics.items():
        old = metrics.get(metric, _Latest())
        outcomes[metric] = _outcome(old.revision, old.value if unheard else old.in_force, value)
        if outcomes[metric] is Outcome.DUPLICATE:
            continue
        if fresh is None and not old.is_of(key_id):
            fresh = key_weights.weigh(call.key, call.feedback.received_at)
        weight = old.weight if old.is_of(key_id) or fresh is None else fresh
        in_force = old.in_force if unheard else value
        metrics[metric] = _Latest(old.revision + 1, value, weight, key_id, in_force)
    return outcomes, [metric for metric, outcome in outcomes.items() if outcome is not Outcome.DUPLICATE]


def read_metrics(connection: Connection, router: str, ids: Sequence[str]) -> dict[str, MetricsInForce]:
    """The metrics in force of each of these decisions; empty without any, or with all of them retracted."""
    metrics = {decision_id: MetricsInForce({}, {}) for decision_id in ids}
    for row in connection.execute(NEWEST_FEEDBACK, {"router": router, "ids": list(ids)}):
        values, weights = metrics[row.decision_id]
        if row.value is not None:
            values[row.metric] = row.value
            if row.weight != 1.0:
                weights[row.metric] = row.weight
    return metrics


def _metrics_in_force(metrics: Mapping[str, _Latest]) -> dict[str, float]:
    return {metric: latest.in_force for metric, latest in metrics.items() if latest.in_force is not None}


def _outcome(revision: int, before: float | None, value: float | None) -> Outcome:
    """The outcome of a value, given the newest revision (-1 without one) and the value it replaces."""
    if value == before:
        return Outcome.DUPLICATE
    if value is None:
        return Outcome.RETRACTED
    return Outcome.RECORDED if revision < 0 else Outcome.REVISED
