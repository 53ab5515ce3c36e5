"""Reads logs as blocks: a folder directly, a database by way of an export, so both give the same numbers."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bandit_router.errors import ConfigError
from bandit_router.evaluation.block import OUTCOMES, Block
from bandit_router.evaluation.logs.columns import (
    decode_eligible_arms,
    decode_list_costs,
    decode_names,
    decode_numbers,
    decode_reward_weights,
    decode_signals,
    decode_tasks,
    decode_vectors,
    list_values,
)
from bandit_router.evaluation.logs.schema import (
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    check_columns,
    pa,
    parquet,
)
from bandit_router.evaluation.logs.screen import NAMED, LeftOut, Screened, add_left_out, screen_rows
from bandit_router.evaluation.logs.write import FORMAT, LOG_INFO, POSTERIOR, export_log
from bandit_router.evaluation.splits import assign_folds
from bandit_router.posterior.codec import decode_statistics
from bandit_router.posterior.sufficient_statistics import SufficientStatistics
from bandit_router.store.store import Store

_INFO = {"format": int, "router": str, "schema_id": str, "dim": int, "arms": list, "reward_weights": dict}


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """A log in a folder: ``rows`` decisions whose reason is ``policy``, in pieces in order of time.

    ``arms`` are the K arms that were eligible in some row. ``left_out`` reports the other rows by reason:
    decisions not chosen by a policy, contexts of another pipeline, damaged rows. ``info`` is log.json.
    """

    folder: Path
    arms: tuple[str, ...]
    rows: int
    pieces: tuple[RowGroup, ...]
    left_out: Mapping[str, LeftOut]
    info: Mapping[str, Any]

    @property
    def propensities(self) -> str:
        """What the log knows of the probabilities of its choices: "logged", "action" or "unknown"."""
        return str(self.info.get("propensities", "logged"))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks that are learned apart, in order of number."""
        return tuple(self.info.get("tasks", ()))

    def statistics(self) -> SufficientStatistics:
        """The newest statistics of rewards at the time of the export. Raises ConfigError without them."""
        try:
            return decode_statistics((self.folder / POSTERIOR).read_bytes())
        except FileNotFoundError:
            raise ConfigError(
                f"{self.folder}: has no {POSTERIOR}, without which learned policies cannot be scored; "
                "run `bandit-router rebuild` and export again"
            ) from None


@contextmanager
def open_log(source: str | Path, router: str = "default") -> Iterator[Log]:
    """The log in a folder, or of one router of a database, exported for the duration of the context.

    ``source`` is a database's URL when it is a string with "://" in it. Rows of a folder may be in any
    number of files, but each row group must be in order of time, and no row in two of them.

    Raises ConfigError, and what Store.open and export_log raise.
    """
    if not (isinstance(source, str) and "://" in source):
        yield _open_folder(Path(source))
        return
    with tempfile.TemporaryDirectory(prefix="bandit-router-") as scratch:
        folder = Path(scratch) / "log"
        with closing(Store.open(source, router, create=False)) as store, store.read_log() as reader:
            export_log(reader, folder)
        yield _open_folder(folder)


def _open_folder(folder: Path) -> Log:
    info = _read_info(folder)
    schema_id, dim = info["schema_id"], info["dim"]
    scans = _scan_folder(folder, schema_id, dim)
    eligible = set[str]().union(*(scan.arms for scan in scans))
    arms = (*(arm for arm in info["arms"] if arm in eligible), *sorted(eligible.difference(info["arms"])))
    used = [scan for scan in scans if scan.rows]
    _require_no_overlap(folder, used)
    firsts = accumulate((scan.rows for scan in used), initial=0)
    log_wide = {"arms": arms, "schema_id": schema_id, "dim": dim}
    return Log(
        folder=folder,
        arms=arms,
        rows=sum(scan.rows for scan in used),
        pieces=tuple(
            RowGroup(path=scan.path, index=scan.group, first=first, rows=scan.rows, **log_wide)
            for scan, first in zip(used, firsts, strict=False)
        ),
        left_out=add_left_out([_unreadable(info), *(scan.left_out for scan in scans)]),
        info=info,
    )


def _read_info(folder: Path) -> dict[str, Any]:
    path = folder / LOG_INFO
    try:
        info: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: does not exist; name a folder that `bandit-router export` wrote"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    for key, kind in _INFO.items():
        if not isinstance(info, dict) or not isinstance(info.get(key), kind):
            raise ConfigError(f"{path}: {key} is missing, or no {kind.__name__}; export the log again")
    if info["format"] != FORMAT:
        raise ConfigError(f"{path}: has format {info['format']}, this package reads {FORMAT}; export again")
    return info


def _unreadable(info: Mapping[str, Any]) -> dict[str, LeftOut]:
    report = info.get("unreadable") or {"count": 0, "first": {}}
    return {"unreadable": LeftOut(report["count"], tuple(report["first"]))} if report["count"] else {}


# -- one row group, read as a block on whichever process does the work ----------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class RowGroup:
    """One row group of a Parquet file: ``rows`` policy rows, from row ``first`` of the log by time, from 0.

    ``index`` is its place in the file; ``arms``, ``schema_id`` and ``dim`` (d) are those of the whole log.
    """

    path: Path
    index: int
    first: int
    rows: int
    arms: tuple[str, ...]
    schema_id: str
    dim: int

    def read(self) -> Block:
        """The rows, as arrays. Raises ConfigError when the file is missing or damaged."""
        table, _ = _read_row_group(self.path, self.index, self.schema_id, self.dim)
        n, choices = table.num_rows, decode_eligible_arms(table)
        column = {arm: k for k, arm in enumerate(self.arms)}
        arm_of = np.array([column.get(name, -1) for name in choices.names], dtype=np.int64)
        cell = choices.row, arm_of[choices.code]
        eligible = np.zeros((n, len(self.arms)), dtype=np.bool_)
        logged, cost = np.zeros(eligible.shape), np.zeros(eligible.shape)
        eligible[cell], logged[cell], cost[cell] = True, choices.pmf, choices.cost_usd
        return Block(
            arms=self.arms,
            x=decode_vectors(table["x"], self.dim),
            eligible=eligible,
            logged=logged,
            action=arm_of[choices.action],
            propensity=decode_numbers(table["propensity"]),
            outcomes=np.column_stack([decode_numbers(table[name]) for name in OUTCOMES]),
            fold=assign_folds(table["id"].to_pylist()),
            order=np.arange(self.first, self.first + n),
            expected_cost_usd=cost,
            cost_weight=decode_numbers(table["cost_weight"]),
            decided_at=decode_numbers(table["decided_at"]),
            signals=decode_signals(table),
            list_cost_usd=decode_list_costs(table),
            reward_weight=decode_reward_weights(table),
            task=decode_tasks(table),
        )


def _read_row_group(path: Path, index: int, schema_id: str, dim: int) -> Screened:
    with _open_parquet(path) as file:
        optional = [name for name in OPTIONAL_COLUMNS if name in file.schema_arrow.names]
        table = file.read_row_group(index, columns=[*REQUIRED_COLUMNS, *optional], use_threads=False)
        return screen_rows(table, schema_id, dim)


@contextmanager
def _open_parquet(path: Path) -> Iterator[Any]:
    """An open Parquet file. Raises ConfigError if it is not Parquet, or has other columns than a log."""
    try:
        with parquet.ParquetFile(path) as file:
            if problem := check_columns(file.schema_arrow):
                raise ConfigError(f"{path}: {problem}")
            yield file
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path}: cannot be read as Parquet: {error}") from error


# -- the scan: every row group is looked at once, to number its rows ------------------------------


class _Scan(NamedTuple):
    """A row group, the times its policy rows start and end, their arms, and the rows left out."""

    start: float
    path: Path
    group: int
    end: float
    rows: int
    arms: Sequence[str]
    left_out: Mapping[str, LeftOut]


def _scan_folder(folder: Path, schema_id: str, dim: int) -> list[_Scan]:
    """All row groups in order of time. Most of the time goes where Python's global lock is released."""
    groups = [(path, i) for path in sorted(folder.rglob("*.parquet")) for i in range(_count_groups(path))]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        scans = threads.map(partial(_scan_row_group, schema_id, dim), groups)
        return sorted(scans, key=lambda scan: scan[:3])


def _count_groups(path: Path) -> int:
    with _open_parquet(path) as file:
        return int(file.num_row_groups)


def _scan_row_group(schema_id: str, dim: int, group: tuple[Path, int]) -> _Scan:
    table, left_out = _read_row_group(*group, schema_id, dim)
    when = decode_numbers(table["decided_at"])
    start, end = (float(when.min()), float(when.max())) if when.size else (-np.inf, -np.inf)
    code, names = decode_names(list_values(table["eligible"]))
    return _Scan(start, *group, end, table.num_rows, [names[i] for i in np.unique(code)], left_out)


def _require_no_overlap(folder: Path, scans: Sequence[_Scan]) -> None:
    """Raise ConfigError for rows in two row groups, as when overlapping exports share a folder.

    The same row has the same time, so ids are compared only where row groups, in order of their starts,
    overlap in time: in an export, nowhere or where one group meets the next.
    """
    near: dict[str, _Scan] = {}
    for scan, following in zip_longest(scans, scans[1:]):
        near = {i: other for i, other in near.items() if other.end >= scan.start}
        if not near and (following is None or following.start > scan.end):
            continue
        ids = _read_ids(scan)
        if repeated := [i for i in ids if i in near]:
            both = f"{near[repeated[0]].path.relative_to(folder)} and {scan.path.relative_to(folder)}"
            raise ConfigError(
                f"{folder}: the same decisions are in {both}, {len(repeated)} of them "
                f"(first: {', '.join(repeated[:NAMED])}), and would count twice; keep one of the exports "
                "that overlap, or export again"
            )
        near |= dict.fromkeys(ids, scan)


def _read_ids(scan: _Scan) -> list[str]:
    with _open_parquet(scan.path) as file:
        _, ids = decode_names(file.read_row_group(scan.group, columns=["id"], use_threads=False)["id"])
    return ids
