"""The pacing ledger: books costs and rewards towards a router's goal in the transaction that causes them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select, update

from bandit_router.objective.pacing import PacingState, advance_pacing, carry_over, clip_expected_reward
from bandit_router.objective.reward import compute_reward
from bandit_router.store.clock import Clock
from bandit_router.store.engine import INSERT
from bandit_router.store.tables import spending
from bandit_router.types import Budget, Decision, Floor, Goal

log = logging.getLogger(__name__)

_STATE = [field.name for field in fields(PacingState)]
_REWARD = "reward"
_FORGOTTEN = ("forgotten_requests", "forgotten_usd", "forgotten_earned")

_INSERT = {name: into(spending).on_conflict_do_nothing() for name, into in INSERT.items()}
"""Two workers may start the first book at once: the second one's changes nothing."""


class PacingBook(NamedTuple):
    """The goal that is booked for, and its state; ``revision`` grows with every change."""

    goal: Goal
    pacing_state: PacingState
    revision: int


def start_book(connection: Connection, router: str, goal: Goal, clock: Clock) -> PacingBook:
    """Book towards ``goal`` from now on; the book in force.

    What was spent or earned towards another goal is carried over, where one can be compared with the other.
    """
    row = {"router": router, "revision": 0, **_first_row(goal, clock)}
    connection.execute(_INSERT[connection.dialect.name], row)
    of_router = spending.c.router == router
    before = book_from(connection.execute(select(spending).where(of_router).with_for_update()).one())
    if before.goal == goal:
        return before
    now = clock.now()  # after the lock: rows booked under another goal must be older than this one
    state = carry_over(before.pacing_state, before.goal, goal, now)
    if state is None:
        log.warning("the goal is another one, so its book starts anew; dropped: %s", before)
        values = _first_row(goal, clock)
    else:
        values = _goal_row(goal) | asdict(state)
    connection.execute(update(spending).where(of_router).values(values | {"revision": before.revision + 1}))
    book = read_book(connection, router)
    assert book is not None, "its row is locked"
    return book


def _first_row(goal: Goal, clock: Clock) -> dict[str, Any]:
    now = clock.now()
    return {"since": now, **_goal_row(goal), **asdict(PacingState(as_of=now)), **dict.fromkeys(_FORGOTTEN, 0)}


def read_book(connection: Connection, router: str) -> PacingBook | None:
    """The book of a router; None when nothing is booked for it."""
    row = connection.execute(select(spending).where(spending.c.router == router)).one_or_none()
    return None if row is None else book_from(row)


class PacingChange(NamedTuple):
    """An entry of the book: requests, spending (USD) and reward to add; corrections may be negative."""

    requests: int
    spent_usd: float
    earned: float


def expected_change(decisions: Iterable[Decision]) -> PacingChange:
    """The entry for decisions without feedback: their expected costs and rewards."""
    new_decisions = list(decisions)
    return PacingChange(
        len(new_decisions),
        sum(decision.expected_cost_usd for decision in new_decisions),
        sum(clip_expected_reward(decision.expected_quality) for decision in new_decisions),
    )


def apply_change(book: PacingBook, change: PacingChange, now: float) -> PacingBook:
    """The book with this entry added at ``now``, Unix time."""
    pacing_state = advance_pacing(
        book.pacing_state,
        book.goal,
        requests=change.requests,
        spent_usd=change.spent_usd,
        earned=change.earned,
        now=now,
    )
    return book._replace(pacing_state=pacing_state)


class Correction(NamedTuple):
    """A booked decision, and its metrics in force before and after a feedback call."""

    decided_at: float
    expected_cost_usd: float
    expected_quality: float
    before: Mapping[str, float]
    after: Mapping[str, float]

    def spent_usd(self) -> float:
        """The change of its cost, USD."""
        before, after = (metrics.get("cost_usd", self.expected_cost_usd) for metrics in self[-2:])
        return after - before

    def earned(self, floor: Floor) -> float:
        """The change of its reward towards ``floor``."""
        before, after = (reward_for_floor(metrics, self.expected_quality, floor) for metrics in self[-2:])
        return after - before


def reward_for_floor(metrics: Mapping[str, float], expected: float, floor: Floor) -> float:
    """The reward of a decision as it counts towards a floor, in [0, 1]: as reported, or else as expected."""
    reported = compute_reward(metrics, floor.weights)
    return clip_expected_reward(expected) if reported is None else reported


class ForgottenDecision(NamedTuple):
    """A booked decision that the log is about to lose, with its metrics in force."""

    decided_at: float
    expected_cost_usd: float
    expected_quality: float
    metrics: Mapping[str, float]


def keep_forgotten(connection: Connection, router: str, forgotten: Sequence[ForgottenDecision]) -> None:
    """Note in the book what these decisions cost and earned: it stays, though the log will not show it.

    Locks the row of the book, as :meth:`PacingLedger.close` does: do it last.
    """
    row = connection.execute(
        select(spending).where(spending.c.router == router).with_for_update()
    ).one_or_none()
    if row is None:
        return
    goal, booked = goal_from(row), [each for each in forgotten if each.decided_at >= row.since]
    earned = (
        sum(reward_for_floor(each.metrics, each.expected_quality, goal) for each in booked)
        if isinstance(goal, Floor)
        else 0.0
    )
    sums = {
        "forgotten_requests": row.forgotten_requests + len(booked),
        "forgotten_usd": row.forgotten_usd
        + sum(each.metrics.get("cost_usd", each.expected_cost_usd) for each in booked),
        "forgotten_earned": row.forgotten_earned + earned,
    }
    connection.execute(update(spending).where(spending.c.router == router).values(sums))


class PacingLedger:
    """Collects the entries of one transaction. ``close`` it last: it locks a row that every worker needs."""

    def __init__(self) -> None:
        self._decisions: list[Decision] = []
        self._corrections: list[Correction] = []

    def book(self, decisions: Sequence[Decision]) -> None:
        """Add inserted decisions, at their expected costs and rewards."""
        self._decisions += decisions

    def correct(self, correction: Correction) -> None:
        """Add a change of a booked decision's metrics."""
        self._corrections.append(correction)

    def close(self, connection: Connection, router: str, now: float) -> PacingBook | None:
        """Write the new state of the book; None when nothing changed, or nothing is booked for the router.

        The goal is that of the row, not of this worker's settings: two workers may be started with different
        goals, and a decision that one of them books may be corrected by the other.
        """
        if not (self._decisions or self._corrections):
            return None
        of_router = select(spending).where(spending.c.router == router)
        if not self._decisions and self._sum_changes(connection.execute(of_router).one_or_none()) is None:
            return None  # most feedback changes no book, and need not wait for its lock
        row = connection.execute(of_router.with_for_update()).one_or_none()
        change = self._sum_changes(row)
        if row is None or change is None:
            return None
        book = apply_change(book_from(row), change, now)
        book = book._replace(revision=book.revision + 1)
        values = asdict(book.pacing_state) | {"revision": book.revision}
        connection.execute(update(spending).where(spending.c.router == router).values(values))
        return book

    def _sum_changes(self, row: Row[Any] | None) -> PacingChange | None:
        """The entry for all that the book of ``row`` covers; None when it is empty."""
        if row is None:
            return None
        goal = goal_from(row)
        corrections = [change for change in self._corrections if change.decided_at >= row.since]
        expected = expected_change(
            decision for decision in self._decisions if decision.decided_at >= row.since
        )
        earned = sum(change.earned(goal) for change in corrections) if isinstance(goal, Floor) else 0.0
        total = PacingChange(
            expected.requests,
            expected.spent_usd + sum(change.spent_usd() for change in corrections),
            expected.earned + earned,
        )
        return total if any(total) else None


def book_from(row: Row[Any]) -> PacingBook:
    """The book of a row of the table."""
    state = PacingState(**{name: getattr(row, name) for name in _STATE})
    return PacingBook(goal_from(row), state, row.revision)


def _goal_row(goal: Goal) -> dict[str, Any]:
    """The columns of the spending table that identify a goal."""
    if isinstance(goal, Budget):
        return {"goal": goal.usd, "goal_kind": goal.per, "weights": ""}
    return {
        "goal": goal.reward,
        "goal_kind": _REWARD,
        "weights": json.dumps(dict(goal.weights), sort_keys=True),
    }


def goal_from(row: Row[Any]) -> Goal:
    """The goal of a row of the table."""
    if row.goal_kind == _REWARD:
        return Floor(reward=row.goal, weights=json.loads(row.weights))
    return Budget(usd=row.goal, per=row.goal_kind)
