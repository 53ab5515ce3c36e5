"""The table that figures are computed from: roll-ups, added up by what the reader wants to tell apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from bandit_router.store.rollups.reader import RollupRow
from bandit_router.types import IntArray


class Dimension(StrEnum):
    """What groups of a table can differ in; ``MEMBER`` is the tier, key or task of the cube that was read."""

    TIME = "time"
    ARM = "arm"
    REASON = "reason"
    MEMBER = "member"


class Group(NamedTuple):
    """One group: the first hour of its step, as hours since 1970 UTC, and the rest; None is all."""

    hour: int | None = None
    arm: str | None = None
    reason: str | None = None
    member: str | None = None


@dataclass(slots=True)
class Totals:
    """Count, sum and sum of squares of one measure in one group, and its bins, as a :class:`RollupRow`."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    bins: IntArray | None = None
    delays: IntArray | None = None

    def add(self, row: RollupRow) -> None:
        """Add a row."""
        self.count += row.count
        self.total += row.total
        self.squares += row.squares
        self.bins = _add_bins(self.bins, row.bins)
        self.delays = _add_bins(self.delays, row.delays)


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Totals by group and measure. ``by`` says what groups differ in, ``rows`` are what they were made of.

    Rows are of steps of ``step`` hours; ``now`` is when they were read, Unix time, seconds.
    """

    by: frozenset[Dimension]
    rows: Sequence[RollupRow]
    step: int
    now: float
    groups: Mapping[Group, Mapping[str, Totals]] = field(default_factory=dict)

    def regroup(self, without: Collection[Dimension]) -> Table:
        """The same rows, with these dimensions not told apart."""
        return tabulate(self.rows, self.by - set(without), step=self.step, now=self.now)

    def restrict(self, reasons: Collection[str]) -> Table:
        """The table of the decisions that were made for one of these reasons."""
        rows = [row for row in self.rows if row.reason in reasons]
        return tabulate(rows, self.by, step=self.step, now=self.now)

    def totals(self, group: Group, measure: str) -> Totals:
        """The totals of a measure in a group; empty ones if it has no value there."""
        return self.groups.get(group, {}).get(measure, Totals())

    def count(self, group: Group, measure: str) -> int:
        """The number of values of a measure in a group."""
        return self.totals(group, measure).count

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)


def tabulate(rows: Sequence[RollupRow], by: Collection[Dimension], *, step: int, now: float) -> Table:
    """Add rows up by these dimensions; groups are in order."""
    sums: dict[Group, dict[str, Totals]] = defaultdict(lambda: defaultdict(Totals))
    for row in rows:
        sums[find_group(row, by)][row.measure].add(row)
    groups = {group: dict(sums[group]) for group in sorted(sums, key=_sort_key)}
    return Table(by=frozenset(by), rows=rows, step=step, now=now, groups=groups)


def drop_dimension(group: Group, dimension: Dimension) -> Group:
    """The group that has all of this dimension."""
    field_name = "hour" if dimension is Dimension.TIME else dimension.value
    return group._replace(**{field_name: None})


def find_group(row: RollupRow, by: Collection[Dimension]) -> Group:
    """The group that a row belongs to."""
    return Group(
        hour=row.hour if Dimension.TIME in by else None,
        arm=row.arm if Dimension.ARM in by else None,
        reason=row.reason if Dimension.REASON in by else None,
        member=row.member if Dimension.MEMBER in by else None,
    )


def _sort_key(group: Group) -> tuple[int, str, str, str]:
    return group.hour or 0, group.arm or "", group.reason or "", group.member or ""


def _add_bins(bins: IntArray | None, more: IntArray | None) -> IntArray | None:
    if more is None:
        return bins
    return more.copy() if bins is None else bins + more
