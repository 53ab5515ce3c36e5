"""What `verify` reads: the whole log, as of one moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from bandit_router.store.fold import all_observations, snapshot_blob
from bandit_router.store.records import Observation, decision_from
from bandit_router.store.tables import decisions, folded, pending, routers, snapshots
from bandit_router.types import Decision


@dataclass(frozen=True, slots=True)
class Audit:
    """One consistent view of one router's log."""

    connection: Connection
    router: str

    def version(self) -> int | None:
        """The newest published version; None when there is no such router."""
        return self.connection.scalar(select(routers.c.version).where(routers.c.name == self.router))

    def snapshot(self, version: int) -> bytes | None:
        return snapshot_blob(self.connection, self.router, version)

    def snapshots_kept(self) -> int:
        kept = select(func.count()).select_from(snapshots).where(snapshots.c.router == self.router)
        return self.connection.scalar(kept) or 0

    def pending(self) -> set[str]:
        """Decisions whose feedback is not folded yet."""
        marks = select(pending.c.decision_id).where(pending.c.router == self.router).distinct()
        return set(self.connection.scalars(marks))

    def folded(self) -> int:
        """How many rewards the newest snapshot is on record to contain."""
        rows = select(func.count()).select_from(folded).where(folded.c.router == self.router)
        return self.connection.scalar(rows) or 0

    def observations(self) -> Iterator[list[Observation]]:
        return all_observations(self.connection, self.router)

    def decisions(self, size: int = 2_000) -> Iterator[list[Decision]]:
        """Every decision, grouped by the snapshot it read."""
        statement = (
            select(decisions)
            .where(decisions.c.router == self.router)
            .order_by(decisions.c.snapshot, decisions.c.id)
            .execution_options(yield_per=size)
        )
        for rows in self.connection.execute(statement).partitions():
            yield [decision_from(row) for row in rows]
