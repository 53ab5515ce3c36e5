"""Tables with one row per query and columns for each model, as single results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bandit_router.evaluation.datasets.problems import Problem
from bandit_router.evaluation.datasets.results import Results
from bandit_router.evaluation.datasets.source import Rows, Source
from bandit_router.evaluation.datasets.values import Kind, Place, as_id, read_numbers, read_texts
from bandit_router.types import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Which column holds what.

    ``numbers`` maps a field of Dataset to its kind and to the column of each model. Without ``query_id``
    every row is a query of its own. ``plain`` makes a text of what the column ``text`` holds.
    """

    text: str
    numbers: Mapping[str, tuple[Kind, Mapping[str, str]]]
    query_id: str | None = None
    task: str | None = None
    also: tuple[str, ...] = ()
    plain: Callable[[object], object] = field(default=lambda value: value)

    def columns(self) -> set[str]:
        """Every column that is read."""
        named = {name for name in (self.text, self.query_id, self.task) if name is not None}
        return named.union(self.also, *(of.values() for _, of in self.numbers.values()))


def melt(source: Source, rows: Rows, layout: Layout) -> Results:
    """One result per row and model, model by model; rows that are wrong are among its problems."""
    ids: list[object] = [str(line) for line in rows.lines]
    if layout.query_id is not None:
        ids = [as_id(value) for value in rows.columns[layout.query_id]]
    places = [Place(line) for line in rows.lines]
    queries, problems = read_texts(ids, places, layout.query_id or "id")
    places = [Place(line, query) for line, query in zip(rows.lines, queries, strict=True)]
    plain = [layout.plain(value) for value in rows.columns[layout.text]]
    texts, wrong = read_texts(plain, places, layout.text)
    tasks: list[str] | None = None
    if layout.task is not None:
        tasks = ["" if task is None else str(task) for task in rows.columns[layout.task]]
    models = list(next(iter(layout.numbers.values()))[1])
    numbers, bad_numbers = _numbers(rows, places, layout)
    return Results(
        source=source,
        places=[place._replace(model=model) for model in models for place in places],
        texts=texts * len(models),
        tasks=None if tasks is None else tasks * len(models),
        numbers=numbers,
        problems=[*rows.broken, *problems, *wrong, *bad_numbers],
    )


def _numbers(rows: Rows, places: list[Place], layout: Layout) -> tuple[dict[str, FloatArray], list[Problem]]:
    numbers: dict[str, FloatArray] = {}
    problems: list[Problem] = []
    for name, (kind, columns) in layout.numbers.items():
        parts = []
        for model, column in columns.items():
            of_model = [place._replace(model=model) for place in places]
            part, wrong = read_numbers(rows.columns[column], of_model, column, kind)
            parts.append(part)
            problems += wrong
        numbers[name] = np.concatenate(parts)
    return numbers, problems
