"""The log reader of `verify` and `export`: one router's whole log, as of one moment."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, and_, func, not_, select

from bandit_router.security.budget import KeyDay
from bandit_router.store.arms import ARM_NOW, read_renamed_arms
from bandit_router.store.calls import read_key_calls
from bandit_router.store.feedback import counts, read_metrics
from bandit_router.store.key_ledger import read_all_key_spending
from bandit_router.store.observations import CountedValues, iterate_observations
from bandit_router.store.pacing_ledger import goal_from, reward_for_floor
from bandit_router.store.records import Observation, decision_from
from bandit_router.store.rollout_log import RolloutDecision, iterate_rollout_decisions
from bandit_router.store.snapshots import Head, WarmStartRecord, read_head, read_snapshot, read_warm_start
from bandit_router.store.tables import (
    arms,
    calls,
    conversations,
    decisions,
    escalations,
    feedback,
    folded,
    pending,
    routers,
    spending,
)
from bandit_router.store.tasks import Task, read_tasks
from bandit_router.types import DIALECT, CallOutcome, Decision, Floor, Reason

_LOOKED_AT = 10
"""Decisions looked at for each that is wanted, when only some are."""


class UnreadableDecision(NamedTuple):
    """A row of the decision log that cannot be read, and why."""

    id: str
    why: str


class LoggedDecision(NamedTuple):
    """A decision and its metrics in force: empty without feedback, or with all of it retracted.

    ``weights`` has the metrics that do not weigh 1.
    """

    decision: Decision
    metrics: dict[str, float]
    weights: Mapping[str, float] = {}


class PacingTotals(NamedTuple):
    """Sums towards a goal: decisions, their cost, and their reward where the goal is a floor.

    ``moved_usd`` and ``moved`` are the sums of all amounts ever added, which bound the rounding error.
    """

    requests: int
    spent_usd: float
    moved_usd: float = 0.0
    earned: float = 0.0
    moved: float = 0.0


@dataclass(frozen=True, slots=True)
class LogReader:
    """Reads one router's log over one connection, so that everything is of the same moment."""

    connection: Connection
    router: str

    def head(self) -> Head | None:
        """What the router has published; None when there is no such router."""
        return read_head(self.connection, self.router)

    def schema_id(self) -> str | None:
        """The schema id of the contexts the router learned from; None when there is no such router."""
        schema_id: str | None = self.connection.scalar(
            select(routers.c.schema_id).where(routers.c.name == self.router)
        )
        return schema_id

    def snapshot(self, version: int) -> bytes | None:
        """The model state published as that version; None when it is pruned or was never published."""
        return read_snapshot(self.connection, self.router, version)

    def warm_start(self) -> WarmStartRecord | None:
        """The warm start in force; None when there is none."""
        return read_warm_start(self.connection, self.router)

    def pending(self) -> set[str]:
        """The ids of decisions with feedback that no learner has counted yet."""
        unread = pending.c.router == self.router, pending.c.rebuild.is_(None)
        return set(self.connection.scalars(select(pending.c.decision_id).where(*unread).distinct()))

    def counted(self, generation: int) -> dict[str, int]:
        """The number of values of each quantity on record as counted in a generation."""
        of_generation = folded.c.router == self.router, folded.c.generation == generation
        counts = select(folded.c.quantity, func.count()).where(*of_generation).group_by(folded.c.quantity)
        return {quantity: count for quantity, count in self.connection.execute(counts)}  # noqa: C416

    def lost_escalations(self) -> list[str]:
        """The ids of retries without an escalation, and of those an escalation names and the log lacks."""
        is_retry = decisions.c.router == self.router, decisions.c.reason == Reason.ESCALATION.value
        logged = set(self.connection.execute(select(decisions.c.parent, decisions.c.id).where(*is_retry)))
        has_retry = escalations.c.router == self.router, escalations.c.decision_id.is_not(None)
        retries = select(escalations.c.parent, escalations.c.decision_id).where(*has_retry)
        on_record = set(self.connection.execute(retries))
        return sorted(str(decision_id) for _, decision_id in logged ^ on_record)

    def uncalled_decisions(self, most: int = 20) -> list[str]:
        """The ids of decisions of the gateway that have no call."""
        of_decision = (calls.c.router == decisions.c.router) & (calls.c.decision_id == decisions.c.id)
        uncalled = (
            select(decisions.c.id)
            .select_from(decisions.outerjoin(calls, of_decision))
            .where(decisions.c.router == self.router, decisions.c.signals[DIALECT].as_string().is_not(None))
            .where(calls.c.decision_id.is_(None))
            .order_by(decisions.c.id)
            .limit(most)
        )
        return list(self.connection.scalars(uncalled))

    def unpriced_calls(self, most: int = 20) -> list[str]:
        """The ids of decisions whose call has ended without a cost, or whose cost never came into the log.

        A lost call says nothing of its decision.
        """
        first_cost = and_(
            feedback.c.router == calls.c.router,
            feedback.c.decision_id == calls.c.decision_id,
            feedback.c.metric == "cost_usd",
            feedback.c.revision == 0,
        )
        unpriced = (
            select(calls.c.decision_id)
            .select_from(calls.outerjoin(feedback, first_cost))
            .where(calls.c.router == self.router, calls.c.outcome.is_not(None))
            .where(
                calls.c.cost_usd.is_(None)
                | (calls.c.outcome != CallOutcome.LOST.value) & feedback.c.value.is_(None)
            )
            .order_by(calls.c.decision_id)
            .limit(most)
        )
        return list(self.connection.scalars(unpriced))

    def misbooked_keys(self) -> list[KeyDay]:
        """The accounts of keys that are not the sum of their calls and of what was forgotten."""
        reserved: Counter[KeyDay] = Counter()
        spent: Counter[KeyDay] = Counter()
        for (key_day, amount), cost in read_key_calls(self.connection, self.router):
            if cost is None:
                reserved[key_day] += amount
            else:
                spent[key_day] += cost
        booked = read_all_key_spending(self.connection, self.router)
        return sorted(
            key_day
            for key_day in reserved.keys() | spent.keys() | booked.keys()
            if (account := booked.get(key_day)) is None
            or (account.reserved, account.spent - account.forgotten) != (reserved[key_day], spent[key_day])
        )

    def spending(self) -> tuple[PacingTotals, PacingTotals] | None:
        """The sums booked towards the goal, and the same recomputed from the log; None without a goal.

        The part of users who were forgotten is as the book has it.
        """
        row = self.connection.execute(select(spending).where(spending.c.router == self.router)).one_or_none()
        if row is None:
            return None
        logged, goal = self._spent_since(row.since), goal_from(row)
        if isinstance(goal, Floor):
            earned, moved = self._earned_since(row.since, goal)
            logged = logged._replace(earned=earned, moved=moved)
        return PacingTotals(row.requests, row.spent_usd, earned=row.earned), _add_forgotten(logged, row)

    def _spent_since(self, since: float) -> PacingTotals:
        """The sums over decisions since then, each at the cost last reported, or else expected."""
        is_cost = (feedback.c.router == decisions.c.router) & (feedback.c.metric == "cost_usd")
        reported = select(feedback.c.value).where(is_cost, feedback.c.decision_id == decisions.c.id)
        in_force = reported.where(counts(self.router)).order_by(feedback.c.revision.desc())
        newest = in_force.limit(1).scalar_subquery()
        ever = reported.with_only_columns(func.coalesce(func.sum(feedback.c.value), 0.0)).scalar_subquery()
        expected = decisions.c.expected_cost_usd
        sums = (
            func.coalesce(func.sum(amount), 0.0)
            for amount in (func.coalesce(newest, expected), expected + ever)
        )
        covered = (decisions.c.router == self.router) & (decisions.c.decided_at >= since)
        return PacingTotals(*self.connection.execute(select(func.count(), *sums).where(covered)).one())

    def _earned_since(self, since: float, floor: Floor) -> tuple[float, float]:
        """The sum of rewards since then, reported or else expected, and the sum of all amounts ever added."""
        rewards, moved = [], 0.0
        for logged in itertools.chain.from_iterable(self.log()):
            if isinstance(logged, LoggedDecision) and logged.decision.decided_at >= since:
                expected = logged.decision.expected_quality
                rewards.append(reward_for_floor(logged.metrics, expected, floor))
                moved += 1.0 + abs(expected)
        return math.fsum(rewards), moved

    def tasks(self) -> list[Task]:
        """The tasks that are learned apart, in the order of their numbers."""
        return read_tasks(self.connection, self.router)

    def renamed_arms(self) -> dict[str, str]:
        """The name now of every arm that was renamed, by its name in the log."""
        return read_renamed_arms(self.connection, self.router)

    def stray_conversations(self, most: int = 20) -> list[str]:
        """The ids of conversations that keep another arm than the decision on record as their choice."""
        chosen = (decisions.c.router == conversations.c.router) & (decisions.c.id == conversations.c.choice)
        of_arm = (arms.c.router == decisions.c.router) & (arms.c.name == decisions.c.arm)
        promotes = decisions.c.reason == Reason.PROMOTION.value
        kept = and_(
            conversations.c.arm == ARM_NOW,
            decisions.c.conversation == conversations.c.id,
            promotes == conversations.c.promoted,
        )
        stray = (
            select(conversations.c.id)
            .select_from(conversations.outerjoin(decisions, chosen).outerjoin(arms, of_arm))
            .where(conversations.c.router == self.router, decisions.c.id.is_(None) | not_(kept))
            .order_by(conversations.c.id)
            .limit(most)
        )
        return list(self.connection.scalars(stray))

    def observations(self, of: CountedValues | None = None) -> Iterator[list[Observation]]:
        """Every decision that has feedback, in id order, in pieces, with the counted values asked for."""
        return iterate_observations(self.connection, self.router, of)

    def decisions(self, size: int = 2_000) -> Iterator[Decision | UnreadableDecision]:
        """Every decision, in the order of the snapshots they were made from."""
        statement = (
            select(decisions)
            .where(decisions.c.router == self.router)
            .order_by(decisions.c.snapshot, decisions.c.id)
            .execution_options(yield_per=size)
        )
        with self.connection.execute(statement) as rows:
            for row in rows:
                yield _decision_or_unreadable(row)

    def log(self, size: int = 2_000) -> Iterator[list[LoggedDecision | UnreadableDecision]]:
        """Every decision with its feedback, in id order, which is that of time; ``size`` at a time."""
        yield from self._pages(size, decisions.c.router == self.router)

    def newest_choices(
        self, most: int, since: float, size: int = 2_000
    ) -> Iterator[list[LoggedDecision | UnreadableDecision]]:
        """As :meth:`log`, the newest ``most`` decisions of the policy that were made since then.

        Looks at ten times as many decisions at most, so that a log with few of the policy is not read whole.
        """
        first_id = f"{max(0, int(since * 1e3)):012x}"
        newest = (
            select(decisions.c.id, decisions.c.reason)
            .where(decisions.c.router == self.router, decisions.c.id >= f"{first_id[:8]}-{first_id[8:]}")
            .order_by(decisions.c.id.desc())
            .limit(_LOOKED_AT * most)
            .subquery()
        )
        by_policy = select(newest.c.id).where(newest.c.reason == Reason.POLICY.value)
        ids = self.connection.scalars(by_policy.order_by(newest.c.id.desc()).limit(most)).all()
        if ids:
            is_chosen = decisions.c.id >= ids[-1], decisions.c.reason == Reason.POLICY.value
            yield from self._pages(size, decisions.c.router == self.router, *is_chosen)

    def rollout_decisions(self, contest: str, since: float) -> Iterator[RolloutDecision]:
        """The decisions of rollouts with this contest since a Unix time, in the order of time."""
        return iterate_rollout_decisions(self.connection, self.router, contest, since)

    def _pages(
        self, size: int, *conditions: ColumnElement[bool]
    ) -> Iterator[list[LoggedDecision | UnreadableDecision]]:
        last = ""
        while True:
            page = select(decisions).where(*conditions, decisions.c.id > last)
            rows = self.connection.execute(page.order_by(decisions.c.id).limit(size))
            read = [_decision_or_unreadable(row) for row in rows]
            if not read:
                return
            last = read[-1].id
            metrics = read_metrics(self.connection, self.router, [decision.id for decision in read])
            yield [
                decision
                if isinstance(decision, UnreadableDecision)
                else LoggedDecision(decision, *metrics[decision.id])
                for decision in read
            ]


def _add_forgotten(logged: PacingTotals, row: Row[Any]) -> PacingTotals:
    """The sums with what the book keeps of decisions that are not in the log any more."""
    return PacingTotals(
        logged.requests + row.forgotten_requests,
        logged.spent_usd + row.forgotten_usd,
        logged.moved_usd + row.forgotten_usd,
        logged.earned + row.forgotten_earned,
        logged.moved + row.forgotten_requests,
    )


def _decision_or_unreadable(row: Row[Any]) -> Decision | UnreadableDecision:
    try:
        return decision_from(row)
    except (TypeError, ValueError) as error:
        return UnreadableDecision(row.id, str(error))
