"""The recount: what roll-ups must be, by the log, and where they differ from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select

from bandit_router.store.feedback import NEWEST_FEEDBACK
from bandit_router.store.rollups.cubes import read_cells, read_days
from bandit_router.store.rollups.deltas import read_deltas
from bandit_router.store.rollups.sums import Sums
from bandit_router.store.rollups.tally import (
    DAY_H,
    Cell,
    Tally,
    find_hour,
    find_slice,
    merge_cells,
    subtract_cells,
)
from bandit_router.store.tables import calls, decisions, escalations, feedback, rollups

_PAGE = 2_000
_MADE = select(
    *(
        decisions.c[name]
        for name in (
            "id",
            "decided_at",
            "arm",
            "reason",
            "signals",
            "key_id",
            "task",
            "expected_quality",
            "expected_cost_usd",
            "cost_weight",
            "greedy_utility",
        )
    )
)


class RecountedDay(NamedTuple):
    """A day's roll-ups by the log, and what has to be added to those stored to be the same.

    ``day`` is its first hour, as hours since 1970 UTC.
    """

    day: int
    cells: dict[Cell, Sums]
    difference: dict[Cell, Sums]


def recount_days(connection: Connection, router: str) -> Iterator[RecountedDay]:
    """Recount every day that is in the log or in the roll-ups. The connection reads one moment throughout."""
    deltas = merge_cells(delta.cells(kept=False) for delta in read_deltas(connection, router).values())
    by_day: dict[int, dict[Cell, Sums]] = {}
    for cell, sums in deltas.items():
        by_day.setdefault(_day_of(cell.hour), {})[cell] = sums
    unseen = read_days(connection, router) | by_day.keys()
    for day, tallies in groupby(_tally_log(connection, router), lambda part: part[0]):
        unseen.discard(day)
        cells = merge_cells(tally.cells() for _, tally in tallies)
        yield _compare_day(connection, router, day, cells, by_day.get(day, {}))
    for day in sorted(unseen):
        yield _compare_day(connection, router, day, {}, by_day.get(day, {}))


def tally_decisions(connection: Connection, router: str, ids: Sequence[str]) -> Tally:
    """What these decisions have added to roll-ups, with all that hangs on them."""
    mine = decisions.c.router == router, decisions.c.id.in_(ids)
    return _tally_rows(connection, router, connection.execute(_MADE.where(*mine)).all())


def _tally_log(connection: Connection, router: str) -> Iterator[tuple[int, Tally]]:
    """The whole log in the order of time: days, and tallies of a part of each."""
    in_time = _MADE.where(decisions.c.router == router).order_by(decisions.c.decided_at)
    with connection.execute(in_time.execution_options(yield_per=_PAGE)) as rows:
        for page in rows.partitions():
            for day, of_day in groupby(page, lambda row: _day_of(find_hour(row.decided_at))):
                yield day, _tally_rows(connection, router, list(of_day))


def _tally_rows(connection: Connection, router: str, rows: Sequence[Row[Any]]) -> Tally:
    tally, made = Tally(), {row.id: row for row in rows}
    slices = {row.id: find_slice(row) for row in rows}
    for row in rows:
        tally.add_decision(row)
    ended = select(calls.c.decision_id, calls.c.outcome).where(
        calls.c.router == router, calls.c.decision_id.in_(made), calls.c.outcome.is_not(None)
    )
    for call in connection.execute(ended):
        tally.add_call(slices[call.decision_id], call.outcome)
    judged = select(escalations.c.parent, escalations.c.decision_id).where(
        escalations.c.router == router, escalations.c.parent.in_(made)
    )
    for escalation in connection.execute(judged):
        tally.add_escalation(slices[escalation.parent], retried=escalation.decision_id is not None)
    first = select(feedback.c.decision_id, feedback.c.metric, feedback.c.received_at).where(
        feedback.c.router == router, feedback.c.decision_id.in_(made), feedback.c.revision == 0
    )
    for said in connection.execute(first):
        delay_s = said.received_at - made[said.decision_id].decided_at
        tally.add_delay(slices[said.decision_id], [said.metric], delay_s)
    for newest in connection.execute(NEWEST_FEEDBACK, {"router": router, "ids": list(made)}):
        tally.revise_metric(slices[newest.decision_id], newest.metric, None, newest.value)
    return tally


def _compare_day(
    connection: Connection, router: str, day: int, cells: dict[Cell, Sums], deltas: dict[Cell, Sums]
) -> RecountedDay:
    of_day = rollups.c.hour >= day, rollups.c.hour < day + DAY_H
    folded = read_cells(connection, router, rollups.c.kept.is_(False), *of_day)
    return RecountedDay(day, cells, subtract_cells(cells, merge_cells([folded, deltas])))


def _day_of(hour: int) -> int:
    return hour - hour % DAY_H
