"""Means of metrics and rates of faults, with how much of the traffic they tell of."""

from __future__ import annotations

from functools import partial

from bandit_router.insight.figures.base import Figure, Point
from bandit_router.insight.figures.coverage import find_coverage, find_settled_shares
from bandit_router.insight.intervals import Estimate, estimate_mean, estimate_share
from bandit_router.insight.table import Table


def average_metric(table: Table, metric: str) -> list[Point]:
    """x̄ = Σx/n of a metric over the decisions that have it; Student's interval."""
    return _make_points(table, metric, is_share=False)


def rate_fault(table: Table, metric: str) -> list[Point]:
    """The share of values of a metric of 0 or 1 that are 1; Wilson's interval."""
    return _make_points(table, metric, is_share=True)


def sum_cost(table: Table) -> list[Point]:
    """The USD that are reported of a group's calls; they are counted, so that there is no interval."""
    return [
        Point(
            group=group,
            estimate=Estimate(totals.count, totals.total),
            coverage=find_coverage(table, group, "cost_usd"),
        )
        for group in table
        if (totals := table.totals(group, "cost_usd")).count
    ]


def _make_points(table: Table, metric: str, *, is_share: bool) -> list[Point]:
    settled = find_settled_shares(table, metric)
    points = []
    for group in table:
        totals = table.totals(group, metric)
        if totals.count:
            n, total = totals.count, totals.total
            estimate = estimate_share(total, n) if is_share else estimate_mean(n, total, totals.squares)
            coverage = find_coverage(table, group, metric)
            points.append(
                Point(group=group, estimate=estimate, coverage=coverage, settled=settled.get(group))
            )
    return points


def _average(metric: str, title: str, unit: str) -> Figure:
    return Figure(name=metric, title=title, unit=unit, compute=partial(average_metric, metric=metric))


def _rate(metric: str, title: str) -> Figure:
    return Figure(name=metric, title=title, unit="share", compute=partial(rate_fault, metric=metric))


QUALITY = _average("quality", "Quality", "reward")
SATISFACTION = _average("satisfaction", "Satisfaction", "reward")
JUDGED = _average("judged", "Judged", "reward")
COST = _average("cost_usd", "Cost of a call", "USD")
COST_SUM = Figure(name="cost_usd_sum", title="Cost", unit="USD", compute=sum_cost)
ERROR = _rate("error", "Errors")
REFUSAL = _rate("refusal", "Refusals")
TRUNCATED = _rate("truncated", "Truncated answers")
EMPTY = _rate("empty", "Empty answers")
INVALID_JSON = _rate("invalid_json", "Invalid JSON")
TOOL_ERROR = _rate("tool_error", "Tool errors")
REGENERATED = _rate("regenerated", "Asked again")
ABANDONED = _rate("abandoned", "Abandoned answers")
