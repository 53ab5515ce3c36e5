"""The log of the dashboard's benchmark: a day written through a router's store, and copies of it by SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    Table,
    cast,
    func,
    insert,
    literal,
    select,
    text,
    true,
)

from bandit_router.learning.rollups import fold_rollups
from bandit_router.router import Router
from bandit_router.settings import Settings
from bandit_router.store.clock import Stamp
from bandit_router.store.store import Store
from bandit_router.store.tables import decisions, feedback, rollups
from bandit_router.store.write_requests import WriteRequest
from bandit_router.types import Decision, Feedback, Reason

HISTORY_DAYS = 730
Change = Callable[[ColumnElement[Any], ColumnElement[int]], ColumnElement[Any]]
"""A column of the copy that lies so many days back."""

_DAY_S, _DAY_H = 86_400, 24
_BATCH = 500
_REASONS = (Reason.POLICY, Reason.STICKY, Reason.OVERRIDE)
_KEYS = 10
_QUALITY = (0.7, 0.85)
_COST_USD = (0.0003, 0.003)
_LATENCY_S = (0.8, 2.0)


def write_log(settings: Settings, n: int, until: float, days: int) -> None:
    """Write ``n`` decisions over the ``days`` before ``until``, a midnight, and roll-ups of two years."""
    with Router.open(settings) as router:
        store = router._store
        made = list(_draw_day(router, until - _DAY_S, n // days))
        rng = np.random.default_rng(1)
        _write(store, [WriteRequest(payload=each) for each in made])
        _write(store, [WriteRequest(payload=_rate(each, rng)) for each in made])
        router.learn()
        fold_rollups(store)
        with store._engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # or it looks up a million foreign keys
                connection.execute(text("SET LOCAL session_replication_role = replica"))
            _copy(connection, decisions, days, id=_make_id, decided_at=_shift_time)
            _copy(connection, feedback, days, decision_id=_make_id, received_at=_shift_time)
            _copy(connection, rollups, HISTORY_DAYS, hour=_shift_hour)
        with store._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))


def _draw_day(router: Router, since: float, n: int) -> Iterator[Decision]:
    """Decisions spread over a day, of every arm, reason, tier and key."""
    example, rng = router._begin("What is the capital of France?", {}).decision, np.random.default_rng(0)
    assert example is not None
    names = example.eligible
    for i in range(n):
        at, arm = since + _DAY_S * (i + 0.5) / n, int(rng.random() < 0.3)
        yield replace(
            example,
            id=Stamp(at, at).make_id(),
            decided_at=at,
            arm=names[arm],
            reason=_REASONS[int(rng.choice(3, p=[0.8, 0.15, 0.05]))],
            expected_quality=_QUALITY[arm],
            expected_cost_usd=_COST_USD[arm],
            greedy_utility=1.0,
            signals={"tier": ("free", "pro")[i % 2]},
            key_id=f"key{i % _KEYS}",
        )


def _rate(made: Decision, rng: np.random.Generator) -> Feedback:
    """What the gateway reports of a call, and for some a rating."""
    arm = made.eligible.index(made.arm)
    latency_s = _LATENCY_S[arm] * float(rng.lognormal(0.0, 0.4))
    metrics: dict[str, float | None] = {
        "cost_usd": _COST_USD[arm] * float(rng.lognormal(0.0, 0.4)),
        "latency_s": latency_s,
        "ttft_s": latency_s / 3.0,
        "error": float(rng.random() < 0.02),
    }
    if rng.random() < 0.3:
        metrics |= {"quality": float(rng.beta(8.0, 2.0)), "satisfaction": float(rng.random() < 0.8)}
    return Feedback(decision_id=made.id, metrics=metrics, received_at=made.decided_at + latency_s)


def _write(store: Store, requests: Sequence[WriteRequest]) -> None:
    for start in range(0, len(requests), _BATCH):
        for result in store.write(requests[start : start + _BATCH]):
            if isinstance(result, Exception):
                raise result


def _copy(connection: Connection, table: Table, days: int, **changes: Change) -> None:
    """Copy the rows of a day to each of the days before it, ``days`` days together."""
    first = select(literal(1).label("day")).cte("earlier", recursive=True)
    earlier = first.union_all(select(first.c.day + 1).where(first.c.day < days - 1))
    columns = [
        changes[column.name](column, earlier.c.day) if column.name in changes else column
        for column in table.c
    ]
    rows = select(*columns).join_from(table, earlier, true())
    connection.execute(insert(table).from_select(list(table.c.keys()), rows))


def _make_id(id: ColumnElement[str], day: ColumnElement[int]) -> ColumnElement[str]:
    """Ids stay in the order of time: those of this century begin with 01."""
    return literal("00").concat(cast(999 - day, String)).concat(func.substr(id, 6))


def _shift_time(at: ColumnElement[float], day: ColumnElement[int]) -> ColumnElement[float]:
    return at - day * float(_DAY_S)


def _shift_hour(hour: ColumnElement[int], day: ColumnElement[int]) -> ColumnElement[int]:
    return hour - day * _DAY_H
