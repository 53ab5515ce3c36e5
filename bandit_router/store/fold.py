"""The learner's transaction: take pending marks away, count their rewards, publish a snapshot.

The router's row in ``routers`` is the lock. (Locking the newest snapshot row would not do: with SKIP
LOCKED a second learner would skip to the one before it and fold from there.)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from bandit_router.errors import SnapshotCorrupt
from bandit_router.store.engine import INSERT, writing
from bandit_router.store.records import Observation, unpack
from bandit_router.store.tables import (
    arms,
    decisions,
    feedback,
    folded,
    folded_confidences,
    folded_costs,
    folded_latencies,
    pending,
    routers,
    snapshots,
    warm_starts,
)
from bandit_router.store.write import VALUES
from bandit_router.types import Snapshot

_CHUNK = 5_000  # ids per statement: both databases bound the number of parameters

COUNTED: Mapping[str, tuple[Table, str]] = {
    "reward": (folded, "reward"),
    "cost": (folded_costs, "root"),
    "latency": (folded_latencies, "latency_s"),
    "confident": (folded_confidences, "reward"),
}
"""Where it is on record what a snapshot counts, and in which column."""

_UPSERT = {
    (what, name): (statement := into(table)).on_conflict_do_update(
        index_elements=["router", "decision_id"],
        set_={column: statement.excluded[column], "version": statement.excluded.version},
    )
    for what, (table, column) in COUNTED.items()
    for name, into in INSERT.items()
}


@dataclass(frozen=True, slots=True)
class LearnerTransaction:
    """The right to publish the next snapshot of one router, for the length of one transaction."""

    connection: Connection
    router: str
    version: int
    reward_weights: Mapping[str, float]

    def snapshot(self) -> Snapshot:
        """The newest snapshot. Raises SnapshotCorrupt when somebody deleted it."""
        found = read_snapshot(self.connection, self.router, self.version)
        if found is None:
            raise SnapshotCorrupt(f"snapshot {self.version} is gone; run `bandit-router rebuild`")
        return found

    def take(self, limit: int) -> list[Observation]:
        """Take the marks of up to ``limit`` decisions away and read what is now known of them.

        Reads after deleting: feedback that commits in between is read now and marked still, and
        counting it again changes nothing because the reward counted is on record.
        """
        oldest = select(pending.c.decision_id).where(pending.c.router == self.router)
        ids = list(self.connection.scalars(oldest.distinct().order_by(pending.c.decision_id).limit(limit)))
        for some in _chunks(ids):
            taken = pending.c.decision_id.in_(some)
            self.connection.execute(delete(pending).where(pending.c.router == self.router, taken))
        return [seen for some in _chunks(ids) for seen in observations(self.connection, self.router, some)]

    def take_everything(self) -> Iterator[list[Observation]]:
        """Forget all marks and all that is counted, then read the whole log in pieces."""
        for table in (pending, *(table for table, _ in COUNTED.values())):
            self.connection.execute(delete(table).where(table.c.router == self.router))
        return all_observations(self.connection, self.router)

    def count(self, what: str, values: Mapping[str, float | None]) -> None:
        """Record what the next snapshot contains of one kind; None is a value taken out again."""
        table, column = COUNTED[what]
        rows = [
            {"router": self.router, "decision_id": i, column: value, "version": self.version + 1}
            for i, value in values.items()
            if value is not None
        ]
        if rows:
            self.connection.execute(_UPSERT[what, self.connection.dialect.name], rows)
        for some in _chunks([i for i, value in values.items() if value is None]):
            gone = table.c.decision_id.in_(some)
            self.connection.execute(delete(table).where(table.c.router == self.router, gone))

    def warm_start(self) -> WarmStartRecord | None:
        """The evidence from elsewhere that is in force; None when there is none."""
        return read_warm_start(self.connection, self.router)

    def put_warm_start(
        self, evidence: Snapshot | None, *, source: str, trust: float | None, now: float
    ) -> None:
        """Put other evidence in force, or None."""
        last = select(func.max(warm_starts.c.id)).where(warm_starts.c.router == self.router)
        row: dict[str, Any] = {
            "router": self.router,
            "id": (self.connection.scalar(last) or 0) + 1,
            "loaded_at": now,
            "source": source,
            "trust": trust,
        }
        row["posterior"], row["costs"] = (None, None) if evidence is None else evidence[:2]
        self.connection.execute(insert(warm_starts), row)

    def publish(self, snapshot: Snapshot, reward_weights: Mapping[str, float], *, keep: int) -> int:
        """Make ``snapshot`` the next one and prune all but the newest ``keep``.

        ``reward_weights`` are those that all the rewards it counts were made with.
        """
        version = self.version + 1
        row = {"router": self.router, "version": version, "published_at": time.time()}
        self.connection.execute(insert(snapshots), row | snapshot._asdict())
        router = update(routers).where(routers.c.name == self.router)
        changed = {} if reward_weights == self.reward_weights else {"weights_since": version}
        self.connection.execute(
            router.values(version=version, reward_weights=dict(reward_weights), **changed)
        )
        old = snapshots.c.version <= version - keep
        self.connection.execute(delete(snapshots).where(snapshots.c.router == self.router, old))
        return version


@contextmanager
def folding(engine: Engine, router: str, *, wait: bool) -> Iterator[LearnerTransaction | None]:
    """A Fold, or None when another learner has it and ``wait`` is false."""
    with writing(engine) as connection:
        head = select(routers.c.version, routers.c.reward_weights).where(routers.c.name == router)
        locked = connection.execute(head.with_for_update(key_share=True, skip_locked=not wait)).one_or_none()
        yield None if locked is None else LearnerTransaction(connection, router, *locked)


def read_snapshot(connection: Connection, router: str, version: int) -> Snapshot | None:
    here = snapshots.c.router == router, snapshots.c.version == version
    columns = (snapshots.c[name] for name in Snapshot._fields)
    row = connection.execute(select(*columns).where(*here)).one_or_none()
    return None if row is None else Snapshot(*row)


class WarmStartRecord(NamedTuple):
    """Evidence from elsewhere in force: since when (Unix time, seconds), from where, trusted how far."""

    loaded_at: float
    source: str
    trust: float | None
    evidence: Snapshot


def read_warm_start(connection: Connection, router: str) -> WarmStartRecord | None:
    newest = select(warm_starts).where(warm_starts.c.router == router).order_by(warm_starts.c.id.desc())
    row = connection.execute(newest.limit(1)).one_or_none()
    if row is None or row.posterior is None:
        return None
    return WarmStartRecord(row.loaded_at, row.source, row.trust, Snapshot(row.posterior, row.costs))


def all_observations(connection: Connection, router: str, size: int = 2_000) -> Iterator[list[Observation]]:
    """Every decision of the router that has feedback, in id order, ``size`` at a time."""
    last = ""
    while True:
        ids = list(
            connection.scalars(
                select(feedback.c.decision_id)
                .where(feedback.c.router == router, feedback.c.decision_id > last)
                .distinct()
                .order_by(feedback.c.decision_id)
                .limit(size)
            )
        )
        if not ids:
            return
        last = ids[-1]
        yield observations(connection, router, ids)


def observations(connection: Connection, router: str, ids: Sequence[str]) -> list[Observation]:
    """What is known of each decision: its context and arm, its metrics, the reward counted."""
    parameters = {"router": router, "ids": list(ids)}
    metrics: dict[str, dict[str, float | None]] = {}
    for row in connection.execute(VALUES, parameters):
        metrics.setdefault(row.decision_id, {})[row.metric] = row.value
    return [
        Observation(
            decision_id=row.id,
            arm=row.arm,
            x=unpack(row.x),
            schema_id=row.schema_id,
            decided_at=row.decided_at,
            metrics={name: value for name, value in metrics.get(row.id, {}).items() if value is not None},
            folded=row.reward,
            list_cost_usd=row.list_cost_usd,
            folded_root=row.root,
            reset_at=row.reset_at,
            folded_latency_s=row.latency_s,
            reason=row.reason,
            folded_confident=row.confident,
        )
        for row in connection.execute(_OBSERVED, parameters)
    ]


def _same(table: Table) -> ColumnElement[bool]:
    return (table.c.router == decisions.c.router) & (table.c.decision_id == decisions.c.id)


_ROUTER: BindParameter[str] = bindparam("router")
_IDS: BindParameter[str] = bindparam("ids", expanding=True)
_OBSERVED: Select[Any] = (
    select(
        decisions.c.id,
        decisions.c.arm,
        decisions.c.x,
        decisions.c.schema_id,
        decisions.c.decided_at,
        decisions.c.list_cost_usd,
        folded.c.reward,
        folded_costs.c.root,
        folded_latencies.c.latency_s,
        arms.c.reset_at,
        decisions.c.reason,
        folded_confidences.c.reward.label("confident"),
    )
    .select_from(
        decisions.outerjoin(folded, _same(folded))
        .outerjoin(folded_costs, _same(folded_costs))
        .outerjoin(folded_latencies, _same(folded_latencies))
        .outerjoin(folded_confidences, _same(folded_confidences))
        .outerjoin(arms, (arms.c.router == decisions.c.router) & (arms.c.name == decisions.c.arm))
    )
    .where(decisions.c.router == _ROUTER, decisions.c.id.in_(_IDS))
    .order_by(decisions.c.id)
)


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[i : i + _CHUNK] for i in range(0, len(ids), _CHUNK))
