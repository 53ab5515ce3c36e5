"""What a figure is: a name, a unit, and one pure function from a table to points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bandit_router.insight.intervals import Estimate
from bandit_router.insight.table import Group, Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A figure for one group.

    ``coverage`` is the share of the group's decisions that have a value, and ``settled`` the share of them
    old enough for it: values of the others are still to come. Both are None where values do not come later.
    """

    group: Group
    estimate: Estimate
    coverage: float | None = None
    settled: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure: ``title`` for a heading, ``unit`` for an axis, ``compute`` for a point of each group."""

    name: str
    title: str
    unit: str
    compute: Callable[[Table], list[Point]]
