"""From single results, one model on one query each, to a dataset without gaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets.dataset import Dataset
from bandit_router.evaluation.datasets.problems import Problem, refuse, report_left_out, shown
from bandit_router.evaluation.datasets.source import Source
from bandit_router.evaluation.datasets.values import Place
from bandit_router.types import FloatArray

_FIX = "correct them, or leave those queries out with skip_bad (--skip-bad)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """r results in any order, and what was found wrong with them so far.

    ``places`` says which query and model each is about; ``texts`` and ``tasks`` repeat from result to
    result of a query. ``numbers`` are (r,) by field of Dataset, NaN where not known.
    """

    source: Source
    places: Sequence[Place]
    texts: Sequence[str | None]
    tasks: Sequence[str] | None
    numbers: Mapping[str, FloatArray]
    problems: Sequence[Problem]


def choose_models(path: Path, known: Sequence[str], models: Sequence[str] | None) -> tuple[str, ...]:
    """``models`` in their order, or all that are known. Raises ConfigError listing those."""
    if models is None:
        return tuple(known)
    for model in models:
        if model not in known:
            raise ConfigError(f"{path}: has no model {model!r}, allowed are {', '.join(known)}")
    if not models or len(set(models)) < len(models):
        raise ConfigError(f"{path}: name at least one model, and each once, from {', '.join(known)}")
    return tuple(models)


def assemble(results: Results, models: Sequence[str], *, skip_bad: bool) -> Dataset:
    """Results to matrices: queries by first appearance, models as given.

    Every query needs one result of every model and one text. Otherwise raises ConfigError; or, when
    ``skip_bad``, leaves the query out and logs that.
    """
    path, unit = results.source.path, results.source.unit
    rows = {query: i for i, query in enumerate(dict.fromkeys(p.query for p in results.places if p.query))}
    columns = {model: j for j, model in enumerate(models)}
    problems = [*results.problems, *_contradictions(results), *_miscounted(results, rows, columns)]
    if not rows and not problems:
        raise ConfigError(f"{path}: has no rows")
    if not skip_bad:
        refuse(path, unit, problems, _FIX)
    bad = {problem.query for problem in problems}
    kept = [i for query, i in rows.items() if query not in bad]
    if not kept:
        refuse(path, unit, problems, "no query is left without a problem")
    if problems:
        report_left_out(path, unit, problems, len(rows) - len(kept), len(rows))
    matrices = {
        field: _matrix(results.places, values, rows, columns)[kept]
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
    known = {field: None if np.isnan(m).all() else m for field, m in matrices.items()}
    tokens = known.get("input_tokens")
    tasks = None if results.tasks is None else _per_query(results.places, results.tasks, rows)
    texts = _per_query(results.places, results.texts, rows)
    return Dataset(
        name=results.source.path.stem,
        queries=tuple(texts[i] for i in kept),
        models=tuple(models),
        quality=matrices["quality"],
        cost_usd=matrices["cost_usd"],
        tasks=None if tasks is None or not any(tasks) else tuple(tasks[i] for i in kept),
        input_tokens=None if tokens is None else _mean_known(tokens),
        output_tokens=known.get("output_tokens"),
        latency_s=known.get("latency_s"),
        confidence=known.get("confidence"),
    )


def _matrix(
    places: Sequence[Place], values: FloatArray, rows: Mapping[str, int], columns: Mapping[str, int]
) -> FloatArray:
    matrix = np.full((len(rows), len(columns)), np.nan)
    for place, value in zip(places, values, strict=True):
        if place.query is not None and place.model is not None:
            matrix[rows[place.query], columns[place.model]] = value
    return matrix


def _per_query(places: Sequence[Place], values: Sequence[str | None], rows: Mapping[str, int]) -> list[str]:
    """What is first known of each query, "" when nothing is."""
    found = [""] * len(rows)
    for place, value in zip(places, values, strict=True):
        if place.query is not None and value:
            found[rows[place.query]] = found[rows[place.query]] or value
    return found


def _mean_known(tokens: FloatArray) -> FloatArray:
    """(n, k) to (n,): models count tokens differently, and some not at all."""
    known = ~np.isnan(tokens)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, which is what not known is
        mean: FloatArray = np.where(known, tokens, 0.0).sum(axis=1) / known.sum(axis=1)
    return mean


def _miscounted(results: Results, rows: Mapping[str, int], columns: Mapping[str, int]) -> Iterator[Problem]:
    """Queries with no result, or more than one, of some model; named by where they first appear."""
    lines: dict[tuple[int, int], list[int]] = {}
    first: dict[int, int] = {}
    for place in results.places:
        if place.query is not None:
            row = rows[place.query]
            first.setdefault(row, place.line)
            if place.model is not None:
                lines.setdefault((row, columns[place.model]), []).append(place.line)
    for query, row in rows.items():
        for model, column in columns.items():
            found = lines.get((row, column), [])
            if len(found) != 1:
                many = f"{len(found)} results ({results.source.unit}s {', '.join(map(str, found[:3]))})"
                what = f"query {shown(query)} has {many if found else 'no result'} for {model!r}"
                yield Problem(found[-1] if found else first[row], what, query)
                break


def _contradictions(results: Results) -> Iterator[Problem]:
    """Queries whose text or task is not the same at every result."""
    for noun, values in (("text", results.texts), ("task", results.tasks or ())):
        first: dict[str, tuple[str, int]] = {}
        told: set[str] = set()
        for place, value in zip(results.places, values, strict=False):
            if place.query is None or not value or place.query in told:
                continue
            before, line = first.setdefault(place.query, (value, place.line))
            if value != before:
                told.add(place.query)
                where = f"{results.source.unit} {line}"
                yield Problem(
                    place.line, f"query {shown(place.query)} has another {noun} than at {where}", place.query
                )
