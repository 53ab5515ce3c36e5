"""Coverage: which decisions have feedback, how long it takes to come, and whether it had that long."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

import numpy as np

from bandit_router.insight.figures.base import Figure, Point
from bandit_router.insight.intervals import estimate_quantile, estimate_share
from bandit_router.insight.table import Group, Table, find_group
from bandit_router.posterior.latency import find_quantile
from bandit_router.store.rollups.measures import DECISIONS, USUAL
from bandit_router.store.rollups.tally import HOUR_S


def cover_decisions(table: Table, metric: str) -> list[Point]:
    """The share of decisions with a value of the metric, n_metric / n; Wilson's interval."""
    settled = find_settled_shares(table, metric)
    return [
        Point(
            group=group,
            estimate=estimate_share(min(table.count(group, metric), n), n),
            settled=settled.get(group),
        )
        for group in table
        if (n := table.count(group, DECISIONS))
    ]


def delay_feedback(table: Table, metric: str) -> list[Point]:
    """The median of the seconds from a decision to the first value of the metric; interval by ranks."""
    return [
        Point(group=group, estimate=estimate)
        for group in table
        if (estimate := estimate_quantile(table.totals(group, metric).delays, 0.5)).n
    ]


def find_usual_delay_s(table: Table, metric: str) -> float | None:
    """The time, seconds, in which 95% of the first values of a metric come; None before the first."""
    delays = [row.delays for row in table.rows if row.measure == metric and row.delays is not None]
    return find_quantile(np.sum(delays, axis=0).astype(np.float64), USUAL) if delays else None


def find_coverage(table: Table, group: Group, metric: str) -> float | None:
    """The share of a group's decisions that have a value of the metric; None without decisions."""
    decisions = table.count(group, DECISIONS)
    return min(1.0, table.count(group, metric) / decisions) if decisions else None


def find_settled_shares(table: Table, metric: str) -> dict[Group, float]:
    """By group, the share of decisions that are as old as feedback usually takes; empty if nobody knows.

    Those of one step of the table are as old as the last of them could be.
    """
    usual_s = find_usual_delay_s(table, metric)
    if usual_s is None:
        return {}
    ages: dict[Group, list[int]] = defaultdict(lambda: [0, 0])
    for row in table.rows:
        if row.measure == DECISIONS:
            is_old = (row.hour + table.step) * HOUR_S + usual_s <= table.now
            ages[find_group(row, table.by)][0] += row.count * is_old
            ages[find_group(row, table.by)][1] += row.count
    return {group: old / n for group, (old, n) in ages.items() if n}


COVERAGE = tuple(
    Figure(
        name=f"{metric}_coverage",
        title=f"Decisions with {metric}",
        unit="share",
        compute=partial(cover_decisions, metric=metric),
    )
    for metric in ("quality", "satisfaction")
)
DELAY = tuple(
    Figure(
        name=f"{metric}_delay_s",
        title=f"Time to {metric}",
        unit="s",
        compute=partial(delay_feedback, metric=metric),
    )
    for metric in ("quality", "satisfaction")
)
