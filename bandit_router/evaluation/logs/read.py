"""Opening a log: a folder as it is, a database by way of an export. So both give the same numbers."""

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
from bandit_router.evaluation.logs.columns import coded, numbers, values_of
from bandit_router.evaluation.logs.export import export
from bandit_router.evaluation.logs.folder import FORMAT, INFO, POSTERIOR
from bandit_router.evaluation.logs.left_out import NAMED, LeftOut, add_up
from bandit_router.evaluation.logs.piece import Piece, read_group, reading
from bandit_router.posterior.codec import decode
from bandit_router.posterior.linear import Posterior
from bandit_router.store.store import Store

_INFO = {"format": int, "router": str, "schema_id": str, "dim": int, "arms": list, "reward_weights": dict}


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """A log in a folder: ``rows`` decisions whose reason is ``policy``, in pieces in order of time.

    ``arms`` are the K arms that were eligible in some row. ``left_out`` counts, and names the first of, the
    rows that are not among them: other reasons by their names, contexts of another pipeline, damaged rows.
    ``info`` is what log.json says.
    """

    folder: Path
    arms: tuple[str, ...]
    rows: int
    pieces: tuple[Piece, ...]
    left_out: Mapping[str, LeftOut]
    info: Mapping[str, Any]

    def posterior(self) -> Posterior:
        """The newest snapshot at the time of the export. Raises ConfigError when there is none."""
        try:
            return decode((self.folder / POSTERIOR).read_bytes())
        except FileNotFoundError:
            raise ConfigError(
                f"{self.folder}: has no {POSTERIOR}, without which learned policies cannot be scored; "
                "run `bandit-router rebuild` and export again"
            ) from None


@contextmanager
def open_log(source: str | Path, router: str = "default") -> Iterator[Log]:
    """The log in a folder, or of one router of a database, which is exported for as long as the block lasts.

    ``source`` is a database's URL when it is a string with "://" in it. Rows of a folder may be in any
    number of files, but each row group must be in order of time, and no row in two of them.

    Raises ConfigError, and what Store.open and export raise.
    """
    if not (isinstance(source, str) and "://" in source):
        yield _log(Path(source))
        return
    with tempfile.TemporaryDirectory(prefix="bandit-router-") as scratch:
        folder = Path(scratch) / "log"
        with closing(Store.open(source, router, create=False)) as store, store.read_log() as audit:
            export(audit, folder)
        yield _log(folder)


def _log(folder: Path) -> Log:
    info = _read_info(folder)
    schema_id, dim = info["schema_id"], info["dim"]
    scans = _scan(folder, schema_id, dim)
    seen = set[str]().union(*(scan.arms for scan in scans))
    arms = (*(arm for arm in info["arms"] if arm in seen), *sorted(seen.difference(info["arms"])))
    used = [scan for scan in scans if scan.rows]
    _require_once(folder, used)
    firsts = accumulate((scan.rows for scan in used), initial=0)
    pieces = tuple(
        Piece(
            path=scan.path,
            row_group=scan.row_group,
            first=first,
            rows=scan.rows,
            arms=arms,
            schema_id=schema_id,
            dim=dim,
        )
        for scan, first in zip(used, firsts, strict=False)
    )
    return Log(
        folder=folder,
        arms=arms,
        rows=sum(scan.rows for scan in used),
        pieces=pieces,
        left_out=add_up([_unreadable(info), *(scan.left_out for scan in scans)]),
        info=info,
    )


def _read_info(folder: Path) -> dict[str, Any]:
    path = folder / INFO
    try:
        info: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{path}: is not there; name a folder that `bandit-router export` wrote") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    for key, kind in _INFO.items():
        if not isinstance(info, dict) or not isinstance(info.get(key), kind):
            raise ConfigError(f"{path}: {key} is missing, or no {kind.__name__}; export the log again")
    if info["format"] != FORMAT:
        raise ConfigError(f"{path}: has format {info['format']}, this package reads {FORMAT}; export again")
    return info


def _unreadable(info: Mapping[str, Any]) -> dict[str, LeftOut]:
    found = info.get("unreadable") or {"count": 0, "first": {}}
    return {"unreadable": LeftOut(found["count"], tuple(found["first"]))} if found["count"] else {}


# -- the plan: every row group is looked at once, to number its rows ------------------------------


class _Scan(NamedTuple):
    start: float
    path: Path
    row_group: int
    end: float
    rows: int
    arms: Sequence[str]
    left_out: Mapping[str, LeftOut]


def _scan(folder: Path, schema_id: str, dim: int) -> list[_Scan]:
    """All row groups in order of time. Most of the time goes where Python's global lock is released."""
    groups = [(path, i) for path in sorted(folder.rglob("*.parquet")) for i in range(_row_groups(path))]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        scans = threads.map(partial(_scan_group, schema_id, dim), groups)
        return sorted(scans, key=lambda scan: scan[:3])


def _row_groups(path: Path) -> int:
    with reading(path) as file:
        return int(file.num_row_groups)


def _scan_group(schema_id: str, dim: int, group: tuple[Path, int]) -> _Scan:
    table, left_out = read_group(*group, schema_id, dim)
    when = numbers(table["decided_at"])
    start, end = (float(when.min()), float(when.max())) if when.size else (-np.inf, -np.inf)
    code, names = coded(values_of(table["eligible"]))
    arms = [names[i] for i in np.unique(code)]
    return _Scan(start, *group, end, table.num_rows, arms, left_out)


def _require_once(folder: Path, scans: Sequence[_Scan]) -> None:
    """Raise ConfigError for rows in two row groups, as when exports that overlap were put in one folder.

    The same row has the same time: only where row groups overlap in time, in order of their starts, are ids
    compared, which in an export is nowhere or where one group meets the next.
    """
    near: dict[str, _Scan] = {}
    for scan, after in zip_longest(scans, scans[1:]):
        near = {i: other for i, other in near.items() if other.end >= scan.start}
        if not near and (after is None or after.start > scan.end):
            continue
        ids = _ids(scan)
        if again := [i for i in ids if i in near]:
            both = f"{near[again[0]].path.relative_to(folder)} and {scan.path.relative_to(folder)}"
            raise ConfigError(
                f"{folder}: the same decisions are in {both}, {len(again)} of them "
                f"(first: {', '.join(again[:NAMED])}), and would count twice; keep one of the exports that "
                "overlap, or export again"
            )
        near |= dict.fromkeys(ids, scan)


def _ids(scan: _Scan) -> list[str]:
    with reading(scan.path) as file:
        _, ids = coded(file.read_row_group(scan.row_group, columns=["id"], use_threads=False)["id"])
    return ids
