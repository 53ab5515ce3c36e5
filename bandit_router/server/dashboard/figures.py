"""The figures of one window, looked up by slot, arm and reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bandit_router.insight.figures.base import Figure, Point
from bandit_router.insight.intervals import Estimate
from bandit_router.insight.table import Dimension, Group, Table, tabulate
from bandit_router.server.dashboard.window import Window
from bandit_router.store.rollups.measures import DECISIONS
from bandit_router.store.rollups.reader import RollupRow

Dimensions = frozenset[Dimension]


class Where(NamedTuple):
    """Which decisions a figure is of; None is all."""

    slot: int | None = None
    arm: str | None = None
    reason: str | None = None

    @property
    def dimensions(self) -> Dimensions:
        """What tells these decisions from others."""
        names = {Dimension.TIME: self.slot, Dimension.ARM: self.arm, Dimension.REASON: self.reason}
        return frozenset(dimension for dimension, value in names.items() if value is not None)


EVERYWHERE = Where()


class Figures:
    """The figures of a window, each computed once. ``arms`` and ``reasons`` are those with decisions."""

    def __init__(self, window: Window, rows: Sequence[RollupRow], now: float) -> None:
        self.window = window
        self._rows = rows
        self._now = now
        self._tables: dict[Dimensions, Table] = {}
        self._points: dict[tuple[str, Dimensions], dict[Group, Point]] = {}
        decided = [row for row in rows if row.measure == DECISIONS and row.count]
        self.arms = sorted({row.arm for row in decided})
        self.reasons = sorted({row.reason for row in decided})

    def point(self, figure: Figure, where: Where = EVERYWHERE) -> Point:
        """A figure; an empty one where there are no values."""
        dimensions, group = where.dimensions, self._find_group(where)
        known = self._points.get((figure.name, dimensions))
        if known is None:
            known = {point.group: point for point in figure.compute(self.table(dimensions))}
            self._points[figure.name, dimensions] = known
        return known.get(group) or Point(group=group, estimate=Estimate(0))

    def estimate(self, figure: Figure, where: Where = EVERYWHERE) -> Estimate:
        """A figure's number with its interval."""
        return self.point(figure, where).estimate

    def course(self, figure: Figure, where: Where = EVERYWHERE) -> list[Estimate]:
        """A figure in each slot."""
        return [self.estimate(figure, where._replace(slot=slot)) for slot in range(self.window.slots)]

    def count(self, measure: str, where: Where = EVERYWHERE) -> int:
        """The number of values of a measure."""
        return self.table(where.dimensions).count(self._find_group(where), measure)

    def table(self, dimensions: Dimensions = frozenset()) -> Table:
        """The sums that figures are made of, told apart by these dimensions."""
        if dimensions not in self._tables:
            step = self.window.step_h
            self._tables[dimensions] = tabulate(self._rows, dimensions, step=step, now=self._now)
        return self._tables[dimensions]

    def _find_group(self, where: Where) -> Group:
        hour = None if where.slot is None else self.window.first + where.slot * self.window.step_h
        return Group(hour=hour, arm=where.arm, reason=where.reason)
