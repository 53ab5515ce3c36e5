"""Estimates that one worker makes for all: the newest of each kind, and the lease to make the next.

A worker takes the lease by compare-and-set: an UPDATE whose WHERE says that an estimate is due and nobody
holds the lease. Of two that try at once, the second finds the row changed. Whoever holds it stores the
estimate and gives the lease back in one statement; one that dies is followed when its lease expires.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from bandit_router.store.engine import INSERT
from bandit_router.store.tables import estimates


class StoredEstimate(NamedTuple):
    """An estimate, and when it was made: Unix time, seconds."""

    made_at: float
    body: Mapping[str, Any]


def read_estimate(connection: Connection, router: str, kind: str) -> StoredEstimate | None:
    """The newest estimate of this kind; None if there is none yet."""
    columns = select(estimates.c.made_at, estimates.c.body)
    row = connection.execute(columns.where(_is_of(router, kind), estimates.c.body.is_not(None))).one_or_none()
    return None if row is None else StoredEstimate(row.made_at, row.body)


def take_lease(
    connection: Connection,
    router: str,
    kind: str,
    holder: str,
    now: float,
    *,
    interval_s: float,
    lease_s: float,
) -> bool:
    """Whether ``holder`` shall make the next estimate, and has until ``now + lease_s`` to store it.

    It is due when the newest is ``interval_s`` old.
    """
    into = INSERT[connection.dialect.name](estimates).on_conflict_do_nothing()
    connection.execute(into, {"router": router, "kind": kind})
    take = update(estimates).where(_is_of(router, kind), _is_due(now, interval_s), _is_free(now))
    return connection.execute(take.values(holder=holder, held_until=now + lease_s)).rowcount == 1


def store_estimate(
    connection: Connection, router: str, kind: str, holder: str, now: float, body: Mapping[str, Any]
) -> bool:
    """Store what ``holder`` made, and give the lease back; whether it still held the lease."""
    store = update(estimates).where(_is_of(router, kind), estimates.c.holder == holder)
    made = {"made_at": now, "body": dict(body), "holder": None, "held_until": None}
    return connection.execute(store.values(made)).rowcount == 1


def _is_due(now: float, interval_s: float) -> ColumnElement[bool]:
    return or_(estimates.c.made_at.is_(None), estimates.c.made_at <= now - interval_s)


def _is_free(now: float) -> ColumnElement[bool]:
    return or_(estimates.c.held_until.is_(None), estimates.c.held_until <= now)


def _is_of(router: str, kind: str) -> ColumnElement[bool]:
    return and_(estimates.c.router == router, estimates.c.kind == kind)
