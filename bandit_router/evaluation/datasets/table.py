"""Loads tables with one row per query and model, under any column names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets.dataset import Dataset
from bandit_router.evaluation.datasets.prices import Price, require_prices
from bandit_router.evaluation.datasets.results import Results, assemble_dataset, choose_models
from bandit_router.evaluation.datasets.scales import check_scale
from bandit_router.evaluation.datasets.source import Rows, Source, open_parquet, open_source
from bandit_router.evaluation.datasets.values import (
    AMOUNT,
    COST,
    QUALITY,
    SHARE,
    Kind,
    Origin,
    format_id,
    format_identity,
    format_name,
    format_tasks,
    read_numbers,
    read_prompts,
    read_texts,
)
from bandit_router.features import estimate_tokens
from bandit_router.types import FloatArray, Scale

_KINDS = {
    "quality": QUALITY,
    "cost_usd": COST,
    "input_tokens": AMOUNT,
    "output_tokens": AMOUNT,
    "latency_s": AMOUNT,
    "confidence": SHARE,
}
_DEFAULT_COLUMNS = {name: name for name in ("query_id", "text", "model", "task", *_KINDS)}
_DEFAULT_COLUMNS |= {"confidence": "response_confidence"}
_REQUIRED = ("text", "model", "quality", "cost_usd")

SCALE_ADVICE = "give scale (--scale {low}:{high}), or whatever the worst and the best rating can be"
SHARES = Scale(0.0, 1.0)


def load_table(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    scale: tuple[float, float] = SHARES,
    models: Sequence[str] | None = None,
    prices: Mapping[str, Price] | None = None,
    skip_bad: bool = False,
) -> Dataset:
    """CSV, JSON Lines or Parquet with one row per query and model.

    ``columns`` maps our columns to the file's, where their names differ::

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
    scale: tuple[float, float] = SHARES,
    models: Sequence[str] | None = None,
    prices: Mapping[str, Price] | None = None,
    skip_bad: bool = False,
    need_costs: bool = True,
    allow_missing: bool = False,
) -> Dataset:
    """The table of an open file; otherwise as :func:`load_table`.

    Without ``need_costs``, a file without costs or prices has NaN for them. With ``allow_missing``, a query
    may lack the results of some models, which are NaN.
    """
    names = _map_columns(
        source, columns or {}, priced=prices is not None, unpriced=prices is None and not need_costs
    )
    scale = Scale(*scale)
    kind = quality_kind(scale)
    rows = source.read(sorted(set(names.values())))
    rows.columns[names["model"]] = [format_name(model) for model in rows.columns[names["model"]]]
    models_of_file = {model for model in rows.columns[names["model"]] if isinstance(model, str) and model}
    chosen = choose_models(source.path, sorted(models_of_file), models)
    rows = _drop_models(rows, names["model"], models_of_file - set(chosen))
    check_scale(source.path, names["quality"], rows.columns[names["quality"]], kind, SCALE_ADVICE)
    results = _read_results(source, rows, names, _KINDS | {"quality": kind})
    numbers = dict(results.numbers)
    numbers["quality"] = (numbers["quality"] - scale.low) / (scale.high - scale.low)
    if "cost_usd" not in numbers and prices is None and not need_costs:
        numbers["cost_usd"] = np.full(len(results.origins), np.nan)
    elif "cost_usd" not in numbers:
        numbers["cost_usd"] = _price_results(results, require_prices(source.path, chosen, prices))
    return assemble_dataset(
        replace(results, numbers=numbers), chosen, skip_bad=skip_bad, allow_missing=allow_missing
    )


def quality_kind(scale: Scale) -> Kind:
    """The numbers that ratings on a scale may be. Raises ConfigError for a scale that is none."""
    low, high = scale
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"scale: {low:g} to {high:g} is no range; give the lowest and highest quality")
    return replace(QUALITY, low=low, high=high, booleans=(low, high) == (0.0, 1.0))


def _map_columns(
    source: Source, columns: Mapping[str, str], *, priced: bool, unpriced: bool
) -> dict[str, str]:
    """Our column -> the file's, for those it has. Raises ConfigError when a required one is missing."""
    has = f"it has {', '.join(source.names) or 'none'}"
    for ours, theirs in columns.items():
        if ours not in _DEFAULT_COLUMNS:
            allowed = ", ".join(_DEFAULT_COLUMNS)
            raise ConfigError(f"columns: no column is called {ours!r} here, allowed are {allowed}")
        if theirs not in source.names:
            raise ConfigError(f"{source.path}: has no column {theirs} to be the {ours}; {has}")
    names = {ours: name for ours, name in (_DEFAULT_COLUMNS | dict(columns)).items() if name in source.names}
    if priced and "cost_usd" in names:
        raise ConfigError(f"{source.path}: records costs in {names['cost_usd']}; leave prices (--prices) out")
    required = [name for name in _REQUIRED if not ((priced or unpriced) and name == "cost_usd")]
    if missing := [name for name in required if name not in names]:
        hint = "say with columns (--columns) what it is called"
        hint += ", or give prices (--prices)" if "cost_usd" in missing else ""
        raise ConfigError(f"{source.path}: has no column {', '.join(missing)}; {has}; {hint}")
    return names


def _drop_models(rows: Rows, column: str, unwanted: set[str]) -> Rows:
    """The rows of all other models than the ``unwanted`` ones, whose problems then do not matter."""
    if not unwanted:
        return rows
    kept = [i for i, model in enumerate(rows.columns[column]) if model not in unwanted]
    return Rows(
        lines=[rows.lines[i] for i in kept],
        columns={name: [values[i] for i in kept] for name, values in rows.columns.items()},
        broken=rows.broken,
    )


def _read_results(source: Source, rows: Rows, names: Mapping[str, str], kinds: Mapping[str, Kind]) -> Results:
    columns = {ours: rows.columns[theirs] for ours, theirs in names.items()}
    problems = list(rows.broken)
    origins = [Origin(line) for line in rows.lines]
    if "query_id" in names:
        ids = [format_id(value) for value in columns["query_id"]]
        queries = read_texts(ids, origins, names["query_id"], problems)
        origins = [Origin(line, query) for line, query in zip(rows.lines, queries, strict=True)]
        texts = read_prompts(columns["text"], origins, names["text"], problems)
    else:
        texts = read_prompts(columns["text"], origins, names["text"], problems)
        queries = [
            None if text is None else format_identity(value)
            for text, value in zip(texts, columns["text"], strict=True)
        ]
        origins = [Origin(line, query) for line, query in zip(rows.lines, queries, strict=True)]
    models = read_texts(columns["model"], origins, names["model"], problems)
    origins = [origin._replace(model=model) for origin, model in zip(origins, models, strict=True)]
    return Results(
        source=source,
        origins=origins,
        texts=texts,
        tasks=format_tasks(columns["task"]) if "task" in names else None,
        numbers={
            field: read_numbers(columns[field], origins, names[field], kind, problems)
            for field, kind in kinds.items()
            if field in names
        },
        problems=problems,
    )


def _price_results(results: Results, prices: Mapping[str, Price]) -> FloatArray:
    """(r,) USD, by the tokens of the row or else those estimated from its text."""
    costs = np.full(len(results.origins), np.nan)
    into = results.numbers.get("input_tokens", costs).tolist()
    out = results.numbers.get("output_tokens", costs).tolist()
    for i, (origin, text) in enumerate(zip(results.origins, results.texts, strict=True)):
        if origin.model is not None and text is not None:
            tokens = estimate_tokens(text) if math.isnan(into[i]) else into[i]
            costs[i] = prices[origin.model].cost_usd(tokens, out[i])
    return costs
