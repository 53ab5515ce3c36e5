"""LLMRouter's rows: a query with a ``perf_list`` of what each model made of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bandit_router.errors import ConfigError
from bandit_router.evaluation.datasets.problems import RowProblem
from bandit_router.evaluation.datasets.source import Rows, Source

PERF_LIST = "perf_list"

_QUERY = {"text": ("query", "text", "prompt"), "query_id": ("query_id", "id"), "task": ("task", "task_name")}
_RESULT = {
    "model": ("model", "model_name", "llm", "name"),
    "quality": ("performance", "quality", "score", "effect"),
    "cost_usd": ("cost_usd", "cost"),
}


def expand_perf_list(source: Source) -> Source:
    """One row per query and model, under our names. Raises ConfigError for a list of another form.

    A ``perf_list`` is a list of objects with a model, a performance and perhaps a cost, or an object of
    performances by model.
    """
    given = source.read(source.names)
    queries = {ours: _first_of(names, source.names) for ours, names in _QUERY.items()}
    if queries["text"] is None:
        raise ConfigError(f"{source.path}: has {PERF_LIST} and no column query; it has {source.names}")
    lines: list[int] = []
    rows: list[dict[str, object]] = []
    broken = list(given.broken)
    for i, (line, results) in enumerate(zip(given.lines, given.columns[PERF_LIST], strict=True)):
        known = {ours: given.columns[name][i] for ours, name in queries.items() if name is not None}
        known.setdefault("query_id", str(line))
        expanded = _read_results(results)
        if expanded is None:
            message = f"{PERF_LIST} is not a list of objects with model and performance; write it as one"
            broken.append(RowProblem(line, message))
            continue
        lines += [line] * len(expanded)
        rows += [{**known, **result} for result in expanded]
    names = tuple(dict.fromkeys(name for row in rows for name in row))

    def read(wanted: Collection[str]) -> Rows:
        columns = {name: [row.get(name) for row in rows] for name in wanted}
        return Rows(lines=lines, columns=columns, broken=broken)

    return Source(path=source.path, unit=source.unit, names=names or ("text", "model"), read=read)


def _read_results(results: object) -> list[dict[str, Any]] | None:
    """Model, quality and, where known, cost of each result; None for another form."""
    if isinstance(results, Mapping):
        return [{"model": model, "quality": quality} for model, quality in results.items()]
    if not isinstance(results, list) or not all(isinstance(result, Mapping) for result in results):
        return None
    expanded = []
    for result in results:
        names = {ours: _first_of(theirs, result) for ours, theirs in _RESULT.items()}
        if names["model"] is None or names["quality"] is None:
            return None
        expanded.append({ours: result[name] for ours, name in names.items() if name is not None})
    return expanded


def _first_of(names: Collection[str], present: Collection[str]) -> str | None:
    return next((name for name in names if name in present), None)
