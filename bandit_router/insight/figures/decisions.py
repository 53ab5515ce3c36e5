"""Decisions and how they are shared among arms or reasons."""

from __future__ import annotations

from bandit_router.insight.figures.base import Figure, Point
from bandit_router.insight.intervals import Estimate, estimate_share
from bandit_router.insight.table import Dimension, Group, Table, drop_dimension
from bandit_router.store.rollups.measures import DECISIONS

_SHARED = (Dimension.ARM, Dimension.REASON)


def count_decisions(table: Table) -> list[Point]:
    """The number of decisions of each group; they are counted, so that there is no interval."""
    return [
        Point(group=group, estimate=Estimate(n, float(n)))
        for group in table
        if (n := table.count(group, DECISIONS))
    ]


def share_decisions(table: Table) -> list[Point]:
    """n_g / n, of all decisions of the same time and member; Wilson's interval."""
    whole = table.regroup(without=_SHARED)
    return [
        Point(
            group=group,
            estimate=estimate_share(table.count(group, DECISIONS), whole.count(_of_all(group), DECISIONS)),
        )
        for group in table
    ]


def _of_all(group: Group) -> Group:
    for dimension in _SHARED:
        group = drop_dimension(group, dimension)
    return group


DECISIONS_MADE = Figure(name="decisions", title="Decisions", unit="decisions", compute=count_decisions)
SHARE = Figure(name="share", title="Share of decisions", unit="share", compute=share_decisions)
