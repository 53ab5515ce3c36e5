"""The decision log: insert decisions once, and read them by id or by parent."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, select

from bandit_router.store.engine import INSERT
from bandit_router.store.records import decision_from, decision_row
from bandit_router.store.rollups.tally import Slice, find_slice
from bandit_router.store.tables import decisions
from bandit_router.types import Decision

SLICE_COLUMNS = tuple(
    decisions.c[name] for name in ("decided_at", "arm", "reason", "signals", "key_id", "task")
)
"""Says where a decision belongs in roll-ups."""

_INSERT_DECISIONS = {
    name: into(decisions).on_conflict_do_nothing().returning(decisions.c.id) for name, into in INSERT.items()
}
"""A commit whose answer was lost is tried again with the same ids, so a conflict changes nothing.

RETURNING makes SQLAlchemy send all rows in one statement: SQLite releases Python's global lock once a
statement, and taking it back for every row would stall the thread that serves requests.
"""

_SOME = decisions.c.router == bindparam("router"), decisions.c.id.in_(bindparam("ids", expanding=True))
_EXISTING_DECISIONS = select(decisions.c.id).where(*_SOME)
_SLICES = select(decisions.c.id, *SLICE_COLUMNS).where(*_SOME)


def insert_decisions(connection: Connection, router: str, new_decisions: Sequence[Decision]) -> set[str]:
    """Insert decisions; the ids of those that were not in the log yet."""
    rows = [decision_row(router, decision) for decision in new_decisions]
    return set(connection.scalars(_INSERT_DECISIONS[connection.dialect.name], rows))


def select_logged_ids(connection: Connection, router: str, ids: Collection[str]) -> set[str]:
    """Those of the ids that are in the log."""
    return set(connection.scalars(_EXISTING_DECISIONS, {"router": router, "ids": list(ids)}))


def read_slices(connection: Connection, router: str, ids: Collection[str]) -> dict[str, Slice]:
    """Where those of the ids that are in the log belong in roll-ups, by id."""
    rows = connection.execute(_SLICES, {"router": router, "ids": list(ids)})
    return {row.id: find_slice(row) for row in rows}


def read_decision(connection: Connection, router: str, decision_id: str) -> Decision | None:
    """The decision with that id; None when it is not in the log."""
    statement = select(decisions).where(decisions.c.router == router, decisions.c.id == decision_id)
    row = connection.execute(statement).one_or_none()
    return None if row is None else decision_from(row)


def read_child_decisions(connection: Connection, router: str, parent: str) -> list[Decision]:
    """The decisions whose parent is this one, in id order."""
    children = decisions.c.router == router, decisions.c.parent == parent
    rows = connection.execute(select(decisions).where(*children).order_by(decisions.c.id))
    return [decision_from(row) for row in rows]
