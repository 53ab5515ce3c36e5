"""The columns of an imported table that are no text, arm or number: times, tasks and ids."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from bandit_router.errors import InvalidInput
from bandit_router.evaluation.datasets.problems import RowProblem
from bandit_router.evaluation.datasets.source import Rows
from bandit_router.evaluation.datasets.values import Kind, format_tasks, parse_number
from bandit_router.types import FloatArray
from bandit_router.validation import read_task


def read_times(
    values: list[object] | None, rows: Rows, names: Mapping[str, str], problems: list[RowProblem]
) -> FloatArray:
    """Unix times (n,), seconds; without a column, one row a second in the order of the file."""
    if values is None:
        return np.arange(len(rows.lines), dtype=np.float64)
    times = np.array([_parse_time(value) for value in values], dtype=np.float64)
    for i in np.flatnonzero(np.isnan(times)):
        message = f"{names['time']} is {values[i]!r:.60}, allowed is Unix time in seconds or ISO 8601"
        problems.append(RowProblem(rows.lines[i], message, str(rows.lines[i])))
    return times


def read_tasks(
    values: list[object] | None, rows: Rows, names: Mapping[str, str], problems: list[RowProblem]
) -> list[str]:
    """The name of every row's task, "" where it has none."""
    tasks = format_tasks(values or [None] * len(rows.lines))
    for line, task in zip(rows.lines, tasks, strict=True):
        try:
            if task:
                read_task(names["task"], task)
        except InvalidInput as error:
            problems.append(RowProblem(line, str(error), str(line)))
    return [task.strip() for task in tasks]


def _parse_time(value: object) -> float:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    number = parse_number(value, Kind())
    if not math.isnan(number):
        return number if 0.0 <= number < 1e11 else math.nan  # milliseconds are no seconds
    try:
        return _parse_time(datetime.fromisoformat(str(value)))
    except ValueError:
        return math.nan


def find_repeats(ids: Sequence[str | None], lines: Sequence[int]) -> list[RowProblem]:
    first: dict[str, int] = {}
    return [
        RowProblem(line, f"id {id!r} is that of line {first[id]} already", str(line))
        for id, line in zip(ids, lines, strict=True)
        if id is not None and first.setdefault(id, line) != line
    ]
