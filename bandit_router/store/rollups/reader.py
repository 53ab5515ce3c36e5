"""The reader of roll-ups: sums by time, arm, reason and measure, of what is folded and what is not yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from sqlalchemy import ColumnElement, Connection, func, literal_column, select

from bandit_router.errors import InvalidInput
from bandit_router.posterior.latency import BINS
from bandit_router.store.rollups.deltas import read_deltas
from bandit_router.store.rollups.measures import find_measure
from bandit_router.store.rollups.sums import Sums, join_sum, unpack_pairs
from bandit_router.store.rollups.tally import DAY_H, Cell, Cube
from bandit_router.store.tables import rollups
from bandit_router.types import IntArray

WEEK_H = 7 * DAY_H
UNDIVIDED = 100_000 * WEEK_H
"""A step in which time is not told apart: the database adds all of it up. It begins with 1970."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RollupFilter:
    """Which decisions to sum over, and in what steps.

    Hours are counted since 1970 UTC; ``until`` is the first one that is out. Steps are of ``step`` hours, and
    one shorter than a day needs the cube of hours. Empty collections are all arms and all reasons. Of
    ``tier``, ``key_id`` and ``task`` only one may be given: their cubes are not crossed. ``split_by`` reads
    every member of one of these cubes apart; the cube of tasks has their numbers. Bins take most of the
    time of long reads: without ``binned`` they are left out.
    """

    since: int
    until: int
    step: int = DAY_H
    arms: Collection[str] = ()
    reasons: Collection[str] = ()
    tier: str | None = None
    key_id: str | None = None
    task: str | None = None
    split_by: Cube | None = None
    binned: bool = True

    def __post_init__(self) -> None:
        members = [cube.value for cube, member in self._members() if member is not None]
        if len(members) > 1:
            raise InvalidInput(members[1], f"comes with {members[0]}", "give one: their sums are kept apart")
        if self.step < 1 or (self.step % DAY_H and self.cube is not Cube.HOUR):
            raise InvalidInput("step", f"is {self.step} hours", "sums of tiers, keys and tasks are by day")

    @property
    def cube(self) -> Cube:
        """The cube that has these sums."""
        for cube, member in self._members():
            if member is not None:
                return cube
        whole_days = not (self.since % DAY_H or self.until % DAY_H or self.step % DAY_H)
        return self.split_by or (Cube.DAY if whole_days else Cube.HOUR)

    @property
    def member(self) -> str | None:
        """The only member of the cube to read; None reads all."""
        return next((member for _, member in self._members() if member is not None), None)

    def _members(self) -> tuple[tuple[Cube, str | None], ...]:
        return (Cube.TIER, self.tier), (Cube.KEY, self.key_id), (Cube.TASK, self.task)


@dataclass(frozen=True, kw_only=True, slots=True)
class RollupRow:
    """Sums of one measure over the decisions of a step of time, an arm and a reason.

    ``hour`` is the first of the step. ``member`` is the tier, key or task, empty for all decisions.
    ``total`` and ``squares`` are the sum of the values and of their squares, in the unit of the measure.
    ``bins`` and ``delays`` (BINS,) count values and seconds to the first value in the bins of
    :mod:`bandit_router.posterior.latency`, None where there are none.
    """

    hour: int
    member: str = ""
    arm: str
    reason: str
    measure: str
    count: int
    total: float = 0.0
    squares: float = 0.0
    bins: IntArray | None = None
    delays: IntArray | None = None


_Place = tuple[int, str, str, str, str]
_Text = ColumnElement[str]
_PlaceColumns = tuple[ColumnElement[int], _Text, _Text, _Text, _Text]


@dataclass(slots=True)
class _Merged:
    """Sums of several cells; their bins are still packed."""

    sums: Sums = field(default_factory=Sums)
    bins: list[bytes] = field(default_factory=list)
    delays: list[bytes] = field(default_factory=list)


def read_rollups(
    connection: Connection, router: str, asked: RollupFilter, renamed: dict[str, str]
) -> list[RollupRow]:
    """The sums that are asked for, in the order of time; arms have the names that they have now.

    ``renamed`` has the name now of every arm that was renamed.
    """
    merged: dict[_Place, _Merged] = defaultdict(_Merged)
    _read_folded(connection, router, asked, renamed, merged)
    for delta in read_deltas(connection, router).values():
        for cell, sums in delta.cells().items():
            if _fits(cell, asked, renamed):
                merged[_find_place(cell, asked, renamed)].sums.add(sums)
    rows = (_make_row(place, each) for place, each in sorted(merged.items()) if _has_any(each))
    return [row if asked.binned else replace(row, bins=None, delays=None) for row in rows]


def _read_folded(
    connection: Connection,
    router: str,
    asked: RollupFilter,
    renamed: dict[str, str],
    merged: dict[_Place, _Merged],
) -> None:
    where = _conditions(router, asked, renamed)
    # As a parameter, it would not be the same expression in GROUP BY.
    step: ColumnElement[int] = literal_column(str(int(asked.step)))
    start = rollups.c.hour - rollups.c.hour % step
    place = start, rollups.c.member, rollups.c.arm, rollups.c.reason, rollups.c.measure
    integers = [rollups.c[name] for name in ("count", "total_high", "total_low")]
    integers += [rollups.c[name] for name in ("squares_high", "squares_low")]
    grouped = select(*place, *(func.sum(column) for column in integers)).where(*where).group_by(*place)
    for hour, member, arm, reason, measure, *summed in connection.execute(grouped):
        count, total_high, total_low, squares_high, squares_low = map(int, summed)
        sums = Sums(count, join_sum(total_high, total_low), join_sum(squares_high, squares_low))
        merged[hour, member, renamed.get(arm, arm), reason, measure].sums.add(sums)
    if asked.binned:
        _read_bins(connection, place, where, renamed, merged)


def _read_bins(
    connection: Connection,
    place: _PlaceColumns,
    where: Sequence[ColumnElement[bool]],
    renamed: dict[str, str],
    merged: dict[_Place, _Merged],
) -> None:
    """Add the bins of folded cells, which SQL cannot add up."""
    binned = rollups.c.bins.is_not(None) | rollups.c.delays.is_not(None)
    packed = select(*place, rollups.c.bins, rollups.c.delays).where(*where, binned)
    for hour, member, arm, reason, measure, bins, delays in connection.execute(packed):
        there = merged[hour, member, renamed.get(arm, arm), reason, measure]
        if bins is not None:
            there.bins.append(bins)
        if delays is not None:
            there.delays.append(delays)


def _conditions(router: str, asked: RollupFilter, renamed: dict[str, str]) -> list[ColumnElement[bool]]:
    where = [rollups.c.router == router, rollups.c.cube == asked.cube.value]
    where += [rollups.c.hour >= asked.since, rollups.c.hour < asked.until]
    if asked.member is not None:
        where.append(rollups.c.member == asked.member)
    if asked.arms:
        former = [old for old, new in renamed.items() if new in asked.arms]
        where.append(rollups.c.arm.in_([*asked.arms, *former]))
    if asked.reasons:
        where.append(rollups.c.reason.in_(list(asked.reasons)))
    return where


def _fits(cell: Cell, asked: RollupFilter, renamed: dict[str, str]) -> bool:
    return (
        cell.cube == asked.cube
        and asked.since <= cell.hour < asked.until
        and asked.member in (None, cell.member)
        and (not asked.arms or renamed.get(cell.arm, cell.arm) in asked.arms)
        and (not asked.reasons or cell.reason in asked.reasons)
    )


def _find_place(cell: Cell, asked: RollupFilter, renamed: dict[str, str]) -> _Place:
    hour = cell.hour - cell.hour % asked.step
    return hour, cell.member, renamed.get(cell.arm, cell.arm), cell.reason, cell.measure


def _has_any(merged: _Merged) -> bool:
    return bool(merged.sums or merged.bins or merged.delays)


def _make_row(place: _Place, merged: _Merged) -> RollupRow:
    hour, member, arm, reason, name = place
    measure, sums = find_measure(name), merged.sums
    return RollupRow(
        hour=hour,
        member=member,
        arm=arm,
        reason=reason,
        measure=name,
        count=sums.count,
        total=sums.total / measure.per_one,
        squares=sums.squares / measure.squares_per_one,
        bins=_unpack(merged.bins, sums.bins),
        delays=_unpack(merged.delays, sums.delays),
    )


def _unpack(packed: list[bytes], unfolded: dict[int, int]) -> IntArray | None:
    """The counts in all bins together; None where there are none."""
    if not packed and not unfolded:
        return None
    counts = np.zeros(BINS, np.int64)
    pairs = unpack_pairs(b"".join(packed))
    np.add.at(counts, pairs[:, 0], pairs[:, 1])
    for i, n in unfolded.items():
        counts[i] += n
    return counts
