"""How a router's goal stands, booked in the very transaction of what changes it: never twice, never later."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, or_, select, update

from bandit_router.objective.pacing import PacingState, advance, clip_expected_reward
from bandit_router.objective.reward import reward
from bandit_router.store.engine import INSERT
from bandit_router.store.tables import spending
from bandit_router.types import Budget, Decision, Floor, Goal

_PACE = [field.name for field in fields(PacingState)]
_GOAL = ("goal", "goal_kind", "weights")
_REWARD = "reward"

_START = {
    name: (statement := into(spending)).on_conflict_do_update(
        index_elements=["router"],
        set_={column.name: statement.excluded[column.name] for column in spending.columns},
        where=or_(*(spending.c[column] != statement.excluded[column] for column in _GOAL)),
    )
    for name, into in INSERT.items()
}
"""Two workers may open a router at once; the second finds the same goal and changes nothing."""


def start_book(connection: Connection, router: str, goal: Goal) -> PacingBook:
    """Begin to book, unless this very goal is booked already; the book."""
    mine = spending.c.router == router
    connection.execute(select(spending.c.since).where(mine).with_for_update())
    now = time.time()  # once nobody books to another goal any more: what was booked there is older
    row = {"router": router, "since": now, **_goal_row(goal), **asdict(PacingState(as_of=now))}
    connection.execute(_START[connection.dialect.name], row)
    found = read_book(connection, router)
    assert found is not None, "the row was just made sure of"
    return found


class PacingBook(NamedTuple):
    """The goal that is booked for, and how it stands."""

    goal: Goal
    pace: PacingState


def read_book(connection: Connection, router: str) -> PacingBook | None:
    """The book of a router; None when there is none."""
    row = connection.execute(select(spending).where(spending.c.router == router)).one_or_none()
    return None if row is None else _book(row)


class PacingChange(NamedTuple):
    """What is to be booked: requests, what they cost more (USD) and what they are worth more."""

    requests: int
    spent_usd: float
    earned: float


def as_expected(decisions: Iterable[Decision]) -> PacingChange:
    """Of decisions that nothing was heard of yet."""
    made = list(decisions)
    return PacingChange(
        len(made),
        sum(decision.expected_cost_usd for decision in made),
        sum(clip_expected_reward(decision.expected_quality) for decision in made),
    )


def book_with(book: PacingBook, due: PacingChange, now: float) -> PacingBook:
    """The book, and this in it."""
    pace = advance(
        book.pace,
        book.goal,
        requests=due.requests,
        spent_usd=due.spent_usd,
        earned=due.earned,
        now=now,
    )
    return book._replace(pace=pace)


class Correction(NamedTuple):
    """A decision that was booked as expected, and its metrics in force before and after a feedback call."""

    decided_at: float
    expected_cost_usd: float
    expected_quality: float
    before: Mapping[str, float]
    after: Mapping[str, float]

    def spent_usd(self) -> float:
        """What it cost more than was booked."""
        before, after = (metrics.get("cost_usd", self.expected_cost_usd) for metrics in self[-2:])
        return after - before

    def earned(self, floor: Floor) -> float:
        """What it was worth more than was booked."""
        before, after = (reward_towards(metrics, self.expected_quality, floor) for metrics in self[-2:])
        return after - before


def reward_towards(metrics: Mapping[str, float], expected: float, floor: Floor) -> float:
    """The reward of a decision as it counts towards a floor, in [0, 1]: as reported, or else as expected."""
    found = reward(metrics, floor.weights)
    return clip_expected_reward(expected) if found is None else found


class PacingLedger:
    """What one transaction adds to the book. ``close`` it last: the row it locks is every worker's."""

    def __init__(self) -> None:
        self._decisions: list[Decision] = []
        self._told: list[Correction] = []

    def book(self, decisions: Sequence[Decision]) -> None:
        """These decisions were inserted: what they are expected to cost and to be worth is booked."""
        self._decisions += decisions

    def correct(self, told: Correction) -> None:
        """A decision that was booked turned out otherwise."""
        self._told.append(told)

    def close(self, connection: Connection, router: str, now: float) -> PacingBook | None:
        """Write the new standing; None when nothing changed, or nothing is booked for this router.

        By the goal of the row, whatever the settings of this worker say: two workers may be started with
        different ones, and a decision that one of them books is one the other may correct.
        """
        if not (self._decisions or self._told):
            return None
        mine = select(spending).where(spending.c.router == router)
        if not self._decisions and self._due(connection.execute(mine).one_or_none()) is None:
            return None  # most feedback changes no book, and need not wait for its lock
        row = connection.execute(mine.with_for_update()).one_or_none()
        due = self._due(row)
        if row is None or due is None:
            return None
        book = book_with(_book(row), due, now)
        connection.execute(update(spending).where(spending.c.router == router).values(asdict(book.pace)))
        return book

    def _due(self, row: Row[Any] | None) -> PacingChange | None:
        """What there is to book in this row; None when there is nothing."""
        if row is None:
            return None
        goal = goal_of(row)
        told = [one for one in self._told if one.decided_at >= row.since]
        due = as_expected(decision for decision in self._decisions if decision.decided_at >= row.since)
        found = PacingChange(
            due.requests,
            due.spent_usd + sum(one.spent_usd() for one in told),
            due.earned + (sum(one.earned(goal) for one in told) if isinstance(goal, Floor) else 0.0),
        )
        return found if any(found) else None


def _book(row: Row[Any]) -> PacingBook:
    return PacingBook(goal_of(row), PacingState(**{name: getattr(row, name) for name in _PACE}))


def _goal_row(goal: Goal) -> dict[str, Any]:
    if isinstance(goal, Budget):
        return {"goal": goal.usd, "goal_kind": goal.per, "weights": ""}
    return {
        "goal": goal.reward,
        "goal_kind": _REWARD,
        "weights": json.dumps(dict(goal.weights), sort_keys=True),
    }


def goal_of(row: Row[Any]) -> Goal:
    """The goal that a row of the table is the book of."""
    if row.goal_kind == _REWARD:
        return Floor(reward=row.goal, weights=json.loads(row.weights))
    return Budget(usd=row.goal, per=row.goal_kind)
