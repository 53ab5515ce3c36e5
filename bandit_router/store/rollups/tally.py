"""Tallies: what decisions, calls, escalations and feedback add to roll-ups, and which cells it goes to.

A tally sums by slice, the finest grain. Each slice belongs to a cell of several cubes: all decisions by hour
and by day, and by day those of one tier, of one API key and of one task. A second dimension is never crossed
with the first: thousands of keys times tiers times tasks would be more rows than the log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from bandit_router.posterior.latency import find_bin
from bandit_router.store.rollups.measures import (
    COST_WEIGHT,
    DECISIONS,
    ESCALATED,
    EXPECTED_COST,
    EXPECTED_QUALITY,
    EXPLORATION_PRICE,
    MONEY,
    find_measure,
    name_call_measure,
)
from bandit_router.store.rollups.sums import Sums, add_to_bins
from bandit_router.types import NO_TASK, TIER

DAY_H = 24
HOUR_S = 3600.0
_LATEST_S = 1e11


class Cube(StrEnum):
    """A set of cells: all decisions by hour or by day, or those of each member of a dimension by day."""

    HOUR = "hour"
    DAY = "day"
    TIER = "tier"
    KEY = "key"
    TASK = "task"


class Slice(NamedTuple):
    """Where a decision belongs: the hour of its time, as hours since 1970 UTC, and its dimensions.

    What is ``kept`` is of decisions that are not in the log any more.
    """

    hour: int
    arm: str
    reason: str
    tier: str | None
    key_id: str | None
    task: str | None
    kept: bool = False


class Cell(NamedTuple):
    """The key of a row of ``rollups``, but for its router; ``hour`` is the first one that it covers."""

    cube: str
    hour: int
    member: str
    kept: bool
    arm: str
    reason: str
    measure: str


class Choice(Protocol):
    """What a slice is made of: a decision, or a row of one."""

    @property
    def decided_at(self) -> float: ...
    @property
    def arm(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def signals(self) -> Any: ...
    @property
    def key_id(self) -> str | None: ...
    @property
    def task(self) -> int | None: ...


class Forecast(Choice, Protocol):
    """A choice with all that it adds to roll-ups by itself."""

    @property
    def expected_quality(self) -> float: ...
    @property
    def expected_cost_usd(self) -> float: ...
    @property
    def cost_weight(self) -> float: ...
    @property
    def greedy_utility(self) -> float | None: ...


def find_hour(at: float) -> int:
    """The hour of a Unix time, as hours since 1970 UTC."""
    return int(min(_LATEST_S, max(0.0, at)) // HOUR_S)


def find_slice(choice: Choice) -> Slice:
    """The slice that a decision belongs to."""
    tier = choice.signals.get(TIER) if isinstance(choice.signals, dict) else None
    hour, reason = find_hour(choice.decided_at), str(choice.reason)
    task = None if choice.task is None or choice.task == NO_TASK else str(choice.task)
    return Slice(hour, choice.arm, reason, None if tier is None else str(tier), choice.key_id, task)


class Tally:
    """Sums by slice and measure. Mutable: one transaction collects what it adds to the log in one."""

    def __init__(self) -> None:
        self.sums: defaultdict[Slice, defaultdict[str, Sums]] = defaultdict(lambda: defaultdict(Sums))

    def add_decision(self, made: Forecast) -> None:
        """Count a decision and what is expected of it."""
        sums = self.sums[find_slice(made)]
        sums[DECISIONS].count += 1
        _add(sums, EXPECTED_QUALITY, made.expected_quality)
        _add(sums, EXPECTED_COST, made.expected_cost_usd)
        _add(sums, COST_WEIGHT, made.cost_weight)
        if made.greedy_utility is not None:
            utility = made.expected_quality - made.cost_weight * made.expected_cost_usd
            _add(sums, EXPLORATION_PRICE, max(0.0, made.greedy_utility - utility))

    def add_call(self, where: Slice, outcome: str) -> None:
        """Count a call that has ended."""
        self.sums[where][name_call_measure(outcome)].count += 1

    def add_escalation(self, where: Slice, *, retried: bool) -> None:
        """Count the judgement of a decision's answer."""
        _add(self.sums[where], ESCALATED, float(retried))

    def add_delay(self, where: Slice, metrics: Iterable[str], delay_s: float) -> None:
        """Count the seconds that the first value of each of these metrics took to come."""
        sums, in_bin = self.sums[where], find_bin(max(0.0, delay_s))
        for metric in metrics:
            add_to_bins(sums[metric].delays, [(in_bin, 1)])

    def revise_metric(self, where: Slice, metric: str, before: float | None, after: float | None) -> None:
        """Replace the value of a metric that is in force; None is no value."""
        if before is not None:
            _add(self.sums[where], metric, before, -1)
        if after is not None:
            _add(self.sums[where], metric, after)

    def drop(self, dropped: Tally) -> None:
        """Take out what leaves the log; its money stays, as of nobody."""
        for where, by_measure in dropped.sums.items():
            for measure, sums in by_measure.items():
                self.sums[where][measure].add(sums, -1)
                if measure in MONEY:
                    nobody = where._replace(tier=None, key_id=None, task=None, kept=True)
                    self.sums[nobody][measure].add(sums)

    def cells(self, *, kept: bool | None = None) -> dict[Cell, Sums]:
        """The sums by cell; without those that are ``kept``, or only these."""
        cells: dict[Cell, Sums] = {}
        for where, by_measure in self.sums.items():
            if kept in (None, where.kept):
                for cube, hour, member in find_cubes(where):
                    for measure, sums in by_measure.items():
                        cell = Cell(cube, hour, member, where.kept, where.arm, where.reason, measure)
                        add_to_cell(cells, cell, sums)
        return cells


def _add(sums: Mapping[str, Sums], measure: str, value: float, sign: int = 1) -> None:
    sums[measure].add_value(find_measure(measure), value, sign)


def find_cubes(where: Slice) -> Iterator[tuple[Cube, int, str]]:
    """Cube, first hour and member of every cell that a slice belongs to."""
    day = where.hour - where.hour % DAY_H
    yield Cube.HOUR, where.hour, ""
    yield Cube.DAY, day, ""
    for cube, member in ((Cube.TIER, where.tier), (Cube.KEY, where.key_id), (Cube.TASK, where.task)):
        if member is not None:
            yield cube, day, member


def describe_cell(cell: Cell) -> str:
    """The cell in words."""
    at = datetime.fromtimestamp(cell.hour * HOUR_S, UTC).isoformat(timespec="hours")
    member = f" {cell.member}" if cell.member else ""
    return f"{cell.cube}{member} {at}, {cell.arm}, {cell.reason}, {cell.measure}"


def add_to_cell(cells: dict[Cell, Sums], cell: Cell, sums: Sums, sign: int = 1) -> None:
    """Add sums to those of a cell; with a sign of −1, subtract them."""
    there = cells.get(cell)
    if there is None:
        there = cells[cell] = Sums()
    there.add(sums, sign)


def subtract_cells(cells: Mapping[Cell, Sums], others: Mapping[Cell, Sums]) -> dict[Cell, Sums]:
    """Where two sets of cells differ, and by how much."""
    difference: dict[Cell, Sums] = {}
    for each, sign in ((cells, 1), (others, -1)):
        for cell, sums in each.items():
            add_to_cell(difference, cell, sums, sign)
    return {cell: sums for cell, sums in difference.items() if sums}


def merge_cells(parts: Iterable[Mapping[Cell, Sums]]) -> dict[Cell, Sums]:
    """The sums of several sets of cells together."""
    merged: dict[Cell, Sums] = {}
    for part in parts:
        for cell, sums in part.items():
            add_to_cell(merged, cell, sums)
    return merged
