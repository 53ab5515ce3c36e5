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

    Columns: query_id, text, model, quality (0..1), cost_usd; others are ignored. Every query needs one
    row for every model. Raises ConfigError, which says what is wrong with the file.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise ConfigError("reading Parquet needs: pip install 'bandit-router[demo]'") from None
    kinds = {"query_id": pa.string(), "text": pa.string(), "model": pa.string()}
    kinds |= {"quality": pa.float64(), "cost_usd": pa.float64()}
    try:
        table = parquet.read_table(path, columns=list(kinds))
        missing = [name for name in kinds if name not in table.column_names]
        if missing:
            raise ConfigError(f"{path}: has no column {', '.join(missing)}")
        for name in ("query_id", "text", "model"):
            if not (
                pa.types.is_string(kind := table.schema.field(name).type) or pa.types.is_large_string(kind)
            ):
                raise ConfigError(f"{path}: column {name} holds {kind}, not text")
        columns = {name: table.column(name).cast(kind) for name, kind in kinds.items()}
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path}: cannot be read as Parquet: {error}") from error
    empty = [name for name in ("query_id", "text", "model") if columns[name].null_count]
    if empty or not table.num_rows:
        raise ConfigError(f"{path}: {f'column {empty[0]} has gaps' if empty else 'has no rows'}")
    ids, texts, models = (columns[name].to_pylist() for name in ("query_id", "text", "model"))
    quality, cost = (columns[name].to_numpy() for name in ("quality", "cost_usd"))
    return _matrix(path, ids, texts, models, quality, cost)


def _matrix(
    path: Path,
    ids: list[str],
    texts: list[str],
    models: list[str],
    quality: FloatArray,
    cost: FloatArray,
) -> Dataset:
    """Rows to matrices; every query must have one text, and one row for every model."""
    row_of = {query: i for i, query in enumerate(dict.fromkeys(ids))}
    column_of = {model: j for j, model in enumerate(sorted(set(models)))}
    seen = np.zeros((len(row_of), len(column_of)), dtype=np.int64)
    values = np.zeros((2, *seen.shape))
    rows, places = [row_of[i] for i in ids], [column_of[m] for m in models]
    np.add.at(seen, (rows, places), np.isfinite(quality + cost))
    values[0, rows, places], values[1, rows, places] = quality, cost
    if (seen != 1).any():
        i, j = np.argwhere(seen != 1)[0]
        found = f"{seen[i, j]} results" if seen[i, j] else "no result"
        raise ConfigError(f"{path}: query {list(row_of)[i]!r} has {found} for {list(column_of)[j]!r}")
    text_of = dict(zip(ids, texts, strict=True))
    for query, text in zip(ids, texts, strict=True):
        if text != text_of[query]:
            raise ConfigError(f"{path}: query {query!r} has two different texts")
    return Dataset(
        name=path.stem,
        queries=tuple(text_of[query] for query in row_of),
        models=tuple(column_of),
        quality=values[0],
        cost_usd=values[1],
    )
