"""The learner's transaction: take pending marks, record what is counted of them, publish a snapshot.

The router's row in ``routers`` is the lock. (The newest snapshot row would not do: with SKIP LOCKED a second
learner would skip to the row before it and learn from there.)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, func, insert, select, update

from bandit_router.errors import SnapshotCorrupt
from bandit_router.store import arms
from bandit_router.store.engine import INSERT, write_transaction
from bandit_router.store.observations import iterate_observations, read_observations
from bandit_router.store.records import Observation
from bandit_router.store.snapshots import WarmStartRecord, read_snapshot, read_warm_start
from bandit_router.store.tables import (
    folded,
    folded_confidences,
    folded_costs,
    folded_latencies,
    pending,
    routers,
    snapshots,
    warm_starts,
)
from bandit_router.types import Arm, Snapshot

_CHUNK = 5_000  # ids per statement: both databases bound the number of parameters

COUNTED_TABLES: Mapping[str, tuple[Table, str]] = {
    "reward": (folded, "reward"),
    "cost": (folded_costs, "root"),
    "latency": (folded_latencies, "latency_s"),
    "confident": (folded_confidences, "reward"),
}
"""By quantity: the table and the column that record the values a snapshot counts."""

_UPSERT = {
    (quantity, name): (statement := into(table)).on_conflict_do_update(
        index_elements=["router", "decision_id"],
        set_={column: statement.excluded[column], "version": statement.excluded.version},
    )
    for quantity, (table, column) in COUNTED_TABLES.items()
    for name, into in INSERT.items()
}


@dataclass(frozen=True, slots=True)
class LearnerTransaction:
    """The right to publish the next snapshot of one router, for the length of one transaction.

    ``version`` is the newest snapshot and ``reward_weights`` are those of the rewards it counts.
    """

    connection: Connection
    router: str
    version: int
    reward_weights: Mapping[str, float]

    def snapshot(self) -> Snapshot:
        """The newest snapshot. Raises SnapshotCorrupt when somebody deleted it."""
        snapshot = read_snapshot(self.connection, self.router, self.version)
        if snapshot is None:
            raise SnapshotCorrupt(f"snapshot {self.version} is gone; run `bandit-router rebuild`")
        return snapshot

    def read_schema_id(self) -> str:
        """The schema id of the contexts the router learned from."""
        schema_id: str = self.connection.scalars(
            select(routers.c.schema_id).where(routers.c.name == self.router)
        ).one()
        return schema_id

    def read_arms(self) -> list[Arm]:
        """Every arm of the router, as this transaction sees it."""
        return arms.read_arms(self.connection, self.router)

    def declare_arms(self, declared: Sequence[Arm]) -> None:
        """Write the arms of router.toml; leave arms added at run time alone."""
        arms.declare_arms(self.connection, self.router, declared)

    def put_arm(self, arm: Arm) -> None:
        """Add an arm at run time, or give an existing one new prices, limits or capabilities."""
        arms.put_arm(self.connection, self.router, arm)

    def take_pending(self, limit: int) -> list[Observation]:
        """Delete the pending marks of up to ``limit`` decisions; the observations of those decisions.

        Reads after deleting: feedback that commits in between is read now and stays marked. Counting it again
        changes nothing, because the value counted is on record.
        """
        oldest = select(pending.c.decision_id).where(pending.c.router == self.router)
        ids = list(self.connection.scalars(oldest.distinct().order_by(pending.c.decision_id).limit(limit)))
        for chunk in _chunks(ids):
            marks = pending.c.router == self.router, pending.c.decision_id.in_(chunk)
            self.connection.execute(delete(pending).where(*marks))
        return [
            observation
            for chunk in _chunks(ids)
            for observation in read_observations(self.connection, self.router, chunk)
        ]

    def restart_from_log(self) -> Iterator[list[Observation]]:
        """Delete all marks and all records of what is counted, then read the whole log in pieces."""
        for table in (pending, *(table for table, _ in COUNTED_TABLES.values())):
            self.connection.execute(delete(table).where(table.c.router == self.router))
        return iterate_observations(self.connection, self.router)

    def record_counted(self, quantity: str, values: Mapping[str, float | None]) -> None:
        """Record the values of one quantity that the next snapshot counts; None removes a value."""
        table, column = COUNTED_TABLES[quantity]
        rows = [
            {"router": self.router, "decision_id": i, column: value, "version": self.version + 1}
            for i, value in values.items()
            if value is not None
        ]
        if rows:
            self.connection.execute(_UPSERT[quantity, self.connection.dialect.name], rows)
        for chunk in _chunks([i for i, value in values.items() if value is None]):
            removed = table.c.router == self.router, table.c.decision_id.in_(chunk)
            self.connection.execute(delete(table).where(*removed))

    def warm_start(self) -> WarmStartRecord | None:
        """The warm start in force; None when there is none."""
        return read_warm_start(self.connection, self.router)

    def insert_warm_start(
        self, evidence: Snapshot | None, *, source: str, trust: float | None, now: float
    ) -> None:
        """Put another warm start in force; None takes the present one away."""
        last = select(func.max(warm_starts.c.id)).where(warm_starts.c.router == self.router)
        values: dict[str, Any] = {
            "router": self.router,
            "id": (self.connection.scalar(last) or 0) + 1,
            "loaded_at": now,
            "source": source,
            "trust": trust,
        }
        values["posterior"], values["costs"] = (None, None) if evidence is None else evidence[:2]
        self.connection.execute(insert(warm_starts), values)

    def publish(self, snapshot: Snapshot, reward_weights: Mapping[str, float], *, keep: int) -> int:
        """Publish ``snapshot`` as the next version and prune all but the newest ``keep``; the version.

        ``reward_weights`` are those of all the rewards it counts.
        """
        version = self.version + 1
        published = {"router": self.router, "version": version, "published_at": time.time()}
        self.connection.execute(insert(snapshots), published | snapshot._asdict())
        router_row = update(routers).where(routers.c.name == self.router)
        changed = {} if reward_weights == self.reward_weights else {"weights_since": version}
        self.connection.execute(
            router_row.values(version=version, reward_weights=dict(reward_weights), **changed)
        )
        old = snapshots.c.version <= version - keep
        self.connection.execute(delete(snapshots).where(snapshots.c.router == self.router, old))
        return version


@contextmanager
def begin_learner_transaction(
    engine: Engine, router: str, *, wait: bool
) -> Iterator[LearnerTransaction | None]:
    """Lock the router's row for a learner; None when another learner holds it and ``wait`` is false."""
    with write_transaction(engine) as connection:
        head = select(routers.c.version, routers.c.reward_weights).where(routers.c.name == router)
        locked = connection.execute(head.with_for_update(key_share=True, skip_locked=not wait)).one_or_none()
        yield None if locked is None else LearnerTransaction(connection, router, *locked)


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[i : i + _CHUNK] for i in range(0, len(ids), _CHUNK))
