"""Full-information data: what every model did on every query."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from bandit_router.errors import ConfigError, InvalidInput
from bandit_router.types import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """n queries × k models, without gaps: quality in [0, 1] and cost in USD, both (n, k)."""

    name: str
    queries: tuple[str, ...]
    models: tuple[str, ...]
    quality: FloatArray
    cost_usd: FloatArray

    def __post_init__(self) -> None:
        shape = (len(self.queries), len(self.models))
        for name, matrix in (("quality", self.quality), ("cost_usd", self.cost_usd)):
            if matrix.shape != shape or not np.isfinite(matrix).all() or (matrix < 0).any():
                raise InvalidInput(name, "has gaps, NaN or negative numbers", "give every model every query")
        if (self.quality > 1).any():
            raise InvalidInput("quality", "exceeds 1", "scale it to [0, 1]")

    def take(self, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Dataset:
        """The same models on some of the queries, in the order of ``rows``."""
        return Dataset(
            name=self.name,
            queries=tuple(self.queries[i] for i in rows),
            models=self.models,
            quality=self.quality[rows],
            cost_usd=self.cost_usd[rows],
        )


def load_paretobandit() -> Dataset:
    """The judged queries inside the ``paretobandit`` wheel (Apache-2.0), three models each."""
    try:
        folder = files("pareto_bandit") / "data" / "examples"
    except ModuleNotFoundError:
        raise ConfigError("the demo's data needs: pip install 'bandit-router[demo]'") from None
    rows = [
        json.loads(line)
        for part in ("val.jsonl", "test_holdout.jsonl")
        for line in (folder / part).read_text(encoding="utf-8").split("\n")
        if line
    ]
    models = tuple(sorted({model for row in rows for model in row["arms"]}))
    return Dataset(
        name="paretobandit",
        queries=tuple(row["prompt"] for row in rows),
        models=models,
        quality=np.array([[row["arms"][m]["reward"] for m in models] for row in rows], dtype=np.float64),
        cost_usd=np.array([[row["arms"][m]["cost"] for m in models] for row in rows], dtype=np.float64),
    )


def load_parquet(path: Path) -> Dataset:
    """A Parquet file with one row per query and model.

    Columns: query_id, text, model, quality (0..1), cost_usd; others are ignored. Every query needs a
    row for every model. Raises ConfigError, which says what is missing.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        raise ConfigError("reading Parquet needs: pip install 'bandit-router[demo]'") from None
    columns = ["query_id", "text", "model", "quality", "cost_usd"]
    try:
        table = parquet.read_table(path, columns=columns)
    except (OSError, ArrowException) as error:
        raise ConfigError(f"{path}: cannot be read as Parquet: {error}") from error
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise ConfigError(f"{path}: has no column {', '.join(missing)}")
    ids, texts, models, quality, cost = (table.column(column).to_pylist() for column in columns)
    row_of = {query: i for i, query in enumerate(dict.fromkeys(ids))}
    column_of = {model: j for j, model in enumerate(sorted(set(models)))}
    values = np.full((2, len(row_of), len(column_of)), np.nan)
    rows, places = [row_of[i] for i in ids], [column_of[m] for m in models]
    values[0, rows, places], values[1, rows, places] = quality, cost
    if np.isnan(values).any():
        i, j = np.argwhere(np.isnan(values).any(axis=0))[0]
        raise ConfigError(f"{path}: query {list(row_of)[i]!r} has no result for {list(column_of)[j]!r}")
    text_of = dict(zip(ids, texts, strict=True))
    return Dataset(
        name=path.stem,
        queries=tuple(text_of[query] for query in row_of),
        models=tuple(column_of),
        quality=values[0],
        cost_usd=values[1],
    )
