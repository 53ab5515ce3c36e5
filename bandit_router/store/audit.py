"""What `verify` reads: the whole log, as of one moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from bandit_router.store.fold import all_observations, snapshot_blob
from bandit_router.store.records import Observation, decision_from
from bandit_router.store.tables import decisions, folded, pending, routers
from bandit_router.types import Decision


class Unreadable(NamedTuple):
    """A row that is no decision, and why."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Audit:
    """One consistent view of one router's log."""

    connection: Connection
    router: str

    def head(self) -> tuple[int, dict[str, float]] | None:
        """The newest version and the weights of the rewards it counts; None when there is no such router."""
        columns = routers.c.version, routers.c.reward_weights
        row = self.connection.execute(select(*columns).where(routers.c.name == self.router)).one_or_none()
        return None if row is None else (row.version, row.reward_weights)

    def snapshot(self, version: int) -> bytes | None:
        return snapshot_blob(self.connection, self.router, version)

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

    def decisions(self, size: int = 2_000) -> Iterator[Decision | Unreadable]:
        """Every decision, in the order of the snapshots they read."""
        statement = (
            select(decisions)
            .where(decisions.c.router == self.router)
            .order_by(decisions.c.snapshot, decisions.c.id)
            .execution_options(yield_per=size)
        )
        with self.connection.execute(statement) as rows:
            for row in rows:
                try:
                    yield decision_from(row)
                except (TypeError, ValueError) as error:
                    yield Unreadable(row.id, str(error))
