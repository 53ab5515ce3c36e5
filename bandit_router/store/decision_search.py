"""Search of the log, newest first, by index and a bounded piece at a time.

Ids sort by time, so that a page is a range of the primary key that begins where the last one ended. A
condition that no index has, such as the arm, is looked for in the newest ``_MOST_LOOKED_AT`` rows of that
range only; whoever wants more goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from bandit_router.store.feedback import read_metrics
from bandit_router.store.tables import decisions
from bandit_router.types import Reason

_MOST_LOOKED_AT = 10_000
_ABOVE = "g"  # sorts after every digit of an id
_SLACK_S = 60.0  # an id may be made a moment before or after the time of its decision


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionFilter:
    """Which decisions to find; None is any. Times are Unix times, seconds: ``since`` ≤ time < ``until``.

    ``user_ids`` are the forms in which the log may have one user. ``text`` is a part of a logged query.
    """

    arm: str | None = None
    reason: Reason | None = None
    since: float | None = None
    until: float | None = None
    user_ids: Sequence[str] = ()
    id_prefix: str | None = None
    text: str | None = None


class DecisionSummary(NamedTuple):
    """One decision in a list, with the feedback in force."""

    id: str
    decided_at: float
    arm: str
    reason: str
    propensity: float
    expected_quality: float
    expected_cost_usd: float
    user_id: str | None
    query: str | None
    metrics: dict[str, float]


class DecisionPage(NamedTuple):
    """Decisions, newest first; ``next_before`` is where the next page begins, None at the end of the log.

    ``looked_at`` is the number of rows that were looked at.
    """

    decisions: list[DecisionSummary]
    next_before: str | None
    looked_at: int


_COLUMNS = (
    decisions.c.id,
    decisions.c.decided_at,
    decisions.c.arm,
    decisions.c.reason,
    decisions.c.propensity,
    decisions.c.expected_quality,
    decisions.c.expected_cost_usd,
    decisions.c.user_id,
    decisions.c.query,
)


def find_decisions(
    connection: Connection, router: str, wanted: DecisionFilter, before: str | None, size: int
) -> DecisionPage:
    """The newest ``size`` decisions below the id ``before`` that are wanted."""
    piece = _select_range(router, wanted, before)
    newest = select(decisions.c.id).where(*piece).order_by(decisions.c.id.desc()).limit(_MOST_LOOKED_AT)
    ids = newest.subquery()
    oldest, looked_at = connection.execute(select(func.min(ids.c.id), func.count())).one()
    if not looked_at:
        return DecisionPage([], None, 0)
    rows = connection.execute(
        select(*_COLUMNS)
        .where(*piece, decisions.c.id >= oldest, *_conditions(wanted))
        .order_by(decisions.c.id.desc())
        .limit(size + 1)
    ).all()
    more = oldest if looked_at == _MOST_LOOKED_AT else None
    next_before = rows[size - 1].id if len(rows) > size else more
    shown = rows[:size]
    metrics = read_metrics(connection, router, [row.id for row in shown])
    return DecisionPage(
        [DecisionSummary(**row._mapping, metrics=metrics[row.id].values) for row in shown],
        next_before,
        looked_at,
    )


def _select_range(router: str, wanted: DecisionFilter, before: str | None) -> list[ColumnElement[bool]]:
    """The conditions that an index answers: the router, a range of ids, and the user."""
    lowest, highest = wanted.id_prefix or "", f"{wanted.id_prefix or ''}{_ABOVE}"
    if wanted.since is not None:
        lowest = max(lowest, _first_id_at(wanted.since - _SLACK_S))
    if wanted.until is not None:
        highest = min(highest, _first_id_at(wanted.until + _SLACK_S))
    if before is not None:
        highest = min(highest, before)
    conditions = [decisions.c.router == router, decisions.c.id >= lowest, decisions.c.id < highest]
    if wanted.user_ids:
        conditions.append(decisions.c.user_id.in_(wanted.user_ids))
    return conditions


def _conditions(wanted: DecisionFilter) -> list[ColumnElement[bool]]:
    """The conditions that rows are looked through for."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        conditions.append(decisions.c.decided_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(decisions.c.decided_at < wanted.until)
    if wanted.arm is not None:
        conditions.append(decisions.c.arm == wanted.arm)
    if wanted.reason is not None:
        conditions.append(decisions.c.reason == wanted.reason.value)
    if wanted.text is not None:
        conditions.append(decisions.c.query.icontains(wanted.text, autoescape=True))
    return conditions


def _first_id_at(at: float) -> str:
    """What every UUIDv7 of this Unix time or later sorts after."""
    digits = f"{min(max(0, int(at * 1000.0)), 2**48 - 1):012x}"
    return f"{digits[:8]}-{digits[8:]}"
