"""Melts wide tables, one row per query with columns for each model, into single results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bandit_router.evaluation.datasets.results import Results
from bandit_router.evaluation.datasets.scales import check_scale
from bandit_router.evaluation.datasets.source import Rows, Source
from bandit_router.evaluation.datasets.values import (
    Kind,
    Origin,
    format_id,
    format_tasks,
    read_numbers,
    read_prompts,
    read_texts,
)

_SCALE_ADVICE = (
    "scale it to 0 to 1 first, or write one row per query and model and give scale (--scale {low}:{high})"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class WideLayout:
    """The columns of a wide table and their meaning.

    ``numbers`` maps a field of Dataset to its kind and to the column of each model. Without ``query_id``
    every row is a query of its own. ``plain`` turns a value of the column ``text`` into text.
    """

    text: str
    numbers: Mapping[str, tuple[Kind, Mapping[str, str]]]
    query_id: str | None = None
    task: str | None = None
    also: tuple[str, ...] = ()
    plain: Callable[[object], object] = field(default=lambda value: value)

    def columns(self) -> set[str]:
        """Every column to read."""
        named = {name for name in (self.text, self.query_id, self.task) if name is not None}
        return named.union(self.also, *(of.values() for _, of in self.numbers.values()))


def melt(source: Source, rows: Rows, layout: WideLayout) -> Results:
    """One result per row and model, model by model; rows that are wrong are among its problems."""
    problems = list(rows.broken)
    origins = [Origin(line) for line in rows.lines]
    ids: list[object] = [str(line) for line in rows.lines]
    if layout.query_id is not None:
        ids = [format_id(value) for value in rows.columns[layout.query_id]]
    queries = read_texts(ids, origins, layout.query_id or "id", problems)
    origins = [Origin(line, query) for line, query in zip(rows.lines, queries, strict=True)]
    plain = [layout.plain(value) for value in rows.columns[layout.text]]
    texts = read_prompts(plain, origins, layout.text, problems)
    tasks = None if layout.task is None else format_tasks(rows.columns[layout.task])
    models = list(next(iter(layout.numbers.values()))[1])
    origins_of = {model: [origin._replace(model=model) for origin in origins] for model in models}
    kind, columns_of_quality = layout.numbers["quality"]
    ratings = [value for column in columns_of_quality.values() for value in rows.columns[column]]
    check_scale(source.path, ", ".join(columns_of_quality.values()), ratings, kind, _SCALE_ADVICE)
    numbers = {
        field: np.concatenate(
            [
                read_numbers(rows.columns[column], origins_of[model], column, kind, problems)
                for model, column in columns.items()
            ]
        )
        for field, (kind, columns) in layout.numbers.items()
    }
    return Results(
        source=source,
        origins=[origin for model in models for origin in origins_of[model]],
        texts=texts * len(models),
        tasks=None if tasks is None else tasks * len(models),
        numbers=numbers,
        problems=problems,
    )
