"""Tables with one row per query and model, their columns called whatever they are called."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets.dataset import Dataset
from bandit_router.evaluation.datasets.prices import Price, check_prices, estimate_tokens
from bandit_router.evaluation.datasets.results import Results, assemble, choose_models
from bandit_router.evaluation.datasets.source import Rows, Source, open_parquet, open_source
from bandit_router.evaluation.datasets.values import (
    AMOUNT,
    COST,
    QUALITY,
    SHARE,
    Kind,
    Place,
    as_id,
    read_numbers,
    read_texts,
)
from bandit_router.types import FloatArray

_KINDS = {
    "quality": QUALITY,
    "cost_usd": COST,
    "input_tokens": AMOUNT,
    "output_tokens": AMOUNT,
    "latency_s": AMOUNT,
    "confidence": SHARE,
}
_USUAL = {name: name for name in ("query_id", "text", "model", "task", *_KINDS)}
_USUAL |= {"confidence": "response_confidence"}
_REQUIRED = ("text", "model", "quality", "cost_usd")

Scale = tuple[float, float]


def load_table(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    scale: Scale = (0.0, 1.0),
    models: Sequence[str] | None = None,
    prices: Mapping[str, Price] | None = None,
    skip_bad: bool = False,
) -> Dataset:
    """CSV, JSON Lines or Parquet with one row per query and model.

    ``columns`` says what the file calls our columns where it calls them something else::

        text, model, quality, cost_usd    required
        query_id                          without it, the text tells queries apart
        task, input_tokens, output_tokens, latency_s
        confidence                        usually called response_confidence

    ``scale`` is the lowest and highest quality the file can have, made 0 and 1. ``models`` chooses some
    of the models, in that order; by default all, sorted. ``prices`` stand in for a missing cost_usd: for
    the row's tokens, or ceil(characters / 4) of the text and the price's own guess of the answer.

    Raises ConfigError naming the bad rows; with ``skip_bad``, queries with a bad row are left out whole
    and logged, never filled in.
    """
    return read_table(
        open_source(path), columns=columns, scale=scale, models=models, prices=prices, skip_bad=skip_bad
    )


def load_parquet(path: Path, *, models: Sequence[str] | None = None, skip_bad: bool = False) -> Dataset:
    """A Parquet file with one row per query and model.

    Columns: query_id, text, model, quality (0..1), cost_usd, and where known task, input_tokens,
    output_tokens, latency_s and response_confidence (0..1); others are ignored. Every query needs one
    row for every model. Raises ConfigError, which says what is wrong with the file; ``models`` and
    ``skip_bad`` are as in :func:`load_table`.
    """
    source = open_parquet(path)
    if "query_id" not in source.names:
        raise ConfigError(f"{path}: has no column query_id")
    return read_table(source, models=models, skip_bad=skip_bad)


def read_table(
    source: Source,
    *,
    columns: Mapping[str, str] | None = None,
    scale: Scale = (0.0, 1.0),
    models: Sequence[str] | None = None,
    prices: Mapping[str, Price] | None = None,
    skip_bad: bool = False,
) -> Dataset:
    """What :func:`load_table` does, of a file that is open."""
    names = _names(source, columns or {}, priced=prices is not None)
    kind = _quality(scale)
    rows = source.read(sorted(set(names.values())))
    known = {model for model in rows.columns[names["model"]] if isinstance(model, str) and model}
    chosen = choose_models(source.path, sorted(known), models)
    rows = _of_models(rows, names["model"], known - set(chosen))
    results = _results(source, rows, names, _KINDS | {"quality": kind})
    numbers = dict(results.numbers)
    numbers["quality"] = (numbers["quality"] - kind.low) / (kind.high - kind.low)
    if "cost_usd" not in numbers:
        numbers["cost_usd"] = _priced(results, check_prices(source.path, chosen, prices))
    return assemble(replace(results, numbers=numbers), chosen, skip_bad=skip_bad)


def _quality(scale: Scale) -> Kind:
    low, high = scale
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"scale: {low:g} to {high:g} is no range; give the lowest and highest quality")
    return replace(QUALITY, low=low, high=high, booleans=(low, high) == (0.0, 1.0))


def _names(source: Source, columns: Mapping[str, str], *, priced: bool) -> dict[str, str]:
    """Our column -> the file's, for those it has. Raises ConfigError for one that is wanted and not there."""
    has = f"it has {', '.join(source.names) or 'none'}"
    for ours, theirs in columns.items():
        if ours not in _USUAL:
            raise ConfigError(f"columns: no column is called {ours!r} here, allowed are {', '.join(_USUAL)}")
        if theirs not in source.names:
            raise ConfigError(f"{source.path}: has no column {theirs} to be the {ours}; {has}")
    names = {ours: name for ours, name in (_USUAL | dict(columns)).items() if name in source.names}
    if priced and "cost_usd" in names:
        raise ConfigError(f"{source.path}: records costs in {names['cost_usd']}; leave prices (--prices) out")
    required = [name for name in _REQUIRED if not (priced and name == "cost_usd")]
    if missing := [name for name in required if name not in names]:
        hint = "say with columns (--columns) what it is called"
        hint += ", or give prices (--prices)" if "cost_usd" in missing else ""
        raise ConfigError(f"{source.path}: has no column {', '.join(missing)}; {has}; {hint}")
    return names


def _of_models(rows: Rows, column: str, unwanted: set[str]) -> Rows:
    """Without the rows of ``unwanted`` models, whose mistakes then do not matter."""
    if not unwanted:
        return rows
    kept = [i for i, model in enumerate(rows.columns[column]) if model not in unwanted]
    return Rows(
        lines=[rows.lines[i] for i in kept],
        columns={name: [values[i] for i in kept] for name, values in rows.columns.items()},
        broken=rows.broken,
    )


def _results(source: Source, rows: Rows, names: Mapping[str, str], kinds: Mapping[str, Kind]) -> Results:
    identity = names.get("query_id", names["text"])
    ids = [as_id(value) if "query_id" in names else value for value in rows.columns[identity]]
    queries, problems = read_texts(ids, [Place(line) for line in rows.lines], identity)
    places = [Place(line, query) for line, query in zip(rows.lines, queries, strict=True)]
    models, wrong = read_texts(rows.columns[names["model"]], places, names["model"])
    problems = [*rows.broken, *problems, *wrong]
    texts = queries
    if "query_id" in names:
        texts, wrong = read_texts(rows.columns[names["text"]], places, names["text"])
        problems += wrong
    places = [place._replace(model=model) for place, model in zip(places, models, strict=True)]
    numbers: dict[str, FloatArray] = {}
    for field, kind in kinds.items():
        if field in names:
            numbers[field], wrong = read_numbers(rows.columns[names[field]], places, names[field], kind)
            problems += wrong
    tasks = None
    if "task" in names:
        tasks = ["" if task is None else str(task) for task in rows.columns[names["task"]]]
    return Results(source=source, places=places, texts=texts, tasks=tasks, numbers=numbers, problems=problems)


def _priced(results: Results, prices: Mapping[str, Price]) -> FloatArray:
    """(r,) USD. The tokens of the row, or those estimated from its text."""
    gaps = np.full(len(results.places), np.nan)
    tokens = zip(
        results.numbers.get("input_tokens", gaps).tolist(),
        results.numbers.get("output_tokens", gaps).tolist(),
        strict=True,
    )
    costs = gaps.copy()
    for i, (place, text, (into, out)) in enumerate(zip(results.places, results.texts, tokens, strict=True)):
        if place.model is not None and text is not None:
            known = estimate_tokens(text) if math.isnan(into) else into
            costs[i] = prices[place.model].cost_usd(known, out)
    return costs
