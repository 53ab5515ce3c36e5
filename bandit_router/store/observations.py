"""Observations: decisions joined with their feedback and with the values already counted of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Select, Table, bindparam, select

from bandit_router.store.feedback import read_metrics
from bandit_router.store.records import Observation, unpack
from bandit_router.store.tables import (
    arms,
    decisions,
    feedback,
    folded,
    folded_confidences,
    folded_costs,
    folded_latencies,
)


def read_observations(connection: Connection, router: str, ids: Sequence[str]) -> list[Observation]:
    """The observation of each decision, in id order: context, arm, metrics in force, values counted."""
    metrics = read_metrics(connection, router, ids)
    return [
        Observation(
            decision_id=row.id,
            arm=row.arm,
            x=unpack(row.x),
            schema_id=row.schema_id,
            decided_at=row.decided_at,
            metrics=metrics.get(row.id, {}),
            folded=row.reward,
            list_cost_usd=row.list_cost_usd,
            folded_root=row.root,
            reset_at=row.reset_at,
            folded_latency_s=row.latency_s,
            reason=row.reason,
            folded_confident=row.confident,
        )
        for row in connection.execute(_OBSERVATIONS, {"router": router, "ids": list(ids)})
    ]


def iterate_observations(
    connection: Connection, router: str, size: int = 2_000
) -> Iterator[list[Observation]]:
    """Every decision of the router that has feedback, in id order, ``size`` at a time."""
    last = ""
    while True:
        ids = list(
            connection.scalars(
                select(feedback.c.decision_id)
                .where(feedback.c.router == router, feedback.c.decision_id > last)
                .distinct()
                .order_by(feedback.c.decision_id)
                .limit(size)
            )
        )
        if not ids:
            return
        last = ids[-1]
        yield read_observations(connection, router, ids)


def _of_decision(table: Table) -> ColumnElement[bool]:
    return (table.c.router == decisions.c.router) & (table.c.decision_id == decisions.c.id)


_ROUTER: BindParameter[str] = bindparam("router")
_IDS: BindParameter[str] = bindparam("ids", expanding=True)
_OBSERVATIONS: Select[Any] = (
    select(
        decisions.c.id,
        decisions.c.arm,
        decisions.c.x,
        decisions.c.schema_id,
        decisions.c.decided_at,
        decisions.c.list_cost_usd,
        folded.c.reward,
        folded_costs.c.root,
        folded_latencies.c.latency_s,
        arms.c.reset_at,
        decisions.c.reason,
        folded_confidences.c.reward.label("confident"),
    )
    .select_from(
        decisions.outerjoin(folded, _of_decision(folded))
        .outerjoin(folded_costs, _of_decision(folded_costs))
        .outerjoin(folded_latencies, _of_decision(folded_latencies))
        .outerjoin(folded_confidences, _of_decision(folded_confidences))
        .outerjoin(arms, (arms.c.router == decisions.c.router) & (arms.c.name == decisions.c.arm))
    )
    .where(decisions.c.router == _ROUTER, decisions.c.id.in_(_IDS))
    .order_by(decisions.c.id)
)
