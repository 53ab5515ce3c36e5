"""The oracle of a goal's book: what the log says was spent and earned, by brute force."""

from __future__ import annotations

import json
import math
from collections import defaultdict

from sqlalchemy import select

from bandit_router.objective.pacing import PacingState
from bandit_router.store.pacing_ledger import read_book
from bandit_router.store.tables import decisions, feedback, spending
from tests.databases import sql


def booked(url: str, router: str = "r") -> PacingState:
    """The book as it is."""
    with sql(url) as connection:
        book = read_book(connection, router)
    return PacingState() if book is None else book.pacing_state


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


def earned_in_log(url: str, router: str = "r") -> list[float]:
    """What every decision since the floor began was worth: as reported last, or else as expected.

    Nothing where the book is that of a budget.
    """
    with sql(url) as connection:
        book = connection.execute(select(spending).where(spending.c.router == router)).one()
        if book.goal_kind != "reward":
            return []
        made = connection.execute(
            select(decisions.c.id, decisions.c.expected_quality).where(
                decisions.c.router == router, decisions.c.decided_at >= book.since
            )
        ).all()
        said = connection.execute(
            select(feedback).where(feedback.c.router == router).order_by(feedback.c.revision)
        ).all()
    newest: dict[str, dict[str, float | None]] = defaultdict(dict)
    for row in said:
        newest[row.decision_id][row.metric] = row.value
    weights = json.loads(book.weights)
    return [_worth(newest[one.id], weights, one.expected_quality) for one in made]


def _worth(metrics: dict[str, float | None], weights: dict[str, float], expected: float) -> float:
    good = {
        name: 1 - value if name in ("error", "override") else value
        for name, value in metrics.items()
        if value is not None
    }
    there = [name for name in weights if name in good]
    if there:
        return sum(weights[name] * good[name] for name in there) / sum(weights[name] for name in there)
    return 0.0 if good.get("error") == 0.0 else expected


def assert_booked_once(url: str, router: str = "r") -> None:
    """Every decision and every cost is in the book exactly once, and every reward where there is a floor."""
    pace, costs = booked(url, router), spent_in_log(url, router)
    assert pace.requests == len(costs), f"{pace.requests} requests booked, {len(costs)} in the log"
    total = math.fsum(costs)
    same = math.isclose(pace.spent_usd, total, rel_tol=1e-9, abs_tol=1e-15)
    assert same, f"{pace.spent_usd!r} USD booked, {total!r} in the log"
    worth = math.fsum(earned_in_log(url, router))
    assert math.isclose(pace.earned, worth, rel_tol=1e-9, abs_tol=1e-9), (
        f"rewards of {pace.earned!r} booked, {worth!r} in the log"
    )
