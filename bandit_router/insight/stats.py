"""Statistics: every figure for one question, and their forms for programs: JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bandit_router.errors import InvalidInput
from bandit_router.insight.figures import FIGURES, Figure, Point
from bandit_router.insight.question import RollupQuestion
from bandit_router.insight.table import tabulate
from bandit_router.insight.tasks import TaskSummary
from bandit_router.store.own_calls import OwnCost
from bandit_router.store.rollups.reader import RollupRow
from bandit_router.store.rollups.tally import HOUR_S

COLUMNS = (
    *("figure", "unit", "time", "arm", "reason", "member"),
    *("n", "value", "low", "high", "coverage", "settled"),
)
"""Columns of the CSV; the fields of a point in JSON are those after ``unit``."""

_DAY_HOURS = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """The points of each figure that was asked for, in order."""

    question: RollupQuestion
    figures: Sequence[tuple[Figure, Sequence[Point]]]


def compute_statistics(
    rows: Sequence[RollupRow], question: RollupQuestion, names: Collection[str] = ()
) -> Statistics:
    """Compute the named figures, or all, from the rows that the question asks for. Raises InvalidInput."""
    for name in names:
        if name not in FIGURES:
            raise InvalidInput("figure", f"{name!r} is unknown", f"use {', '.join(FIGURES)}")
    table = tabulate(rows, question.by, step=question.rollups.step, now=question.now)
    figures = [FIGURES[name] for name in names or FIGURES]
    return Statistics(question=question, figures=[(figure, figure.compute(table)) for figure in figures])


def find_first_day(question: RollupQuestion) -> int:
    """The day of the question's first hour, as the number since 1970, UTC."""
    return question.rollups.since // _DAY_HOURS


def sum_own_costs(costs: Iterable[OwnCost], question: RollupQuestion) -> list[dict[str, Any]]:
    """What the router's own calls cost by purpose, on the days that the question is about."""
    last = (question.rollups.until - 1) // _DAY_HOURS
    sums: dict[str, dict[str, Any]] = {}
    for cost in costs:
        if find_first_day(question) <= cost.day <= last:
            total = sums.setdefault(cost.purpose, {"purpose": cost.purpose.value, "calls": 0, "usd": 0.0})
            total["calls"] += cost.calls
            total["usd"] += cost.usd
    return list(sums.values())


def statistics_facts(
    statistics: Statistics, own_costs: Iterable[OwnCost], tasks: Iterable[TaskSummary] = ()
) -> dict[str, Any]:
    """All of it as JSON has it. Times are ISO 8601 in UTC, numbers that are not known are null."""
    rollups = statistics.question.rollups
    return {
        "since": format_hour(rollups.since),
        "until": format_hour(rollups.until),
        "step_hours": rollups.step,
        "by": sorted(dimension.value for dimension in statistics.question.by),
        "figures": [
            {
                "figure": figure.name,
                "title": figure.title,
                "unit": figure.unit,
                "points": [point_facts(point) for point in points],
            }
            for figure, points in statistics.figures
        ],
        "own_calls": sum_own_costs(own_costs, statistics.question),
        "tasks": [task.facts() for task in tasks],
    }


def point_facts(point: Point) -> dict[str, Any]:
    """A point by the names in :data:`COLUMNS`."""
    group = point.group
    return {
        "time": None if group.hour is None else format_hour(group.hour),
        "arm": group.arm,
        "reason": group.reason,
        "member": group.member,
        **point.estimate._asdict(),
        "coverage": point.coverage,
        "settled": point.settled,
    }


def write_csv(statistics: Statistics) -> str:
    """All points, a line each, under a line of names; what is not known is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_csv_rows(statistics))
    return text.getvalue()


def _csv_rows(statistics: Statistics) -> Iterator[dict[str, Any]]:
    for figure, points in statistics.figures:
        for point in points:
            yield {"figure": figure.name, "unit": figure.unit, **point_facts(point)}


def format_hour(hour: int) -> str:
    """An hour since 1970 UTC as an ISO 8601 time."""
    return datetime.fromtimestamp(hour * HOUR_S, UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
