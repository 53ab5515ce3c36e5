"""Calls that the router makes for itself: begun before they are sent, ended exactly once, within budgets.

    spent = Σ cost_usd of those that ended + Σ worst_usd of those that have not

A call begins while ``spent < budget``: no budget is exceeded by more than one call, however many begin at
once. One that never ended is lost, and its worst case counts as its cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from bandit_router.errors import OwnBudgetSpent
from bandit_router.security.budget import find_day
from bandit_router.store.calls import read_result, result_columns
from bandit_router.store.clock import Stamp
from bandit_router.store.engine import is_sqlite
from bandit_router.store.tables import own_calls
from bandit_router.types import CallOutcome, CallResult, Purpose

_COUNTED = func.coalesce(own_calls.c.cost_usd, own_calls.c.worst_usd)
_UNDER_WAY = own_calls.c.outcome.is_(None)
_LOST = {
    "outcome": CallOutcome.LOST.value,
    "cost_usd": own_calls.c.worst_usd,
    "cost_reported": False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnCallPlan:
    """A call that the router is to make for itself.

    ``worst_usd`` is the most it may cost. ``lost_after_s`` seconds after its start it is lost unless it has
    ended. ``run`` is the run of a command it belongs to, and ``item`` what of that run it is about.
    """

    purpose: Purpose
    arm: str
    worst_usd: float
    lost_after_s: float
    decision_id: str | None = None
    run: str | None = None
    item: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnBudget:
    """What calls of a purpose may cost, USD: those of a day (UTC), or those of a run on all its days."""

    usd: float
    run: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnCall:
    """A call in the log; ``result`` is None while it has not ended. Costs count as in a budget."""

    id: str
    purpose: Purpose
    arm: str
    decision_id: str | None
    item: str | None
    started_at: float
    counted_usd: float
    result: CallResult | None


class OwnCost(NamedTuple):
    """What calls of a purpose cost in a day, which is the number of days since 1970, UTC; as in a budget."""

    purpose: Purpose
    day: int
    calls: int
    usd: float


def begin_own_call(
    connection: Connection, router: str, plan: OwnCallPlan, budget: OwnBudget | None, stamp: Stamp
) -> str:
    """The id of the call, which may be sent once this transaction is committed. Raises OwnBudgetSpent."""
    day, purpose = find_day(stamp.at), plan.purpose
    if budget is not None:
        _wait_for_others(connection, router, purpose)
        is_counted = own_calls.c.day == day if budget.run is None else own_calls.c.run == budget.run
        spent_usd = _read_spent(connection, router, purpose, is_counted)
        if spent_usd >= budget.usd:
            raise OwnBudgetSpent(purpose, spent_usd, budget.usd)
    call_id = stamp.make_id()
    row = {
        "router": router,
        "id": call_id,
        "purpose": purpose.value,
        "arm": plan.arm,
        "decision_id": plan.decision_id,
        "run": plan.run,
        "item": plan.item,
        "started_at": stamp.at,
        "day": day,
        "lost_at": stamp.at + plan.lost_after_s,
        "worst_usd": plan.worst_usd,
    }
    connection.execute(insert(own_calls), row)
    return call_id


def end_own_call(connection: Connection, router: str, call_id: str, result: CallResult) -> bool:
    """End a call; whether this is its first end. Any other changes nothing."""
    mine = own_calls.c.router == router, own_calls.c.id == call_id, _UNDER_WAY
    return connection.execute(update(own_calls).where(*mine).values(result_columns(result))).rowcount == 1


def lose_own_calls(connection: Connection, router: str, now: float, run: str | None = None) -> int:
    """End as lost the calls that should have ended by now, or all of a run; how many there were."""
    are_lost = own_calls.c.lost_at <= now if run is None else own_calls.c.run == run
    mine = own_calls.c.router == router, are_lost, _UNDER_WAY
    return connection.execute(update(own_calls).where(*mine).values(_LOST)).rowcount


def read_own_calls(connection: Connection, router: str, run: str) -> list[OwnCall]:
    """The calls of a run, oldest first."""
    of_run = own_calls.c.router == router, own_calls.c.run == run
    statement = select(own_calls, _COUNTED.label("counted_usd")).where(*of_run).order_by(own_calls.c.id)
    return [
        OwnCall(
            id=row.id,
            purpose=Purpose(row.purpose),
            arm=row.arm,
            decision_id=row.decision_id,
            item=row.item,
            started_at=row.started_at,
            counted_usd=row.counted_usd,
            result=None if row.outcome is None else CallResult(**read_result(row)),
        )
        for row in connection.execute(statement)
    ]


def read_own_costs(connection: Connection, router: str, since: int) -> list[OwnCost]:
    """What own calls cost by purpose and day, from this day on, in that order."""
    group: Sequence[Any] = own_calls.c.purpose, own_calls.c.day
    recent = own_calls.c.router == router, own_calls.c.day >= since
    sums = select(*group, func.count(), func.sum(_COUNTED)).where(*recent).group_by(*group).order_by(*group)
    return [OwnCost(Purpose(row[0]), row[1], row[2], row[3]) for row in connection.execute(sums)]


def _read_spent(
    connection: Connection, router: str, purpose: Purpose, is_counted: ColumnElement[bool]
) -> float:
    mine = own_calls.c.router == router, own_calls.c.purpose == purpose.value, is_counted
    spent: float = connection.scalar(select(func.coalesce(func.sum(_COUNTED), 0.0)).where(*mine)) or 0.0
    return spent


def _wait_for_others(connection: Connection, router: str, purpose: Purpose) -> None:
    """Until this transaction ends, no other begins a call on the same budget. SQLite has only one writer."""
    if not is_sqlite(connection.engine):
        key = func.hashtextextended(f"own calls {router} {purpose}", 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))
