"""What `verify` and `export` read: the whole log, as of one moment."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, func, not_, select

from bandit_router.store.fold import (
    COUNTED,
    WarmStartRecord,
    all_observations,
    read_snapshot,
    read_warm_start,
)
from bandit_router.store.records import Observation, decision_from
from bandit_router.store.spending import goal_of, reward_towards
from bandit_router.store.tables import (
    conversations,
    decisions,
    escalations,
    feedback,
    pending,
    routers,
    spending,
)
from bandit_router.store.write import VALUES
from bandit_router.types import Decision, Floor, Reason, Snapshot


class Unreadable(NamedTuple):
    """A row that is no decision, and why."""

    id: str
    why: str


class Logged(NamedTuple):
    """A decision, and the metrics in force for it: none when nothing was said, or all of it retracted."""

    decision: Decision
    metrics: dict[str, float]


class Booked(NamedTuple):
    """How many decisions were booked, what they cost, and what they were worth where there is a floor;
    ``moved_usd`` and ``moved`` bound what rounding may hide."""

    requests: int
    spent_usd: float
    moved_usd: float = 0.0
    earned: float = 0.0
    moved: float = 0.0


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

    def schema_id(self) -> str | None:
        """The feature pipeline the router learned from; None when there is no such router."""
        found: str | None = self.connection.scalar(
            select(routers.c.schema_id).where(routers.c.name == self.router)
        )
        return found

    def snapshot(self, version: int) -> Snapshot | None:
        return read_snapshot(self.connection, self.router, version)

    def warm_start(self) -> WarmStartRecord | None:
        """The evidence from elsewhere that is in force; None when there is none."""
        return read_warm_start(self.connection, self.router)

    def pending(self) -> set[str]:
        """Decisions whose feedback is not folded yet."""
        marks = select(pending.c.decision_id).where(pending.c.router == self.router).distinct()
        return set(self.connection.scalars(marks))

    def counted(self) -> dict[str, int]:
        """How many values of each kind the newest snapshot is on record to contain."""
        found = {}
        for what, (table, _) in COUNTED.items():
            some = select(func.count()).select_from(table).where(table.c.router == self.router)
            found[what] = self.connection.scalar(some) or 0
        return found

    def lost_escalations(self) -> list[str]:
        """Retries that no escalation on record led to, and escalations whose retry is not in the log."""
        mine = decisions.c.router == self.router, decisions.c.reason == Reason.ESCALATION.value
        retries = set(self.connection.execute(select(decisions.c.parent, decisions.c.id).where(*mine)))
        led_to = escalations.c.router == self.router, escalations.c.decision_id.is_not(None)
        on_record = set(
            self.connection.execute(select(escalations.c.parent, escalations.c.decision_id).where(*led_to))
        )
        return sorted(str(decision_id) for _, decision_id in retries ^ on_record)

    def spending(self) -> tuple[Booked, Booked] | None:
        """What is booked and what should be, from the log; None when this router has no budget."""
        row = self.connection.execute(select(spending).where(spending.c.router == self.router)).one_or_none()
        if row is None:
            return None
        logged, goal = self._spent_since(row.since), goal_of(row)
        if isinstance(goal, Floor):
            worth, moved = self._earned_since(row.since, goal)
            logged = logged._replace(earned=worth, moved=moved)
        return Booked(row.requests, row.spent_usd, earned=row.earned), logged

    def _spent_since(self, since: float) -> Booked:
        """Every decision at the cost last reported, or else expected; ``moved_usd`` is all that moved."""
        is_cost = (feedback.c.router == decisions.c.router) & (feedback.c.metric == "cost_usd")
        said = select(feedback.c.value).where(is_cost, feedback.c.decision_id == decisions.c.id)
        newest = said.order_by(feedback.c.revision.desc()).limit(1).scalar_subquery()
        ever = said.with_only_columns(func.coalesce(func.sum(feedback.c.value), 0.0)).scalar_subquery()
        expected = decisions.c.expected_cost_usd
        sums = (
            func.coalesce(func.sum(one), 0.0) for one in (func.coalesce(newest, expected), expected + ever)
        )
        mine = (decisions.c.router == self.router) & (decisions.c.decided_at >= since)
        return Booked(*self.connection.execute(select(func.count(), *sums).where(mine)).one())

    def _earned_since(self, since: float, floor: Floor) -> tuple[float, float]:
        """Every decision at its reward, or else the one expected; and all that moved."""
        worth, moved = [], 0.0
        for one in itertools.chain.from_iterable(self.log()):
            if isinstance(one, Logged) and one.decision.decided_at >= since:
                worth.append(reward_towards(one.metrics, one.decision.expected_quality, floor))
                moved += 1.0 + abs(one.decision.expected_quality)
        return math.fsum(worth), moved

    def stray_conversations(self, most: int = 20) -> list[str]:
        """Conversations that keep another arm than the decision on record as their choice chose."""
        chosen = (decisions.c.router == conversations.c.router) & (decisions.c.id == conversations.c.choice)
        promotes = decisions.c.reason == Reason.PROMOTION.value
        kept = and_(
            decisions.c.arm == conversations.c.arm,
            decisions.c.conversation == conversations.c.id,
            promotes == conversations.c.promoted,
        )
        stray = (
            select(conversations.c.id)
            .select_from(conversations.outerjoin(decisions, chosen))
            .where(conversations.c.router == self.router, decisions.c.id.is_(None) | not_(kept))
            .order_by(conversations.c.id)
            .limit(most)
        )
        return list(self.connection.scalars(stray))

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
                yield _decision(row)

    def log(self, size: int = 2_000) -> Iterator[list[Logged | Unreadable]]:
        """Every decision in id order, which is that of time, with its feedback; ``size`` at a time."""
        mine, last = decisions.c.router == self.router, ""
        while True:
            some = select(decisions).where(mine, decisions.c.id > last).order_by(decisions.c.id).limit(size)
            read = [_decision(row) for row in self.connection.execute(some)]
            if not read:
                return
            last = read[-1].id
            metrics = self._metrics([decision.id for decision in read])
            yield [d if isinstance(d, Unreadable) else Logged(d, metrics.get(d.id, {})) for d in read]

    def _metrics(self, ids: list[str]) -> dict[str, dict[str, float]]:
        newest: dict[str, dict[str, float | None]] = {}
        for row in self.connection.execute(VALUES, {"router": self.router, "ids": ids}):
            newest.setdefault(row.decision_id, {})[row.metric] = row.value
        return {
            decision_id: {name: value for name, value in metrics.items() if value is not None}
            for decision_id, metrics in newest.items()
        }


def _decision(row: Row[Any]) -> Decision | Unreadable:
    try:
        return decision_from(row)
    except (TypeError, ValueError) as error:
        return Unreadable(row.id, str(error))
