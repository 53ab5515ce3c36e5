"""A piece of a log: one row group of one file, read as a block wherever the work is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bandit_router.errors import ConfigError
from bandit_router.evaluation.block import OUTCOMES, Block
from bandit_router.evaluation.logs.arrow import pa, parquet
from bandit_router.evaluation.logs.columns import (
    OPTIONAL,
    READ,
    choices_of,
    listed_of,
    numbers,
    problem_with,
    signals_of,
    vectors,
)
from bandit_router.evaluation.logs.sift import Sifted, sift
from bandit_router.evaluation.splits import assign_folds


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """``rows`` policy rows of the log, the first of which is its row number ``first`` by time, from 0.

    ``arms``, ``schema_id`` and ``dim`` (d) are those of the whole log.
    """

    path: Path
    row_group: int
    first: int
    rows: int
    arms: tuple[str, ...]
    schema_id: str
    dim: int

    def read(self) -> Block:
        """The rows, as arrays. Raises ConfigError when the file is gone or damaged."""
        table, _ = read_group(self.path, self.row_group, self.schema_id, self.dim)
        n, choices = table.num_rows, choices_of(table)
        place = {arm: k for k, arm in enumerate(self.arms)}
        arm_of = np.array([place.get(name, -1) for name in choices.names], dtype=np.int64)
        cell = choices.row, arm_of[choices.code]
        eligible = np.zeros((n, len(self.arms)), dtype=np.bool_)
        logged, cost = np.zeros(eligible.shape), np.zeros(eligible.shape)
        eligible[cell], logged[cell], cost[cell] = True, choices.pmf, choices.cost_usd
        return Block(
            arms=self.arms,
            x=vectors(table["x"], self.dim),
            eligible=eligible,
            logged=logged,
            action=arm_of[choices.action],
            propensity=numbers(table["propensity"]),
            outcomes=np.column_stack([numbers(table[name]) for name in OUTCOMES]),
            fold=assign_folds(table["id"].to_pylist()),
            order=np.arange(self.first, self.first + n),
            expected_cost_usd=cost,
            cost_weight=numbers(table["cost_weight"]),
            decided_at=numbers(table["decided_at"]),
            signals=signals_of(table),
            list_cost_usd=listed_of(table),
        )


def read_group(path: Path, row_group: int, schema_id: str, dim: int) -> Sifted:
    """The rows of a row group that can be evaluated, and what is left out."""
    with reading(path) as file:
        columns = [*READ, *(name for name in OPTIONAL if name in file.schema_arrow.names)]
        return sift(file.read_row_group(row_group, columns=columns, use_threads=False), schema_id, dim)


@contextmanager
def reading(path: Path) -> Iterator[Any]:
    """An open Parquet file. Raises ConfigError when it is none, or has other columns than a log."""
    try:
        with parquet.ParquetFile(path) as file:
            if problem := problem_with(file.schema_arrow):
                raise ConfigError(f"{path}: {problem}")
            yield file
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path}: cannot be read as Parquet: {error}") from error
