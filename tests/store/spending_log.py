"""The oracle of a budget's book: what the log says was spent, by brute force."""

from __future__ import annotations

import math

from sqlalchemy import select

from bandit_router.budget import Pace
from bandit_router.store.spending import read_pace
from bandit_router.store.tables import decisions, feedback, spending
from tests.databases import sql


def booked(url: str, router: str = "r") -> Pace:
    """The book as it is."""
    with sql(url) as connection:
        return read_pace(connection, router) or Pace()


def spent_in_log(url: str, router: str = "r") -> list[float]:
    """What every decision since the budget began has cost: as reported last, or else as expected."""
    with sql(url) as connection:
        since = connection.scalar(select(spending.c.since).where(spending.c.router == router))
        made = connection.execute(
            select(decisions.c.id, decisions.c.decided_at, decisions.c.expected_cost_usd).where(
                decisions.c.router == router
            )
        ).all()
        said = connection.execute(
            select(feedback.c.decision_id, feedback.c.value)
            .where(feedback.c.router == router, feedback.c.metric == "cost_usd")
            .order_by(feedback.c.revision)
        )
        newest = {row.decision_id: row.value for row in said}
    assert since is not None, "nothing is booked"
    costs = ((row, newest.get(row.id)) for row in made if row.decided_at >= since)
    return [row.expected_cost_usd if cost is None else cost for row, cost in costs]


def assert_booked_once(url: str, router: str = "r") -> None:
    """Every decision and every cost is in the book exactly once."""
    pace, costs = booked(url, router), spent_in_log(url, router)
    assert pace.requests == len(costs), f"{pace.requests} requests booked, {len(costs)} in the log"
    total = math.fsum(costs)
    same = math.isclose(pace.spent_usd, total, rel_tol=1e-9, abs_tol=1e-15)
    assert same, f"{pace.spent_usd!r} USD booked, {total!r} in the log"
