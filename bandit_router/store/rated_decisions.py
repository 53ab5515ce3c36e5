"""Rated decisions: of the newest ones that are old enough for a rating, how many have one."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, func, select

from bandit_router.posterior.latency import BINS, find_quantile
from bandit_router.store.feedback import counts
from bandit_router.store.recent_predictions import latest_id
from bandit_router.store.rollups.measures import USUAL
from bandit_router.store.rollups.sums import unpack_pairs
from bandit_router.store.rollups.tally import DAY_H, Cube, find_hour
from bandit_router.store.tables import decisions, feedback, rollups
from bandit_router.types import Reason

NEWEST = 1_000
"""Decisions that the share is counted on: it is that of now, and quick to count."""

_DELAYS_H = 7 * DAY_H


class RatedDecisions(NamedTuple):
    """The decisions by the policy, or its incumbent, that are old enough for a rating, and those with one."""

    old: int
    rated: int


def count_rated_decisions(
    connection: Connection, router: str, metrics: Collection[str], now: float
) -> RatedDecisions:
    """Count the newest decisions that are as old as ratings usually are when they come.

    A rating is a value of one of the metrics. ``now`` is Unix time, seconds. Decisions that no policy drew
    teach nothing of exploring, and are left out. (0, 0) while nobody knows how long ratings take.
    """
    usual_s = find_usual_delay_s(connection, router, metrics, now)
    if usual_s is None:
        return RatedDecisions(0, 0)
    newest = (
        select(decisions.c.id, decisions.c.reason)
        .where(decisions.c.router == router, decisions.c.id <= latest_id(now - usual_s))
        .order_by(decisions.c.id.desc())
        .limit(NEWEST)
        .subquery()
    )
    has_rating = (
        select(feedback.c.decision_id)
        .where(
            feedback.c.router == router,
            feedback.c.decision_id == newest.c.id,
            feedback.c.metric.in_(metrics),
            feedback.c.value.is_not(None),
            counts(router),
        )
        .exists()
    )
    drawn = newest.c.reason.in_((Reason.POLICY.value, Reason.INCUMBENT.value))
    row = connection.execute(select(func.count(), func.count().filter(has_rating)).where(drawn)).one()
    return RatedDecisions(*row)


def find_usual_delay_s(
    connection: Connection, router: str, metrics: Collection[str], now: float
) -> float | None:
    """The seconds in which 95% of the first ratings of the last days came; None before the first."""
    by_day = rollups.c.router == router, rollups.c.cube == Cube.DAY.value
    recent = rollups.c.hour >= find_hour(now) - _DELAYS_H
    packed = connection.scalars(
        select(rollups.c.delays).where(
            *by_day, recent, rollups.c.measure.in_(metrics), rollups.c.delays.is_not(None)
        )
    )
    pairs = unpack_pairs(b"".join(packed))
    counted = np.bincount(pairs[:, 0], pairs[:, 1], BINS)
    return find_quantile(counted.astype(np.float64), USUAL)
