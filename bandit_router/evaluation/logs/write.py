"""Writes logs as folders of Parquet: the log of a database, and synthetic blocks in the same form.

A log's folder holds::

    day=2026-01-31/part-00000.parquet   the rows of one UTC day, in order of time
    posterior.bin                       the newest statistics of rewards (bandit_router.posterior.codec)
    log.json                            the router, its feature pipeline, and the number of rows
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from bandit_router.errors import InvalidInput, RouterError, SnapshotCorrupt, StoreError
from bandit_router.evaluation.block import Block
from bandit_router.evaluation.logs.schema import DICTIONARY_PATHS, SCHEMA, VECTOR_PATH, pa, parquet
from bandit_router.evaluation.logs.screen import NAMED
from bandit_router.evaluation.logs.tables import make_ids, rename_arms, tabulate_block, tabulate_decisions
from bandit_router.posterior.codec import encode_statistics
from bandit_router.posterior.state import decode_state
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.store.log_reader import LoggedDecision, LogReader, UnreadableDecision
from bandit_router.types import Reason

FORMAT = 1
LOG_INFO = "log.json"
POSTERIOR = "posterior.bin"
ROWS_PER_GROUP = 20_000
ROWS_PER_FILE = 1_000_000

_DAY_S = 86_400


@dataclass(kw_only=True, slots=True)
class ExportSummary:
    """The rows of an export by reason, and those chosen by policy by its spec.

    ``unreadable`` counts the rows that could not be exported; ``named`` has the first few: id -> why.
    """

    by_reason: Counter[str] = field(default_factory=Counter)
    by_policy: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    named: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return self.by_reason.total()

    def leave_out(self, decision_id: str, why: str) -> None:
        self.unreadable += 1
        if len(self.named) < NAMED:
            self.named[decision_id] = why


def export_log(
    reader: LogReader,
    folder: Path,
    *,
    pages: Iterable[Sequence[LoggedDecision | UnreadableDecision]] | None = None,
    rows_per_group: int = ROWS_PER_GROUP,
    rows_per_file: int = ROWS_PER_FILE,
) -> ExportSummary:
    """Write the log, as of the reader's moment, to a new folder; whole or not at all.

    ``pages`` are the decisions to write, in order of time; all by default.
    Rows that cannot be read are named in the summary and in log.json. Raises StoreError for an unknown
    router, InvalidInput when ``folder`` exists and is not empty, RouterError when it cannot be written.
    """
    head, schema_id = reader.head(), reader.schema_id()
    if head is None or schema_id is None:
        raise StoreError(f"there is no router {reader.router!r} in this database; check router.name")
    version, weights = head.version, head.reward_weights
    statistics = _decode_statistics(reader.snapshot(version))
    summary, dims = ExportSummary(), Counter[int]()
    with _new_folder(folder) as scratch:
        tables = _decision_tables(reader, pages or reader.log(), weights, schema_id, summary, dims)
        _write_tables(scratch, tables, rows_per_group, rows_per_file)
        _write_info(
            scratch,
            summary,
            statistics,
            router=reader.router,
            schema_id=schema_id,
            dim=statistics.dim if statistics else max(dims, key=dims.__getitem__, default=0),
            arms=list(statistics.arms) if statistics else [],
            reward_weights=dict(weights),
            tasks=[task.name for task in reader.tasks()],
            snapshot=version,
        )
    return summary


def _decode_statistics(state: bytes | None) -> SufficientStatistics | None:
    """None when it is damaged or missing: policies that do not learn can be evaluated all the same."""
    try:
        return None if state is None else decode_state(state).rewards
    except SnapshotCorrupt:
        return None


def _decision_tables(
    reader: LogReader,
    pages: Iterable[Sequence[LoggedDecision | UnreadableDecision]],
    weights: Mapping[str, float],
    schema_id: str,
    summary: ExportSummary,
    dims: Counter[int],
) -> Iterator[Any]:
    """The log as tables. Counts into ``summary``, and into ``dims`` the lengths of policy contexts."""
    renamed = reader.renamed_arms()
    for batch in pages:
        table, logged, unreadable = tabulate_decisions(rename_arms(batch, renamed), weights)
        for row in unreadable:
            summary.leave_out(row.id, row.why)
        for decision in (each.decision for each in logged):
            summary.by_reason[decision.reason.value] += 1
            if decision.reason is not Reason.POLICY:
                continue
            summary.by_policy[decision.policy] += 1
            if decision.schema_id == schema_id:
                dims[decision.x.size] += 1
        yield table


def write_log(
    folder: Path,
    blocks: Iterable[Block],
    *,
    schema_id: str = "synthetic",
    ids: Iterable[Sequence[str]] | None = None,
    statistics: SufficientStatistics | None = None,
    reward_weights: Mapping[str, float] | None = None,
    router: str = "default",
    propensities: str = "logged",
    tasks: Sequence[str] = (),
    rows_per_group: int = ROWS_PER_GROUP,
    rows_per_file: int = ROWS_PER_FILE,
) -> ExportSummary:
    """Write blocks of policy rows, which follow each other in time, as a log.

    Reading gives the same rows, except that ``fold`` follows from ``ids`` (a sequence for each block, by
    default :func:`~bandit_router.evaluation.logs.tables.make_ids`) and ``order`` from time. ``propensities``
    says which the log knows: "logged" ones of all arms, those of each "action" alone, or "unknown"; ``tasks``
    are the names of tasks, in order of number.

    Raises InvalidInput when the blocks differ in arms or dimension, and for the folder as :func:`export_log`.
    """
    summary, shapes = ExportSummary(), set[tuple[tuple[str, ...], int]]()

    def tabulate() -> Iterator[Any]:
        given = iter(ids) if ids is not None else None
        for block in blocks:
            summary.by_reason[Reason.POLICY.value] += len(block)
            shapes.add((block.arms, block.x.shape[1]))
            if len(shapes) > 1:
                raise InvalidInput("blocks", "differ in arms or dimension", "give all of them the same")
            yield tabulate_block(block, next(given) if given else make_ids(block), schema_id=schema_id)

    with _new_folder(folder) as scratch:
        _write_tables(scratch, tabulate(), rows_per_group, rows_per_file)
        ((arms, dim),) = shapes or {((), 0)}
        weights = dict(reward_weights or {"quality": 1.0})
        identity = {"router": router, "schema_id": schema_id, "dim": dim, "arms": list(arms)}
        identity |= {"propensities": propensities, "tasks": list(tasks)}
        _write_info(scratch, summary, statistics, **identity, reward_weights=weights, snapshot=1)
    return summary


def _write_info(
    folder: Path, summary: ExportSummary, statistics: SufficientStatistics | None, **identity: object
) -> None:
    if statistics is not None:
        (folder / POSTERIOR).write_bytes(encode_statistics(statistics))
    counts = {
        "format": FORMAT,
        "exported_at": time.time(),
        "rows": dict(summary.by_reason),
        "policies": dict(summary.by_policy),
        "unreadable": {"count": summary.unreadable, "first": summary.named},
    }
    (folder / LOG_INFO).write_text(json.dumps({**identity, **counts}, indent=2) + "\n", encoding="utf-8")


# -- the folder and its files ---------------------------------------------------------------------


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A scratch folder that is renamed to ``target`` on success and removed on failure.

    Raises InvalidInput unless ``target`` is missing or empty, RouterError for an operating system error.
    """
    target = target.resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidInput("folder", f"{target} exists and is not empty", "name a new one, or remove it")
    scratch = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        scratch.mkdir(parents=True)
        yield scratch
        scratch.rename(target)
    except OSError as error:
        raise RouterError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_tables(folder: Path, tables: Iterable[Any], rows_per_group: int, rows_per_file: int) -> None:
    """Write tables of the SCHEMA, in order of time, holding at most ``rows_per_group`` rows in memory."""
    groups = _split_by_day(_resize(tables, rows_per_group))
    for path, grouped in groupby(_place_in_files(groups, rows_per_file), key=itemgetter(0)):
        (folder / path).parent.mkdir(exist_ok=True)
        with parquet.ParquetWriter(
            folder / path,
            SCHEMA,
            compression="zstd",
            use_dictionary=list(DICTIONARY_PATHS),
            use_byte_stream_split=[VECTOR_PATH],  # half the size, and as quick to read
        ) as writer:
            for _, group in grouped:
                writer.write_table(group)


def _resize(tables: Iterable[Any], size: int) -> Iterator[Any]:
    """The same rows, ``size`` at a time."""
    waiting = SCHEMA.empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while waiting.num_rows >= size:
            yield waiting.slice(0, size).combine_chunks()
            waiting = waiting.slice(size)
    if waiting.num_rows:
        yield waiting.combine_chunks()


def _split_by_day(tables: Iterable[Any]) -> Iterator[tuple[np.datetime64, Any]]:
    for table in tables:
        day_of_row = np.floor_divide(table["decided_at"].to_numpy(), _DAY_S).astype(np.int64)
        for day in (days := np.unique(day_of_row)):
            rows = table if len(days) == 1 else table.filter(pa.array(day_of_row == day))
            yield np.datetime64(int(day), "D"), rows


def _place_in_files(
    tables: Iterable[tuple[np.datetime64, Any]], rows_per_file: int
) -> Iterator[tuple[str, Any]]:
    """Each table with the path of its file: full files are followed by the next one of their day."""
    files: Counter[np.datetime64] = Counter()
    last, rows = None, 0
    for day, table in tables:
        if day != last or rows + table.num_rows > rows_per_file:
            last, rows = day, 0
            files[day] += 1
        rows += table.num_rows
        yield f"day={day}/part-{files[day] - 1:05}.parquet", table
