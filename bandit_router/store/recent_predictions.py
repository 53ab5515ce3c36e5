"""The newest counted rewards and costs with their predictions, which calibration and drift compare."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Subquery, func, select

from bandit_router.store.arms import ARM_NOW
from bandit_router.store.feedback import counts
from bandit_router.store.tables import arms, decisions, feedback, folded, routers


class PredictedReward(NamedTuple):
    """A counted reward and the one its decision expected.

    ``snapshot`` made the prediction and ``counted`` is the first snapshot that counts the reward. Times are
    Unix times, seconds; ``last_feedback_at`` is that of the newest feedback row. The reward counts with
    ``weight``; ``key_id`` is the API key that spoke last of the decision, None if none did.
    """

    arm: str
    expected: float
    snapshot: int
    reward: float
    counted: int
    decided_at: float
    last_feedback_at: float
    weight: float = 1.0
    key_id: str | None = None


class PredictedCost(NamedTuple):
    """A counted cost and the one its decision expected, USD."""

    arm: str
    expected_usd: float
    reported_usd: float


def read_recent_rewards(
    connection: Connection, router: str, last: int, latest: float
) -> list[PredictedReward]:
    """The newest ``last`` decisions with a counted reward, oldest first; none is younger than ``latest``.

    Predictions of another thing are left out: of a reward with other weights, or of an arm before its reset.
    """
    newest = _newest_counted("reward", router, last, latest)
    told = feedback.c.router == router, feedback.c.decision_id == newest.c.decision_id
    last_feedback_at = select(func.max(feedback.c.received_at)).where(*told)
    spoke = select(feedback.c.key_id).where(*told, feedback.c.key_id.is_not(None), counts(router))
    spoke_last = spoke.order_by(feedback.c.received_at.desc(), feedback.c.revision.desc()).limit(1)
    since = select(func.coalesce(routers.c.weights_since, 0)).where(routers.c.name == router)
    rows = connection.execute(
        select(
            ARM_NOW,
            decisions.c.expected_quality,
            decisions.c.snapshot,
            newest.c.value,
            newest.c.version,
            decisions.c.decided_at,
            last_feedback_at.scalar_subquery(),
            newest.c.weight,
            spoke_last.scalar_subquery(),
        )
        .join_from(newest, decisions, _same_decision(newest, router))
        .join(arms, (arms.c.router == decisions.c.router) & (arms.c.name == decisions.c.arm))
        .where(
            decisions.c.snapshot >= since.scalar_subquery(),
            decisions.c.snapshot >= func.coalesce(arms.c.reset_snapshot, 0),
        )
        .order_by(decisions.c.id)
    )
    return [PredictedReward(*row) for row in rows]


def read_recent_costs(connection: Connection, router: str, last: int, latest: float) -> list[PredictedCost]:
    """The newest ``last`` decisions with a counted cost, oldest first; none is younger than ``latest``.

    A cost over 100 times its list price is counted as, and returned as, 100 times the list price.
    """
    newest = _newest_counted("cost", router, last, latest)
    rows = connection.execute(
        select(
            ARM_NOW,
            decisions.c.expected_cost_usd,
            newest.c.value * newest.c.value * decisions.c.list_cost_usd,
        )
        .join_from(newest, decisions, _same_decision(newest, router))
        .join(arms, (arms.c.router == decisions.c.router) & (arms.c.name == decisions.c.arm))
        .order_by(decisions.c.id)
    )
    return [PredictedCost(*row) for row in rows]


def latest_id(at: float) -> str:
    """An id that follows every UUIDv7 of ``at``, Unix time, seconds, and before."""
    digits = f"{int(at * 1e3):012x}"
    return f"{digits[:8]}-{digits[8:]}-ffff-ffff-ffffffffffff"


def _newest_counted(quantity: str, router: str, last: int, latest: float) -> Subquery:
    """The newest ``last`` counted values of a quantity, in the generation in force.

    Decisions of a clock that was fast would be the newest until then, and hide the others.
    """
    in_force = select(routers.c.generation).where(routers.c.name == router).scalar_subquery()
    counted = folded.c.router == router, folded.c.generation == in_force, folded.c.quantity == quantity
    newest = select(folded).where(*counted, folded.c.decision_id <= latest_id(latest))
    return newest.order_by(folded.c.decision_id.desc()).limit(last).subquery()


def _same_decision(newest: Subquery, router: str) -> ColumnElement[bool]:
    return (decisions.c.router == router) & (decisions.c.id == newest.c.decision_id)
