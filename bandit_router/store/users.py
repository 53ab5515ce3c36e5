"""Users: the secret that their ids are hashed with, and the deletion of all rows that are of one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, delete, select, update

from bandit_router.store.calls import read_key_calls
from bandit_router.store.feedback import read_metrics
from bandit_router.store.key_ledger import KeyLedger
from bandit_router.store.learner_transaction import LearnerTransaction, chunks
from bandit_router.store.pacing_ledger import ForgottenDecision, keep_forgotten
from bandit_router.store.recount import tally_decisions
from bandit_router.store.rollups.deltas import insert_delta
from bandit_router.store.rollups.tally import Tally
from bandit_router.store.tables import (
    calls,
    conversations,
    decisions,
    escalations,
    feedback,
    folded,
    idempotency,
    own_calls,
    pending,
    routers,
    safety_marks,
)

DELETED: tuple[tuple[Table, str], ...] = (
    (pending, "decision_id"),
    (folded, "decision_id"),
    (safety_marks, "decision_id"),
    (feedback, "decision_id"),
    (calls, "decision_id"),
    (escalations, "parent"),
    (escalations, "decision_id"),
    (idempotency, "decision_id"),
    (conversations, "choice"),
    (decisions, "id"),
)
"""Rows that go with a decision: those with its id in this column; what refers to another table goes first."""

CLEARED: tuple[tuple[Table, str], ...] = ((decisions, "parent"), (own_calls, "decision_id"))
"""Columns that lose the id of a deleted decision, while their row stays: another user's, or a cost."""


def read_user_secret(connection: Connection, router: str) -> str:
    """The secret of the router's hashes, which was made with it."""
    secret: str | None = connection.scalar(select(routers.c.user_secret).where(routers.c.name == router))
    assert secret is not None, "a router is made with a secret, or got one by the migration"
    return secret


def delete_user(transaction: LearnerTransaction, user_ids: Collection[str]) -> int:
    """Delete the decisions of a user, known by any of these ids, and every row about them; how many.

    A rebuild is due then. The book of the goal and the budgets of keys keep what they cost. Rows are locked
    in the order in which writers lock them.
    """
    connection, router = transaction.connection, transaction.router
    ids = sorted(_find_chains(connection, router, user_ids))
    if not ids:
        return 0
    _lock(connection, router, ids)
    forgotten = list(_read_forgotten(connection, router, ids))
    _drop_from_rollups(connection, router, ids)
    for chunk in chunks(ids):
        for table, column in DELETED:
            connection.execute(delete(table).where(*_have(table, column, router, chunk)))
        for table, column in CLEARED:
            cleared = update(table).where(*_have(table, column, router, chunk))
            connection.execute(cleared.values({column: None}))
    transaction.cut_off_rebuild()
    transaction.require_correction(transaction.clock.reference())
    keep_forgotten(connection, router, forgotten)
    return len(ids)


def _find_chains(connection: Connection, router: str, user_ids: Collection[str]) -> set[str]:
    """The user's decisions, and those linked to them by ``parent`` that are of no user who was named."""
    of_router, of_nobody = decisions.c.router == router, decisions.c.user_id.is_(None)
    of_user = select(decisions.c.id).where(of_router, decisions.c.user_id.in_(list(user_ids)))
    found = newest = set(connection.scalars(of_user))
    while newest:
        linked: set[str] = set()
        for chunk in chunks(sorted(newest)):
            parents = select(decisions.c.parent).where(of_router, decisions.c.id.in_(chunk))
            either = decisions.c.parent.in_(chunk), decisions.c.id.in_(parents)
            for is_linked in either:
                mine = select(decisions.c.id).where(of_router, of_nobody, is_linked)
                linked.update(connection.scalars(mine))
        newest = linked - found
        found = found | newest
    return found


def _lock(connection: Connection, router: str, ids: Sequence[str]) -> None:
    """Keep writers away from the rows: those who come later find that the decisions are gone.

    Budgets of keys are changed at once: they come after calls, and before conversations.
    """
    _lock_in_order(connection, calls, "decision_id", router, ids)
    _keep_key_spending(connection, router, ids)
    for chunk in chunks(ids):
        named = select(decisions.c.conversation).where(*_have(decisions, "id", router, chunk))
        mine = conversations.c.router == router, conversations.c.id.in_(named)
        _lock_rows(connection, select(conversations.c.id).where(*mine).order_by(conversations.c.id))
    _lock_in_order(connection, decisions, "id", router, ids)


def _keep_key_spending(connection: Connection, router: str, ids: Sequence[str]) -> None:
    """Note in the budgets of keys what the calls of these decisions cost, or may cost yet."""
    borne = [call for chunk in chunks(ids) for call in read_key_calls(connection, router, chunk)]
    if borne:
        ledger = KeyLedger(connection, router)
        ledger.lock(call.reservation.key_day for call in borne)
        for call in borne:
            ledger.forget(call)
        ledger.close(begun=())


def _lock_in_order(
    connection: Connection, table: Table, column: str, router: str, ids: Sequence[str]
) -> None:
    key: Column[Any] = table.c[column]
    for chunk in chunks(ids):
        _lock_rows(connection, select(key).where(*_have(table, column, router, chunk)).order_by(key))


def _lock_rows(connection: Connection, statement: Any) -> None:
    connection.execute(statement.with_for_update()).all()


def _read_forgotten(connection: Connection, router: str, ids: Sequence[str]) -> Iterator[ForgottenDecision]:
    """What the book has of these decisions."""
    for chunk in chunks(ids):
        metrics = read_metrics(connection, router, chunk)
        columns = (
            decisions.c.id,
            decisions.c.decided_at,
            decisions.c.expected_cost_usd,
            decisions.c.expected_quality,
        )
        rows = connection.execute(select(*columns).where(*_have(decisions, "id", router, chunk)))
        for row in rows:
            yield ForgottenDecision(*row[1:], metrics[row.id].values)


def _drop_from_rollups(connection: Connection, router: str, ids: Sequence[str]) -> None:
    """Take the decisions out of the roll-ups, but for their money."""
    tally = Tally()
    for chunk in chunks(ids):
        tally.drop(tally_decisions(connection, router, chunk))
    insert_delta(connection, router, tally)


def _have(table: Table, column: str, router: str, ids: Iterable[str]) -> tuple[Any, ...]:
    return table.c.router == router, table.c[column].in_(ids)
