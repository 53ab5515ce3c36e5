"""The log of a database as a folder of Parquet, and synthetic logs in the same form."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bandit_router.errors import InvalidInput, SnapshotCorrupt, StoreError
from bandit_router.evaluation.block import OUTCOMES, Block
from bandit_router.evaluation.logs.arrow import pa
from bandit_router.evaluation.logs.columns import LISTED, SIGNALS
from bandit_router.evaluation.logs.folder import (
    FORMAT,
    INFO,
    POSTERIOR,
    ROWS_PER_FILE,
    ROWS_PER_GROUP,
    new_folder,
    write_parts,
)
from bandit_router.evaluation.logs.left_out import NAMED
from bandit_router.evaluation.logs.rows import signals_array, tabulate
from bandit_router.evaluation.logs.schema import SCHEMA
from bandit_router.posterior.codec import decode, encode
from bandit_router.posterior.linear import Posterior
from bandit_router.store.log_reader import LogReader
from bandit_router.types import IntArray, Reason, Snapshot


@dataclass(kw_only=True, slots=True)
class Exported:
    """What was exported: rows by reason, those that a policy chose by its spec, and the rows that could
    not be exported, the first few named."""

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


def export(
    audit: LogReader,
    folder: Path,
    *,
    rows_per_group: int = ROWS_PER_GROUP,
    rows_per_file: int = ROWS_PER_FILE,
) -> Exported:
    """Write the whole log, as of the audit's moment, to a new folder; whole or not at all.

    Rows that cannot be read are named in the answer and in log.json. Raises StoreError when there is no
    such router, InvalidInput when ``folder`` is there and not empty, RouterError when it cannot be written.
    """
    head, schema_id = audit.head(), audit.schema_id()
    if head is None or schema_id is None:
        raise StoreError(f"there is no router {audit.router!r} in this database; check router.name")
    version, weights = head
    posterior = _posterior(audit.snapshot(version))
    done, dims = Exported(), Counter[int]()
    with new_folder(folder) as half:
        tables = _tables(audit, weights, schema_id, done, dims)
        write_parts(half, tables, rows_per_group=rows_per_group, rows_per_file=rows_per_file)
        info = {
            "router": audit.router,
            "schema_id": schema_id,
            "dim": posterior.dim if posterior else max(dims, key=dims.__getitem__, default=0),
            "arms": list(posterior.arms) if posterior else [],
            "reward_weights": dict(weights),
            "snapshot": version,
        }
        _describe(half, info, done, posterior)
    return done


def _posterior(snapshot: Snapshot | None) -> Posterior | None:
    """None when it is damaged or gone: policies that do not learn can be evaluated all the same."""
    try:
        return None if snapshot is None else decode(snapshot.posterior)
    except SnapshotCorrupt:
        return None


def _describe(folder: Path, info: Mapping[str, Any], done: Exported, posterior: Posterior | None) -> None:
    if posterior is not None:
        (folder / POSTERIOR).write_bytes(encode(posterior))
    counts = {
        "format": FORMAT,
        "exported_at": time.time(),
        "rows": dict(done.by_reason),
        "policies": dict(done.by_policy),
        "unreadable": {"count": done.unreadable, "first": done.named},
    }
    (folder / INFO).write_text(json.dumps({**info, **counts}, indent=2) + "\n", encoding="utf-8")


def _tables(
    audit: LogReader, weights: Mapping[str, float], schema_id: str, done: Exported, dims: Counter[int]
) -> Iterator[Any]:
    """The log as tables; ``done`` and ``dims``, the lengths of policy contexts, are counted on the way."""
    for some in audit.log():
        table, rows, unreadable = tabulate(some, weights)
        for row in unreadable:
            done.leave_out(row.id, row.why)
        for decision, _ in rows:
            done.by_reason[decision.reason.value] += 1
            if decision.reason is not Reason.POLICY:
                continue
            done.by_policy[decision.policy] += 1
            if decision.schema_id == schema_id:
                dims[decision.x.size] += 1
        yield table


# -- synthetic logs -------------------------------------------------------------------------------


def write_log(
    folder: Path,
    blocks: Iterable[Block],
    *,
    schema_id: str = "synthetic",
    ids: Iterable[Sequence[str]] | None = None,
    posterior: Posterior | None = None,
    reward_weights: Mapping[str, float] | None = None,
    router: str = "default",
    rows_per_group: int = ROWS_PER_GROUP,
    rows_per_file: int = ROWS_PER_FILE,
) -> Exported:
    """Write blocks of policy rows, which follow each other in time, as a log.

    Reading gives the same rows; but ``fold`` follows from ``ids``, a sequence for each block, by default
    those of :func:`ids_of`, and ``order`` from the order of time. Raises InvalidInput when the blocks
    differ in arms or dimension, and what :func:`export` raises for the folder.
    """
    done, shapes = Exported(), set[tuple[tuple[str, ...], int]]()

    def tables() -> Iterator[Any]:
        names = iter(ids) if ids is not None else None
        for block in blocks:
            done.by_reason[Reason.POLICY.value] += len(block)
            shapes.add((block.arms, block.x.shape[1]))
            if len(shapes) > 1:
                raise InvalidInput("blocks", "differ in arms or dimension", "give all of them the same")
            yield table_of(block, next(names) if names else ids_of(block), schema_id=schema_id)

    with new_folder(folder) as half:
        write_parts(half, tables(), rows_per_group=rows_per_group, rows_per_file=rows_per_file)
        ((arms, dim),) = shapes or {((), 0)}
        info = {
            "router": router,
            "schema_id": schema_id,
            "dim": dim,
            "arms": list(arms),
            "reward_weights": dict(reward_weights or {"quality": 1.0}),
            "snapshot": 1,
        }
        _describe(half, info, done, posterior)
    return done


def table_of(block: Block, ids: Sequence[str], *, schema_id: str, policy: str = "unknown") -> Any:
    """A block as a table of the SCHEMA; what a block does not have is null."""
    n = len(block)
    columns = np.nonzero(block.eligible)[1]
    arms = pa.array(block.arms, pa.string())
    names = pa.DictionaryArray.from_arrays(pa.array(columns, pa.int32()), arms)
    lengths = block.eligible.sum(axis=1)
    arrays = {
        "id": pa.array(ids, pa.string()),
        "decided_at": pa.array(block.decided_at),
        "x": _lists(np.full(n, block.x.shape[1]), pa.array(np.ravel(block.x))),
        "schema_id": _constant(schema_id, n),
        "eligible": _lists(lengths, names),
        "pmf": _lists(lengths, pa.array(block.logged[block.eligible])),
        "costs_usd": _lists(lengths, pa.array(block.expected_cost_usd[block.eligible])),
        "arm": pa.DictionaryArray.from_arrays(pa.array(block.action, pa.int32()), arms),
        "propensity": pa.array(block.propensity),
        "reason": _constant(Reason.POLICY.value, n),
        "policy": _constant(policy, n),
        "cost_weight": pa.array(block.cost_weight),
        "expected_cost_usd": pa.array(block.expected_cost_usd[np.arange(n), block.action]),
        SIGNALS: signals_array(map(block.signals_at, range(n))),
    }
    for name, values in ((LISTED, block.list_costs()), *zip(OUTCOMES, block.outcomes.T, strict=True)):
        arrays[name] = pa.array(values, mask=np.isnan(values))
    missing = {c.name: pa.nulls(n, c.type) for c in SCHEMA if c.name not in arrays}
    return pa.table({**arrays, **missing}, SCHEMA)


def ids_of(block: Block) -> list[str]:
    """Ids like those of decisions: they sort by time, then by order."""
    ms = (block.decided_at * 1e3).astype(np.int64)
    parts = zip((ms >> 16).tolist(), (ms & 0xFFFF).tolist(), block.order.tolist(), strict=True)
    return [f"{high:08x}-{low:04x}-7000-8000-{order:012x}" for high, low, order in parts]


def _constant(value: str, n: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([value], pa.string()))


def _lists(lengths: IntArray, values: Any) -> Any:
    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *lengths], dtype=np.int32)), values)
