"""Assembles single results, one model on one query each, into a dataset without gaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets.dataset import Dataset
from bandit_router.evaluation.datasets.problems import RowProblem, log_left_out, quote, raise_problems
from bandit_router.evaluation.datasets.source import Source
from bandit_router.evaluation.datasets.values import Origin
from bandit_router.types import FloatArray

_FIX = "correct them, or leave those queries out with skip_bad (--skip-bad)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """r results in any order, and their problems so far.

    ``origins`` say which query and model each result is about; ``texts`` and ``tasks`` repeat from result to
    result of a query. ``numbers`` are (r,) by field of Dataset, NaN where unknown.
    """

    source: Source
    origins: Sequence[Origin]
    texts: Sequence[str | None]
    tasks: Sequence[str] | None
    numbers: Mapping[str, FloatArray]
    problems: Sequence[RowProblem]


def choose_models(path: Path, available: Sequence[str], models: Sequence[str] | None) -> tuple[str, ...]:
    """``models`` in their order, or all available ones. Raises ConfigError, which lists those."""
    if models is None:
        return tuple(available)
    for model in models:
        if model not in available:
            raise ConfigError(f"{path}: has no model {model!r}, allowed are {', '.join(available)}")
    if not models or len(set(models)) < len(models):
        raise ConfigError(f"{path}: name at least one model, and each once, from {', '.join(available)}")
    return tuple(models)


def assemble_dataset(
    results: Results, models: Sequence[str], *, skip_bad: bool, allow_missing: bool = False
) -> Dataset:
    """Assemble results into matrices: queries by first appearance, models as given.

    Every query needs one text, and one result of every model unless ``allow_missing``. Otherwise raises
    ConfigError; or, when ``skip_bad``, leaves the query out and logs that.
    """
    path, unit = results.source.path, results.source.unit
    rows = {query: i for i, query in enumerate(dict.fromkeys(o.query for o in results.origins if o.query))}
    columns = {model: j for j, model in enumerate(models)}
    problems = [
        *results.problems,
        *_find_contradictions(results),
        *_find_miscounts(results, rows, columns, allow_missing),
    ]
    if not rows and not problems:
        raise ConfigError(f"{path}: has no rows")
    if not skip_bad:
        raise_problems(path, unit, problems, _FIX)
    bad = {problem.query for problem in problems}
    kept = [i for query, i in rows.items() if query not in bad]
    if not kept:
        raise_problems(path, unit, problems, "no query is left without a problem")
    if problems:
        log_left_out(path, unit, problems, len(rows) - len(kept), len(rows))
    matrices = {
        field: _matrix(results.origins, values, rows, columns)[kept]
        for field, values in results.numbers.items()
    }
    return _dataset(results, kept, rows, models, matrices)


def _dataset(
    results: Results,
    kept: Sequence[int],
    rows: Mapping[str, int],
    models: Sequence[str],
    matrices: Mapping[str, FloatArray],
) -> Dataset:
    optional = {field: None if np.isnan(m).all() else m for field, m in matrices.items()}
    tokens = optional.get("input_tokens")
    tasks = None if results.tasks is None else _first_per_query(results.origins, results.tasks, rows)
    texts = _first_per_query(results.origins, results.texts, rows)
    return Dataset(
        name=results.source.path.stem,
        queries=tuple(texts[i] for i in kept),
        models=tuple(models),
        quality=matrices["quality"],
        cost_usd=matrices["cost_usd"],
        tasks=None if tasks is None or not any(tasks) else tuple(tasks[i] for i in kept),
        input_tokens=None if tokens is None else _mean_known(tokens),
        output_tokens=optional.get("output_tokens"),
        latency_s=optional.get("latency_s"),
        confidence=optional.get("confidence"),
        gaps=bool(np.isnan(matrices["quality"]).any() or np.isnan(matrices["cost_usd"]).any()),
    )


def _matrix(
    origins: Sequence[Origin], values: FloatArray, rows: Mapping[str, int], columns: Mapping[str, int]
) -> FloatArray:
    matrix = np.full((len(rows), len(columns)), np.nan)
    for origin, value in zip(origins, values, strict=True):
        if origin.query is not None and origin.model is not None:
            matrix[rows[origin.query], columns[origin.model]] = value
    return matrix


def _first_per_query(
    origins: Sequence[Origin], values: Sequence[str | None], rows: Mapping[str, int]
) -> list[str]:
    """The first value of each query that is not empty, "" if there is none."""
    first = [""] * len(rows)
    for origin, value in zip(origins, values, strict=True):
        if origin.query is not None and value:
            first[rows[origin.query]] = first[rows[origin.query]] or value
    return first


def _mean_known(tokens: FloatArray) -> FloatArray:
    """(n, k) to (n,): models count tokens differently, and some not at all."""
    is_known = ~np.isnan(tokens)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, which stands for unknown
        mean: FloatArray = np.where(is_known, tokens, 0.0).sum(axis=1) / is_known.sum(axis=1)
    return mean


def _find_miscounts(
    results: Results, rows: Mapping[str, int], columns: Mapping[str, int], allow_missing: bool
) -> Iterator[RowProblem]:
    """Queries with no result, or more than one, of some model; named by where they first appear."""
    lines: dict[tuple[int, int], list[int]] = {}
    first: dict[int, int] = {}
    for origin in results.origins:
        if origin.query is not None:
            row = rows[origin.query]
            first.setdefault(row, origin.line)
            if origin.model is not None:
                lines.setdefault((row, columns[origin.model]), []).append(origin.line)
    for query, row in rows.items():
        for model, column in columns.items():
            at = lines.get((row, column), [])
            if len(at) > 1 or not (at or allow_missing):
                several = f"{len(at)} results ({results.source.unit}s {', '.join(map(str, at[:3]))})"
                advice = "" if at else " (use what is there with allow_missing (--allow-missing))"
                message = f"query {quote(query)} has {several if at else 'no result'} for {model!r}{advice}"
                yield RowProblem(at[-1] if at else first[row], message, query)
                break


def _find_contradictions(results: Results) -> Iterator[RowProblem]:
    """Queries whose text or task is not the same at every result."""
    for noun, values in (("text", results.texts), ("task", results.tasks or ())):
        first: dict[str, tuple[str, int]] = {}
        reported: set[str] = set()
        for origin, value in zip(results.origins, values, strict=False):
            query = origin.query
            if query is None or not value or query in reported:
                continue
            expected, line = first.setdefault(query, (value, origin.line))
            if value != expected:
                reported.add(query)
                message = f"query {quote(query)} has another {noun} than at {results.source.unit} {line}"
                yield RowProblem(origin.line, message, query)
