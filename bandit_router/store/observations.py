"""Observations: decisions joined with their feedback and with the values already counted of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Connection, Select, bindparam, select

from bandit_router.store.arms import ARM_NOW
from bandit_router.store.feedback import read_metrics
from bandit_router.store.records import Observation, WeightedValue, task_from, unpack
from bandit_router.store.tables import arms, decisions, feedback, folded

_ROUTER: BindParameter[str] = bindparam("router")
_IDS: BindParameter[str] = bindparam("ids", expanding=True)

_DECISIONS: Select[Any] = (
    select(
        decisions.c.id,
        ARM_NOW,
        decisions.c.x,
        decisions.c.schema_id,
        decisions.c.decided_at,
        decisions.c.list_cost_usd,
        decisions.c.reason,
        decisions.c.task,
        arms.c.reset_at,
    )
    .select_from(
        decisions.outerjoin(arms, (arms.c.router == decisions.c.router) & (arms.c.name == decisions.c.arm))
    )
    .where(decisions.c.router == _ROUTER, decisions.c.id.in_(_IDS))
    .order_by(decisions.c.id)
)

_COUNTED = select(folded.c.decision_id, folded.c.quantity, folded.c.value, folded.c.weight).where(
    folded.c.router == _ROUTER,
    folded.c.generation == bindparam("generation"),
    folded.c.quantity.in_(bindparam("quantities", expanding=True)),
    folded.c.decision_id.in_(_IDS),
)


class CountedValues(NamedTuple):
    """Which counted values to read: those of these quantities, in this generation of ``folded``."""

    generation: int
    quantities: tuple[str, ...]


def read_observations(
    connection: Connection, router: str, ids: Sequence[str], of: CountedValues | None = None
) -> list[Observation]:
    """The observation of each decision, in id order: context, arm, metrics in force, and values counted,
    if ``of`` asks for them."""
    metrics = read_metrics(connection, router, ids)
    counted = {} if of is None else _read_counted(connection, router, ids, of)
    return [
        Observation(
            decision_id=row.id,
            arm=row.arm,
            x=unpack(row.x),
            schema_id=row.schema_id,
            decided_at=row.decided_at,
            metrics=metrics[row.id].values,
            weights=metrics[row.id].weights,
            counted=counted.get(row.id, {}),
            list_cost_usd=row.list_cost_usd,
            reset_at=row.reset_at,
            reason=row.reason,
            task=task_from(row.task),
        )
        for row in connection.execute(_DECISIONS, {"router": router, "ids": list(ids)})
    ]


def iterate_observations(
    connection: Connection, router: str, of: CountedValues | None = None, size: int = 2_000
) -> Iterator[list[Observation]]:
    """Every decision of the router that has feedback, in id order, ``size`` at a time."""
    last = ""
    while ids := read_ids_with_feedback(connection, router, last, size):
        last = ids[-1]
        yield read_observations(connection, router, ids, of)


def read_ids_with_feedback(connection: Connection, router: str, after: str, size: int) -> list[str]:
    """The first ``size`` ids above ``after`` of decisions with feedback, in order."""
    return list(
        connection.scalars(
            select(feedback.c.decision_id)
            .where(feedback.c.router == router, feedback.c.decision_id > after)
            .distinct()
            .order_by(feedback.c.decision_id)
            .limit(size)
        )
    )


def _read_counted(
    connection: Connection, router: str, ids: Sequence[str], of: CountedValues
) -> dict[str, dict[str, WeightedValue]]:
    counted: dict[str, dict[str, WeightedValue]] = {}
    for row in connection.execute(_COUNTED, {"router": router, "ids": list(ids), **of._asdict()}):
        counted.setdefault(row.decision_id, {})[row.quantity] = WeightedValue(row.value, row.weight)
    return counted
