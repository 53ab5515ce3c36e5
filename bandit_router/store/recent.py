"""What came of the newest decisions, beside what was expected of them: what calibration reads."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Subquery, Table, func, select

from bandit_router.store.tables import arms, decisions, feedback, folded, folded_costs, routers


class Rewarded(NamedTuple):
    """A decision whose reward is counted: what was expected of it on which snapshot, the reward, the
    snapshot that counted it first, when it was made and when it was last heard of (Unix time, seconds)."""

    arm: str
    expected: float
    snapshot: int
    reward: float
    counted: int
    decided_at: float
    heard_at: float


class Costed(NamedTuple):
    """A decision whose cost is counted: what was expected of it and what was reported, USD."""

    arm: str
    expected_usd: float
    reported_usd: float


def rewarded(connection: Connection, router: str, last: int) -> list[Rewarded]:
    """The newest ``last`` decisions with a reward, oldest first.

    Predictions of something else are left out: of rewards by other weights, or of an arm before its reset.
    """
    newest = _newest(folded, router, last)
    heard = select(func.max(feedback.c.received_at)).where(
        feedback.c.router == router, feedback.c.decision_id == newest.c.decision_id
    )
    since = select(func.coalesce(routers.c.weights_since, 0)).where(routers.c.name == router)
    rows = connection.execute(
        select(
            decisions.c.arm,
            decisions.c.expected_quality,
            decisions.c.snapshot,
            newest.c.reward,
            newest.c.version,
            decisions.c.decided_at,
            heard.scalar_subquery(),
        )
        .join_from(newest, decisions, _is(newest, router))
        .join(arms, (arms.c.router == decisions.c.router) & (arms.c.name == decisions.c.arm))
        .where(
            decisions.c.snapshot >= since.scalar_subquery(),
            decisions.c.snapshot >= func.coalesce(arms.c.reset_snapshot, 0),
        )
        .order_by(decisions.c.id)
    )
    return [Rewarded(*row) for row in rows]


def costed(connection: Connection, router: str, last: int) -> list[Costed]:
    """The newest ``last`` decisions with a cost, oldest first; a cost beyond 100 times its list price is
    given as that much, as it is counted."""
    newest = _newest(folded_costs, router, last)
    rows = connection.execute(
        select(
            decisions.c.arm,
            decisions.c.expected_cost_usd,
            newest.c.root * newest.c.root * decisions.c.list_cost_usd,
        )
        .join_from(newest, decisions, _is(newest, router))
        .order_by(decisions.c.id)
    )
    return [Costed(*row) for row in rows]


def _newest(table: Table, router: str, last: int) -> Subquery:
    newest = select(table).where(table.c.router == router).order_by(table.c.decision_id.desc())
    return newest.limit(last).subquery()


def _is(newest: Subquery, router: str) -> ColumnElement[bool]:
    return (decisions.c.router == router) & (decisions.c.id == newest.c.decision_id)
