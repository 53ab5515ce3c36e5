"""The folder a log is exported to::

day=2026-01-31/part-00000.parquet   the rows of one UTC day, in order of time
posterior.bin                       the newest snapshot, in bandit_router.posterior.codec format
log.json                            what log it is, and how much of it
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from bandit_router.errors import InvalidInput, RouterError
from bandit_router.evaluation.logs.arrow import pa, parquet
from bandit_router.evaluation.logs.schema import NAMES, SCHEMA, VECTOR

FORMAT = 1
INFO = "log.json"
POSTERIOR = "posterior.bin"
ROWS_PER_GROUP = 20_000
ROWS_PER_FILE = 1_000_000

_DAY_S = 86_400


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder beside ``target`` that becomes it at the end of the block, or else is gone.

    So an export is there whole or not at all. Raises InvalidInput unless ``target`` is missing or empty.
    """
    target = target.resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidInput("folder", f"{target} is there and not empty", "name a new one, or remove it")
    half = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        half.mkdir(parents=True)
        yield half
        half.rename(target)
    except OSError as error:
        raise RouterError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)


def write_parts(
    folder: Path,
    tables: Iterable[Any],
    *,
    rows_per_group: int = ROWS_PER_GROUP,
    rows_per_file: int = ROWS_PER_FILE,
) -> None:
    """Write tables of the SCHEMA, in order of time, holding at most ``rows_per_group`` rows in memory."""
    placed = _placed(_by_day(_regrouped(tables, rows_per_group)), rows_per_file)
    for (day, part), groups in groupby(placed, key=itemgetter(0)):
        path = folder / f"day={day}"
        path.mkdir(exist_ok=True)
        with parquet.ParquetWriter(
            path / f"part-{part:05}.parquet",
            SCHEMA,
            compression="zstd",
            use_dictionary=list(NAMES),
            use_byte_stream_split=[VECTOR],  # half the size, and as quick to read
        ) as writer:
            for _, group in groups:
                writer.write_table(group)


def _regrouped(tables: Iterable[Any], size: int) -> Iterator[Any]:
    """The same rows, ``size`` at a time."""
    waiting: list[Any] = []
    rows = 0
    for table in tables:
        while rows + table.num_rows >= size:
            yield pa.concat_tables([*waiting, table.slice(0, size - rows)]).combine_chunks()
            table, waiting, rows = table.slice(size - rows), [], 0
        waiting.append(table)
        rows += table.num_rows
    if rows:
        yield pa.concat_tables(waiting).combine_chunks()


def _by_day(tables: Iterable[Any]) -> Iterator[tuple[np.datetime64, Any]]:
    for table in tables:
        days = np.floor_divide(table["decided_at"].to_numpy(), _DAY_S).astype(np.int64)
        for day in (found := np.unique(days)):
            rows = table if len(found) == 1 else table.filter(pa.array(days == day))
            yield np.datetime64(int(day), "D"), rows


def _placed(
    tables: Iterable[tuple[np.datetime64, Any]], rows_per_file: int
) -> Iterator[tuple[tuple[np.datetime64, int], Any]]:
    """Each table with its day and the number of its file in that day."""
    files: Counter[np.datetime64] = Counter()
    last, rows = None, 0
    for day, table in tables:
        if day != last or rows + table.num_rows > rows_per_file:
            last, rows = day, 0
            files[day] += 1
        rows += table.num_rows
        yield (day, files[day] - 1), table
