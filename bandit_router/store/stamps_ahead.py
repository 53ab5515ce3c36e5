"""Stamps that lie ahead of now, because a clock was fast: find them, and clamp them once, in the log.

Evidence decays by the time of the newest decision, a daily budget grows from the last change of its book, and
an arm learns nothing of decisions before its reset. With one such stamp ahead of now, these stand still or
forget until then.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    bindparam,
    func,
    literal,
    select,
    union_all,
    update,
)

from bandit_router.objective.pacing import rewind_pacing
from bandit_router.store.goal_book import book_from_log
from bandit_router.store.learner_transaction import LearnerTransaction
from bandit_router.store.pacing_ledger import book_from
from bandit_router.store.recent_predictions import latest_id
from bandit_router.store.tables import (
    arms,
    calls,
    conversations,
    decisions,
    escalations,
    feedback,
    idempotency,
    routers,
    snapshots,
    spending,
    warm_starts,
)


class _Stamp(NamedTuple):
    """A column of times, and the one beside it for what a wrong clock claimed, if no other row keeps that."""

    at: Any
    claimed_at: Any = None


_STAMPS = (  # in the order in which writers lock the tables, so that neither waits for the other for ever
    _Stamp(calls.c.started_at),
    _Stamp(conversations.c.started_at),
    _Stamp(conversations.c.seen_at),
    _Stamp(decisions.c.decided_at, decisions.c.claimed_at),
    _Stamp(feedback.c.received_at, feedback.c.claimed_at),
    _Stamp(escalations.c.asked_at, escalations.c.claimed_at),
    _Stamp(arms.c.reset_at, arms.c.reset_claimed_at),
    _Stamp(idempotency.c.created_at),
    _Stamp(snapshots.c.published_at),
)
_CLAIMS = tuple(stamp.claimed_at for stamp in _STAMPS if stamp.claimed_at is not None)


def _named(name: str, *found: ColumnElement[bool]) -> Any:
    """The name, if there is such a row."""
    return select(literal(name)).where(select(literal(1)).where(*found).exists())


_ROUTER: BindParameter[str] = bindparam("router")
_LATEST: BindParameter[float] = bindparam("latest")
_NEWEST_WARM_START = select(func.max(warm_starts.c.id)).where(warm_starts.c.router == _ROUTER)

_MARKS_AHEAD = union_all(
    _named(
        "a decision",
        decisions.c.router == _ROUTER,
        decisions.c.id > bindparam("latest_id"),
        decisions.c.decided_at > _LATEST,
    ),
    _named("the reset of an arm", arms.c.router == _ROUTER, arms.c.reset_at > _LATEST),
    _named("the book of the budget", spending.c.router == _ROUTER, spending.c.as_of > _LATEST),
    _named(
        "the warm start",
        warm_starts.c.router == _ROUTER,
        warm_starts.c.id == _NEWEST_WARM_START.scalar_subquery(),
        warm_starts.c.loaded_at > _LATEST,
    ),
    _named("the posterior", routers.c.name == _ROUTER, routers.c.corrected_at.is_not(None)),
)
"""Written once: every worker asks it in every round of learning."""


def find_marks_ahead(connection: Connection, router: str, latest: float) -> list[str]:
    """What lies after ``latest``, Unix time, and holds learning or spending up; found at a glance.

    A decision is looked for where it usually is: its id lies ahead, too.
    """
    values = {"router": router, "latest": latest, "latest_id": latest_id(latest)}
    return list(connection.scalars(_MARKS_AHEAD, values))


def count_stamps_ahead(connection: Connection, router: str, latest: float) -> dict[str, int]:
    """The number of stamps after ``latest``, Unix time, by table and column; reads whole tables."""
    counts = {
        str(stamp.at): connection.scalar(
            select(func.count()).where(stamp.at.table.c.router == router, stamp.at > latest)
        )
        for stamp in _STAMPS
    }
    return {name: count for name, count in counts.items() if count}


def count_clamped_stamps(connection: Connection, router: str) -> int:
    """The number of stamps in the log that are not what a clock claimed."""
    counts = (
        select(func.count().label("n")).where(claim.table.c.router == router, claim.is_not(None))
        for claim in _CLAIMS
    )
    return sum(connection.scalars(union_all(*counts)))


def clamp_stamps(transaction: LearnerTransaction, now: float, latest: float) -> int:
    """Set every stamp after ``latest`` to ``now``, keep what was claimed beside it; the number of stamps.

    The caller rebuilds. A warm start is left as it is: its evidence has the stamp in it.
    """
    connection, router = transaction.connection, transaction.router
    clamped = _clamp_before_resets(connection, router, now, latest)
    for stamp in _STAMPS:
        ahead = stamp.at.table.c.router == router, stamp.at > latest
        clamped += connection.execute(
            update(stamp.at.table).where(*ahead).values(_values(stamp, now))
        ).rowcount
    clamped += _clamp_book(connection, router, now, latest)
    if clamped:
        book_from_log(connection, router)
    return clamped


def _clamp_before_resets(connection: Connection, router: str, now: float, latest: float) -> int:
    """Clamp decisions before a reset of their arm that lies ahead itself: they must stay before it."""
    clamped = 0
    resets = select(arms.c.name, arms.c.reset_at).where(arms.c.router == router, arms.c.reset_at > latest)
    for arm, reset_at in connection.execute(resets).all():
        at = decisions.c.decided_at
        older = decisions.c.router == router, decisions.c.arm == arm, at > latest, at < reset_at
        values = _values(_Stamp(at, decisions.c.claimed_at), math.nextafter(now, 0.0))
        clamped += connection.execute(update(decisions).where(*older).values(values)).rowcount
    return clamped


def _values(stamp: _Stamp, at: float) -> dict[str, Any]:
    if stamp.claimed_at is None:
        return {stamp.at.name: at}
    return {stamp.at.name: at, stamp.claimed_at.name: func.coalesce(stamp.claimed_at, stamp.at)}


def _clamp_book(connection: Connection, router: str, now: float, latest: float) -> int:
    """Set the book back to now, if it lies ahead; 1 if it did."""
    ahead = spending.c.router == router, spending.c.as_of > latest
    row = connection.execute(select(spending).where(*ahead).with_for_update()).one_or_none()
    if row is None:
        return 0
    book = book_from(row)
    values = asdict(rewind_pacing(book.pacing_state, book.goal, now, since=row.since))
    values |= {"since": now if row.since > latest else row.since, "revision": book.revision + 1}
    connection.execute(update(spending).where(*ahead).values(values))
    return 1
