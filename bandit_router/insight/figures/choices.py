"""What choices were made by and led to: exploration and its price, λ, escalations, overrides."""

from __future__ import annotations

from functools import partial

from bandit_router.insight.figures.base import Figure, Point
from bandit_router.insight.intervals import estimate_mean, estimate_share
from bandit_router.insight.table import Table
from bandit_router.store.rollups.measures import (
    COST_WEIGHT,
    DECISIONS,
    ESCALATED,
    EXPECTED_QUALITY,
    EXPLORATION_PRICE,
)
from bandit_router.types import Reason


def price_exploration(table: Table) -> list[Point]:
    """The mean of u_greedy − u_chosen over decisions of the policy, u being utility; Student's interval.

    It is what was expected to be lost by not taking the best arm known, in reward, so as to learn of others.
    """
    explored = table.restrict(reasons=(Reason.POLICY,))
    return average_measure(explored, EXPLORATION_PRICE)


def average_measure(table: Table, measure: str) -> list[Point]:
    """The mean of a measure that is known with the decision; Student's interval."""
    return [
        Point(group=group, estimate=estimate_mean(totals.count, totals.total, totals.squares))
        for group in table
        if (totals := table.totals(group, measure)).count
    ]


def rate_escalations(table: Table) -> list[Point]:
    """The share of judged answers that were retried on the expensive arm; Wilson's interval."""
    return [
        Point(group=group, estimate=estimate_share(totals.total, totals.count))
        for group in table
        if (totals := table.totals(group, ESCALATED)).count
    ]


def rate_overrides(table: Table) -> list[Point]:
    """The share of decisions whose answer the caller replaced by another model's; Wilson's interval."""
    return [
        Point(group=group, estimate=estimate_share(min(n, table.totals(group, "override").total), n))
        for group in table
        if (n := table.count(group, DECISIONS))
    ]


EXPLORATION = Figure(
    name="exploration_price", title="Price of exploration", unit="reward", compute=price_exploration
)
LAMBDA = Figure(
    name="cost_weight",
    title="Cost weight λ",
    unit="1/USD",
    compute=partial(average_measure, measure=COST_WEIGHT),
)
EXPECTED = Figure(
    name="expected_quality",
    title="Expected quality",
    unit="reward",
    compute=partial(average_measure, measure=EXPECTED_QUALITY),
)
ESCALATION_RATE = Figure(name="escalated", title="Escalations", unit="share", compute=rate_escalations)
OVERRIDE_RATE = Figure(name="override", title="Overrides", unit="share", compute=rate_overrides)
