"""A budget's standing, booked in the very transaction of what changes it: never twice, never later."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, Row, select, update

from bandit_router.budget import Pace, advance
from bandit_router.store.engine import INSERT
from bandit_router.store.tables import spending
from bandit_router.types import Budget, Decision

_PACE = [field.name for field in fields(Pace)]

_START = {
    name: (statement := into(spending)).on_conflict_do_update(
        index_elements=["router"],
        set_={column.name: statement.excluded[column.name] for column in spending.columns},
        where=(spending.c.budget_usd != statement.excluded.budget_usd)
        | (spending.c.budget_per != statement.excluded.budget_per),
    )
    for name, into in INSERT.items()
}
"""Two workers may open a router at once; the second finds the same budget and changes nothing."""


def start(connection: Connection, router: str, budget: Budget) -> Pace:
    """Begin to book, unless this very budget is booked already; how it stands."""
    mine = spending.c.router == router
    connection.execute(select(spending.c.since).where(mine).with_for_update())
    now = time.time()  # once nobody books to another budget any more: what was booked there is older
    row = {
        "router": router,
        "budget_usd": budget.usd,
        "budget_per": budget.per,
        "since": now,
        **asdict(Pace(as_of=now)),
    }
    connection.execute(_START[connection.dialect.name], row)
    return read_pace(connection, router) or Pace()


def read_pace(connection: Connection, router: str) -> Pace | None:
    """How the budget stands; None when there is none."""
    row = connection.execute(select(spending).where(spending.c.router == router)).one_or_none()
    return None if row is None else _pace(row)


class Ledger:
    """What one transaction adds to the spending. ``close`` it last: the row it locks is every worker's."""

    def __init__(self) -> None:
        self._decisions: list[Decision] = []
        self._corrections: list[tuple[float, float]] = []

    def book(self, decisions: Sequence[Decision]) -> None:
        """These decisions were inserted: their expected costs are spent."""
        self._decisions += decisions

    def correct(self, decided_at: float, before_usd: float, after_usd: float) -> None:
        """A decision that was booked at one cost turned out to have another."""
        if before_usd != after_usd:
            self._corrections.append((decided_at, after_usd - before_usd))

    def close(self, connection: Connection, router: str, now: float) -> Pace | None:
        """Write the new standing; None when nothing changed, or nothing is booked for this router.

        By the budget of the row, whatever the settings of this worker say: two workers may be started with
        different ones, and a decision that one of them books is one the other may correct.
        """
        if not (self._decisions or self._corrections):
            return None
        mine = spending.c.router == router
        row = connection.execute(select(spending).where(mine).with_for_update()).one_or_none()
        if row is None:
            return None
        booked = [d.expected_cost_usd for d in self._decisions if d.decided_at >= row.since]
        changes = [change for at, change in self._corrections if at >= row.since]
        if not (booked or changes):
            return None
        budget = Budget(usd=row.budget_usd, per=row.budget_per)
        spent = sum(booked) + sum(changes)
        pace = advance(_pace(row), budget, requests=len(booked), spent_usd=spent, now=now)
        connection.execute(update(spending).where(mine).values(asdict(pace)))
        return pace


def _pace(row: Row[Any]) -> Pace:
    return Pace(**{name: getattr(row, name) for name in _PACE})
